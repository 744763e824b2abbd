//! Archives that cannot be used: unknown, unsatisfiable, untrusted, gone. No lock and no image comes of them.

use std::net::TcpListener;
use std::process::Command;

use casque_test::TestEnv;
use insta::assert_snapshot;

use crate::signed_archive::{Archive, Package};

pub const MANIFEST: &str = r#"[image]
name = "vendor/notes"
version = "1.4.0"
command = "notes"

[base]
distribution = "debian"
suite = "bookworm"
signed-by = "keys.asc"

[[layer]]
name = "deploy"
packages = ["nginx-light"]
"#;

pub const NGINX: &str = "/debian/pool/nginx-light_1.22.1-9_amd64.deb";
pub const IN_RELEASE: &str = "/debian/dists/bookworm/InRelease";

/// A project whose archive is the test's own.
pub struct Project {
    pub environment: TestEnv,
    pub archive: Archive,
}

impl Project {
    pub fn new(packages: Vec<Package>) -> Self {
        let project = Self { environment: TestEnv::default(), archive: Archive::new(packages) };
        project.environment.write("casque.toml", MANIFEST);
        project.archive.write_key(&project.environment, "keys.asc");
        project
    }

    pub fn with_nginx() -> Self {
        Self::new(vec![Package::new("nginx-light", "1.22.1-9")])
    }

    pub fn casque(&self, arguments: &[&str]) -> Command {
        let mut command = self.environment.casque(arguments);
        command.env("CASQUE_MIRROR", self.archive.mirror());
        command
    }

    /// Returns everything a command says. It leaves nothing half-written: no lock, no archive, no temporary file.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let before = self.files();
        let seen = self.environment.see(&mut self.casque(arguments)).to_string();
        assert_eq!(self.files(), before, "{seen}");
        seen.replace(&self.archive.mirror(), "http://mirror")
    }

    /// Returns the user's files, and those in the cache that are not there for good.
    pub fn files(&self) -> Vec<String> {
        let for_good = |file: &str| {
            ["cache/store/sha256/", "cache/last/"].iter().any(|start| file.starts_with(start))
                || ["cache/work.lock", "cache/use.lock", "cache/numbers"].contains(&file)
        };
        self.environment.files("").into_iter().filter(|file| !for_good(file)).collect()
    }

    pub fn lock(&self) {
        let seen = self.environment.see(&mut self.casque(&["lock"]));
        assert_eq!(seen.code, Some(0), "{seen}");
    }
}

