//! Users and groups of a root filesystem, read from its own files: numbers are decided when the image is built.

use std::path::Path;

use casque_format::run::Identity;
use casque_image::resolve::located;

/// The users and groups of one root filesystem, passwd(5) and group(5).
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: Vec<UserLine>,
    groups: Vec<GroupLine>,
}

#[derive(Debug, Clone)]
struct UserLine {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

#[derive(Debug, Clone)]
struct GroupLine {
    name: String,
    gid: u32,
    members: Vec<String>,
}

impl Accounts {
    /// Reads `etc/passwd` and `etc/group` under `root`; a missing file has no lines.
    pub fn of_root(root: &Path) -> Self {
        let read = |name| fs_err::read_to_string(located(root, Path::new(name))?);
        let text = |name| read(name).unwrap_or_default();
        Self::parse(&text("etc/passwd"), &text("etc/group"))
    }

    pub(crate) fn parse(passwd: &str, group: &str) -> Self {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let users = passwd.lines().map(fields).filter_map(|fields| match &fields[..] {
            [name, _, uid, gid, _, home, ..] => Some(UserLine {
                name: name.clone(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: home.clone(),
            }),
            _ => None,
        });
        let groups = group.lines().map(fields).filter_map(|fields| match &fields[..] {
            [name, _, gid, members, ..] => Some(GroupLine {
                name: name.clone(),
                gid: gid.parse().ok()?,
                members: members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            }),
            _ => None,
        });
        Self { users: users.collect(), groups: groups.collect() }
    }

    /// Returns the user of that name with its groups, `group` in place of its primary one when given.
    pub fn identity(&self, user: &str, group: Option<&str>) -> Option<Identity> {
        let line = self.users.iter().find(|line| line.name == user)?;
        let gid = match group {
            Some(group) => self.groups.iter().find(|line| line.name == group)?.gid,
            None => line.gid,
        };
        let member = |group: &&GroupLine| group.members.iter().any(|name| name == user);
        let mut groups: Vec<u32> =
            self.groups.iter().filter(member).map(|group| group.gid).filter(|other| *other != gid).collect();
        groups.sort_unstable();
        groups.dedup();
        Some(Identity { name: user.to_owned(), uid: line.uid, gid, groups, home: line.home.clone() })
    }

    /// Returns the number of the user with this name.
    pub(crate) fn uid(&self, name: &str) -> Option<u32> {
        self.users.iter().find(|line| line.name == name).map(|line| line.uid)
    }

    /// Returns the name of the user with this number.
    pub(crate) fn name(&self, uid: u32) -> Option<&str> {
        self.users.iter().find(|line| line.uid == uid).map(|line| line.name.as_str())
    }

    /// Returns the numbers of a user and of its primary group, when that has no other member and neither is root's.
    pub(crate) fn with_own_group(&self, uid: u32) -> Option<(u32, u32)> {
        let user = self.users.iter().find(|line| line.uid == uid)?;
        let others = self.users.iter().any(|line| line.gid == user.gid && line.uid != uid);
        let members =
            self.groups.iter().filter(|group| group.gid == user.gid).flat_map(|group| &group.members);
        let shared = others || members.into_iter().any(|name| *name != user.name);
        (uid != 0 && user.gid != 0 && !shared).then_some((uid, user.gid))
    }

    /// Returns every user's name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(|line| line.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_its_supplementary_groups_without_its_primary_one() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33:w:/var/www:/bin/false\n",
            "root:x:0:\nweb:x:33:web\nssl:x:110:web,root\nadm:x:4:web\n",
        );
        let web = accounts.identity("web", None).unwrap();
        assert_eq!((web.uid, web.gid, web.groups), (33, 33, vec![4, 110]));
        assert_eq!(accounts.identity("web", Some("ssl")).unwrap().gid, 110);
        assert!(accounts.identity("nobody", None).is_none());
        assert!(accounts.identity("web", Some("none")).is_none());
    }

    #[test]
    fn a_group_is_a_users_own_when_nobody_else_is_in_it() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33:w:/:/\ndb:x:34:34:d:/:/\nother:x:35:36:d:/:/\nlast:x:36:36:d:/:/\n",
            "root:x:0:\nweb:x:33:web\ndb:x:34:web\nother:x:36:\n",
        );
        assert_eq!(accounts.with_own_group(33), Some((33, 33)));
        for uid in [0, 34, 35, 36, 99] {
            assert_eq!(accounts.with_own_group(uid), None, "{uid}");
        }
    }
}
