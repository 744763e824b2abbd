//! What a package manager or a deployment leaves behind that no image should carry: logs, locks, caches and copies,
//! which also differ from one build to the next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use casque_image::resolve::located;

/// Files and directories that go, relative to the root.
const REMOVED: [&str; 46] = [
    // Logs of those who installed.
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/fontconfig.log",
    "var/log/ubuntu-advantage.log",
    // Caches that hold inodes and times, or that are as good as gone without the lists they were made from.
    "var/cache/ldconfig/aux-cache",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/lib/mlocate/mlocate.db",
    "var/lib/plocate/plocate.db",
    // Copies of what was there before the last change.
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/cache/debconf/passwords.dat-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/available-old",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    // Locks; whoever locks makes them.
    "etc/.pwd.lock",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/apt/daily_lock",
    // What every system has to have of its own.
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/urandom/random-seed",
    "var/lib/misc/random-seed",
    "var/lib/dbus/machine-id",
    // When something was last done.
    "var/lib/logrotate/status",
    // What the deploying user's programs remember.
    "root/.ansible",
    "root/.cache",
    "root/.bash_history",
    "root/.gnupg/random_seed",
    "root/.lesshst",
    "root/.npm/_logs",
    "root/.python_history",
    "root/.rnd",
    "root/.sudo_as_admin_successful",
    "root/.viminfo",
    "root/.wget-hsts",
    "root/.wget-hpkp",
];

/// Files that go by their name: a directory, and what the name begins with. A number follows, a backup's.
const NUMBERED: [(&str, &str); 2] = [("var/lib/ucf", "hashfile."), ("var/lib/ucf", "registry.")];

/// Directories that stay, empty.
const EMPTIED: [&str; 14] = [
    "tmp",
    "run",
    "var/tmp",
    "var/log/apt",
    "var/log/unattended-upgrades",
    "var/lib/apt/lists",
    "var/lib/apt/lists/partial",
    "var/lib/apt/periodic",
    "var/cache/apt/archives",
    "var/cache/apt/archives/partial",
    "var/cache/apparmor",
    "var/cache/fontconfig",
    "var/cache/man",
    "var/cache/private",
];

/// Files that stay, empty: log-in records that `useradd` grows by the user's number, and answers that are passwords.
const TRUNCATED: [&str; 7] = [
    "etc/machine-id",
    "var/log/lastlog",
    "var/log/faillog",
    "var/log/tallylog",
    "var/log/wtmp",
    "var/log/btmp",
    "var/cache/debconf/passwords.dat",
];

