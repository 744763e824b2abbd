//! Private keys that a build made: in an image they would be the same for every customer.
//!
//! Those that packages are known to make go, with a word on how to make them where the product runs. Of others nobody
//! can tell here whether the vendor meant them to ship, so they are named.

use std::io::{self, Read as _};
use std::path::Path;

use walkdir::WalkDir;

/// A key that a package makes when it is configured: directory, beginning and end of the name, remedy.
struct Known {
    directory: &'static str,
    begins: &'static str,
    ends: &'static str,
    remedy: &'static str,
}

const SNAKEOIL: &str = "`make-ssl-cert generate-default-snakeoil --force-overwrite`";
const HOST_KEYS: &str = "`ssh-keygen -A`";

const KNOWN: [Known; 4] = [
    Known { directory: "etc/ssl/private", begins: "ssl-cert-snakeoil", ends: ".key", remedy: SNAKEOIL },
    Known { directory: "etc/ssl/certs", begins: "ssl-cert-snakeoil", ends: ".pem", remedy: SNAKEOIL },
    Known { directory: "etc/ssh", begins: "ssh_host_", ends: "_key", remedy: HOST_KEYS },
    Known { directory: "etc/ssh", begins: "ssh_host_", ends: "_key.pub", remedy: HOST_KEYS },
];

/// Where configuration and state are; programs and libraries elsewhere bring keys for their own tests.
const SEARCHED: [&str; 5] = ["etc", "home", "root", "srv", "var/lib"];
/// What a private key begins with, as a rule in the first line.
const BEGINS: [&[u8]; 2] = [b"-----BEGIN ", b"PRIVATE KEY-----"];
/// A file's beginning that is looked at.
const LOOKED_AT: u64 = 256;
/// Longer files are something else.
const LONGEST: u64 = 64 << 10;

/// Removes known keys from `root` and returns a warning for each thing that the vendor has to do something about.
pub(crate) fn judge(root: &Path) -> io::Result<Vec<String>> {
    let mut warnings = Vec::new();
    for known in &KNOWN {
        let directory = root.join(known.directory);
        if directory.is_symlink() || !directory.is_dir() {
            continue;
        }
        let mut gone = Vec::new();
        for entry in fs_err::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && name.starts_with(known.begins) && name.ends_with(known.ends) {
                fs_err::remove_file(entry.path())?;
                gone.push(name);
            }
        }
        gone.sort();
        remove_links(&directory, &gone)?;
        warnings.extend(gone.iter().filter(|_| known.ends != "_key.pub" && known.ends != ".pem").map(|name| {
            format!(
                "the private key `/{}/{name}` was made in the build and would be the same for every customer, so it \
                 is left out; let a service of the type `oneshot` make it: {}",
                known.directory, known.remedy
            )
        }));
    }
    warnings.extend(others(root)?.iter().map(|path| {
        format!(
            "the image holds the private key `/{path}`, the same for every customer; was it meant to ship?"
        )
    }));
    Ok(warnings)
}

/// Removes links beside the files `gone` that lead to one of them, such as OpenSSL's by hash.
fn remove_links(directory: &Path, gone: &[String]) -> io::Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if path.is_symlink()
            && gone.iter().any(|name| fs_err::read_link(&path).is_ok_and(|to| to == Path::new(name)))
        {
            fs_err::remove_file(path)?;
        }
    }
    Ok(())
}

/// Finds what begins like a private key, sorted.
fn others(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for top in SEARCHED.map(|top| root.join(top)).iter().filter(|top| top.is_dir() && !top.is_symlink()) {
        for entry in WalkDir::new(top).sort_by_file_name() {
            let entry = entry?;
            let length = entry.metadata()?.len();
            if entry.file_type().is_file()
                && (1..=LONGEST).contains(&length)
                && begins_like_a_key(entry.path())?
            {
                let path = entry.path().strip_prefix(root).expect("it was found below the root");
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

fn begins_like_a_key(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    fs_err::File::open(path)?.take(LOOKED_AT).read_to_end(&mut beginning)?;
    let holds = |part: &[u8]| beginning.windows(part.len()).any(|window| window == part);
    Ok(BEGINS.into_iter().all(holds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";

    #[test]
    fn keys_of_packages_go_and_others_are_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let files = [
            ("etc/ssl/private/ssl-cert-snakeoil.key", KEY),
            ("etc/ssl/certs/ssl-cert-snakeoil.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("etc/ssl/certs/other.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("etc/ssh/ssh_host_ed25519_key", KEY),
            ("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA"),
            ("etc/ssh/sshd_config", "HostKey /etc/ssh/ssh_host_ed25519_key\n"),
            ("var/lib/product/token.pem", KEY),
            ("usr/lib/python3/test/key.pem", KEY),
        ];
        for (path, text) in files {
            fs_err::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs_err::write(root.join(path), text).unwrap();
        }
        fs_err::os::unix::fs::symlink("ssl-cert-snakeoil.pem", root.join("etc/ssl/certs/0123abcd.0"))
            .unwrap();
        insta::assert_snapshot!(judge(root).unwrap().join("\n"), @r"
        the private key `/etc/ssl/private/ssl-cert-snakeoil.key` was made in the build and would be the same for every customer, so it is left out; let a service of the type `oneshot` make it: `make-ssl-cert generate-default-snakeoil --force-overwrite`
        the private key `/etc/ssh/ssh_host_ed25519_key` was made in the build and would be the same for every customer, so it is left out; let a service of the type `oneshot` make it: `ssh-keygen -A`
        the image holds the private key `/var/lib/product/token.pem`, the same for every customer; was it meant to ship?
        ");
        let there = |path: &str| root.join(path).symlink_metadata().is_ok();
        let there: Vec<_> = files.iter().map(|(path, _)| *path).filter(|path| there(path)).collect();
        assert_eq!(
            there,
            [
                "etc/ssl/certs/other.pem",
                "etc/ssh/sshd_config",
                "var/lib/product/token.pem",
                "usr/lib/python3/test/key.pem"
            ]
        );
        assert!(root.join("etc/ssl/certs/0123abcd.0").symlink_metadata().is_err());
    }
}
