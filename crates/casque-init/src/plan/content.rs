//! Whether the files that a service reads have changed, as one number.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use casque_format::run::Service;

/// Nobody renders larger ones; what is beyond counts by its length.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Returns a number for the content of what `service` reads: the files it names, or all below `rendered`.
///
/// Within one run of PID 1 equal numbers mean equal content; nothing else relies on it.
pub(super) fn fingerprint(service: &Service, rendered: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &service.files {
        Some(files) => files.iter().for_each(|file| add(Path::new(file), &mut hasher)),
        None => add(rendered, &mut hasher),
    }
    hasher.finish()
}

fn add(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    let Ok(entries) = fs::read_dir(path) else {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= LARGEST => {
                fs::read(path).unwrap_or_default().hash(hasher);
            }
            metadata => metadata.map(|metadata| metadata.len()).ok().hash(hasher),
        }
        return;
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    // A link into the tree would otherwise lead round and round.
    paths.retain(|path| path.symlink_metadata().is_ok_and(|metadata| !metadata.is_symlink()));
    paths.iter().for_each(|path| add(path, hasher));
}
