//! Archives that an attacker, a broken mirror or a wrong clock had a hand in: each is refused, and nothing is written.

use std::io::Write as _;

use insta::assert_snapshot;

use crate::bad_archive::{IN_RELEASE, MANIFEST, NGINX, Project};
use crate::signed_archive::{Archive, Package};

const MAIN: &str = "/debian/dists/bookworm";
const UPDATES: &str = "/debian/dists/bookworm-updates";
const INDEX: &str = "/debian/dists/bookworm/main/binary-amd64/Packages";

impl Project {
    /// Returns what is said below the archive's name, which is the same in all of these, and the exit code.
    fn refused_lock(&self, arguments: &[&str]) -> String {
        let said = self.refused(arguments);
        let (before, rest) = said.split_once("  caused by: cannot use archive `bookworm`\n").unwrap();
        assert_eq!(before, "  reading the archives' metadata\nerror: cannot lock `.`\n");
        rest.to_owned()
    }

    fn locks(&self) {
        let seen = self.environment.see(&mut self.casque(&["lock", "--update"]));
        assert_eq!(seen.code, Some(0), "{seen}");
    }
}

#[test]
fn an_archive_whose_signatures_are_beside_it_is_accepted() {
    let project = Project::with_nginx();
    project.archive.detach();
    project.locks();
}

