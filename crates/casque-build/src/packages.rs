//! Layers of Debian packages: those that ship, and those that are there for a step only.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use casque_debian::{Pin, Stanza, stanzas};
use casque_image::resolve::located;

use crate::builder::Builder;
use crate::configure::ARCHITECTURE;
use crate::error::BuildError;
use crate::lock::Purpose;
use crate::manifest::LayerStep;
use crate::stage::{Parts, Recipe, Stage};

impl Builder<'_> {
    /// Installs the packages of `layer`.
    pub(crate) fn packages_stage(&self, layer: &LayerStep, below: &[Stage]) -> Result<Stage, BuildError> {
        let name = layer.name.get_ref();
        let packages = self.lock.pins(name, Purpose::Packages);
        let recipe = Recipe {
            name: &format!("{name}/packages"),
            created_by: format!("casque: packages {}", layer.packages.join(" ")),
            inputs: self.dated().with_packages(&packages),
            below,
            transient: None,
            parts: self.shares.of(&format!("{name}/packages")),
            vendor: false,
        };
        self.stage(&recipe, |root| {
            self.install(name, root, &packages)?;
            self.audit(name, root)?;
            Ok(None)
        })
    }

    /// Installs what is there for the step of `layer` only, marked so that apt knows nobody asked for it.
    pub(crate) fn with_packages_stage(
        &self,
        layer: &LayerStep,
        below: &[Stage],
    ) -> Result<Option<Stage>, BuildError> {
        if layer.with_packages.is_empty() {
            return Ok(None);
        }
        self.transient_stage(layer, Purpose::Step, "with-packages", below).map(Some)
    }

    /// Installs what is there while the Python distributions of `layer` are built.
    pub(crate) fn build_packages_stage(
        &self,
        layer: &LayerStep,
        below: &[Stage],
    ) -> Result<Option<Stage>, BuildError> {
        if layer.build_packages().is_empty() {
            return Ok(None);
        }
        self.transient_stage(layer, Purpose::Build, "build-packages", below).map(Some)
    }

    fn transient_stage(
        &self,
        layer: &LayerStep,
        purpose: Purpose,
        called: &str,
        below: &[Stage],
    ) -> Result<Stage, BuildError> {
        let name = layer.name.get_ref();
        let packages = self.lock.pins(name, purpose);
        let recipe = Recipe {
            name: &format!("{name}/{called}"),
            created_by: String::new(),
            inputs: self.dated().with_packages(&packages),
            below,
            transient: None,
            parts: Parts::None,
            vendor: false,
        };
        self.stage(&recipe, |root| {
            self.install(name, root, &packages)?;
            mark_automatic(root, &packages).map_err(BuildError::Root)?;
            Ok(None)
        })
    }
}

/// apt's own record of packages that nobody asked for by name (apt-mark(8)).
const MARKS: &str = "var/lib/apt/extended_states";

fn marks(root: &Path) -> io::Result<(PathBuf, String)> {
    let path = located(root, Path::new(MARKS))?;
    match fs_err::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((path, String::new())),
        text => Ok((path, text?)),
    }
}

/// Marks of packages that are hidden from apt while it removes what nothing needs.
pub(crate) struct Marks {
    path: PathBuf,
    hidden: String,
}

impl Marks {
    /// Hides the marks of the packages of these names.
    pub(crate) fn hide(root: &Path, names: &BTreeSet<String>) -> io::Result<Self> {
        let (path, text) = marks(root)?;
        let of_them = |stanza: &Stanza<'_>| stanza.get("Package").is_some_and(|name| names.contains(name));
        let (hidden, kept): (Vec<_>, Vec<_>) = stanzas(&text).partition(of_them);
        let joined = |stanzas: Vec<Stanza<'_>>| {
            stanzas.iter().map(|stanza| format!("{}\n\n", stanza.text().trim_end())).collect::<String>()
        };
        let hidden = joined(hidden);
        if !hidden.is_empty() {
            fs_err::write(&path, joined(kept))?;
        }
        Ok(Self { path, hidden })
    }

    /// Puts them back; apt sorts them when it writes the file the next time.
    pub(crate) fn show(self) -> io::Result<()> {
        if self.hidden.is_empty() {
            return Ok(());
        }
        let others = match fs_err::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        fs_err::write(self.path, self.hidden + &others)
    }
}

fn mark_automatic(root: &Path, packages: &[Pin]) -> io::Result<()> {
    let (path, mut text) = marks(root)?;
    if !text.is_empty() && !text.ends_with("\n\n") {
        text += "\n";
    }
    for pin in packages {
        // apt knows packages for all architectures under the native one.
        let architecture = if pin.architecture == "all" { ARCHITECTURE } else { &pin.architecture };
        text += &format!("Package: {}\nArchitecture: {architecture}\nAuto-Installed: 1\n\n", pin.name);
    }
    fs_err::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_the_base_are_out_of_the_way_while_apt_removes_and_back_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(MARKS);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let stanza = |name: &str| format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n");
        fs_err::write(&path, stanza("theirs") + &stanza("ours")).unwrap();
        let marks = Marks::hide(root.path(), &BTreeSet::from(["theirs".to_owned()])).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), stanza("ours"));
        fs_err::write(&path, "").unwrap();
        marks.show().unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), stanza("theirs"));
    }
}
