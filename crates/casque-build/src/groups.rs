//! Which owners of files share a layer.
//!
//! A group must not change when an owner that is not in it does, comes or goes. So the biggest owners are alone, and
//! the others are spread by a hash of their names over a number of layers that is always the same.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::digest::Digest;

/// From this size on an owner may have a layer of its own.
const BIG: u64 = 8_000_000;

/// Owners that share a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The one owner, or a number.
    pub(crate) name: String,
    pub(crate) owners: BTreeSet<String>,
}

/// Returns groups of owners, given with the sizes of what they have, at most `most` of them.
pub(crate) fn groups(sizes: &BTreeMap<String, u64>, most: usize) -> Vec<Group> {
    if most == 0 {
        return Vec::new();
    }
    let mut big: Vec<(&u64, &String)> =
        sizes.iter().filter(|(_, size)| **size >= BIG).map(|(owner, size)| (size, owner)).collect();
    big.sort_by(|(size, owner), (other_size, other)| (other_size, owner).cmp(&(size, other)));
    big.truncate(most / 3);
    let alone: BTreeSet<&String> = big.iter().map(|(_, owner)| *owner).collect();
    let buckets = most - most / 3;
    let mut shared: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for owner in sizes.keys().filter(|owner| !alone.contains(owner)) {
        shared.entry(bucket(owner, buckets)).or_default().insert(owner.clone());
    }
    let alone = alone.into_iter().map(|owner| Group { name: owner.clone(), owners: [owner.clone()].into() });
    let shared = shared.into_iter().map(|(number, owners)| Group { name: (number + 1).to_string(), owners });
    alone.chain(shared).collect()
}

fn bucket(owner: &str, buckets: usize) -> usize {
    let digest = Digest::of(owner.as_bytes());
    let first = digest.as_bytes().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (first % buckets as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(owners: &[(&str, u64)]) -> BTreeMap<String, u64> {
        owners.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect()
    }

    fn small(count: usize) -> BTreeMap<String, u64> {
        (0..count).map(|number| (format!("p{number}"), 100_000)).collect()
    }

    #[test]
    fn the_biggest_are_alone_and_the_number_of_groups_is_bounded() {
        let mut owners = small(50);
        owners.extend(sizes(&[("glibc", 15 * BIG), ("perl", 2 * BIG), ("gcc", BIG), ("curl", BIG - 1)]));
        let made = groups(&owners, 6);
        let names: Vec<&str> = made.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["glibc", "perl", "1", "2", "3", "4"]);
        let all: usize = made.iter().map(|group| group.owners.len()).sum();
        assert_eq!(all, owners.len());
        assert_eq!(groups(&owners, 1).len(), 1);
        assert_eq!(groups(&owners, 0), []);
    }

    #[test]
    fn a_new_owner_moves_no_other() {
        let before = groups(&small(40), 6);
        let mut owners = small(40);
        owners.insert("one-more".to_owned(), 5);
        let mut after = groups(&owners, 6);
        for group in &mut after {
            group.owners.remove("one-more");
        }
        assert_eq!(after, before);
    }
}
