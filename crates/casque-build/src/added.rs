//! What a base that somebody else made lacks, as a stage on top of it: casque's users, the packages of `[base]`, and the
//! places where sandboxes and engines mount something.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use casque_image::resolve::located;
use casque_image::unpack::unpack;

use crate::base::{ADDED, UserLines, users};
use crate::base_image::{BaseImage, layer_name};
use crate::builder::Builder;
use crate::configure::MOUNT_POINTS;
use crate::error::{BaseError, BuildError};
use crate::identity::Accounts;
use crate::inputs::Inputs;
use crate::lock::Purpose;
use crate::sandbox::{Access, Confined};
use crate::stage::{Parts, Recipe, Stage, StageLayer};
use crate::trim;

/// Directories that every system has, and their modes.
const DIRECTORIES: [(&str, u32); 7] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o755),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
];
/// Who is there where nobody is said to be.
const ROOT: &str = "root:x:0:0:root:/root:/bin/sh\n";

impl Builder<'_> {
    /// Takes over the layers of `base`, and adds to them what it lacks.
    pub(crate) fn stages_on(&self, base: &BaseImage) -> Result<Vec<Stage>, BuildError> {
        let kept = self.kept_stage(base)?;
        let added = self.added_stage(base, std::slice::from_ref(&kept))?;
        Ok(vec![kept, added])
    }

    /// Returns how many layers are those of a base.
    pub(crate) fn base_layers(&self) -> usize {
        self.base.as_ref().map_or(0, |base| base.archive.layers().len())
    }

    fn kept_stage(&self, base: &BaseImage) -> Result<Stage, BuildError> {
        let recipe = Recipe {
            name: "base",
            created_by: String::new(),
            inputs: Inputs::default().with("base image", base.image().oci()),
            below: &[],
            transient: None,
            parts: Parts::One,
            vendor: false,
        };
        self.stage_of_layers(&recipe, |root| {
            let from = || base.from.clone();
            let mut layers = Vec::new();
            self.work(format!("taking over {} layers of {}", base.archive.layers().len(), base.from));
            for (index, layer) in base.archive.layers().iter().enumerate() {
                let file = self.cache.layers().import(&base.archive, layer).map_err(|source| {
                    BuildError::from(BaseError::Import { from: from(), source: Box::new(source) })
                })?;
                layers.push(StageLayer {
                    name: layer_name(index),
                    created_by: layer.created_by.clone().unwrap_or_else(|| base.from.clone()),
                    diff_id: file.diff_id,
                });
            }
            unpack(&base.archive, root).map_err(|source| {
                BuildError::from(BaseError::Unpack { from: from(), source: Box::new(source) })
            })?;
            // An image need not say what the root is like, and the directory here is the build's.
            fs_err::set_permissions(root, Permissions::from_mode(0o755)).map_err(BuildError::Root)?;
            Ok(layers)
        })
    }

    fn added_stage(&self, base: &BaseImage, below: &[Stage]) -> Result<Stage, BuildError> {
        let content = &self.manifest.content;
        let packages = self.lock.pins("base", Purpose::Packages);
        let users = users(self.manifest);
        let sources = self.lock.sources_list(content.base.archive.len());
        let debian = self.lock.has_dpkg();
        let left_out = if debian { trim::rules(&content.image.keep) } else { String::new() };
        let answers = self.preseed().map_err(BuildError::Root)?;
        let recipe = Recipe {
            name: ADDED,
            created_by: match packages.len() {
                0 => "casque: users".to_owned(),
                number => format!("casque: users, {number} packages"),
            },
            inputs: self
                .dated()
                .with_packages(&packages)
                .with_digest_of("users", &users)
                .with_digest_of("list of archives", &sources)
                .with_digest_of("what is left out", &left_out)
                .with_digest_of("answers of the preseed", &answers)
                .with_digest_of("numbers of users", &self.ids()),
            below,
            transient: None,
            parts: self.shares.of(ADDED),
            vendor: false,
        };
        self.stage(&recipe, |root| {
            make_places(root).map_err(BuildError::Root)?;
            let put = |path: &str, text: &str| {
                let place = located(root, Path::new(path))?;
                fs_err::create_dir_all(place.parent().expect("a file is in a directory"))?;
                fs_err::write(place, text)
            };
            if !left_out.is_empty() {
                put(trim::RULES, &left_out).map_err(BuildError::Root)?;
            }
            if let Some(answers) = &answers {
                let confined = Confined::new(self, root, Access::None).map_err(BuildError::Root)?;
                confined.answer("base", "debconf-set-selections", answers)?;
            }
            if !packages.is_empty() {
                self.install("base", root, &packages)?;
            }
            add_users(root, &base.from, &users)?;
            for (path, text) in &sources {
                put(path, text).map_err(BuildError::Root)?;
            }
            self.audit("base", root)?;
            Ok(None)
        })
    }
}