#[test]
fn signatures_of_another_file_are_refused() {
    let project = Project::with_nginx();
    project.archive.detach();
    let other = project.archive.get(&format!("{UPDATES}/Release.gpg"));
    project.archive.put(&format!("{MAIN}/Release.gpg"), other);
    assert_snapshot!(project.refused_lock(&["lock"]), @r"
      caused by: cannot trust the archive's metadata
      caused by: the signature of key `3150b12f35f41ddd629aa40b5b125bbc33469064` does not match the text
    hint: another mirror may have it whole: set `CASQUE_MIRROR`
    exit code 3
    ");
}

#[test]
fn an_older_release_than_that_of_the_lock_is_refused_unless_it_is_meant() {
    let project = Project::with_nginx();
    project.archive.change_release(MAIN, "Wed, 01 Jan 2025", "Thu, 02 Jan 2025");
    project.locks();
    project.archive.change_release(MAIN, "Thu, 02 Jan 2025", "Wed, 01 Jan 2025");
    let expected = r"
      caused by: the archive's metadata is from 2025-01-01 00:00:00 UTC, older than that of the lock, 2025-01-02 00:00:00 UTC
    hint: another mirror may be up to date: set `CASQUE_MIRROR`; if it is meant, say `--allow-older`
    exit code 3
    ";
    assert_snapshot!(project.refused_lock(&["lock", "--update"]), @r"
      caused by: the archive's metadata is from 2025-01-01 00:00:00 UTC, older than that of the lock, 2025-01-02 00:00:00 UTC
    hint: another mirror may be up to date: set `CASQUE_MIRROR`; if it is meant, say `--allow-older`
    exit code 3
    ");
    // Nor does a lock that has to be made anew for another reason forget it.
    project.environment.write("casque.toml", MANIFEST.replace("nginx-light", "nginx-light\", \"apt"));
    let said = project.refused(&["lock"]);
    assert!(expected.lines().all(|line| said.contains(line.trim())), "{said}");
    let seen = project.environment.see(&mut project.casque(&["lock", "--allow-older"]));
    assert_eq!(seen.code, Some(0), "{seen}");
    project.locks();
}

#[test]
fn a_release_from_the_future_is_refused() {
    let project = Project::with_nginx();
    project.archive.change_release(MAIN, "Wed, 01 Jan 2025", "Fri, 01 Jan 2200");
    assert_snapshot!(project.refused_lock(&["lock"]), @r"
      caused by: the archive's metadata is from 2200-01-01 00:00:00 UTC, which is in the future
    hint: set this machine's clock
    exit code 3
    ");
}

#[test]
fn the_release_of_another_suite_is_refused() {
    let project = Project::with_nginx();
    let other = project.archive.get(&format!("{UPDATES}/InRelease"));
    project.archive.put(IN_RELEASE, other);
    assert_snapshot!(project.refused_lock(&["lock"]), @r"
      caused by: the archive's metadata is that of `bookworm-updates` or `bookworm-updates`, not of `bookworm`
    hint: name the suite as the archive does, or use another mirror
    exit code 3
    ");
}

#[test]
fn a_release_that_lacks_what_it_needs_is_refused() {
    let project = Project::with_nginx();
    project.archive.change_release(MAIN, "Date:", "When:");
    assert_snapshot!(project.refused_lock(&["lock"]), @r"
      caused by: the archive's metadata has no usable field `Date`
    exit code 3
    ");
    project.archive.change_release(MAIN, "When:", "Date:");
    project.archive.change_release(MAIN, "SHA256:", "MD5Sum:");
    assert_snapshot!(project.refused_lock(&["lock"]), @r"
      caused by: the archive's metadata has no usable field `SHA256`
    exit code 3
    ");
}

#[test]
fn an_index_by_its_hash_is_tried_first_and_the_plain_name_helps_where_it_is_wrong() {
    let project = Project::with_nginx();
    let digest = project.archive.repack(".xz", xz, "Acquire-By-Hash: yes\n");
    let by_hash = format!("{MAIN}/main/binary-amd64/by-hash/SHA256/{digest}");
    project.archive.put(&by_hash, b"something else".to_vec());
    project.locks();
    let plain = format!("{INDEX}.xz");
    let asked: Vec<_> =
        project.archive.asked().into_iter().filter(|path| *path == by_hash || *path == plain).collect();
    assert_eq!(asked, [by_hash.clone(), plain], "the plain name may be of another moment already");
    let whole = project.archive.get(&format!("{INDEX}.xz"));
    project.archive.put(&by_hash, whole);
    project.archive.remove(&format!("{INDEX}.xz"));
    std::fs::remove_dir_all(project.environment.path("cache")).unwrap();
    project.locks();
}

#[test]
fn indexes_in_every_form_are_read() {
    for (suffix, pack) in [(".xz", xz as fn(&[u8]) -> Vec<u8>), (".gz", gzip), (".zst", zstandard)] {
        let project = Project::with_nginx();
        project.archive.repack(suffix, pack, "");
        // The archive states the plain form and does not have it, as Debian's.
        project.archive.remove(INDEX);
        project.locks();
    }
}

#[test]
fn an_index_that_unpacks_to_more_than_it_should_is_refused() {
    let project = Project::with_nginx();
    project.archive.repack(".xz", |plain| xz(&[plain, &vec![b'\n'; 50 << 20]].concat()), "");
    assert_snapshot!(project.refused_lock(&["lock"]), @r"
      caused by: index `main/binary-amd64/Packages.xz` unpacks to more than 642 bytes
    exit code 3
    ");
}

#[test]
fn an_index_larger_than_stated_is_refused() {
    let project = Project::with_nginx();
    let longer = [project.archive.get(INDEX), b"\n".to_vec()].concat();
    project.archive.put(INDEX, longer);
    assert_snapshot!(project.refused_lock(&["lock"]), @r"
      caused by: cannot fetch `main/binary-amd64/Packages`
      caused by: `http://mirror/debian/dists/bookworm/main/binary-amd64/Packages` is larger than the 642 bytes that were expected at most
    hint: something between the archive and here changed the file; try again, or set another `CASQUE_MIRROR`
    exit code 3
    ");
}

#[test]
fn a_damaged_packed_index_is_refused() {
    let project = Project::with_nginx();
    project.archive.repack(".gz", |plain| gzip(plain)[..30].to_vec(), "");
    let said = project.refused_lock(&["lock"]);
    assert!(said.starts_with("  caused by: cannot unpack index `main/binary-amd64/Packages.gz`\n"), "{said}");
    assert!(said.ends_with("exit code 5"), "{said}");
}

#[test]
fn an_index_with_a_way_out_of_the_archive_is_refused() {
    let project = Project::new(vec![Package::new("../nginx-light", "1")]);
    assert_snapshot!(project.refused_lock(&["lock"]), @r"
      caused by: cannot read index `main/binary-amd64/Packages`
      caused by: package `../nginx-light` has no usable field `Filename`
    exit code 5
    ");
}

#[test]
fn packages_that_change_places_are_refused() {
    let project = Project::with_nginx();
    project.lock();
    let other = project.archive.get("/debian/pool/apt_2.6.1_amd64.deb");
    project.archive.put(NGINX, other);
    let said = project.refused(&["fetch"]);
    assert!(said.contains("cannot fetch `nginx-light 1.22.1-9`"), "{said}");
    assert!(said.ends_with("exit code 3"), "{said}");
}

#[test]
fn a_package_that_is_another_than_its_index_says_is_refused() {
    let deb = deb("Package: apt\nVersion: 2.6.0\nArchitecture: amd64\nMaintainer: a\nDescription: b\n");
    let project = Project::new(vec![Package::new("nginx-light", "1"), Package::new("apt", "9").holding(deb)]);
    project.lock();
    let said = project.refused(&["build"]);
    let (_, rest) = said.split_once("  caused by").unwrap();
    assert_snapshot!(rest, @r"
    : the archive's index says `apt 9 amd64`, and the file says it is `apt 2.6.0 amd64`
    hint: leave it out, or tell who runs the archive
    exit code 3
    ");
}

#[test]
fn whoever_else_signed_too_may_be_the_one_who_is_trusted() {
    let project = Project::with_nginx();
    project.archive.detach();
    Archive::write_other_key(&project.environment, "keys.asc");
    project.locks();
}

fn xz(plain: &[u8]) -> Vec<u8> {
    let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 6);
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

fn zstandard(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).unwrap()
}

/// Makes a package of a control file alone, nothing of it packed.
fn deb(control: &str) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "./control");
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", control.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(header);
    tar.extend(control.as_bytes());
    tar.resize(1024 + 1024, 0);
    let mut ar = b"!<arch>\n".to_vec();
    for (name, content) in
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar", tar), ("data.tar", vec![0; 1024])]
    {
        ar.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes(),
        );
        ar.extend(content);
    }
    ar
}
