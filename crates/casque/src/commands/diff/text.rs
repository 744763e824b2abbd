//! A difference for people: what a customer has to act on comes first, what merely follows from it last.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::difference::{
    Aspect, Change, Difference, File, FileState, How, Item, Package, Side, Step,
};

use crate::ui::megabytes;

/// So many files of one layer are named unless all are asked for.
const MOST_FILES: usize = 8;
/// A longer value is cut.
const LONGEST: usize = 160;

/// Returns the lines that describe a difference; with `all_files` every path is named.
pub(crate) fn lines(difference: &Difference, all_files: bool) -> Vec<String> {
    let mut lines = head(difference);
    if difference.is_none() {
        return lines;
    }
    for (title, items) in [
        ("settings", &difference.settings),
        ("services", &difference.services),
        ("ports", &difference.ports),
        ("data directories", &difference.data),
        ("templates", &difference.templates),
    ] {
        section(&mut lines, title, items.iter().flat_map(item).collect(), items.len());
    }
    for (title, values) in [("product", &difference.product), ("image", &difference.image)] {
        section(
            &mut lines,
            title,
            values.iter().map(|value| format!("  {}", change(value))).collect(),
            values.len(),
        );
    }
    for (title, packages) in [("packages", &difference.packages), ("python", &difference.python)] {
        section(&mut lines, title, packages.iter().map(package).collect(), packages.len());
    }
    for (title, items) in [("users", &difference.users), ("groups", &difference.groups)] {
        section(&mut lines, title, items.iter().flat_map(item).collect(), items.len());
    }
    files(&mut lines, difference, all_files);
    layers(&mut lines, difference);
    lines
}

fn head(difference: &Difference) -> Vec<String> {
    let Difference { old, new, .. } = difference;
    if difference.is_none() {
        return vec![format!("both are {}", new.image_id)];
    }
    let side = |side: &Side| {
        let name = side.names.first().map_or("without a name", String::as_str);
        format!("{name}  {}", side.image_id)
    };
    let more = new.size as i64 - old.size as i64;
    let sign = if more < 0 { "-" } else { "+" };
    let mut lines = vec![
        format!("- {}", side(old)),
        format!("+ {}", side(new)),
        format!(
            "size: {} -> {} ({sign}{})",
            megabytes(old.size),
            megabytes(new.size),
            megabytes(more.unsigned_abs())
        ),
        format!("new for who has the old image: {}", megabytes(difference.download)),
    ];
    for (which, side) in [("old", old), ("new", new)] {
        if side.unread_layers > 0 {
            lines.push(format!(
                "the {which} image leaves out {} layers; what is in them was not compared",
                side.unread_layers
            ));
        }
    }
    lines
}

fn section(lines: &mut Vec<String>, title: &str, content: Vec<String>, count: usize) {
    if count > 0 {
        lines.extend([String::new(), format!("{title}: {count}")]);
        lines.extend(content);
    }
}

fn item(item: &Item) -> Vec<String> {
    let Item { name, how, was, description, changes } = item;
    let described = description.as_ref().map(|text| format!("  {text}")).unwrap_or_default();
    match how {
        How::Added => vec![format!("  + {name}{described}")],
        How::Removed => vec![format!("  - {name}{described}")],
        How::Renamed => vec![format!("  > {} is now {name}", was.as_deref().unwrap_or_default())],
        How::Changed => {
            let changes = changes.iter().map(|value| format!("      {}", change(value)));
            [format!("  ~ {name}")].into_iter().chain(changes).collect()
        }
    }
}

fn change(Change { what, old, new }: &Change) -> String {
    let value = |text: &String| {
        let mut cut: String = text.chars().take(LONGEST).collect();
        if cut.len() < text.len() {
            cut.push('…');
        }
        cut
    };
    match (old, new) {
        (Some(old), Some(new)) => format!("{what}: {} -> {}", value(old), value(new)),
        (None, Some(new)) => format!("{what}: {} (new)", value(new)),
        (Some(old), None) => format!("{what}: {} (gone)", value(old)),
        (None, None) => what.clone(),
    }
}

fn package(package: &Package) -> String {
    let Package { name, how, .. } = package;
    let version = |version: &Option<String>| version.clone().unwrap_or_default();
    let (old, new) = (version(&package.old), version(&package.new));
    match how {
        Step::Added => format!("  + {name} {new}"),
        Step::Removed => format!("  - {name} {old}"),
        Step::Upgraded | Step::Changed => format!("  ~ {name} {old} -> {new}"),
        Step::Downgraded => format!("  ~ {name} {old} -> {new} (earlier)"),
    }
}

