//! The lowest stages: the distribution's essential packages, and casque's own programs.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use casque_format::digest::Digest;
use casque_format::paths;
use casque_image::resolve::located;
use serde::Serialize;

use crate::builder::Builder;
use crate::error::BuildError;
use crate::event::Event;
use crate::ids::pool;
use crate::inputs::Inputs;
use crate::lock::Purpose;
use crate::manifest::Manifest;
use crate::stage::{Parts, Recipe, Stage};
use crate::trim;

/// The stage on top of a base that somebody else made.
pub(crate) const ADDED: &str = "base/added";
/// The serving agent's user: it may read its own configuration and nothing else.
pub(crate) const AGENT_USER: &str = "casque";
/// Neither adduser (from 100 up) nor useradd (from 999 down) comes here by itself.
const AGENT_ID: u32 = 899;

impl Builder<'_> {
    /// Makes what the image stands on.
    pub(crate) fn base_stages(&self) -> Result<Vec<Stage>, BuildError> {
        match &self.base {
            None => Ok(vec![self.base_stage()?]),
            Some(base) => self.stages_on(base),
        }
    }

    /// Makes the distribution's root filesystem.
    fn base_stage(&self) -> Result<Stage, BuildError> {
        let packages = self.lock.pins("base", Purpose::Packages);
        let users = users(self.manifest);
        let sources = self.lock.sources_list(self.manifest.content.base.archive.len());
        let release = self.manifest.content.base.release().expect("a base without an image has a release");
        let left_out = trim::rules(&self.manifest.content.image.keep);
        let answers = self.preseed().map_err(BuildError::Root)?;
        let recipe = Recipe {
            name: "base",
            created_by: format!("casque: {} {} packages", release.suite, packages.len()),
            inputs: self
                .dated()
                .with_packages(&packages)
                .with_digest_of("users", &users)
                .with_digest_of("list of archives", &sources)
                .with_digest_of("what is left out", &left_out)
                .with_digest_of("answers of the preseed", &answers)
                .with_digest_of("numbers of users", &self.ids()),
            below: &[],
            transient: None,
            parts: self.shares.of("base"),
            vendor: false,
        };
        self.stage(&recipe, |root| {
            self.install("base", root, &packages)?;
            let finish = || {
                add_users(root, &users)?;
                for (path, text) in &sources {
                    fs_err::write(root.join(path), text)?;
                }
                // The first start of a system makes its own.
                fs_err::write(root.join("etc/machine-id"), "")
            };
            finish().map_err(BuildError::Root)?;
            self.audit("base", root)?;
            Ok(None)
        })
    }

    /// Puts PID 1 and the agent into the image: above the base, since they change with casque and not with the product.
    pub(crate) fn programs_stage(&self, below: &[Stage]) -> Result<Stage, BuildError> {
        let programs = [(&self.programs.init, paths::INIT), (&self.programs.agent, paths::AGENT)];
        let mut contents = Vec::new();
        for (from, to) in programs {
            contents.push((fs_err::read(from).map_err(BuildError::Root)?, to));
        }
        let recipe = Recipe {
            name: "casque",
            created_by: "casque: init and agent".to_owned(),
            inputs: program_inputs(&contents),
            below,
            transient: None,
            parts: Parts::One,
            vendor: false,
        };
        self.stage(&recipe, |root| {
            let write = |bytes: &[u8], to: &str| -> io::Result<()> {
                let place = located(root, Path::new(to))?;
                fs_err::create_dir_all(place.parent().expect("programs are in a directory"))?;
                fs_err::write(&place, bytes)?;
                fs_err::set_permissions(&place, Permissions::from_mode(0o755))
            };
            for (bytes, to) in &contents {
                write(bytes, to).map_err(BuildError::Root)?;
            }
            Ok(None)
        })
    }

    /// Returns the numbers that adduser takes for users that packages make.
    pub(crate) fn ids(&self) -> String {
        let named = self.manifest.content.users.iter().map(|(name, user)| (name.as_str(), user.uid));
        pool(&named.chain([(AGENT_USER, AGENT_ID)]).collect::<Vec<_>>())
    }

    /// Tells whoever watches what is being done.
    pub(crate) fn work(&self, what: String) {
        self.observer.event(&Event::Work { what });
    }
}

fn program_inputs(contents: &[(Vec<u8>, &str)]) -> Inputs {
    contents.iter().fold(Inputs::default(), |inputs, (bytes, to)| {
        inputs.with_digest_of(&format!("program `{to}`"), &Digest::of(bytes))
    })
}

/// A user as lines of passwd(5), group(5) and shadow(5).
#[derive(Debug, Clone, Serialize)]
pub(crate) struct UserLines {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) lines: [(&'static str, String); 4],
}

impl UserLines {
    pub(crate) fn new(name: &str, uid: u32, home: &str, shell: &str) -> Self {
        let lines = [
            ("etc/passwd", format!("{name}:x:{uid}:{uid}::{home}:{shell}\n")),
            ("etc/group", format!("{name}:x:{uid}:\n")),
            ("etc/shadow", format!("{name}:!:::::::\n")),
            ("etc/gshadow", format!("{name}:!::\n")),
        ];
        Self { name: name.to_owned(), uid, lines }
    }
}

pub(crate) fn users(manifest: &Manifest) -> Vec<UserLines> {
    let own = UserLines::new(AGENT_USER, AGENT_ID, "/nonexistent", "/usr/sbin/nologin");
    let users = manifest.content.users.iter();
    let named = users.map(|(name, user)| UserLines::new(name, user.uid, &user.home, &user.shell));
    std::iter::once(own).chain(named).collect()
}

fn add_users(root: &Path, users: &[UserLines]) -> io::Result<()> {
    for (path, line) in users.iter().flat_map(|user| &user.lines) {
        let path = root.join(path);
        let mut text = fs_err::read_to_string(&path)?;
        text += line;
        fs_err::write(path, text)?;
    }
    Ok(())
}
