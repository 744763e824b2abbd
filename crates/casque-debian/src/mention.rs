//! In which order the indexes mention packages.
//!
//! Where several packages provide a name equally well, apt takes the one that its indexes mention last. That is rarely
//! asked, so the indexes are searched then and nothing is counted before.

use memchr::memmem;

/// Fields that mention packages, in the order in which apt reads a stanza.
const FIELDS: [&str; 10] = [
    "Package",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Recommends",
    "Suggests",
    "Enhances",
    "Provides",
];

/// Where a package is mentioned first: which index, where its stanza begins, which field, where in the text.
pub type Mention = (usize, usize, usize, usize);

/// The texts of the indexes, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mentions {
    indexes: Vec<String>,
}

impl Mentions {
    pub(crate) fn add(&mut self, index: String) {
        self.indexes.push(index);
    }

    pub(crate) fn first(&self, name: &str) -> Option<Mention> {
        let finder = memmem::Finder::new(name);
        self.indexes.iter().enumerate().find_map(|(number, index)| {
            let mut places = finder.find_iter(index.as_bytes());
            let start = places.find_map(|place| {
                field(index, place, name.len())?;
                Some(index[..place].rfind("\n\n").map_or(0, |end| end + 2))
            })?;
            let end = index[start..].find("\n\n").map_or(index.len(), |end| start + end);
            // A stanza may have its fields in any order.
            let places = finder.find_iter(&index.as_bytes()[start..end]).map(|place| start + place);
            let (field, place) =
                places.filter_map(|place| Some((field(index, place, name.len())?, place))).min()?;
            Some((number, start, field, place))
        })
    }
}

/// Returns the number of the field in which these bytes are the name of a package.
fn field(index: &str, place: usize, length: usize) -> Option<usize> {
    let before = index.as_bytes()[..place].last()?;
    let after = &index[place + length..];
    let qualified = after.starts_with(':') && !after.starts_with(":amd64");
    let ends = after.is_empty() || after.starts_with([' ', ',', '\n', '(', '|', ':']);
    if !b" ,|\n".contains(before) || !ends || qualified {
        return None;
    }
    let line = index[..place].rfind('\n').map_or(0, |end| end + 1);
    let name = index[line..place].split_once(':')?.0;
    FIELDS.iter().position(|field| *field == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(index: &str) -> Vec<&'static str> {
        let mut mentions = Mentions::default();
        mentions.add(index.to_owned());
        let mut names = ["one", "two", "three"];
        names.sort_by_key(|name| mentions.first(name));
        names.to_vec()
    }

    #[test]
    fn names_are_in_the_order_of_their_first_mention() {
        assert_eq!(order("Package: two\n\nPackage: three\n\nPackage: one\n"), ["two", "three", "one"]);
        assert_eq!(
            order(
                "Package: x\nSuggests: three (>= 1), one\n\nPackage: one\n\nPackage: two\n\nPackage: three\n"
            ),
            ["three", "one", "two"]
        );
    }

    #[test]
    fn within_a_stanza_the_fields_have_an_order_of_their_own() {
        assert_eq!(
            order("Package: x\nProvides: two\nRecommends: one\nBreaks: three\n"),
            ["three", "one", "two"]
        );
    }

    #[test]
    fn other_words_and_parts_of_names_are_no_mention() {
        let index = "Package: x\nDescription: one\nDepends: three-one, one-two, one:i386\n\nPackage: three\n\
                     Depends: two | one\n";
        assert_eq!(order(index), ["three", "two", "one"]);
    }
}
