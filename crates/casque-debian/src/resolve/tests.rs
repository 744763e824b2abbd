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
fn what_was_taken_first_gives_way_to_what_has_no_alternative() {
    let all = universe(&[
        "Package: a\nDepends: x | y",
        "Package: b\nDepends: c",
        "Package: c\nConflicts: x",
        "Package: x\nDepends: helper",
        "Package: helper",
        "Package: y",
    ]);
    assert_eq!(names(&all, &[], &["a", "b"]).unwrap(), ["a=1", "b=1", "c=1", "y=1"]);
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
    assert_eq!(names(&all, &old, &["a"]).unwrap(), ["a=1"]);
}

#[test]
fn a_lower_layer_is_not_changed_silently() {
    let all = universe(&[
        "Package: b\nVersion: 2",
        "Package: c\nDepends: b (>= 2)",
        "Package: d\nConflicts: b",
        "Package: e\nDepends: missing",
    ]);
    let old = [installed("Package: b\nVersion: 1")];
    assert_eq!(
        names(&all, &old, &["c"]).unwrap_err(),
        "a lower layer has `b` `1`, which would have to become `2` for `c`, which has `Depends: b (>= 2)`"
    );
    assert_eq!(
        names(&all, &old, &["d"]).unwrap_err(),
        "a lower layer has `b` `1`, which would have to go for `d`, which has `Conflicts: b`"
    );
    assert_eq!(
        names(&all, &old, &["b"]).unwrap_err(),
        "a lower layer has `b` `1`, which would have to become `2`"
    );
    assert_eq!(names(&all, &old, &["b=1"]).unwrap(), [""; 0]);
}

#[test]
fn one_source_package_has_one_version() {
    let all =
        universe(&["Package: tool\nVersion: 2\nSource: both", "Package: lib\nVersion: 2\nSource: both"]);
    let old = [installed("Package: tool\nVersion: 1")];
    assert_eq!(
        names(&all, &old, &["lib"]).unwrap_err(),
        "a lower layer has `tool` `1`, which would have to become `2`"
    );
}

#[test]
fn what_is_held_will_do_and_stays_and_so_do_its_siblings() {
    let all = universe(&[
        "Package: tool\nVersion: 2\nSource: both",
        "Package: lib\nVersion: 2\nSource: both",
        "Package: strict\nVersion: 2\nDepends: tool (= 2)",
    ]);
    let old = [installed("Package: tool\nVersion: 1")];
    let held = HashSet::from(["tool".to_owned()]);
    let names = |wanted: &str| {
        let chosen = resolve_on(&all, &held, &old, &[Request::parse(wanted)]);
        chosen.map(|packages| packages.iter().map(|package| package.control.name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(names("lib").unwrap(), ["lib"]);
    assert_eq!(names("tool").unwrap(), [""; 0]);
    for wanted in ["strict", "tool=2"] {
        let changes = "a lower layer has `tool` `1`, which would have to become `2`";
        assert!(names(wanted).unwrap_err().to_string().starts_with(changes), "{wanted}");
    }
}

#[test]
fn of_equal_providers_the_one_that_was_mentioned_last_is_taken() {
    let all = universe(&[
        "Package: a\nDepends: mail",
        "Package: hint\nSuggests: late",
        "Package: early\nProvides: mail",
        "Package: late\nProvides: mail",
    ]);
    assert_eq!(names(&all, &[], &["a"]).unwrap(), ["a=1", "early=1"]);
}

#[test]
fn any_and_native_mean_what_multi_arch_allows() {
    let all = universe(&[
        "Package: a\nDepends: python:any, lib:native, tool:amd64",
        "Package: python\nMulti-Arch: allowed",
        "Package: lib",
        "Package: tool",
        "Package: b\nDepends: lib:any",
        "Package: c\nDepends: lib:i386",
    ]);
    assert_eq!(names(&all, &[], &["a:amd64"]).unwrap(), ["a=1", "lib=1", "python=1", "tool=1"]);
    assert_eq!(names(&all, &[], &["b"]).unwrap_err(), "`b` -> `lib:any` is not available, there is `1`");
    assert_eq!(names(&all, &[], &["c"]).unwrap_err(), "`c` -> `lib:i386` is not available, there is `1`");
    assert_eq!(
        names(&all, &[], &["a:i386"]).unwrap_err(),
        "`a` is wanted for `i386`, and the image is for `amd64`"
    );
}

#[test]
fn a_suite_brings_what_its_version_needs() {
    let mut all = universe(&[
        "Package: a\nVersion: 1\nDepends: b (= 1)",
        "Package: a\nVersion: 2",
        "Package: b\nVersion: 1",
        "Package: b\nVersion: 2",
    ]);
    all.name_archive(0, &["stable"]);
    let digest = casque_format::digest::Digest::of(b"");
    let old = |name: &str, more: &str| {
        format!(
            "Package: {name}\nVersion: 0\nArchitecture: all\n{more}Filename: x\nSize: 1\nSHA256: {digest}\n\n"
        )
    };
    all.add_index(&(old("a", "Depends: b (<< 1)\n") + &old("b", "")), 1).unwrap();
    all.name_archive(1, &["oldstable"]);
    assert_eq!(names(&all, &[], &["a/oldstable"]).unwrap(), ["a=0", "b=0"]);
    assert_eq!(names(&all, &[], &["a/stable"]).unwrap(), ["a=2"]);
    assert_eq!(
        names(&all, &[], &["a=0"]).unwrap_err(),
        "`a` -> `b (<< 1)` is not available, there is `2`, `1`, `0`"
    );
    assert_eq!(
        names(&all, &[], &["b/testing"]).unwrap_err(),
        "no suite `testing` has `b`, there is only `2 (stable)`, `1 (stable)`, `0 (oldstable)`"
    );
}

#[test]
fn removing_a_package_is_refused() {
    let all = universe(&["Package: nano", "Package: g++"]);
    assert_eq!(
        names(&all, &[], &["nano-"]).unwrap_err(),
        "`nano-` would remove `nano`, and a layer can only add packages"
    );
    assert_eq!(names(&all, &[], &["g++"]).unwrap(), ["g++=1"]);
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
    assert_eq!(
        names(&all, &[], &["a", "b"]).unwrap_err(),
        "`a` -> `x` conflicts with `b` -> `y`: `x` `1` has `Conflicts: mail`, and `y` `1` provides `mail`"
    );
    let all = universe(&["Package: a\nBreaks: b (<< 2)", "Package: b"]);
    assert_eq!(
        names(&all, &[], &["a", "b"]).unwrap_err(),
        "`a` conflicts with `b`: `a` `1` has `Breaks: b (<< 2)`, and `b` `1` is there as well"
    );
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
