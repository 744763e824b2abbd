//! Putting the shim where scripts call the real tools by their full path, and taking it away again.
//!
//! Being first in `PATH` is not enough: `sudo` sets its own, and scripts write `/usr/bin/systemctl`. A
//! mount over those files would make dpkg stop when the step installs the package they come from, so they
//! are diverted as dpkg itself does it: a package unpacked meanwhile writes its own file beside the shim.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::error::ShimError;
use crate::root::Root;
use crate::sudo;

/// The real commands; the first of each pair is the path in older packages of a merged `/usr`.
const COMMANDS: [&[&str]; 12] = [
    &["/bin/systemctl", "/usr/bin/systemctl"],
    &["/usr/sbin/service"],
    &["/usr/bin/supervisorctl"],
    &["/usr/bin/supervisord"],
    &["/usr/bin/deb-systemd-invoke"],
    &[sudo::PATH],
    &["/usr/bin/hostnamectl"],
    &["/usr/bin/timedatectl"],
    &["/bin/journalctl", "/usr/bin/journalctl"],
    &["/bin/loginctl", "/usr/bin/loginctl"],
    &["/sbin/sysctl", "/usr/sbin/sysctl"],
    &["/usr/sbin/ufw"],
];
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
const SUFFIX: &str = "casque-real";

/// The commands taken over.
#[derive(Debug)]
pub(crate) struct TakeOver {
    root: Root,
    links: Vec<PathBuf>,
    /// Directories that were not there before, lowest last.
    made: Vec<PathBuf>,
    added: String,
}

impl TakeOver {
    /// Puts the real commands aside and links to this program in their places.
    pub(crate) fn begin(root: &Root) -> Result<Self, ShimError> {
        let own = std::env::current_exe()
            .map_err(|source| ShimError::System { action: "find the shim itself", source })?;
        let (links, made) = (Vec::new(), Vec::new());
        let mut taken = Self { root: root.clone(), links, made, added: String::new() };
        for names in COMMANDS {
            for name in names {
                // `:` says that no package but the administrator asked for it.
                taken.added.push_str(&format!("{name}\n{name}.{SUFFIX}\n:\n"));
            }
            let (last, others) = names.split_last().expect("each command has a path");
            // Where `/usr` is not merged the other path is another file.
            let others = others.iter().map(|name| root.path(name)).filter(|path| {
                let merged = path.parent().is_some_and(Path::is_symlink);
                !merged && path.symlink_metadata().is_ok()
            });
            for path in others.chain([root.path(last)]).collect::<Vec<_>>() {
                taken.take(&own, path)?;
            }
        }
        if let Some(text) = taken.diversions()? {
            taken.write(&format!("{text}{}", taken.added))?;
        }
        // Maintainer scripts ask this before they start anything; a vendor's own stays as it is.
        let policy = root.path("/usr/sbin/policy-rc.d");
        if policy.symlink_metadata().is_err() {
            symlink(&own, &policy).map_err(ShimError::File)?;
            taken.links.push(policy);
        }
        fs::create_dir_all(root.path("/run/systemd/system")).map_err(ShimError::File)?;
        Ok(taken)
    }

    fn take(&mut self, own: &Path, path: PathBuf) -> Result<(), ShimError> {
        let aside = aside(&path);
        if path.symlink_metadata().is_ok() {
            fs::rename(&path, aside).map_err(ShimError::File)?;
        }
        if let Some(parent) = path.parent() {
            let missing = parent.ancestors().take_while(|directory| !directory.exists());
            self.made.extend(missing.map(Path::to_owned).collect::<Vec<_>>().into_iter().rev());
            fs::create_dir_all(parent).map_err(ShimError::File)?;
        }
        symlink(own, &path).map_err(ShimError::File)?;
        self.links.push(path);
        Ok(())
    }

    /// Removes the links and puts the real commands back.
    pub(crate) fn end(self) -> Result<(), ShimError> {
        for link in &self.links {
            if link.is_symlink() {
                fs::remove_file(link).map_err(ShimError::File)?;
            }
            let aside = aside(link);
            if aside.symlink_metadata().is_ok() {
                fs::rename(aside, link).map_err(ShimError::File)?;
            }
        }
        for directory in self.made.iter().rev() {
            // The step may have put something there.
            drop(fs::remove_dir(directory));
        }
        // The step may have diverted files of its own; only what was added here goes.
        if let Some(text) = self.diversions()? {
            let kept = entries(&text).filter(|entry| !entry[1].ends_with(SUFFIX)).flatten();
            self.write(&kept.map(|line| format!("{line}\n")).collect::<String>())?;
        }
        Ok(())
    }

    /// Returns dpkg's diversions, none where there is no dpkg.
    fn diversions(&self) -> Result<Option<String>, ShimError> {
        let path = self.root.path(DIVERSIONS);
        if !path.exists() {
            return Ok(None);
        }
        fs::read_to_string(path).map(Some).map_err(ShimError::File)
    }

    fn write(&self, text: &str) -> Result<(), ShimError> {
        let temporary = self.root.path(&format!("{DIVERSIONS}-new"));
        fs::write(&temporary, text).map_err(ShimError::File)?;
        fs::rename(temporary, self.root.path(DIVERSIONS)).map_err(ShimError::File)
    }
}

/// Returns where the real command is while the shim is in its place.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{SUFFIX}"));
    PathBuf::from(name)
}

/// Returns the entries of dpkg's list: original, diverted name and package, one line each.
fn entries(text: &str) -> impl Iterator<Item = [&str; 3]> {
    let mut lines = text.lines();
    std::iter::from_fn(move || Some([lines.next()?, lines.next()?, lines.next()?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries_below(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.strip_prefix(root).unwrap().display().to_string());
                if path.is_dir() && !path.is_symlink() {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_root_that_has_neither_dpkg_nor_a_merged_usr_is_afterwards_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["bin", "run/systemd/system"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("bin/systemctl"), "theirs").unwrap();
        let before = entries_below(directory.path());
        let taken = TakeOver::begin(&Root::new(directory.path().to_owned())).unwrap();
        for link in ["bin/systemctl", "usr/bin/systemctl", "usr/sbin/service"] {
            assert!(at(link).is_symlink(), "{link}");
        }
        taken.end().unwrap();
        assert_eq!(entries_below(directory.path()), before);
        assert_eq!(fs::read_to_string(at("bin/systemctl")).unwrap(), "theirs");
    }
}
