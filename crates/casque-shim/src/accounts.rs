//! Users and groups of the root filesystem, read from its own files.
//!
//! A static program must not ask the C library, which would load the name service's modules.

use fs_err as fs;
use thiserror::Error;

use crate::root::Root;

/// Who runs a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// For `USER`.
    pub(crate) name: String,
    /// User id.
    pub(crate) uid: u32,
    /// Primary group id.
    pub(crate) gid: u32,
    /// Every group id, the primary one too.
    pub(crate) groups: Vec<u32>,
    /// For `HOME`.
    pub(crate) home: String,
}

/// A name that the files do not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum AccountError {
    /// No such user.
    #[error("user `{0}` is not in `/etc/passwd`")]
    User(String),
    /// No such group.
    #[error("group `{0}` is not in `/etc/group`")]
    Group(String),
}

/// The two files.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads both files; one that is missing has no entries.
    pub(crate) fn read(root: &Root) -> Self {
        let text = |path| fs::read_to_string(root.path(path)).unwrap_or_default();
        Self { passwd: text("/etc/passwd"), group: text("/etc/group") }
    }

    /// Returns the user named, or numbered, with another primary group and further ones where given.
    pub(crate) fn identity(
        &self,
        user: &str,
        group: Option<&str>,
        supplementary: &[String],
    ) -> Result<Identity, AccountError> {
        let entry = self
            .passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.len() >= 6 && (fields[0] == user || fields[2] == user))
            .ok_or_else(|| AccountError::User(user.to_owned()))?;
        let number = |text: &str| text.parse().map_err(|_| AccountError::User(user.to_owned()));
        let gid = match group {
            Some(group) => self.group_id(group)?,
            None => number(entry[3])?,
        };
        let mut groups = vec![gid];
        groups.extend(self.memberships(entry[0]));
        for name in supplementary {
            groups.push(self.group_id(name)?);
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(Identity {
            name: entry[0].to_owned(),
            uid: number(entry[2])?,
            gid,
            groups,
            home: entry[5].to_owned(),
        })
    }

    fn group_id(&self, name: &str) -> Result<u32, AccountError> {
        self.groups()
            .find(|(known, id, _)| *known == name || id.to_string() == name)
            .map(|(_, id, _)| id)
            .ok_or_else(|| AccountError::Group(name.to_owned()))
    }

    fn memberships(&self, user: &str) -> impl Iterator<Item = u32> {
        self.groups()
            .filter(move |(_, _, members)| members.split(',').any(|member| member == user))
            .map(|(_, id, _)| id)
    }

    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            Some((name, id.parse().ok()?, fields.next().unwrap_or_default()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/bash\nredis:x:101:102::/var/lib/redis:/bin/false\n"
                .to_owned(),
            group: "root:x:0:\nredis:x:102:\nssl:x:110:redis,www\nadm:x:4:\n".to_owned(),
        }
    }

    #[test]
    fn a_user_brings_every_group_it_is_a_member_of() {
        let redis = accounts().identity("redis", None, &["adm".to_owned()]).unwrap();
        assert_eq!((redis.uid, redis.gid, redis.groups), (101, 102, vec![4, 102, 110]));
        assert_eq!(accounts().identity("101", Some("0"), &[]).unwrap().gid, 0);
    }

    #[test]
    fn an_unknown_name_is_named() {
        let message = |user, group| accounts().identity(user, group, &[]).unwrap_err().to_string();
        assert_eq!(message("nobody", None), "user `nobody` is not in `/etc/passwd`");
        assert_eq!(message("redis", Some("none")), "group `none` is not in `/etc/group`");
    }
}
