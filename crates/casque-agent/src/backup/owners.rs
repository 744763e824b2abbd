//! Who owns what is restored: services must be able to read it, whoever wrote it and whoever runs them now.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::stamp::Stamp;

/// Whom restored files belong to.
#[derive(Debug, PartialEq, Eq)]
pub enum Owners {
    /// Everything to this process, which is not root: whoever is not runs all services itself.
    Mine,
    /// As in the backup, since root wrote it.
    Kept,
    /// Another user than root wrote it, and root gives each service its own: path in the volume, user and group.
    Given(Vec<(String, u32, u32)>),
}

impl Owners {
    /// Decides for a backup with this stamp, restored by user `uid`.
    pub fn of(plan: &ImagePlan, stamp: &Stamp, uid: u32) -> Self {
        if uid != 0 {
            return Self::Mine;
        }
        if stamp.uid.unwrap_or(0) == 0 {
            return Self::Kept;
        }
        let within =
            |path: String| path.strip_prefix(paths::DATA).map(|path| path.trim_start_matches('/').to_owned());
        let below = plan.data.iter().map(|one| (one.path.clone(), one));
        let all =
            below.chain(plan.persist.iter().map(|one| (format!("{}{}", paths::PERSISTED, one.path), one)));
        Self::Given(all.filter_map(|(path, one)| Some((within(path)?, one.uid, one.gid))).collect())
    }

    /// Says whether files are given to others.
    pub fn gives_away(&self) -> bool {
        *self != Self::Mine
    }

    /// Returns whom `path` in the volume goes to, of whom the backup says `found`; none leaves it to this process.
    pub fn owner(&self, path: &Path, found: (u32, u32)) -> Option<(u32, u32)> {
        match self {
            Self::Mine => None,
            Self::Kept => Some(found),
            Self::Given(given) => {
                let path = path.as_os_str().as_bytes();
                let holds = |directory: &str| {
                    let rest = path.strip_prefix(directory.as_bytes());
                    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
                };
                let within = given.iter().filter(|(directory, ..)| holds(directory));
                let nearest = within.max_by_key(|(directory, ..)| directory.len());
                Some(nearest.map_or((0, 0), |(_, uid, gid)| (*uid, *gid)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use casque_format::image::DataDirectory;

    use super::*;

    fn stamp(uid: Option<u32>) -> Stamp {
        Stamp {
            version: 1,
            product: "a/b".to_owned(),
            product_version: "1".to_owned(),
            instance: String::new(),
            uid,
            update: None,
        }
    }

    #[test]
    fn root_keeps_owners_or_gives_each_service_its_own_and_others_own_everything() {
        let directory =
            |path: &str, uid| DataDirectory { path: path.to_owned(), uid, gid: uid + 1, mode: 0o700 };
        let plan = ImagePlan {
            data: vec![directory("/data/db", 7), directory("/data/db/inner", 9)],
            persist: vec![directory("/var/lib/x", 8)],
            ..crate::plan::tests::plan()
        };
        assert_eq!(Owners::of(&plan, &stamp(Some(0)), 0).owner(Path::new("db/1"), (5, 6)), Some((5, 6)));
        assert_eq!(Owners::of(&plan, &stamp(None), 0).owner(Path::new("db/1"), (5, 6)), Some((5, 6)));
        assert_eq!(Owners::of(&plan, &stamp(Some(0)), 54_321).owner(Path::new("db/1"), (5, 6)), None);
        let given = Owners::of(&plan, &stamp(Some(54_321)), 0);
        let owner = |path: &str| given.owner(Path::new(path), (54_321, 0)).unwrap();
        assert_eq!(owner("db"), (7, 8));
        assert_eq!(owner("db/deep/file"), (7, 8));
        assert_eq!(owner("db/inner/file"), (9, 10));
        assert_eq!(owner("dbx/file"), (0, 0));
        assert_eq!(owner("persist/var/lib/x/f"), (8, 9));
        assert_eq!(owner("casque/secrets/a"), (0, 0));
    }
}
