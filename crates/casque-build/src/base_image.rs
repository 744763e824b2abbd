//! A base that somebody else made: the image of `[base] from`, its layers kept as they are.
//!
//! Its documents are checked when it is opened, its layers when they are taken over. What the resolver and the checks have
//! to know of what is in it is read once, when it is locked.

use std::collections::BTreeSet;
use std::path::Path;

use casque_debian::{Control, Stanza, stanzas};
use casque_format::digest::Digest;
use casque_image::read::{Archive, PLATFORM, ReadError};

use crate::configure::ARCHITECTURE;
use crate::error::{BaseError, BuildError};
use crate::manifest::{Distribution, Manifest, Release};

/// No record of an image's packages is larger.
const LARGEST: u64 = 256 << 20;

/// An image to start from.
#[derive(Debug)]
pub(crate) struct BaseImage {
    /// As the manifest has it.
    pub(crate) from: String,
    pub(crate) archive: Archive,
}

/// What is in it, as far as it decides what can be put on top.
#[derive(Debug)]
pub(crate) struct BaseFacts {
    pub(crate) system: System,
    /// What dpkg says is installed, of this architecture.
    pub(crate) installed: Vec<Control>,
}

/// What it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum System {
    /// Its packages are dpkg's, and these are its archives.
    Debian(Release),
    /// Something else, and why.
    Other { why: String },
}

impl BaseImage {
    /// Opens the image that `manifest` starts from.
    ///
    /// # Errors
    /// What is there is no image, damaged, or for another machine.
    pub(crate) fn open(manifest: &Manifest) -> Result<Option<Self>, BuildError> {
        let Some((from, path)) = manifest.base_image() else { return Ok(None) };
        let archive = Archive::open(&path).map_err(|error| unreadable(from, error))?;
        archive.require_whole().map_err(|error| unreadable(from, error))?;
        if archive.platform() != PLATFORM {
            let (from, found) = (from.to_owned(), archive.platform().to_owned());
            return Err(BaseError::Platform { from, found, wanted: PLATFORM }.into());
        }
        Ok(Some(Self { from: from.to_owned(), archive }))
    }

    /// Returns what identifies it: engines call it the image's id, and its layers follow from it.
    pub(crate) fn image(&self) -> Digest {
        self.archive.image_id()
    }

    pub(crate) fn unreadable(&self, error: ReadError) -> BuildError {
        unreadable(&self.from, error)
    }

    /// Reads what is in it, everything being compared with its digest before.
    ///
    /// # Errors
    /// A layer that is damaged or cannot be read; records of dpkg that nobody can read.
    pub(crate) fn facts(&self, manifest: &Manifest) -> Result<BaseFacts, BuildError> {
        let failed = |error| self.unreadable(error);
        self.archive.verify().map_err(failed)?;
        let tree = self.archive.tree().map_err(failed)?;
        let text = |path: &str| {
            let bytes = tree.read(Path::new(path), LARGEST).map_err(failed)?;
            Ok::<_, BuildError>(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let release = match text("etc/os-release")? {
            Some(release) => Some(release),
            None => text("usr/lib/os-release")?,
        };
        let status = text("var/lib/dpkg/status")?.unwrap_or_default();
        let base = &manifest.content.base;
        let installed = installed(&status)?;
        let system = match installed.iter().any(|control| control.name == "dpkg") {
            true => system(&release.unwrap_or_default(), base.distribution, base.suite.as_deref()),
            false => Ok(System::Other { why: no_dpkg(&release.unwrap_or_default()) }),
        };
        let system = system.map_err(|what| BaseError::Release { from: self.from.clone(), what })?;
        Ok(BaseFacts { system, installed })
    }

    /// Checks that what the manifest asks for can be had on top of `system`.
    ///
    /// # Errors
    /// The first key that cannot.
    pub(crate) fn judge(&self, manifest: &Manifest, facts: &BaseFacts) -> Result<(), BuildError> {
        let refused = |key: &str, layer: Option<&str>, why: &str| {
            let (from, key, layer) = (self.from.clone(), key.to_owned(), layer.map(str::to_owned));
            Err(BaseError::Refused { from, key, layer, why: why.to_owned() }.into())
        };
        let why = match &facts.system {
            System::Other { why } => why,
            System::Debian(_) => return self.judge_debian(manifest, facts),
        };
        let base = &manifest.content.base;
        let keys = [
            ("packages", !base.packages.is_empty()),
            ("preseed", base.preseed.is_some()),
            ("archive", !base.archive.is_empty()),
            ("pin", !base.pin.is_empty()),
            ("components", !base.components.is_empty()),
            ("signed-by", base.signed_by.is_some()),
            ("distribution", base.distribution.is_some()),
            ("suite", base.suite.is_some()),
        ];
        if let Some((key, _)) = keys.iter().find(|(_, is_set)| *is_set) {
            return refused(&format!("base.{key}"), None, why);
        }
        for layer in &manifest.content.layer {
            let keys = [
                ("packages", !layer.packages.is_empty()),
                ("with-packages", !layer.with_packages.is_empty()),
                ("python", !layer.python.is_empty()),
            ];
            if let Some((key, _)) = keys.iter().find(|(_, is_set)| *is_set) {
                return refused(key, Some(layer.name.get_ref()), why);
            }
        }
        Ok(())
    }

    /// A base of Debian's may be so small that it lacks what these keys work with.
    fn judge_debian(&self, manifest: &Manifest, facts: &BaseFacts) -> Result<(), BuildError> {
        let base = &manifest.content.base;
        let lacks = |name: &str| {
            !facts.installed.iter().any(|control| control.name == name)
                && !base.packages.iter().any(|wanted| wanted.split(['=', '/']).next() == Some(name))
        };
        let missing = |package: &'static str, key: &str, layer: Option<&str>| {
            let (from, key, layer) = (self.from.clone(), key.to_owned(), layer.map(str::to_owned));
            Err(BaseError::Lacks { from, package, key, layer }.into())
        };
        let with_packages = manifest.content.layer.iter().find(|layer| !layer.with_packages.is_empty());
        if let Some(layer) = with_packages.filter(|_| lacks("apt")) {
            return missing("apt", "with-packages", Some(layer.name.get_ref()));
        }
        if base.preseed.is_some() && lacks("debconf") {
            return missing("debconf", "base.preseed", None);
        }
        Ok(())
    }
}

fn unreadable(from: &str, source: ReadError) -> BuildError {
    BaseError::Unreadable { from: from.to_owned(), source: Box::new(source) }.into()
}

/// Returns what `status` says is installed and its own dependencies could be met with.
fn installed(status: &str) -> Result<Vec<Control>, BuildError> {
    let is_there = |stanza: &Stanza<'_>| {
        let state = stanza.get("Status").and_then(|status| status.split_whitespace().nth(2));
        !matches!(state, None | Some("not-installed" | "config-files"))
    };
    let mut found = Vec::new();
    for stanza in stanzas(status).filter(is_there) {
        let control = Control::parse(&stanza)?;
        if control.architecture == ARCHITECTURE || control.architecture == "all" {
            found.push(control);
        }
    }
    Ok(found)
}

