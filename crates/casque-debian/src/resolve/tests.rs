//! Which packages are chosen, and what is said when none can be.

use super::*;
use crate::stanza::Stanza;
use crate::universe::tests::universe;

fn names(universe: &Universe, installed: &[Control], wanted: &[&str]) -> Result<Vec<String>, String> {
    let wanted: Vec<_> = wanted.iter().map(|text| Request::parse(text)).collect();
    resolve(universe, installed, &wanted)
        .map(|packages| {
            packages.iter().map(|p| format!("{}={}", p.control.name, p.control.version)).collect()
        })
        .map_err(|error| error.to_string())
}

fn installed(stanza: &str) -> Control {
    Control::parse(&Stanza::first(&format!("{stanza}\nArchitecture: amd64\n")).unwrap()).unwrap()
}

#[test]
fn dependencies_of_dependencies_come_along() {
    let all = universe(&[
        "Package: a\nDepends: b (>= 2), c",
        "Package: b\nVersion: 2\nPre-Depends: d",
        "Package: c",
        "Package: d\nDepends: a",
        "Package: e",
    ]);
    assert_eq!(names(&all, &[], &["a"]).unwrap(), ["a=1", "b=2", "c=1", "d=1"]);
}

#[test]
fn the_first_real_alternative_wins_unless_another_is_there() {
    let all = universe(&[
        "Package: a\nDepends: x | y",
        "Package: b\nDepends: mail",
        "Package: x",
        "Package: y",
        "Package: exim\nProvides: mail\nPriority: optional",
        "Package: postfix\nProvides: mail\nPriority: standard",
    ]);
    assert_eq!(names(&all, &[], &["a"]).unwrap(), ["a=1", "x=1"]);
    assert_eq!(names(&all, &[], &["a", "y"]).unwrap(), ["a=1", "y=1"]);
    assert_eq!(names(&all, &[], &["b"]).unwrap(), ["b=1", "postfix=1"]);
    assert_eq!(names(&all, &[], &["b", "exim"]).unwrap(), ["b=1", "exim=1"]);
    assert_eq!(names(&all, &[installed("Package: y\nVersion: 1")], &["a"]).unwrap(), ["a=1"]);
}

#[test]
fn an_alternative_that_cannot_be_installed_is_passed_over() {
    let all = universe(&[
        "Package: a\nDepends: x | y",
        "Package: x\nDepends: helper, missing",
        "Package: helper\nProvides: y",
        "Package: y",
    ]);
    assert_eq!(names(&all, &[], &["a"]).unwrap(), ["a=1", "y=1"]);
}

#[test]
fn a_version_can_be_asked_for() {
    let all = universe(&["Package: a\nVersion: 1", "Package: a\nVersion: 2\nDepends: b", "Package: b"]);
    assert_eq!(names(&all, &[], &["a"]).unwrap(), ["a=2", "b=1"]);
    assert_eq!(names(&all, &[], &["a=1"]).unwrap(), ["a=1"]);
    assert_eq!(names(&all, &[], &["a=3"]).unwrap_err(), "no archive has `a` in version `3`, only `2`, `1`");
}

#[test]
fn what_is_installed_is_kept_when_it_satisfies() {
    let all = universe(&[
        "Package: a\nDepends: b (>= 1)",
        "Package: c\nDepends: b (>= 2)",
        "Package: b\nVersion: 2",
    ]);
    let old = [installed("Package: b\nVersion: 1")];
    assert_eq!(names(&all, &old, &["a", "b"]).unwrap(), ["a=1"]);
    assert_eq!(names(&all, &old, &["c"]).unwrap(), ["b=2", "c=1"]);
}

#[test]
fn an_unknown_name_comes_with_names_like_it() {
    let all = universe(&["Package: redis-server"]);
    let wanted = [Request::parse("redis-sever")];
    let refused = resolve(&all, &[], &wanted).unwrap_err();
    assert_eq!(refused.to_string(), "no archive has a package `redis-sever`");
    assert!(matches!(refused, ResolveError::UnknownPackage { similar, .. } if similar == ["redis-server"]));
}

#[test]
fn a_virtual_name_is_taken_when_there_is_no_choice() {
    let one = universe(&["Package: gawk\nProvides: awk"]);
    assert_eq!(names(&one, &[], &["awk"]).unwrap(), ["gawk=1"]);
    let two = universe(&["Package: mawk\nProvides: awk", "Package: gawk\nProvides: awk"]);
    assert_eq!(
        names(&two, &[], &["awk"]).unwrap_err(),
        "`awk` is not a package, but provided by `gawk`, `mawk`"
    );
}

#[test]
fn a_missing_dependency_is_shown_with_the_way_to_it() {
    let all =
        universe(&["Package: a\nDepends: b", "Package: b\nDepends: c (>= 2)", "Package: c\nVersion: 1.0"]);
    assert_eq!(
        names(&all, &[], &["a"]).unwrap_err(),
        "`a` -> `b` -> `c (>= 2)` is not available, there is `1.0`"
    );
}

#[test]
fn a_conflict_is_shown_with_both_ways() {
    let all = universe(&[
        "Package: a\nDepends: x",
        "Package: b\nDepends: y",
        "Package: x\nConflicts: mail\nProvides: mail",
        "Package: y\nProvides: mail",
    ]);
    assert_eq!(names(&all, &[], &["a", "b"]).unwrap_err(), "`b` -> `y` conflicts with `a` -> `x`");
    let all = universe(&["Package: a\nBreaks: b (<< 2)", "Package: b"]);
    assert_eq!(names(&all, &[], &["a", "b"]).unwrap_err(), "`a` conflicts with `b`");
    let old = [installed("Package: b\nVersion: 1")];
    assert_eq!(names(&all, &old, &["a"]).unwrap_err(), "`a` conflicts with `b (installed)`");
}

#[test]
fn a_versioned_provide_satisfies_a_versioned_dependency() {
    let all = universe(&[
        "Package: a\nDepends: api (= 5)",
        "Package: old\nProvides: api (= 4)",
        "Package: plain\nProvides: api",
        "Package: new\nProvides: api (= 5)",
    ]);
    assert_eq!(names(&all, &[], &["a"]).unwrap(), ["a=1", "new=1"]);
}
