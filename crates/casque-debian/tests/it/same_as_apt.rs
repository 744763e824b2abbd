//! The same archives are given to apt and to `resolve`; both have to give the same answer.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use casque_debian::{Control, Request, ResolveError, Universe, resolve};

use crate::apt::{Answer, Apt, base};
use crate::draw::{Kind, Pools};
use crate::exceptions::EXCEPTIONS;

/// So many sets, unless `CASQUE_RESOLVER_SETS` says otherwise.
const SETS: u64 = 200;
const AT_A_TIME: usize = 2;

/// What is there before a set is asked for.
struct System {
    status: &'static str,
    installed: Vec<Control>,
    /// Asked for together with the set.
    beside: Vec<String>,
}

fn ours(universe: &Universe, installed: &[Control], names: &[String]) -> (Answer, String) {
    let wanted: Vec<_> = names.iter().map(|name| Request::parse(name)).collect();
    match resolve(universe, installed, &wanted) {
        Ok(packages) => {
            let shown = packages.iter().map(|p| format!("{} {}", p.control.name, p.control.version));
            (Answer::Install(shown.collect()), String::new())
        }
        Err(error @ ResolveError::Changes { .. }) => {
            let ResolveError::Changes { changes } = &error else { unreachable!("matched above") };
            let names = changes.iter().map(|change| change.name.clone()).collect();
            (Answer::Change(names), error.to_string())
        }
        Err(error) => (Answer::Refuse, error.to_string()),
    }
}

fn chosen(universe: &Universe, names: &[String]) -> BTreeSet<String> {
    match ours(universe, &[], names) {
        (Answer::Install(packages), _) => packages,
        (_, said) => panic!("{names:?}: {said}"),
    }
}

fn systems(apt: &Apt, universe: &Universe) -> [System; 4] {
    let base = base(universe);
    let with = |more: &[&str]| [base.clone(), more.iter().map(|name| (*name).to_owned()).collect()].concat();
    let stack = with(&["python3-venv", "nginx-light", "redis-server", "supervisor", "ca-certificates"]);
    let old = with(&["postgresql", "openssl", "curl", "git", "exim4"]);
    let installed =
        |status, packages| System { status, installed: apt.write_status(status, packages), beside: vec![] };
    [
        System { status: "status", installed: vec![], beside: base.clone() },
        installed("status-base", &chosen(universe, &base)),
        installed("status-stack", &chosen(universe, &stack)),
        // As it was before there were updates: apt replaces some of it, and we say so.
        installed("status-old", &chosen(&apt.universe(1), &old)),
    ]
}

/// Says what differs.
fn difference(
    names: &[String],
    (ours, we_say): (Answer, String),
    (theirs, apt_says): (Answer, String),
) -> Option<String> {
    match (&ours, &theirs) {
        _ if ours == theirs => None,
        // We name what stands in the way; apt may have to change more on account of that.
        (Answer::Change(ours), Answer::Change(theirs)) if ours.is_subset(theirs) => None,
        (Answer::Install(ours), Answer::Install(theirs)) => {
            let missing: Vec<_> = theirs.difference(ours).collect();
            let extra: Vec<_> = ours.difference(theirs).collect();
            Some(format!("{}\n    missing {missing:?}\n    extra {extra:?}\n", names.join(" ")))
        }
        _ => {
            let lists = |line: &&str| line.starts_with("   ") || line.starts_with('\'');
            let apt_says: Vec<_> = apt_says.lines().filter(|line| !lists(line)).collect();
            let (names, apt_says) = (names.join(" "), apt_says.join("\n"));
            Some(format!("{names}\n    ours: {ours:?} {we_say}\n    apt: {theirs:?}\n{apt_says}\n"))
        }
    }
}

#[test]
fn sets_drawn_from_the_whole_archive_come_out_as_apt_chooses_them() {
    let apt = Apt::new();
    let universe = apt.universe(3);
    let systems = systems(&apt, &universe);
    let pools = Pools::new(&universe);
    let sets = std::env::var("CASQUE_RESOLVER_SETS").map_or(SETS, |text| text.parse().unwrap());
    let next = AtomicU64::new(0);
    let (report, special, refused) = (Mutex::new(String::new()), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= sets {
                return;
            }
            let (kind, drawn) = pools.draw(number);
            let system = &systems[usize::try_from(number / 5 % 4).unwrap()];
            let line = format!("{}: {}", system.status, drawn.join(" "));
            let names = [system.beside.clone(), drawn].concat();
            let theirs = apt.ask(system.status, &names);
            special.fetch_add(u64::from(kind != Kind::Any && kind != Kind::Version), Ordering::Relaxed);
            refused.fetch_add(u64::from(theirs.0 == Answer::Refuse), Ordering::Relaxed);
            let ours = ours(&universe, &system.installed, &names);
            if EXCEPTIONS.iter().any(|(set, _)| *set == line) {
                continue;
            }
            if let Some(difference) = difference(&names, ours, theirs) {
                write!(report.lock().unwrap(), "set {number}, {kind:?}, {line}\n{difference}").unwrap();
            }
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let report = report.into_inner().unwrap();
    assert!(report.is_empty(), "{report}");
    let (special, refused) = (special.into_inner(), refused.into_inner());
    assert!(
        special >= sets * 3 / 10,
        "only {special} sets are about alternatives, virtual names or conflicts"
    );
    assert!(refused > 0 && refused < sets / 2, "{refused} sets were refused");
}
