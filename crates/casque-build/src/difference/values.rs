//! Documents compared value by value.
//!
//! They are taken as plain JSON and not as the types of today: the old image may come from an older casque, and what it says
//! is to be compared, not understood.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::difference::{Change, How, Item};
use serde_json::{Map, Value};

/// Keys that say what something is for.
const DESCRIPTION: &str = "description";

/// Compares two tables of named things. What went and what came are one thing renamed when they are alike in everything and
/// nothing else is.
pub(super) fn items(old: &Value, new: &Value) -> Vec<Item> {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let gone: BTreeMap<&String, &Value> = old.iter().filter(|(name, _)| !new.contains_key(*name)).collect();
    let come: BTreeMap<&String, &Value> = new.iter().filter(|(name, _)| !old.contains_key(*name)).collect();
    let renamed = renamed(&gone, &come);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut items = Vec::new();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        let was = renamed.get(name).map(|was| (*was).clone());
        let how = match (before, after) {
            _ if was.is_some() => How::Renamed,
            (None, _) => How::Added,
            (_, None) if renamed.values().any(|was| *was == name) => continue,
            (_, None) => How::Removed,
            _ => How::Changed,
        };
        let changes = match how {
            How::Renamed => Vec::new(),
            _ => changes(before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null)),
        };
        if how == How::Changed && changes.is_empty() {
            continue;
        }
        let description =
            after.or(before).and_then(|value| value.get(DESCRIPTION)?.as_str()).map(str::to_owned);
        items.push(Item { name: name.clone(), how, was, description, changes });
    }
    items
}

/// Returns the new names of what was renamed, with the old ones.
fn renamed<'a>(
    gone: &BTreeMap<&'a String, &'a Value>,
    come: &BTreeMap<&'a String, &'a Value>,
) -> BTreeMap<&'a String, &'a String> {
    let only = |among: &BTreeMap<&'a String, &'a Value>, value: &Value| {
        let mut alike = among.iter().filter(|(_, other)| **other == value);
        alike.next().filter(|_| alike.next().is_none()).map(|(name, _)| *name)
    };
    let pair = |(name, value): (&&'a String, &&'a Value)| {
        // A port or a flag says nothing by which one could know it again.
        let telling = value.as_object().is_some_and(|table| !table.is_empty());
        let was = only(gone, value).filter(|_| telling)?;
        only(come, value).map(|_| (*name, was))
    };
    come.iter().filter_map(pair).collect()
}

/// Compares two documents value by value, sorted by the values' names.
pub(super) fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let (old, new) = (leaves(old), leaves(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |what: &String| {
        let (old, new) = (old.get(what).cloned(), new.get(what).cloned());
        (old != new).then(|| Change { what: what.clone(), old, new })
    };
    names.into_iter().filter_map(change).collect()
}

/// Returns every value that is no table, by its name with dots. A list is one value: its order may matter.
fn leaves(document: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(document, String::new(), &mut found);
    found
}

fn collect(value: &Value, name: String, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                collect(value, name, into);
            }
        }
        Value::Null => {}
        Value::String(text) => drop(into.insert(name, text.clone())),
        other => drop(into.insert(name, other.to_string())),
    }
}
