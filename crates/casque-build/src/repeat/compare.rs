//! Two stages file by file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};
use std::mem::discriminant;
use std::path::{Path, PathBuf};

use casque_image::listing::{Entry, entries};
use casque_image::node::Kind;

use super::{Aspect, Finding, Place, reason};
use crate::cache::Cache;
use crate::elsewhere::Elsewhere;
use crate::error::BuildError;
use crate::stage::Stage;

/// Longer lines are shown in part.
const LONGEST_LINE: usize = 160;
/// Of longer files only the beginning is looked at for where they differ.
const LONGEST_FILE: u64 = 64 << 20;

/// Returns what is not the same in two stages, the first made here and the second elsewhere.
pub(super) fn findings(
    (first_cache, first): (&Cache, &Stage),
    (second_cache, second): (&Cache, &Stage),
    machine: &Elsewhere,
) -> Result<Vec<Finding>, BuildError> {
    let layers = |stage: &Stage| stage.record.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>();
    if layers(first) == layers(second) {
        return Ok(Vec::new());
    }
    let (before, after) = (all_entries(first_cache, first)?, all_entries(second_cache, second)?);
    let trees = (first.trees[0].as_path(), second.trees[0].as_path());
    let found = differing(&before, &after, trees, machine).map_err(BuildError::Cache)?;
    if found.is_empty() {
        // The same files, shared out among layers in another way.
        let what = vec![Aspect::Layers];
        return Ok(vec![Finding { path: "/".to_owned(), what, first: None, reason: None }]);
    }
    Ok(found)
}

/// Returns what the layers of a stage say together.
pub(super) fn all_entries(cache: &Cache, stage: &Stage) -> Result<BTreeMap<PathBuf, Entry>, BuildError> {
    let mut all = BTreeMap::new();
    for layer in &stage.record.layers {
        let file = cache.layers().get(&layer.diff_id)?;
        let file = file.ok_or_else(|| BuildError::CachePruned { layer: layer.name.clone() })?;
        let open = fs_err::File::open(&file.path).map_err(BuildError::Cache)?;
        all.extend(entries(BufReader::new(open)).map_err(BuildError::Cache)?);
    }
    Ok(all)
}

fn differing(
    before: &BTreeMap<PathBuf, Entry>,
    after: &BTreeMap<PathBuf, Entry>,
    trees: (&Path, &Path),
    machine: &Elsewhere,
) -> io::Result<Vec<Finding>> {
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    let mut findings = Vec::new();
    for path in paths {
        let what = match (before.get(path), after.get(path)) {
            (Some(one), Some(other)) => aspects(one, other),
            (None, _) => vec![Aspect::Added],
            (_, None) => vec![Aspect::Gone],
        };
        if what.is_empty() {
            continue;
        }
        let is_file = |entry: Option<&Entry>| matches!(entry, Some(Entry::Node(node, _)) if matches!(node.kind, Kind::File { .. }));
        let both = is_file(before.get(path)) && is_file(after.get(path));
        let first = match both && what.contains(&Aspect::Content) {
            true => first_difference(&trees.0.join(path), &trees.1.join(path))?,
            false => None,
        };
        let reason = match &first {
            Some(Place::Text { here, elsewhere, .. }) => Some(reason::of_lines(here, elsewhere, machine)),
            Some(Place::Binary { .. }) => None,
            None => reason::of_names(&what),
        };
        let first = first.map(shortened);
        findings.push(Finding { path: format!("/{}", path.display()), what, first, reason });
    }
    Ok(findings)
}

