//! The user that a container runs as, by number: names would need the image's own user database.

use std::str::FromStr;

use casque_sandbox::Identity;
use serde::{Deserialize, Serialize};

/// A user and a group, written `UID` or `UID:GID`. The group of a bare number is 0, as engines have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Returns whom the sandbox is to become; root is what it is already.
    pub(crate) fn identity(self) -> Option<Identity> {
        let Self { uid, gid } = self;
        ((uid, gid) != (0, 0)).then(|| Identity { uid, gid, groups: Vec::new() })
    }
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
        match (uid.parse(), gid.parse()) {
            (Ok(uid), Ok(gid)) => Ok(Self { uid, gid }),
            _ => Err("expected numbers such as `1234567` or `1234567:0`".to_owned()),
        }
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_number_and_its_group_is_0_unless_it_is_given() {
        let identity = |text: &str| text.parse::<User>().map(User::identity);
        let user = |uid, gid| Ok(Some(Identity { uid, gid, groups: Vec::new() }));
        assert_eq!(identity("1234567"), user(1_234_567, 0));
        assert_eq!(identity("900:901"), user(900, 901));
        assert_eq!(identity("0"), Ok(None));
        for text in ["", "web", "900:", ":0", "-1", "900:web", "1:2:3"] {
            assert_eq!(
                identity(text),
                Err("expected numbers such as `1234567` or `1234567:0`".to_owned()),
                "{text}"
            );
        }
    }
}
