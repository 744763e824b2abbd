//! A volume that another user has written, and the line that hands it over.
//!
//! A user other than root runs all services as itself; root gives each its own. Neither can read what the other has left,
//! and databases would say so in words of their own.

use std::io;
use std::os::unix::fs::MetadataExt;

use casque_format::image::{DataDirectory, ImagePlan};
use casque_format::paths::{DATA, PERSISTED, STAMP};
use casque_format::stamp::Stamp;

use crate::root::Root;

/// The user who has written a volume, and how this one gets it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who has written it.
    pub writer: u32,
    /// What to do.
    pub remedy: String,
}

/// Refuses the volume of `stamp` when another than `uid` has written it and it was not handed over since.
pub fn judge(root: &Root, plan: &ImagePlan, stamp: &Stamp, uid: u32) -> io::Result<Option<Refusal>> {
    let Some(writer) = stamp.uid.filter(|writer| *writer != uid) else { return Ok(None) };
    // The line below gives everything another owner, so the file's own tells whether it was run.
    if fs_err::metadata(root.join(STAMP))?.uid() != writer {
        return Ok(None);
    }
    let remedy =
        format!("start with `--user {writer}:0` as before, or hand it over once with `{}`", line(plan, uid));
    Ok(Some(Refusal { writer, remedy }))
}

/// Returns the line that gives all of the volume to `uid`, and each service its own where that is root.
pub fn line(plan: &ImagePlan, uid: u32) -> String {
    let run = format!("docker run --rm --user 0 -v NAME:{DATA} IMAGE");
    let owned =
        |place: &str, one: &DataDirectory| format!("chown -R {}:{} {place}{}", one.uid, one.gid, one.path);
    let below = plan.data.iter().map(|one| owned("", one));
    let parts: Vec<String> = below.chain(plan.persist.iter().map(|one| owned(PERSISTED, one))).collect();
    if uid != 0 || parts.is_empty() {
        return format!("{run} /bin/chown -R {uid} {DATA}");
    }
    format!("{run} /bin/sh -c 'chown -R 0 {DATA} && {}'", parts.join(" && "))
}

#[cfg(test)]
mod tests {
    use casque_format::stamp::VERSION;

    use super::*;
    use crate::plan::tests::plan;

    #[test]
    fn the_line_for_root_gives_each_service_its_own() {
        let directory =
            |path: &str, uid| DataDirectory { path: path.to_owned(), uid, gid: uid + 1, mode: 0o700 };
        let one = ImagePlan {
            data: vec![directory("/data/db", 7)],
            persist: vec![directory("/var/lib/x", 8)],
            ..plan()
        };
        assert_eq!(
            line(&one, 0),
            "docker run --rm --user 0 -v NAME:/data IMAGE /bin/sh -c \
             'chown -R 0 /data && chown -R 7:8 /data/db && chown -R 8:9 /data/persist/var/lib/x'"
        );
        assert_eq!(line(&one, 9), "docker run --rm --user 0 -v NAME:/data IMAGE /bin/chown -R 9 /data");
    }

    #[test]
    fn a_volume_is_anothers_until_it_is_handed_over() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        fs_err::create_dir_all(root.join("/data/casque")).unwrap();
        fs_err::write(root.join(STAMP), "").unwrap();
        let own = rustix::process::geteuid().as_raw();
        let stamp = |uid| Stamp {
            version: VERSION,
            product: "a/b".to_owned(),
            product_version: "1".to_owned(),
            instance: String::new(),
            uid,
            update: None,
        };
        let judge = |writer, uid| judge(&root, &plan(), &stamp(writer), uid).unwrap();
        assert_eq!(judge(Some(own), own), None);
        assert_eq!(judge(None, own + 1), None, "one that was written before anybody noted it");
        assert_eq!(judge(Some(own + 1), own), None, "the file has another owner since");
        let refusal = judge(Some(own), own + 1).unwrap();
        assert_eq!(refusal.writer, own);
        assert!(refusal.remedy.starts_with(&format!("start with `--user {own}:0` as before, or ")));
    }
}
