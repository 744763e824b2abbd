//! `restore`: a backup from stdin into an empty volume, all of it or nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use casque_format::backup::{Header, Told};
use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::stamp::Stamp;
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};

use super::backup::{Shown, Teller};
use crate::backup::{Backup, Keys, Owners, Room, Stage, Trouble, Unusable, check_room};
use crate::cli::Restore;
use crate::env::Environment;
use crate::error::Error;
use crate::prepare::read_plan;
use crate::root::Root;
use crate::write::{self, Access};
use crate::{seed, stamp, ui};

/// Reads the backup to its end before anything of it is in the volume; returns what was done.
pub fn run(root: &Root, options: &Restore, environment: &Environment) -> Result<String, Error> {
    umask(Mode::from_raw_mode(0o022));
    let teller = Teller { json: options.json };
    let input = ui::piped().ok_or(Error::NoInput)?;
    let keys = Keys::of(options.identity.as_deref(), options.passphrase_file.as_deref(), environment);
    let keys = keys.map_err(Error::BackupKey)?;
    let plan = read_plan(root)?;
    let input = keys.open(BufReader::with_capacity(1 << 16, File::from(input))).map_err(Error::Backup)?;
    let backup = Backup::open(input).map_err(|problem| Error::Backup(problem.into()))?;
    if options.check {
        let mut shown = Shown::of(backup.header().bytes);
        let header = backup.read(None, &mut |bytes| shown.step(bytes, &teller)).map_err(Error::Backup)?;
        let text = format!("the backup is whole: {}", summary(&header));
        teller.tell(&Told::Verified { header }, &text);
        return Ok(String::new());
    }
    backup.check_product(&plan.product).map_err(|problem| Error::Backup(problem.into()))?;
    restore(root, &plan, backup, options, &teller).map_err(Error::Backup)?;
    Ok(String::new())
}

fn restore(
    root: &Root,
    plan: &ImagePlan,
    backup: Backup<impl BufRead>,
    options: &Restore,
    teller: &Teller,
) -> Result<(), Trouble> {
    let uid = geteuid().as_raw();
    let header = backup.header().clone();
    let owners = Owners::of(plan, &header.stamp, uid);
    if owners.gives_away() && !seed::may_give_away() {
        return Err(Trouble::MayNotGive);
    }
    let room = Room::claim(root)?;
    let put = || {
        check_room(root, header.room)?;
        let mut stage = Stage::new(&room.new_root(), owners)?;
        let mut shown = Shown::of(header.bytes);
        backup.read(Some(&mut stage), &mut |bytes| shown.step(bytes, teller))?;
        rewrite_stamp(&room.new_root(), &header, uid, options.new_instance)
    };
    match put() {
        Ok(()) => room.commit()?,
        Err(trouble) => {
            room.abandon();
            return Err(trouble);
        }
    }
    teller.tell(&Told::Restored, &format!("restored: {}", summary(&header)));
    Ok(())
}

/// Notes who has written the volume now. The instance stays the same one, unless it is to be another.
fn rewrite_stamp(new: &Path, header: &Header, uid: u32, another: bool) -> Result<(), Trouble> {
    let path = new.join(paths::STAMP.trim_start_matches(paths::DATA).trim_start_matches('/'));
    let trouble = |source: io::Error| Trouble::File { what: "write", path: path.clone(), source };
    let found: Option<Stamp> =
        fs_err::read(&path).ok().and_then(|content| serde_json::from_slice(&content).ok());
    if found.as_ref() != Some(&header.stamp) {
        return Err(Unusable::Damaged("its stamp is not that of its header".to_owned()).into());
    }
    let mut stamp = Stamp { uid: Some(uid), ..header.stamp.clone() };
    if another {
        stamp.instance = stamp::new_instance().map_err(trouble)?;
    }
    let content = serde_json::to_vec_pretty(&stamp).map_err(io::Error::from);
    let written =
        content.and_then(|content| write::replace(&path, &content, Access { mode: 0o644, owner: None }));
    written.map_err(trouble)
}

fn summary(header: &Header) -> String {
    format!(
        "{} {}, instance {}, {} MiB in {} files, directories and links, {} secrets",
        header.stamp.product,
        header.product_version,
        header.stamp.instance,
        header.bytes.div_ceil(1 << 20),
        header.entries,
        header.secrets.len()
    )
}
