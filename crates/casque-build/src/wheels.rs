//! Wheels built from sources, in a sandbox without a network, kept by what they were built from.
//!
//! The backend has an environment of its own with what the lock pins for it, and the layer's `build-packages` are there;
//! neither ships. Nothing of the build is where it would be another time: not the path, not the time, not the host.

use std::path::{Path, PathBuf};

use casque_debian::Pin;
use casque_format::digest::Digest;
use casque_python::{Arrival, BuildSystem, PinnedDistribution, Target, Venv, hooks, needed_libraries};

use crate::builder::Builder;
use crate::error::BuildError;
use crate::inputs::digest_of;
use crate::lock::Purpose;
use crate::manifest::LayerStep;
use crate::python::INTERPRETER;
use crate::sandbox::{Access, Confined};
use crate::source::Sources;
use crate::stage::Stage;

/// Part of every key: a change in how wheels are built must change it.
const GENERATION: u32 = 1;
/// Where it happens: in debugging information and messages of assertions.
const PLACE: &str = "/usr/src/casque-build";

/// Sources that are to become a wheel.
pub(crate) struct ToBuild {
    /// For messages: a name and version, or a path of the project.
    pub(crate) subject: String,
    pub(crate) origin: Origin,
    /// What it is built with.
    pub(crate) build: Vec<PinnedDistribution>,
}

/// Where sources are.
pub(crate) enum Origin {
    /// An archive: its file, its name and its digest.
    Archive(PathBuf, String, Digest),
    /// A source tree of the project.
    Tree(Sources),
}

impl Builder<'_> {
    /// Builds a wheel for `layer`, or takes what an earlier build built; returns it with its name.
    pub(crate) fn built(
        &self,
        layer: &LayerStep,
        sources: &ToBuild,
        target: Target,
        below: &[Stage],
    ) -> Result<(PathBuf, String), BuildError> {
        let key = self.wheel_key(layer, sources, below);
        let wheel = match self.cache.wheel(&key).map_err(BuildError::Cache)? {
            Some(wheel) => wheel,
            None => {
                let transient = self.build_packages_stage(layer, below)?;
                self.work(format!("building {}", sources.subject));
                let made = tempfile::Builder::new().prefix("wheel-").tempdir_in(self.work);
                let made = made.map_err(BuildError::Cache)?;
                let missing = self.scratch(below, transient.as_ref(), |root| {
                    let wheel = self.build(layer, sources, target, root)?;
                    let name = wheel.file_name().unwrap_or_default();
                    fs_err::copy(&wheel, made.path().join(name)).map_err(BuildError::Cache)?;
                    self.missing_libraries(&wheel, root, below)
                })?;
                if let Some((library, package)) = missing.into_iter().next() {
                    let distribution = sources.subject.clone();
                    return Err(BuildError::MissingLibrary { distribution, library, package });
                }
                self.cache.keep_wheel(&key, &made).map_err(BuildError::Cache)?;
                let wheel = self.cache.wheel(&key).map_err(BuildError::Cache)?;
                wheel.ok_or_else(|| BuildError::CachePruned { layer: sources.subject.clone() })?
            }
        };
        let filename = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((wheel, filename))
    }

    /// Names everything that a build sees: packages by their hashes, what is the vendor's by its stage.
    fn wheel_key(&self, layer: &LayerStep, sources: &ToBuild, below: &[Stage]) -> Digest {
        let name = layer.name.get_ref();
        let layers = self.manifest.content.layer.iter().map(|layer| layer.name.get_ref());
        let until = layers.take_while(|other| *other != name).chain([name]);
        let pins = |layer: &str| self.lock.pins(layer, Purpose::Packages);
        let mut packages: Vec<Pin> = pins("base");
        packages.extend(until.flat_map(|layer| pins(layer)));
        packages.extend(self.lock.pins(name, Purpose::Build));
        let mut packages: Vec<Digest> = packages.into_iter().map(|pin| pin.sha256).collect();
        packages.sort();
        let vendors: Vec<&Digest> =
            below.iter().filter(|stage| stage.record.vendor).map(|stage| &stage.key).collect();
        let origin = match &sources.origin {
            Origin::Archive(_, filename, digest) => digest_of(&(filename, digest)),
            Origin::Tree(sources) => digest_of(&sources.entries),
        };
        let build: Vec<_> = sources.build.iter().map(|pin| (&pin.filename, pin.sha256)).collect();
        digest_of(&(GENERATION, self.epoch, origin, build, packages, vendors))
    }

    /// Builds the wheel in `root`, of which nothing is kept.
    fn build(
        &self,
        layer: &LayerStep,
        sources: &ToBuild,
        target: Target,
        root: &Path,
    ) -> Result<PathBuf, BuildError> {
        let name = layer.name.get_ref();
        let place = root.join(PLACE.trim_start_matches('/'));
        let inside = |path: &str| format!("{PLACE}/{path}");
        let wheels = place.join("wheel");
        fs_err::create_dir_all(&wheels).map_err(BuildError::Root)?;
        fs_err::write(place.join("hooks.py"), hooks::PROGRAM).map_err(BuildError::Root)?;

        let path = inside("venv");
        let epoch = i64::try_from(self.epoch).unwrap_or(i64::MAX);
        let venv = Venv { root, path: &path, interpreter: INTERPRETER, target, epoch };
        venv.make()?;
        let store = self.cache.store()?;
        let arrival = |pin: &PinnedDistribution| Arrival {
            path: store.path(&pin.sha256),
            filename: pin.filename.clone(),
            pinned: Some((pin.name.clone(), pin.version.clone())),
            extras: Default::default(),
            direct_url: None,
        };
        venv.install(&sources.build.iter().map(arrival).collect::<Vec<_>>(), true)?;

        let confined = Confined::new(self, root, Access::None).map_err(BuildError::Root)?;
        let run = |arguments: Vec<String>| {
            let (python, hooks) = (inside("venv/bin/python3"), inside("hooks.py"));
            let mut command = vec![python.as_str(), "-s", "-B", hooks.as_str()];
            command.extend(arguments.iter().map(String::as_str));
            confined.run(name, &command).map_err(|error| of_build(error, &sources.subject))
        };
        let tree = inside("source");
        let system = match &sources.origin {
            Origin::Archive(path, filename, _) => {
                fs_err::copy(path, place.join(filename)).map_err(BuildError::Root)?;
                run(hooks::unpack_arguments(&inside(filename), &tree))?;
                BuildSystem::of_archive(filename, path)?
            }
            Origin::Tree(sources) => {
                let to = place.join("source");
                sources.copy_to(&to).map_err(BuildError::Source)?;
                BuildSystem::of_tree(&tree, &to)?
            }
        };
        let ask = |hook: &str| {
            run(hooks::arguments(hook, &system, &tree, &inside("wheel")))?;
            fs_err::read_to_string(wheels.join("answer")).map_err(BuildError::Root)
        };
        let asked = hooks::missing(&ask("get_requires_for_build_wheel")?, &sources.build, target);
        if !asked.is_empty() {
            return Err(BuildError::BuildRequires { distribution: sources.subject.clone(), asked });
        }
        let answer = ask("build_wheel")?;
        let filename: String = serde_json::from_str(&answer).unwrap_or_default();
        let wheel = wheels.join(Path::new(&filename).file_name().unwrap_or_default());
        match filename.ends_with(".whl") && wheel.is_file() {
            true => Ok(wheel),
            false => Err(BuildError::NoWheel { distribution: sources.subject.clone(), answer }),
        }
    }

    /// Returns the libraries that programs of the wheel need and the image does not have, each with the package that
    /// brought it into `root`, where the wheel was built.
    fn missing_libraries(
        &self,
        wheel: &Path,
        root: &Path,
        below: &[Stage],
    ) -> Result<Vec<(String, Option<String>)>, BuildError> {
        let needed = needed_libraries(wheel)?;
        if needed.is_empty() {
            return Ok(Vec::new());
        }
        let missing: Vec<String> = self.look(below, |image| {
            let directories = library_directories(image);
            Ok(needed.into_iter().filter(|name| found(image, &directories, name).is_none()).collect())
        })?;
        let directories = library_directories(root);
        let with_package = |name: String| {
            let package = found(root, &directories, &name).and_then(|path| owner(root, &path));
            (name, package)
        };
        Ok(missing.into_iter().map(with_package).collect())
    }
}