/// Decides whose archives packages come from, by os-release(5) and what the manifest says.
fn system(text: &str, distribution: Option<Distribution>, suite: Option<&str>) -> Result<System, String> {
    let id = value(text, "ID");
    let own = match id {
        "debian" => Some(Distribution::Debian),
        "ubuntu" => Some(Distribution::Ubuntu),
        _ => None,
    };
    let distribution = match (own, distribution) {
        (Some(own), Some(said)) if own != said => {
            return Err(format!("it says of itself that it is `{id}`, and the manifest says something else"));
        }
        (own, said) => own.or(said),
    };
    let Some(distribution) = distribution else {
        return Ok(System::Other {
            why: format!("it is {}, and packages come from Debian's and Ubuntu's archives", named(text)),
        });
    };
    let codename = Some(value(text, "VERSION_CODENAME")).filter(|name| !name.is_empty() && own.is_some());
    match suite.or(codename) {
        Some(suite) => Ok(System::Debian(Release { distribution, suite: suite.to_owned() })),
        None => Err("it does not say which release it is; say `[base] suite`".to_owned()),
    }
}

/// Says why an image without dpkg gets no packages.
fn no_dpkg(text: &str) -> String {
    format!("it is {}, and dpkg is not installed there", named(text))
}

fn named(text: &str) -> String {
    match value(text, "ID") {
        "" => "of no distribution that it names".to_owned(),
        id => format!("`{id}`"),
    }
}

/// Returns a value of os-release(5).
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let found = lines.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back();
    found.unwrap_or_default().trim().trim_matches(['"', '\''])
}

/// Returns the layers' names in the order they lie: `base/1` is the lowest.
pub(crate) fn layer_name(index: usize) -> String {
    format!("base/{}", index + 1)
}

/// Returns the names of packages that are installed in the unpacked base at `tree`.
pub(crate) fn package_names(tree: &Path) -> Result<BTreeSet<String>, BuildError> {
    let installed = casque_debian::installed_packages(tree)?;
    Ok(installed.into_iter().map(|control| control.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian(distribution: Distribution, suite: &str) -> Result<System, String> {
        Ok(System::Debian(Release { distribution, suite: suite.to_owned() }))
    }

    #[test]
    fn an_image_says_itself_which_release_it_is_and_the_manifest_may_know_better() {
        use Distribution::{Debian, Ubuntu};
        let bookworm = "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(system(bookworm, None, None), debian(Debian, "bookworm"));
        assert_eq!(system(bookworm, Some(Debian), Some("trixie")), debian(Debian, "trixie"));
        assert_eq!(system("ID='ubuntu'\nVERSION_CODENAME=\"noble\"\n", None, None), debian(Ubuntu, "noble"));
        assert!(system(bookworm, Some(Ubuntu), None).unwrap_err().contains("`debian`"));
        assert!(system("ID=debian\n", None, None).unwrap_err().contains("`[base] suite`"));
        let derived = "ID=vendoros\nID_LIKE=debian\nVERSION_CODENAME=shiny\n";
        let System::Other { why } = system(derived, None, None).unwrap() else { panic!("not Debian") };
        assert_eq!(why, "it is `vendoros`, and packages come from Debian's and Ubuntu's archives");
        // Its own codename is none of Debian's.
        assert!(system(derived, Some(Debian), None).is_err());
        assert_eq!(system(derived, Some(Debian), Some("bookworm")), debian(Debian, "bookworm"));
        assert_eq!(no_dpkg(""), "it is of no distribution that it names, and dpkg is not installed there");
    }

    #[test]
    fn what_is_installed_is_of_this_architecture_and_not_only_known_by_name() {
        let status = "Package: held\nStatus: hold ok installed\nVersion: 1\nArchitecture: amd64\n\n\
            Package: foreign\nStatus: install ok installed\nVersion: 1\nArchitecture: i386\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n\
            Package: selected\nStatus: install ok not-installed\nPriority: optional\n";
        let names: Vec<String> = installed(status).unwrap().into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["held"]);
    }
}
