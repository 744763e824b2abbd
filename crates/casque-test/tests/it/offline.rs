//! Builds where there is no network, and files that the archive has no more.

use insta::assert_snapshot;

use crate::bad_archive::{NGINX, Project};

const SNAPSHOT: &str = "/archive/debian/20250101T120000Z/pool/nginx-light_1.22.1-9_amd64.deb";

/// Returns a project whose archive is one of Debian's own, locked.
fn of_debian() -> Project {
    let project = Project::with_nginx();
    project.archive.change_release(
        "/debian/dists/bookworm",
        "Origin: Test\nLabel: Test",
        "Origin: Debian\nLabel: Debian",
    );
    project.lock();
    project
}

#[test]
fn what_the_mirror_has_no_more_comes_from_the_snapshots() {
    let project = of_debian();
    project.archive.put(SNAPSHOT, project.archive.get(NGINX));
    project.archive.remove(NGINX);
    let fetch = || {
        let mut casque = project.casque(&["fetch"]);
        project.environment.see(casque.env("CASQUE_SNAPSHOT", project.archive.mirror()))
    };
    let seen = fetch();
    assert_eq!(seen.code, Some(0), "{seen}");
    // What is in the cache is asked of nobody.
    project.archive.remove(SNAPSHOT);
    assert_eq!(fetch().code, Some(0));
}

#[test]
fn what_the_mirror_has_changed_comes_from_the_snapshots() {
    let project = of_debian();
    project.archive.put(SNAPSHOT, project.archive.get(NGINX));
    project.archive.change(NGINX, "the file", "not file");
    let mut casque = project.casque(&["fetch"]);
    let seen = project.environment.see(casque.env("CASQUE_SNAPSHOT", project.archive.mirror()));
    assert_eq!(seen.code, Some(0), "{seen}");
}

#[test]
fn what_was_fetched_into_a_directory_is_used_elsewhere_without_a_network() {
    let project = Project::with_nginx();
    project.lock();
    let run = |arguments: &[&str]| project.environment.see(&mut project.casque(arguments));
    let seen = run(&["fetch", "--into", "carried"]);
    assert_eq!(seen.code, Some(0), "{seen}");
    let carried = project.environment.files("carried");
    assert_eq!(carried.len(), 3, "{carried:?}");
    assert!(carried.iter().all(|file| file.starts_with("sha256/")), "{carried:?}");

    // Another machine: no cache, no archive, and what was carried cannot be written.
    std::fs::remove_dir_all(project.environment.path("cache")).unwrap();
    for path in [NGINX, "/debian/pool/apt_2.6.1_amd64.deb"] {
        project.archive.remove(path);
    }
    let seen = run(&["build", "--offline", "--store", "carried"]);
    // Everything is there: what it stumbles over is that the packages of these tests are none.
    assert!(seen.stderr.contains("is not a Debian package"), "{seen}");
    assert_eq!(project.environment.files("carried"), carried);
}

#[test]
fn without_a_network_what_is_missing_is_named() {
    let project = Project::with_nginx();
    project.lock();
    assert_snapshot!(project.refused(&["build", "--offline"]), @r"
      downloading 3 files, 0.0 MB
    error: cannot build `vendor/notes` 1.4.0
      caused by: cannot fetch `apt 2.6.1`
      caused by: `http://mirror/debian/pool/apt_2.6.1_amd64.deb` is not asked for, since this is to be done without a network
    hint: where there is a network, `casque fetch --into DIR`; then name that directory with `--store`
    exit code 4
    ");
}

#[test]
fn a_store_that_was_changed_on_its_way_is_refused() {
    let project = Project::with_nginx();
    project.lock();
    let seen = project.environment.see(&mut project.casque(&["fetch", "--into", "carried"]));
    assert_eq!(seen.code, Some(0), "{seen}");
    for file in project.environment.files("carried") {
        project.environment.write(&format!("carried/{file}"), "rotten");
    }
    std::fs::remove_dir_all(project.environment.path("cache")).unwrap();
    let said = project.refused(&["build", "--offline", "--store", "carried"]);
    assert!(said.contains(" instead of "), "{said}");
    assert!(said.ends_with("exit code 3"), "{said}");
    assert_snapshot!(project.refused(&["build", "--store", "nowhere"]), @r"
    error: cannot build `vendor/notes` 1.4.0
      caused by: `nowhere` is not a store of downloads
    hint: name a directory that `casque fetch --into` filled
    exit code 2
    ");
}
