//! Subordinate ids: which numbers of the host an ordinary user may use beside his own (subuid(5)).

use std::path::{Path, PathBuf};

/// How many users, and how many groups, a root file system may have: Debian's highest is 65534.
pub const NEEDED: u32 = 65_535;

/// Where the numbers of users are given out.
pub const USERS: &str = "/etc/subuid";
/// Where the numbers of groups are given out.
pub const GROUPS: &str = "/etc/subgid";

/// A row of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// Why there is no range to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The file names neither the user's name nor his number, or is not there.
    None {
        /// The file.
        file: PathBuf,
    },
    /// What it gives him is not enough for a distribution.
    Few {
        /// The file.
        file: PathBuf,
        /// The largest row.
        count: u32,
    },
}

/// Returns the first row of `text` that is long enough, for the user of this name or number.
pub fn usable(file: &Path, text: &str, user: &str, uid: u32) -> Result<Range, Lack> {
    let uid = uid.to_string();
    let rows: Vec<Range> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let row = Range { first: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
            (owner == user || owner == uid).then_some(row)
        })
        .collect();
    match rows.iter().find(|row| row.count >= NEEDED) {
        Some(row) => Ok(*row),
        None => match rows.iter().map(|row| row.count).max() {
            None => Err(Lack::None { file: file.to_owned() }),
            Some(count) => Err(Lack::Few { file: file.to_owned(), count }),
        },
    }
}

/// Returns the name of user `uid` from the text of passwd(5); his number when it has none.
pub fn name_of(uid: u32, passwd: &str) -> String {
    let number = uid.to_string();
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    };
    passwd.lines().find_map(of).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Range, Lack> {
        usable(Path::new("/etc/subuid"), text, "ann", 1000)
    }

    #[test]
    fn a_row_is_found_by_name_and_by_number() {
        assert_eq!(of("bob:1:65536\nann:100000:65536\n"), Ok(Range { first: 100_000, count: 65_536 }));
        assert_eq!(of("1000:231072:65536"), Ok(Range { first: 231_072, count: 65_536 }));
    }

    #[test]
    fn the_first_row_that_is_long_enough_is_taken() {
        let text = "ann:500:10\nann:nonsense\nann:200000:65535\nann:300000:100000\n";
        assert_eq!(of(text), Ok(Range { first: 200_000, count: 65_535 }));
    }

    #[test]
    fn none_and_too_few_are_told_apart() {
        let file = PathBuf::from("/etc/subuid");
        assert_eq!(of("annette:100000:65536"), Err(Lack::None { file: file.clone() }));
        assert_eq!(of("ann:1:10\nann:20:65534"), Err(Lack::Few { file, count: 65_534 }));
    }

    #[test]
    fn a_user_without_a_name_is_known_by_his_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of(1000, passwd), "ann");
        assert_eq!(name_of(1001, passwd), "1001");
    }
}
