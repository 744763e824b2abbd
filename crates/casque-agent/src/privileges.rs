//! What root of a container has to be allowed, so that each service gets its own user.

use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

use crate::error::Error;

/// What a start as root takes, by the names that engines know: giving files away, reading and writing what others own,
/// becoming a service's user, and stopping what runs as one.
const NEEDED: [(CapabilitySet, &str); 6] = [
    (CapabilitySet::CHOWN, "CHOWN"),
    (CapabilitySet::DAC_OVERRIDE, "DAC_OVERRIDE"),
    (CapabilitySet::FOWNER, "FOWNER"),
    (CapabilitySet::KILL, "KILL"),
    (CapabilitySet::SETGID, "SETGID"),
    (CapabilitySet::SETUID, "SETUID"),
];

/// Refuses root without the rights that root has in an engine. Any other user needs none: all services run as that one.
pub fn check() -> Result<(), Error> {
    let sets = capabilities(None).map_err(|source| Error::Capabilities(source.into()))?;
    let missing = missing(geteuid().is_root(), sets.effective);
    if missing.is_empty() { Ok(()) } else { Err(Error::BareRoot(missing)) }
}

/// The same as a check of a host.
pub fn preflight() -> casque_format::preflight::Check {
    use casque_format::preflight::Check;
    let user = geteuid().as_raw();
    match check() {
        Ok(()) if user == 0 => Check::ok("rights", "root, with what giving each service its own user takes"),
        Ok(()) => Check::ok("rights", format!("uid {user}, as which every service runs")),
        Err(Error::BareRoot(missing)) => {
            Check::failed("rights", format!("root without {}", missing.join(", ")))
                .so("services cannot become their own users, so a start ends with 100")
                .remedy("start with `--user 1234567:0`, or give the capabilities with `--cap-add`")
        }
        Err(error) => Check::not_checked("rights", error.to_string()),
    }
}

fn missing(root: bool, effective: CapabilitySet) -> Vec<&'static str> {
    let lacks = |(needed, _): &&(CapabilitySet, &str)| root && !effective.contains(*needed);
    NEEDED.iter().filter(lacks).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_asked_for_all_and_another_user_for_nothing() {
        let all: Vec<&str> = NEEDED.iter().map(|(_, name)| *name).collect();
        assert_eq!(missing(true, CapabilitySet::empty()), all);
        assert_eq!(missing(true, CapabilitySet::all().difference(CapabilitySet::SETGID)), ["SETGID"]);
        assert!(missing(true, CapabilitySet::all()).is_empty());
        assert!(missing(false, CapabilitySet::empty()).is_empty());
    }

    #[test]
    fn the_refusal_names_both_ways_out() {
        assert_eq!(
            Error::BareRoot(vec!["CHOWN", "SETUID"]).to_string(),
            "root of this container lacks the capabilities CHOWN, SETUID, which giving each service its own user takes; \
             start with `--user 1234567:0`, which needs none, or with `--cap-add CHOWN --cap-add SETUID`"
        );
    }
}
