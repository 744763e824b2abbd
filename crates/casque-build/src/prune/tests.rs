//! Pruning a cache of small entries, whose times are set by hand.

use std::time::Duration;

use casque_image::layer::LayerOptions;
use fs_err as fs;
use tempfile::TempDir;

use super::*;
use crate::stage::StageLayer;

struct Scratch {
    directory: TempDir,
    cache: Cache,
}

impl Scratch {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let cache = Cache::open_alone(directory.path()).unwrap();
        Self { directory, cache }
    }

    fn layer(&self, content: &str) -> Digest {
        let tree = TempDir::new().unwrap();
        fs::write(tree.path().join("file"), content).unwrap();
        self.cache.layers().write_tree(tree.path(), &LayerOptions::default()).unwrap().diff_id
    }

    /// Keeps a stage that was last used so many days after 1970.
    fn stage(&self, name: &str, layers: &[Digest], day: u64) -> Digest {
        let key = Digest::of(name.as_bytes());
        let made = TempDir::new_in(self.directory.path()).unwrap();
        fs::create_dir(made.path().join("tree")).unwrap();
        let layer = |diff_id: &Digest| StageLayer {
            name: name.to_owned(),
            created_by: String::new(),
            diff_id: *diff_id,
        };
        let record = Record {
            name: name.to_owned(),
            layers: layers.iter().map(layer).collect(),
            beneath: None,
            vendor: false,
            report: None,
        };
        let record = serde_json::to_vec(&record).unwrap();
        fs::write(made.path().join("stage.json"), record).unwrap();
        self.cache.keep(&key, made.path()).unwrap();
        let record = self.directory.path().join("stages").join(key.to_string()).join("stage.json");
        fs::File::open(record).unwrap().file().set_modified(day_of(day)).unwrap();
        key
    }

    fn there(&self, key: &Digest) -> bool {
        self.directory.path().join("stages").join(key.to_string()).exists()
    }

    fn has(&self, layer: &Digest) -> bool {
        self.cache.layers().get(layer).unwrap().is_some()
    }
}

fn day_of(day: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400)
}

#[test]
fn what_was_not_used_for_a_while_goes_with_the_layers_that_nobody_else_has() {
    let scratch = Scratch::new();
    let [shared, own, orphan] = ["shared", "own", "orphan"].map(|name| scratch.layer(name));
    let old = scratch.stage("old", &[shared, own], 10);
    let new = scratch.stage("new", &[shared], 20);
    let pruned = scratch.cache.prune(&Prune { before: Some(day_of(15)), ..Prune::default() }).unwrap();
    assert_eq!(pruned.entries, 3);
    assert_eq!([scratch.there(&old), scratch.there(&new)], [false, true]);
    assert_eq!([shared, own, orphan].map(|layer| scratch.has(&layer)), [true, false, false]);
    assert!(scratch.cache.stage(&new).unwrap().is_some());
}

#[test]
fn a_stage_that_is_used_is_new_again() {
    let scratch = Scratch::new();
    let layer = scratch.layer("x");
    let key = scratch.stage("a", &[layer], 10);
    assert!(scratch.cache.stage(&key).unwrap().is_some());
    scratch.cache.prune(&Prune { before: Some(day_of(15)), ..Prune::default() }).unwrap();
    assert!(scratch.there(&key));
}

#[test]
fn layers_stay_untouched_by_who_uses_their_stage_and_were_used_when_it_was() {
    let scratch = Scratch::new();
    let layer = scratch.layer("x");
    let key = scratch.stage("a", &[layer], 10);
    let path = scratch.cache.layers().get(&layer).unwrap().unwrap().path;
    let file = fs::File::open(&path).unwrap();
    file.file().set_modified(day_of(5)).unwrap();
    let before = file.metadata().unwrap();
    assert!(scratch.cache.stage(&key).unwrap().is_some());
    let after = file.metadata().unwrap();
    assert_eq!(
        (after.mtime(), after.ctime(), after.ctime_nsec()),
        (before.mtime(), before.ctime(), before.ctime_nsec())
    );
    let usage = scratch.cache.usage().unwrap();
    let used = |kind| usage.kinds.iter().find(|one| one.kind == kind).unwrap().last_used;
    assert!(used(LAYERS) == used(STAGES) && used(LAYERS) > Some(5 * 86_400));
}

#[test]
fn what_was_used_longest_ago_goes_until_the_rest_fits() {
    let scratch = Scratch::new();
    let keys: Vec<Digest> = (0..4)
        .map(|day| {
            let layer = scratch.layer(&day.to_string().repeat(100_000));
            scratch.stage(&format!("s{day}"), &[layer], 10 + day)
        })
        .collect();
    let all = scratch.cache.usage().unwrap().bytes;
    scratch.cache.prune(&Prune { most_bytes: Some(all / 2), ..Prune::default() }).unwrap();
    let there: Vec<bool> = keys.iter().map(|key| scratch.there(key)).collect();
    assert_eq!(there, [false, false, true, true]);
    assert!(scratch.cache.usage().unwrap().bytes <= all / 2);
    scratch.cache.prune(&Prune { all: true, ..Prune::default() }).unwrap();
    assert_eq!(scratch.cache.usage().unwrap().bytes, 0);
}

#[test]
fn what_a_killed_writer_left_goes_when_nobody_writes() {
    let directory = TempDir::new().unwrap();
    let first = Cache::open(directory.path()).unwrap();
    let left = directory.path().join("layers/sha256/.tmpAbc123");
    fs::write(&left, "half a layer").unwrap();
    let second = Cache::open(directory.path()).unwrap();
    assert!(left.exists());
    drop((first, second));
    Cache::open(directory.path()).unwrap();
    assert!(!left.exists());
}

#[test]
fn a_cache_that_is_used_is_not_open_alone() {
    let directory = TempDir::new().unwrap();
    assert!(!Cache::in_use(directory.path()).unwrap());
    let first = Cache::open(directory.path()).unwrap();
    let second = Cache::open(directory.path()).unwrap();
    drop(first);
    assert!(Cache::in_use(directory.path()).unwrap());
    drop(second);
    assert!(!Cache::in_use(directory.path()).unwrap());
}