fn aspects(one: &Entry, other: &Entry) -> Vec<Aspect> {
    let (Entry::Node(one, one_content), Entry::Node(other, other_content)) = (one, other) else {
        return if one == other { Vec::new() } else { vec![Aspect::Kind] };
    };
    let same_kind = discriminant(&one.kind) == discriminant(&other.kind);
    let differs = [
        (Aspect::Kind, !same_kind),
        (Aspect::Content, same_kind && (&one.kind, one_content) != (&other.kind, other_content)),
        (Aspect::Mode, one.mode != other.mode),
        (Aspect::Owner, (one.uid, one.gid) != (other.uid, other.gid)),
        (Aspect::Time, one.mtime != other.mtime),
        (Aspect::Attributes, one.xattrs != other.xattrs),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
}

/// Finds where two files first differ; nothing when that is far behind.
fn first_difference(one: &Path, other: &Path) -> io::Result<Option<Place>> {
    let read = |path: &Path| {
        let mut bytes = Vec::new();
        fs_err::File::open(path)?.take(LONGEST_FILE).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let (one, other) = (read(one)?, read(other)?);
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    if same == one.len() && same == other.len() {
        return Ok(None);
    }
    let is_text = |bytes: &[u8]| !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
    if !is_text(&one) || !is_text(&other) {
        return Ok(Some(Place::Binary { byte: same as u64 }));
    }
    let line = one[..same].iter().filter(|byte| **byte == b'\n').count();
    let nth = |bytes: &[u8]| {
        let line = bytes.split(|byte| *byte == b'\n').nth(line).unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    };
    Ok(Some(Place::Text { line: line + 1, here: nth(&one), elsewhere: nth(&other) }))
}

/// Leaves of long lines what is around their first difference.
fn shortened(place: Place) -> Place {
    let Place::Text { line, here, elsewhere } = place else { return place };
    let (one, other): (Vec<char>, Vec<char>) = (here.chars().collect(), elsewhere.chars().collect());
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let from = if one.len().max(other.len()) > LONGEST_LINE { same.saturating_sub(40) } else { 0 };
    let part = |all: &[char]| {
        let text: String = all.iter().skip(from).take(LONGEST_LINE).collect();
        let cut = all.len() > from + LONGEST_LINE;
        format!("{}{text}{}", if from > 0 { "..." } else { "" }, if cut { "..." } else { "" })
    };
    Place::Text { line, here: part(&one), elsewhere: part(&other) }
}

#[cfg(test)]
mod tests {
    use casque_image::layer::{LayerOptions, LayerStore};
    use tempfile::TempDir;

    use super::*;

    /// Returns what differs between two trees, each made by one of the functions.
    fn compared(first: impl Fn(&Path), second: impl Fn(&Path)) -> String {
        let place = TempDir::new().unwrap();
        fs_err::create_dir(place.path().join("none")).unwrap();
        let store = LayerStore::open(&place.path().join("layers")).unwrap();
        let sides = [("one", &first as &dyn Fn(&Path)), ("other", &second)].map(|(name, make)| {
            let root = place.path().join(name);
            fs_err::create_dir_all(root.join("etc")).unwrap();
            make(&root);
            let paths = casque_image::diff::all_candidates(&place.path().join("none"), &root);
            let paths = paths.unwrap().into_iter().map(casque_image::diff::Change::Present);
            let changes: Vec<_> = paths.collect();
            let layer = store.write_changes(&root, &changes, &LayerOptions::default()).unwrap();
            (root, entries(fs_err::File::open(&layer.path).unwrap()).unwrap())
        });
        let machine = Elsewhere { host_name: "elsewhere", processors: (64, 1), files: Vec::new() };
        let [(one, before), (other, after)] = sides;
        let found = differing(&before, &after, (&one, &other), &machine).unwrap();
        found.iter().map(|finding| format!("{finding}\n")).collect()
    }

    #[test]
    fn each_file_that_differs_is_named_with_what_differs_and_where() {
        let same = |root: &Path| fs_err::write(root.join("etc/same"), "same").unwrap();
        let put = |root: &Path, name: &str, bytes: &[u8]| {
            fs_err::write(root.join("etc").join(name), bytes).unwrap()
        };
        let found = compared(
            |root| {
                same(root);
                put(root, "app.conf", b"# app\nworkers = 129\n");
                put(root, "binary", b"a\0b");
                put(root, "only-first", b"");
                put(root, "link", b"");
                put(root, "mode", b"");
            },
            |root| {
                same(root);
                put(root, "app.conf", b"# app\nworkers = 3\n");
                put(root, "binary", b"a\0c");
                put(root, "only-second", b"");
                std::os::unix::fs::symlink("same", root.join("etc/link")).unwrap();
                put(root, "mode", b"");
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs_err::set_permissions(root.join("etc/mode"), mode).unwrap();
            },
        );
        insta::assert_snapshot!(found, @r"
        `/etc/app.conf`: other content; line 2: `workers = 129` became `workers = 3`; looks like 2 × the number of processors + 1
        `/etc/binary`: other content; from byte 2 on
        `/etc/link`: another kind, another mode
        `/etc/mode`: another mode
        `/etc/only-first`: is there the first time only; a name may hold a time, a random or a process number
        `/etc/only-second`: is there the second time only; a name may hold a time, a random or a process number
        ");
        assert_eq!(compared(same, same), "");
    }

    #[test]
    fn of_a_long_line_the_part_that_differs_is_shown() {
        let long = |end: &str| Place::Text {
            line: 1,
            here: format!("{}{end}", "x".repeat(500)),
            elsewhere: "x".repeat(500),
        };
        let Place::Text { here, elsewhere, .. } = shortened(long("tail")) else { panic!("no text") };
        assert_eq!(here, format!("...{}tail", "x".repeat(40)));
        assert_eq!(elsewhere, format!("...{}", "x".repeat(40)));
    }
}