/// Says what was being built when a program failed.
fn of_build(error: BuildError, subject: &str) -> BuildError {
    match error {
        BuildError::Step { how, last, .. } => {
            BuildError::BuildStep { distribution: subject.to_owned(), how, last }
        }
        other => other,
    }
}

/// Returns where the dynamic linker of `root` looks, relative to it.
fn library_directories(root: &Path) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> =
        ["lib", "usr/lib", "lib64", "usr/local/lib"].map(PathBuf::from).to_vec();
    let Ok(entries) = fs_err::read_dir(root.join("etc/ld.so.conf.d")) else { return directories };
    for entry in entries.flatten() {
        let text = fs_err::read_to_string(entry.path()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix('/'));
        directories.extend(lines.map(PathBuf::from));
    }
    directories
}

fn found(root: &Path, directories: &[PathBuf], name: &str) -> Option<PathBuf> {
    let places = directories.iter().map(|directory| directory.join(name));
    places.into_iter().find(|path| root.join(path).symlink_metadata().is_ok())
}

/// Returns the Debian package that has a file.
fn owner(root: &Path, path: &Path) -> Option<String> {
    let file_name = path.file_name()?.to_str()?;
    let entries = fs_err::read_dir(root.join("var/lib/dpkg/info")).ok()?;
    let mut lists: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    lists.sort();
    lists.into_iter().filter(|list| list.extension().is_some_and(|ending| ending == "list")).find_map(
        |list| {
            let text = fs_err::read_to_string(&list).ok()?;
            // The same directory may have two names, `/lib` and `/usr/lib`.
            let has = text.lines().any(|line| line.rsplit('/').next() == Some(file_name));
            let name = list.file_stem()?.to_str()?.split(':').next()?.to_owned();
            has.then_some(name)
        },
    )
}