/// Removes from `root` what must not ship.
///
/// # Errors
/// The file that could not be removed.
pub(crate) fn scrub(root: &Path) -> io::Result<()> {
    // Links among the directories lead where they do for programs in the root, and never out of it.
    let place = |path: &str| {
        let path = Path::new(path);
        let parent = located(root, path.parent().unwrap_or(Path::new("")))?;
        Ok::<_, io::Error>(parent.join(path.file_name().expect("each has a name")))
    };
    for path in REMOVED {
        remove(&place(path)?)?;
    }
    for (directory, begins) in NUMBERED {
        let directory = place(directory)?;
        if directory.is_symlink() || !directory.is_dir() {
            continue;
        }
        for entry in fs_err::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(begins));
            if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())) {
                remove(&entry.path())?;
            }
        }
    }
    let emptied = EMPTIED.iter().map(|path| place(path)).collect::<io::Result<Vec<_>>>()?;
    for directory in &emptied {
        if directory.is_symlink() || !directory.is_dir() {
            continue;
        }
        for entry in fs_err::read_dir(directory)? {
            let path = entry?.path();
            let stays = |kept: &PathBuf| path == *kept && path.is_dir() && !path.is_symlink();
            if !emptied.iter().any(stays) {
                remove(&path)?;
            }
        }
    }
    // Ansible and others take the time of this directory for that of the last update.
    let lists = place("var/lib/apt/lists")?;
    if lists.is_dir() && !lists.is_symlink() {
        let file = fs_err::File::open(&lists)?;
        file.file().set_modified(SystemTime::UNIX_EPOCH)?;
    }
    for path in TRUNCATED {
        let path = place(path)?;
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
            fs_err::File::create(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &PathBuf) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => fs_err::remove_dir_all(path),
        Ok(_) => fs_err::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn files(root: &Path) -> BTreeSet<String> {
        let entries = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().is_file());
        files.map(|file| file.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_known_source_of_noise_is_gone_and_what_lies_beside_it_is_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let kept =
            ["etc/passwd", "etc/shadow", "var/lib/dpkg/status", "var/lib/ucf/hashfile", "root/.bashrc"];
        let kept = kept.into_iter().chain(["var/lib/ucf/registry.d", "var/cache/debconf/config.dat"]);
        let kept: BTreeSet<String> = kept.map(str::to_owned).collect();
        kept.iter().for_each(|path| put(root, path, "kept"));
        REMOVED.iter().for_each(|path| put(root, path, "noise"));
        EMPTIED.iter().for_each(|path| put(root, &format!("{path}/deep/noise"), "noise"));
        TRUNCATED.iter().for_each(|path| put(root, path, "noise"));
        NUMBERED.iter().for_each(|(directory, begins)| put(root, &format!("{directory}/{begins}0"), "noise"));
        scrub(root).unwrap();
        let expected: BTreeSet<String> =
            TRUNCATED.map(str::to_owned).into_iter().chain(kept.clone()).collect();
        assert_eq!(files(root), expected);
        assert!(EMPTIED.iter().all(|path| root.join(path).is_dir()));
        assert!(TRUNCATED.iter().all(|path| root.join(path).metadata().unwrap().len() == 0));
        assert!(kept.iter().all(|path| fs_err::read_to_string(root.join(path)).unwrap() == "kept"));
    }

    /// What is known to differ between two builds, by what writes it; each is gone or empty.
    const NOISE: [(&str, &[&str]); 9] = [
        ("machine-id", &["etc/machine-id", "var/lib/dbus/machine-id"]),
        ("ldconfig", &["var/cache/ldconfig/aux-cache"]),
        ("fontconfig", &["var/cache/fontconfig/0123.cache-8", "var/log/fontconfig.log"]),
        (
            "dpkg",
            &["var/log/dpkg.log", "var/log/alternatives.log", "var/lib/dpkg/status-old", "var/lib/dpkg/lock"],
        ),
        ("apt", &["var/log/apt/history.log", "var/lib/apt/lists/a_InRelease", "var/cache/apt/pkgcache.bin"]),
        ("debconf", &["var/cache/debconf/config.dat-old", "var/cache/debconf/passwords.dat"]),
        ("useradd", &["etc/passwd-", "etc/shadow-", "etc/.pwd.lock", "var/log/lastlog", "var/log/faillog"]),
        ("systemd", &["var/lib/systemd/random-seed", "var/lib/systemd/credential.secret"]),
        (
            "the deploying user",
            &["root/.ansible/tmp/x", "root/.cache/pip/x", "root/.bash_history", "root/.wget-hsts"],
        ),
    ];

    #[test]
    fn of_everything_known_to_differ_nothing_is_left() {
        for (who, paths) in NOISE {
            let root = tempfile::tempdir().unwrap();
            paths.iter().for_each(|path| put(root.path(), path, "another each time"));
            scrub(root.path()).unwrap();
            for path in paths {
                let content = fs_err::read(root.path().join(path)).unwrap_or_default();
                assert_eq!(content, b"", "{who}: `{path}`");
            }
        }
    }

    #[test]
    fn a_link_in_place_of_a_directory_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "data/kept", "kept");
        fs_err::create_dir(root.path().join("var")).unwrap();
        fs_err::os::unix::fs::symlink("../data", root.path().join("var/tmp")).unwrap();
        scrub(root.path()).unwrap();
        assert_eq!(files(root.path()), BTreeSet::from(["data/kept".to_owned()]));
    }
}
