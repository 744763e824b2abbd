//! Layers of Debian packages: those that ship, and those that are there for a step only.

use std::io;
use std::path::Path;

use casque_debian::Pin;

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
        let name = layer.name.get_ref();
        let packages = self.lock.pins(name, Purpose::Step);
        let recipe = Recipe {
            name: &format!("{name}/with-packages"),
            created_by: String::new(),
            inputs: self.dated().with_packages(&packages),
            below,
            transient: None,
            parts: Parts::None,
            vendor: false,
        };
        let stage = self.stage(&recipe, |root| {
            self.install(name, root, &packages)?;
            mark_automatic(root, &packages).map_err(BuildError::Root)?;
            Ok(None)
        })?;
        Ok(Some(stage))
    }
}

/// Writes apt's own record of packages that nobody asked for by name (apt-mark(8)).
fn mark_automatic(root: &Path, packages: &[Pin]) -> io::Result<()> {
    let path = root.join("var/lib/apt/extended_states");
    let mut text = match fs_err::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    for pin in packages {
        // apt knows packages for all architectures under the native one.
        let architecture = if pin.architecture == "all" { ARCHITECTURE } else { &pin.architecture };
        text += &format!("Package: {}\nArchitecture: {architecture}\nAuto-Installed: 1\n\n", pin.name);
    }
    fs_err::write(path, text)
}
