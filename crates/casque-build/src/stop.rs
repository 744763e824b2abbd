//! The ordered stop as time: who stops after whom, how long each may take, and whether it all fits.

use std::collections::BTreeMap;

use casque_format::run::Kind;

use crate::manifest::ServiceRule;

/// What a service gets when nothing is said and there is time enough, milliseconds.
const USUAL_MS: u64 = 2_500;
/// PID 1 keeps this much of the budget for strays, for the last lines and for its own exit, milliseconds.
const RESERVED_MS: u64 = 500;
/// Less than this is no chance to stop cleanly, milliseconds.
const LEAST_MS: u64 = 250;

/// The stops that follow each other do not fit into the budget.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OverBudget {
    /// The longest chain, first stopped first.
    pub(crate) services: Vec<String>,
    /// Milliseconds that chain takes.
    pub(crate) needed_ms: u64,
}

/// Returns each service's stop timeout in milliseconds, such that every chain of stops fits into `budget_ms`
/// less what PID 1 needs itself.
///
/// A service stops before those it comes `after`, so time adds up along `after`. Services without a timeout of
/// their own share what the others on the fullest chain leave.
pub(crate) fn timeouts(
    services: &BTreeMap<String, ServiceRule>,
    budget_ms: u64,
) -> Result<BTreeMap<String, u64>, OverBudget> {
    let given = |name: &str| {
        let rule = &services[name];
        match rule.kind() {
            Some(Kind::Oneshot) => Some(0),
            _ => rule.stop.timeout.map(|timeout| timeout.milliseconds),
        }
    };
    let sum = |unset: u64| {
        services
            .keys()
            .map(|name| longest_chain(services, name, &|name| given(name).unwrap_or(unset)))
            .max_by_key(|(needed, _)| *needed)
    };
    let budget_ms = budget_ms.saturating_sub(RESERVED_MS);
    let mut share = USUAL_MS;
    while let Some((needed_ms, chain)) = sum(share) {
        if needed_ms <= budget_ms {
            break;
        }
        let unset = chain.iter().filter(|name| given(name).is_none()).count() as u64;
        let fixed: u64 = chain.iter().filter_map(|name| given(name)).sum();
        let next = budget_ms.saturating_sub(fixed).checked_div(unset).unwrap_or_default();
        if next < LEAST_MS || next >= share {
            let needed_ms = fixed + unset * LEAST_MS;
            return Err(OverBudget { services: chain, needed_ms });
        }
        share = next;
    }
    Ok(services.keys().map(|name| (name.clone(), given(name).unwrap_or(share))).collect())
}

/// Returns the longest time from the stop of `name` on, and the services on that way.
fn longest_chain(
    services: &BTreeMap<String, ServiceRule>,
    name: &str,
    timeout: &dyn Fn(&str) -> u64,
) -> (u64, Vec<String>) {
    let rest = services[name]
        .needs()
        .map(|needed| longest_chain(services, needed.get_ref(), timeout))
        .max_by_key(|(needed, _)| *needed);
    let (rest_ms, mut chain) = rest.unwrap_or_default();
    chain.insert(0, name.to_owned());
    (rest_ms + timeout(name), chain)
}

/// Returns a circle in `after`, its first name again at the end.
pub(crate) fn find_cycle(after: &BTreeMap<&str, Vec<&str>>) -> Option<Vec<String>> {
    let mut done = std::collections::BTreeSet::new();
    after.keys().find_map(|name| follow(after, name, &mut Vec::new(), &mut done))
}

fn follow<'a>(
    after: &BTreeMap<&'a str, Vec<&'a str>>,
    name: &'a str,
    path: &mut Vec<&'a str>,
    done: &mut std::collections::BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|seen| *seen == name) {
        let circle = path[start..].iter().chain([&name]);
        return Some(circle.map(|name| (*name).to_owned()).collect());
    }
    if done.contains(name) {
        return None;
    }
    path.push(name);
    let found = after.get(name)?.iter().find_map(|needed| follow(after, needed, path, done));
    path.pop();
    done.insert(name);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::raw::Seconds;

    fn service(after: &[&str], timeout: Option<u64>) -> ServiceRule {
        let spanned = |name: &&str| toml::Spanned::new(0..0, (*name).to_owned());
        let mut rule = ServiceRule { after: after.iter().map(spanned).collect(), ..ServiceRule::default() };
        rule.stop.timeout = timeout.map(|milliseconds| Seconds { milliseconds });
        rule
    }

    #[test]
    fn services_without_a_timeout_share_what_the_longest_chain_leaves() {
        let services = BTreeMap::from([
            ("db".to_owned(), service(&[], Some(6_000))),
            ("web".to_owned(), service(&["db"], None)),
            ("front".to_owned(), service(&["web"], None)),
            ("lone".to_owned(), service(&[], None)),
        ]);
        let timeouts = timeouts(&services, 9_000).unwrap();
        assert_eq!(timeouts["db"], 6_000);
        assert_eq!([timeouts["web"], timeouts["front"], timeouts["lone"]], [1_250; 3]);
    }

    #[test]
    fn a_chain_that_cannot_fit_is_named_from_its_first_stop_on() {
        let services = BTreeMap::from([
            ("db".to_owned(), service(&[], Some(6_000))),
            ("web".to_owned(), service(&["db"], Some(4_000))),
        ]);
        let over = timeouts(&services, 9_000).unwrap_err();
        assert_eq!(over, OverBudget { services: vec!["web".into(), "db".into()], needed_ms: 10_000 });
    }

    #[test]
    fn a_circle_is_found_and_a_diamond_is_none() {
        let circle = BTreeMap::from([("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["b"])]);
        assert_eq!(find_cycle(&circle).unwrap(), ["b", "c", "b"]);
        let diamond =
            BTreeMap::from([("a", vec!["b", "c"]), ("b", vec!["d"]), ("c", vec!["d"]), ("d", vec![])]);
        assert_eq!(find_cycle(&diamond), None);
    }
}