/// Makes what sandboxes and engines mount over, where it is missing or a link to what is missing.
fn make_places(root: &Path) -> io::Result<()> {
    for (path, mode) in DIRECTORIES {
        let place = located(root, Path::new(path))?;
        if !place.is_dir() {
            fs_err::create_dir_all(&place)?;
            fs_err::set_permissions(&place, Permissions::from_mode(mode))?;
        }
    }
    for path in MOUNT_POINTS {
        if located(root, Path::new(path))?.symlink_metadata().is_ok() {
            continue;
        }
        let etc = located(root, Path::new("etc"))?;
        let place = etc.join(path.trim_start_matches("etc/"));
        if place.is_symlink() {
            fs_err::remove_file(&place)?;
        }
        fs_err::write(place, "")?;
    }
    Ok(())
}

/// Adds users that the base does not have.
fn add_users(root: &Path, from: &str, users: &[UserLines]) -> Result<(), BuildError> {
    let place = |path: &str| located(root, Path::new(path)).map_err(BuildError::Root);
    let text = |path: &str| match fs_err::read_to_string(place(path)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some).map_err(BuildError::Root),
    };
    let passwd = text("etc/passwd")?;
    let accounts =
        Accounts::parse(passwd.as_deref().unwrap_or(ROOT), &text("etc/group")?.unwrap_or_default());
    for user in users {
        if is_there(&accounts, from, user)? {
            continue;
        }
        for (path, line) in &user.lines {
            // Passwords are kept in the first two alone where there are no others.
            let shadows = path.ends_with("shadow");
            let before = match text(path)? {
                None if shadows => continue,
                None if *path == "etc/passwd" => ROOT.to_owned(),
                None => "root:x:0:\n".to_owned(),
                Some(before) if before.is_empty() || before.ends_with('\n') => before,
                Some(before) => before + "\n",
            };
            fs_err::write(place(path)?, before + line).map_err(BuildError::Root)?;
        }
    }
    Ok(())
}

/// Tells whether the base has exactly this user; one that is nearly the same is nobody's to decide about.
fn is_there(accounts: &Accounts, from: &str, user: &UserLines) -> Result<bool, BuildError> {
    let found = match (accounts.uid(&user.name), accounts.name(user.uid)) {
        (Some(uid), _) if uid == user.uid => return Ok(true),
        (Some(uid), _) => format!("it has the number {uid}"),
        (None, Some(name)) => format!("`{name}` has it"),
        (None, None) => return Ok(false),
    };
    let (from, name) = (from.to_owned(), user.name.clone());
    Err(BaseError::User { from, name, uid: user.uid, found }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, uid: u32) -> UserLines {
        UserLines::new(name, uid, "/home", "/bin/false")
    }

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn read(root: &Path, path: &str) -> Option<String> {
        fs_err::read_to_string(root.join(path)).ok()
    }

    #[test]
    fn an_empty_root_gets_its_first_users_and_what_is_mounted_over() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        make_places(root).unwrap();
        add_users(root, "oci:base", &[user("casque", 899)]).unwrap();
        assert_eq!(
            read(root, "etc/passwd").unwrap(),
            "root:x:0:0:root:/root:/bin/sh\ncasque:x:899:899::/home:/bin/false\n"
        );
        assert_eq!(read(root, "etc/group").unwrap(), "root:x:0:\ncasque:x:899:\n");
        assert_eq!(read(root, "etc/shadow"), None);
        assert_eq!(read(root, "etc/resolv.conf").as_deref(), Some(""));
        assert_eq!(root.join("tmp").metadata().unwrap().permissions().mode() & 0o7777, 0o1777);
    }

    #[test]
    fn who_is_there_stays_and_who_is_another_is_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        put(root, "etc/passwd", "root:x:0:0::/:/bin/sh\nredis:x:101:101::/:/bin/sh");
        put(root, "etc/group", "root:x:0:\n");
        put(root, "etc/shadow", "root:*:::::::\n");
        add_users(root, "oci:base", &[user("redis", 101), user("app", 500)]).unwrap();
        let passwd = read(root, "etc/passwd").unwrap();
        assert_eq!(passwd.lines().count(), 3);
        assert!(passwd.ends_with("redis:x:101:101::/:/bin/sh\napp:x:500:500::/home:/bin/false\n"));
        assert!(read(root, "etc/shadow").unwrap().ends_with("\napp:!:::::::\n"));
        let said = |user| add_users(root, "oci:base", &[user]).unwrap_err().to_string();
        assert_eq!(
            said(user("redis", 408)),
            "user `redis` is to have the number 408, and in the base `oci:base` it has the number 101"
        );
        assert_eq!(
            said(user("other", 101)),
            "user `other` is to have the number 101, and in the base `oci:base` `redis` has it"
        );
    }

    #[test]
    fn links_of_a_base_never_lead_out_of_it() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let (root, outside) = (root.path(), outside.path());
        put(outside, "passwd", "theirs\n");
        fs_err::create_dir(root.join("etc")).unwrap();
        fs_err::os::unix::fs::symlink(outside.join("passwd"), root.join("etc/passwd")).unwrap();
        fs_err::os::unix::fs::symlink("../run/resolved", root.join("etc/resolv.conf")).unwrap();
        make_places(root).unwrap();
        fs_err::create_dir_all(root.join(outside.strip_prefix("/").unwrap())).unwrap();
        add_users(root, "oci:base", &[user("casque", 899)]).unwrap();
        assert_eq!(read(outside, "passwd").unwrap(), "theirs\n");
        assert!(root.join("etc/resolv.conf").symlink_metadata().unwrap().is_file());
    }
}