fn files(lines: &mut Vec<String>, difference: &Difference, all: bool) {
    let files = &difference.files;
    if files.is_empty() {
        return;
    }
    let count = |how: How| files.iter().filter(|file| file.how == how).count();
    let (added, removed, changed) = (count(How::Added), count(How::Removed), count(How::Changed));
    lines.extend([String::new(), format!("files: {added} added, {removed} removed, {changed} changed")]);
    let expected = Expected::of(difference);
    let (shown, left): (Vec<&File>, Vec<&File>) =
        files.iter().partition(|file| all || !(expected.covers(file) || is_time_alone(file)));
    let (of_packages, later): (Vec<&File>, Vec<&File>) =
        left.into_iter().partition(|file| expected.covers(file));
    if !of_packages.is_empty() {
        lines.push(format!("  {} of the packages above", of_packages.len()));
    }
    if !later.is_empty() {
        lines.push(format!("  {} in their time alone", later.len()));
    }
    // What is gone is in no layer of the new image; it comes last.
    let mut by_layer: BTreeMap<Option<usize>, Vec<&File>> = BTreeMap::new();
    for file in shown {
        by_layer.entry(file.new.as_ref().map(|new| new.layer)).or_default().push(file);
    }
    let gone = by_layer.remove(&None);
    for (layer, files) in by_layer.into_iter().chain(gone.map(|files| (None, files))) {
        let made =
            layer.and_then(|layer| difference.layers.get(layer)).map(|layer| layer.created_by.as_str());
        lines.push(format!("  {}", made.unwrap_or("gone")));
        let most = if all { files.len() } else { MOST_FILES };
        lines.extend(files.iter().take(most).map(|one| format!("    {}", file(one))));
        if let Some(more) = files.len().checked_sub(most).filter(|more| *more > 0) {
            lines.push(format!("    and {more} more: see `--files`"));
        }
    }
}

/// What changed files follow from packages that changed.
struct Expected<'a> {
    owners: BTreeSet<&'a str>,
}

impl<'a> Expected<'a> {
    fn of(difference: &'a Difference) -> Self {
        let packages = difference.packages.iter().chain(&difference.python);
        Self { owners: packages.map(|package| package.name.split(':').next().unwrap_or_default()).collect() }
    }

    fn covers(&self, file: &File) -> bool {
        let records = !self.owners.is_empty() && file.path.starts_with("/var/lib/dpkg/");
        records || file.owner.as_ref().is_some_and(|owner| self.owners.contains(owner.name()))
    }
}

fn is_time_alone(file: &File) -> bool {
    file.what == [Aspect::Time]
}

fn file(file: &File) -> String {
    let owner = file.owner.as_ref().map(|owner| format!("  ({})", owner.name())).unwrap_or_default();
    let size = |state: &Option<FileState>| state.as_ref().and_then(|state| state.size);
    let bytes = |size: Option<u64>| size.map(|size| format!("  {size} bytes")).unwrap_or_default();
    let path = &file.path;
    match (file.how, &file.old, &file.new) {
        (How::Added | How::Renamed, ..) => format!("+ {path}{}{owner}", bytes(size(&file.new))),
        (How::Removed, ..) => format!("- {path}{}{owner}", bytes(size(&file.old))),
        (How::Changed, Some(old), Some(new)) => {
            let parts: Vec<String> = file.what.iter().map(|aspect| described(*aspect, old, new)).collect();
            format!("~ {path}  {}{owner}", parts.join(", "))
        }
        (How::Changed, ..) => format!("~ {path}{owner}"),
    }
}

fn described(aspect: Aspect, old: &FileState, new: &FileState) -> String {
    match aspect {
        Aspect::Kind => format!("{} -> {}", old.kind, new.kind),
        Aspect::Content => match (old.size, new.size, &old.target, &new.target) {
            (Some(before), Some(after), ..) if before == after => format!("other content, {after} bytes"),
            (Some(before), Some(after), ..) => format!("{before} -> {after} bytes"),
            (_, _, Some(before), Some(after)) => format!("to {before} -> to {after}"),
            _ => "another device".to_owned(),
        },
        Aspect::Mode => format!("mode {} -> {}", old.mode, new.mode),
        Aspect::Owner => format!("owner {}:{} -> {}:{}", old.uid, old.gid, new.uid, new.gid),
        Aspect::Attributes => "extended attributes".to_owned(),
        Aspect::Time => "time".to_owned(),
    }
}

fn layers(lines: &mut Vec<String>, difference: &Difference) {
    let (shared, new): (Vec<_>, Vec<_>) = difference.layers.iter().partition(|layer| layer.shared);
    let shared_bytes = shared.iter().map(|layer| layer.size).sum();
    let summary = format!(
        "layers: {} new, {}; {} in both, {}",
        new.len(),
        megabytes(difference.download),
        shared.len(),
        megabytes(shared_bytes)
    );
    lines.extend([String::new(), summary]);
    lines.extend(new.iter().map(|layer| format!("  + {:>9}  {}", megabytes(layer.size), layer.created_by)));
}

#[cfg(test)]
mod tests;
