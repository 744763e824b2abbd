//! Marked files: what the scripts left with a mark such as `@casque{smtp-url|json}` is rendered at each start.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use casque_format::image::Template;
use casque_format::marks;
use casque_format::paths;
use casque_format::settings::Setting;
use walkdir::WalkDir;

use crate::error::MarkMistake;

/// Larger files are data, not configuration.
const LARGEST: u64 = 1 << 20;

/// Finds the marked files that `trees` (overlay directories of the vendor's own layers) added, as paths in the image.
pub(crate) fn find<'a>(trees: impl Iterator<Item = &'a Path>, root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for tree in trees {
        for entry in WalkDir::new(tree) {
            let entry = entry?;
            if !entry.file_type().is_file() || entry.metadata()?.len() > LARGEST {
                continue;
            }
            let relative = entry.path().strip_prefix(tree).expect("walked from there");
            // A later layer may have replaced or removed it.
            let current = root.join(relative);
            if current.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
                && fs_err::read(&current)?
                    .windows(marks::OPENING.len())
                    .any(|window| window == marks::OPENING.as_bytes())
            {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Judges the marks of one file: well formed, naming known settings, and no secret without a filter.
pub(crate) fn judge(file: &str, text: &str, settings: &BTreeMap<String, Setting>) -> Result<(), MarkMistake> {
    let found =
        marks::scan(text).map_err(|source| MarkMistake::Malformed { file: file.to_owned(), source })?;
    for mark in found {
        let Some(setting) = settings.get(&mark.name) else {
            let closest = crate::manifest::raw::nearest(&mark.name, settings.keys().map(String::as_str));
            return Err(MarkMistake::UnknownSetting {
                file: file.to_owned(),
                line: mark.line,
                setting: mark.name,
                closest: closest.map(str::to_owned),
            });
        };
        if setting.secret && mark.filters.is_empty() {
            return Err(MarkMistake::NoFilter { file: file.to_owned(), line: mark.line, setting: mark.name });
        }
    }
    Ok(())
}

/// Moves a marked file to the templates and leaves a link to its rendered form.
pub(crate) fn install(root: &Path, relative: &Path) -> io::Result<Template> {
    let place = root.join(relative);
    let metadata = fs_err::symlink_metadata(&place)?;
    let text = fs_err::read(&place)?;
    let source = root.join(paths::TEMPLATES.trim_start_matches('/')).join(relative);
    fs_err::create_dir_all(source.parent().expect("a file is in a directory"))?;
    fs_err::write(&source, text)?;
    fs_err::remove_file(&place)?;
    let path = format!("/{}", relative.display());
    fs_err::os::unix::fs::symlink(format!("{}{path}", paths::RENDERED), &place)?;
    Ok(Template { path, uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 })
}
