//! A temporary directory with what the tests put into one.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use casque_image::archive::{ArchiveError, Compression, Image, ImageLayer, Memory, Prepared, Written};
use casque_image::config::ImageConfig;
use casque_image::diff::all_candidates;
use casque_image::layer::{Diff, LayerFile, LayerOptions, LayerStore};
use casque_image::listing;
use casque_image::read::Archive;
use casque_image::unpack::unpack;
use fs_err as fs;
use tempfile::TempDir;

/// A moment before any test runs.
pub const EPOCH: u64 = 1_700_000_000;

pub struct Scratch {
    directory: TempDir,
    pub store: LayerStore,
    pub options: LayerOptions,
}

impl Scratch {
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = LayerStore::open(&directory.path().join("layers")).unwrap();
        Self { directory, store, options: LayerOptions { epoch: EPOCH, ..Default::default() } }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a tree of `path`, `content` pairs: `path/` is a directory, `-> x` makes a link.
    pub fn tree(&self, name: &str, entries: &[(&str, &str)]) -> PathBuf {
        let root = self.path(name);
        fs::create_dir_all(&root).unwrap();
        for (path, content) in entries {
            put(&root.join(path), path.ends_with('/'), content);
        }
        root
    }

    pub fn layer(&self, root: &Path) -> LayerFile {
        self.store.write_tree(root, &self.options).unwrap()
    }

    pub fn diff(&self, lower: &Path, upper: &Path) -> Option<LayerFile> {
        let candidates = all_candidates(lower, upper).unwrap();
        self.store.write_diff(&Diff { lower, upper, candidates }, &self.options).unwrap()
    }

    /// Writes an image of these layers.
    pub fn archive(&self, layers: &[LayerFile]) -> PathBuf {
        let path = self.path("image.tar");
        self.write(&image(layers), &path).unwrap();
        path
    }

    pub fn memory(&self) -> Memory {
        Memory::open(&self.path("memory")).unwrap()
    }

    /// Writes an image as a tar with plain layers.
    pub fn write(&self, image: &Image, path: &Path) -> Result<Written, ArchiveError> {
        Prepared::new(image, &self.memory(), Compression::None, None)?.write_tar(path)
    }

    /// Unpacks an image of these layers and lists what came out.
    pub fn unpacked(&self, layers: &[LayerFile]) -> String {
        let archive = Archive::open(&self.archive(layers)).unwrap();
        let root = TempDir::new_in(self.directory.path()).unwrap();
        unpack(&archive, root.path()).unwrap();
        list(root.path())
    }
}

pub fn image(layers: &[LayerFile]) -> Image {
    let layer = |file: &LayerFile| ImageLayer { file: file.clone(), created_by: "test".to_owned() };
    Image {
        config: ImageConfig {
            architecture: "amd64".to_owned(),
            created: EPOCH,
            entrypoint: vec!["/bin/tool".to_owned()],
            ports: vec![80],
            ..ImageConfig::default()
        },
        layers: layers.iter().map(layer).collect(),
        names: vec!["vendor/tool:v1".parse().unwrap(), "vendor/tool:latest".parse().unwrap()],
        annotations: BTreeMap::new(),
    }
}

pub fn list(root: &Path) -> String {
    listing::of_tree(root, &LayerOptions::default()).unwrap()
}

pub fn list_layer(layer: &LayerFile) -> String {
    listing::of_layer(fs::File::open(&layer.path).unwrap()).unwrap()
}

pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

pub fn paths(paths: &[&str]) -> BTreeSet<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

fn put(path: &Path, directory: bool, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if directory {
        fs::create_dir_all(path).unwrap();
    } else if let Some(target) = content.strip_prefix("-> ") {
        fs::os::unix::fs::symlink(target, path).unwrap();
    } else {
        fs::write(path, content).unwrap();
        mode(path, 0o644);
    }
}