#[test]
fn the_archive_of_these_tests_is_accepted() {
    let project = Project::with_nginx();
    assert_snapshot!(project.environment.see(&mut project.casque(&["lock"])), @r"
    stdout: + apt 2.6.1 (bookworm)
    stdout: + nginx-light 1.22.1-9 (bookworm)
    stdout: + usr-is-merged 37 (bookworm)
      reading the archives' metadata
      resolving, 3 packages to choose from
    ./casque.lock: 3 packages
    exit code 0
    ");
    assert_eq!(project.files(), ["casque.lock", "casque.toml", "keys.asc"]);
}

#[test]
fn a_dry_run_says_what_would_change_and_writes_nothing() {
    let project = Project::with_nginx();
    assert_snapshot!(project.refused(&["lock", "--dry-run"]), @r"
    stdout: + apt 2.6.1 (bookworm)
    stdout: + nginx-light 1.22.1-9 (bookworm)
    stdout: + usr-is-merged 37 (bookworm)
      reading the archives' metadata
      resolving, 3 packages to choose from
    ./casque.lock: 3 packages
    exit code 0
    ");
    project.lock();
    assert_snapshot!(project.refused(&["lock", "--dry-run"]), @r"
    stdout: nothing changed
      reading the archives' metadata
      resolving, 3 packages to choose from
    ./casque.lock: 3 packages
    exit code 0
    ");
}

#[test]
fn an_unknown_package_is_answered_with_near_names() {
    let project = Project::new(vec![Package::new("nginx-lite", "1"), Package::new("nginx-full", "1")]);
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
      resolving, 4 packages to choose from
    error: cannot lock `.`
      caused by: cannot choose the packages of layer `deploy`
      caused by: no archive has a package `nginx-light`
    hint: did you mean `nginx-lite`?
    exit code 5
    ");
}

#[test]
fn a_package_like_no_other_is_named() {
    assert_snapshot!(Project::new(vec![]).refused(&["build"]), @r"
      reading the archives' metadata
      resolving, 2 packages to choose from
    error: cannot build `vendor/notes` 1.4.0
      caused by: cannot choose the packages of layer `deploy`
      caused by: no archive has a package `nginx-light`
    hint: add the archive that has it with `[[base.archive]]`
    exit code 5
    ");
}

#[test]
fn an_unknown_version_is_answered_with_the_known_ones() {
    let project = Project::with_nginx();
    project.environment.write("casque.toml", MANIFEST.replace("nginx-light", "nginx-light=1.18"));
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
      resolving, 3 packages to choose from
    error: cannot lock `.`
      caused by: cannot choose the packages of layer `deploy`
      caused by: no archive has `nginx-light` in version `1.18`, only `1.22.1-9 (bookworm)`
    hint: name one of these versions, or none
    exit code 5
    ");
}

#[test]
fn an_unsatisfiable_dependency_is_shown_with_the_chain_that_leads_to_it() {
    let project = Project::new(vec![
        Package::new("nginx-light", "1.22.1-9").with("Depends", "nginx-common"),
        Package::new("nginx-common", "1.22.1-9").with("Depends", "libssl (>= 3.1)"),
        Package::new("libssl", "3.0.11"),
    ]);
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
      resolving, 5 packages to choose from
    error: cannot lock `.`
      caused by: cannot choose the packages of layer `deploy`
      caused by: `nginx-light` -> `nginx-common` -> `libssl (>= 3.1)` is not available, there is `3.0.11`
    hint: add the archive that has it with `[[base.archive]]`
    exit code 5
    ");
}

#[test]
fn a_dependency_that_nobody_has_is_shown_with_the_chain_that_leads_to_it() {
    let project = Project::new(vec![Package::new("nginx-light", "1").with("Depends", "libssl | openssl")]);
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
      resolving, 3 packages to choose from
    error: cannot lock `.`
      caused by: cannot choose the packages of layer `deploy`
      caused by: `nginx-light` -> `libssl | openssl` is not available
    hint: add the archive that has it with `[[base.archive]]`
    exit code 5
    ");
}

#[test]
fn packages_that_exclude_each_other_are_named() {
    let project = Project::new(vec![
        Package::new("nginx-light", "1").with("Depends", "nginx-common, nginx-core"),
        Package::new("nginx-common", "1"),
        Package::new("nginx-core", "1").with("Conflicts", "nginx-common"),
    ]);
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
      resolving, 5 packages to choose from
    error: cannot lock `.`
      caused by: cannot choose the packages of layer `deploy`
      caused by: `nginx-light` -> `nginx-core` conflicts with `nginx-light` -> `nginx-common`: `nginx-core` `1` has `Conflicts: nginx-common`, and `nginx-common` `1` is there as well
    hint: ask for one of them only
    exit code 5
    ");
}

#[test]
fn an_archive_signed_by_somebody_else_is_refused() {
    let project = Project::with_nginx();
    Archive::write_other_key(&project.environment, "keys.asc");
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookworm`
      caused by: cannot trust the archive's metadata
      caused by: signed by `3150b12f35f41ddd629aa40b5b125bbc33469064`, accepted are `857b64218d99e094d672e3bdc31cc5125110968a`
    hint: take this archive's key from whom you trust, and name its file with `signed-by`
    exit code 3
    ");
}

#[test]
fn metadata_changed_after_it_was_signed_is_refused() {
    let project = Project::with_nginx();
    project.archive.change(IN_RELEASE, "Suite: bookworm", "Suite: bullseye");
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookworm`
      caused by: cannot trust the archive's metadata
      caused by: the signature of key `3150b12f35f41ddd629aa40b5b125bbc33469064` does not match the text
    hint: another mirror may have it whole: set `CASQUE_MIRROR`
    exit code 3
    ");
}

#[test]
fn metadata_that_is_not_signed_is_refused() {
    let project = Project::with_nginx();
    project.archive.put(IN_RELEASE, b"<html>Log in to the hotel's network</html>".to_vec());
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookworm`
      caused by: cannot trust the archive's metadata
      caused by: it is not signed text: not enough bytes in buffer: cleartext header
    hint: another mirror may have it whole: set `CASQUE_MIRROR`
    exit code 3
    ");
}

#[test]
fn expired_metadata_is_refused() {
    let project = Project::with_nginx();
    project.archive.publish(vec![], "Valid-Until: Wed, 08 Jan 2025 00:00:00 UTC\n");
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookworm`
      caused by: the archive's metadata expired on 2025-01-08 00:00:00 UTC
    hint: the mirror is out of date, or this machine's clock is wrong; another mirror: set `CASQUE_MIRROR`
    exit code 3
    ");
}

#[test]
fn a_key_file_without_a_key_is_refused() {
    let project = Project::with_nginx();
    project.environment.write("keys.asc", "no key");
    assert_snapshot!(project.refused(&["lock"]), @r#"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: `./keys.asc` holds no OpenPGP public key
    hint: install `debian-archive-keyring` or `ubuntu-archive-keyring`, or say `[base] signed-by = "FILE"`
    exit code 3
    "#);
}

#[test]
fn an_index_that_is_not_the_signed_one_is_refused() {
    let project = Project::with_nginx();
    project.archive.change("/debian/dists/bookworm/main/binary-amd64/Packages", "2.6.1", "2.6.0");
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookworm`
      caused by: cannot fetch `main/binary-amd64/Packages`
      caused by: `http://mirror/debian/dists/bookworm/main/binary-amd64/Packages` has SHA-256 75b64d10ba9a606d683c4dd5874b00e5669348dc5c26d6244e854b1da7d00ba1 instead of 0f37038b02ff37952b780d015f45e6f39247c9702f832096bba5f877a8be7e6a
    hint: something between the archive and here changed the file; try again, or set another `CASQUE_MIRROR`
    exit code 3
    ");
}

#[test]
fn a_suite_that_the_archive_does_not_have_is_named() {
    let project = Project::with_nginx();
    project.environment.write("casque.toml", MANIFEST.replace("bookworm", "bookwurm"));
    assert_snapshot!(project.refused(&["lock"]), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookwurm`
      caused by: `http://mirror/debian/dists/bookwurm/InRelease` does not exist
    hint: check the address and the suite of the archive
    exit code 4
    ");
}

/// Returns a project whose lock pins a package file that has changed since.
fn with_another_nginx() -> Project {
    let project = Project::with_nginx();
    project.lock();
    project.archive.change(NGINX, "the file", "not file");
    project
}

#[test]
fn a_package_file_with_another_hash_is_refused() {
    assert_snapshot!(with_another_nginx().refused(&["fetch"]), @r"
      downloading 3 files, 0.0 MB
    error: cannot fetch what `.` needs
      caused by: cannot fetch `nginx-light 1.22.1-9`
      caused by: `http://mirror/debian/pool/nginx-light_1.22.1-9_amd64.deb` has SHA-256 1e3aa1f32b56977a8c3416754305d7745f4c5671be2bbb9910b85ba125328651 instead of f19892fe01fbc29f0bd66032320d4a89a626b80cfeda91b6e9a3a0dcda5d7c23
    hint: something between the archive and here changed the file; try again, or set another `CASQUE_MIRROR`
    exit code 3
    ");
}

#[test]
fn nothing_is_built_of_a_package_file_with_another_hash() {
    assert_snapshot!(with_another_nginx().refused(&["build"]), @r"
      downloading 3 files, 0.0 MB
    error: cannot build `vendor/notes` 1.4.0
      caused by: cannot fetch `nginx-light 1.22.1-9`
      caused by: `http://mirror/debian/pool/nginx-light_1.22.1-9_amd64.deb` has SHA-256 1e3aa1f32b56977a8c3416754305d7745f4c5671be2bbb9910b85ba125328651 instead of f19892fe01fbc29f0bd66032320d4a89a626b80cfeda91b6e9a3a0dcda5d7c23
    hint: something between the archive and here changed the file; try again, or set another `CASQUE_MIRROR`
    exit code 3
    ");
}

#[test]
fn a_package_that_the_archive_has_removed_is_named_with_the_way_out() {
    let project = Project::with_nginx();
    project.lock();
    project.archive.remove(NGINX);
    assert_snapshot!(project.refused(&["build"]), @r"
      downloading 3 files, 0.0 MB
    error: cannot build `vendor/notes` 1.4.0
      caused by: the archive no longer has `nginx-light 1.22.1-9`, which the lock pins
    hint: run `casque lock --update` to pin what the archive has now
    exit code 4
    ");
}

/// What a step downloaded when it was locked, apt's look at the archive among it.
#[test]
fn an_archive_that_moved_on_since_a_step_was_locked_is_no_attack() {
    let project = Project::with_nginx();
    project.environment.write("casque.toml", format!("{MANIFEST}run = \"apt-get update\"\nnetwork = true\n"));
    let mirror = project.archive.mirror();
    project.environment.write("packages.toml", MANIFEST);
    let lock = ["lock", "packages.toml", "--lockfile", "casque.lock"];
    assert_eq!(project.environment.see(&mut project.casque(&lock)).code, Some(0));
    let (digest, zeros) = ("1".repeat(64), "0".repeat(64));
    let step = format!(
        "[[step]]\nlayer = \"deploy\"\ninputs = \"{zeros}\"\n\n[[step.fetch]]\n\
         url = \"{mirror}{IN_RELEASE}\"\nsize = 7\nsha256 = \"{digest}\"\n"
    );
    let locked = std::fs::read_to_string(project.environment.path("casque.lock")).unwrap();
    project.environment.write("casque.lock", format!("{locked}\n{step}"));
    assert_snapshot!(project.refused(&["build"]), @r"
      downloading 4 files, 0.0 MB
    error: cannot build `vendor/notes` 1.4.0
      caused by: the archive no longer has `http://mirror/debian/dists/bookworm/InRelease for the step of layer deploy`, which the lock pins
    hint: run `casque lock --update` to pin what the archive has now
    exit code 4
    ");
}

#[test]
fn a_package_file_that_is_none_is_named() {
    let project = Project::with_nginx();
    project.lock();
    assert_snapshot!(project.refused(&["build"]), @r"
      downloading 3 files, 0.0 MB
    layer base
    error: cannot build `vendor/notes` 1.4.0
      caused by: cannot read package `apt`
      caused by: `/env/cache/store/sha256/4b/4be96e8816957dd664f33b723694b00f8d8c9aa01bde6bc97ee8e272e2ae3190` is not a Debian package: it is not an ar archive
    hint: leave it out, or tell who runs the archive
    exit code 3
    ");
}

#[test]
fn without_a_network_the_address_is_named() {
    let project = Project::with_nginx();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut casque = project.environment.casque(&["lock"]);
    casque.env("CASQUE_MIRROR", format!("http://{nobody}"));
    let seen = project.environment.see(&mut casque).to_string();
    assert_snapshot!(seen.replace(&nobody, "nobody"), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookworm`
      caused by: cannot reach `http://nobody/debian/dists/bookworm/InRelease`
      caused by: Connection refused (os error 111)
    hint: check the network; a proxy is taken from `https_proxy`, a Debian mirror from `CASQUE_MIRROR`
    exit code 4
    ");
    assert_eq!(project.files(), ["casque.toml", "keys.asc"]);
}

#[test]
fn a_lock_that_is_missing_or_does_not_fit_is_refused_where_it_may_not_be_made() {
    let project = Project::with_nginx();
    assert_snapshot!(project.refused(&["build", "--locked"]), @r"
    error: cannot build `vendor/notes` 1.4.0
      caused by: there is no lock `./casque.lock`
    hint: run `casque lock`
    exit code 2
    ");
    project.lock();
    project.environment.write("casque.toml", MANIFEST.replace("nginx-light", "nginx-full"));
    assert_snapshot!(project.refused(&["build", "--locked"]), @r"
    error: cannot build `vendor/notes` 1.4.0
      caused by: lock `./casque.lock` does not fit the manifest: what layer `deploy` asks for changed
    hint: run `casque lock`
    exit code 2
    ");
}
