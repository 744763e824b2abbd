//! `verify`: whether an archive is the next release of this product, before anybody loads it.

use std::io::Read;

use casque_format::archive::{Expected, Installed, Order};
use casque_format::cron::minute;
use casque_format::image::ImagePlan;
use casque_sign::archive::{VerifiedArchive, verify};
use casque_sign::{KeyRing, PublicKey};
use serde_json::json;

use crate::error::Error;
use crate::ui;

/// The version of what `--json` prints.
const VERSION: u32 = 1;

/// Reads an archive to its end, and says what it is; anything wrong with it is an error.
pub fn run(plan: &ImagePlan, archive: impl Read, now: u64, as_json: bool) -> Result<String, Error> {
    if plan.verify_keys.is_empty() {
        return Err(Error::NoKey);
    }
    let keys = plan.verify_keys.iter().map(|key| PublicKey::parse(key));
    let ring = KeyRing::new(keys.collect::<Result<Vec<_>, _>>().map_err(Error::Key)?);
    let tag = plan.reference.rsplit_once(':').map(|(_, tag)| tag);
    let product = &plan.product;
    let installed = Installed { tag, version: Some(&product.version), counter: product.counter };
    let expected = Expected { now, image: Some(&product.name), installed };
    let verified = verify(archive, &ring, &expected).map_err(Error::Archive)?;
    if verified.verdict.lower_version {
        ui::warning(&lower(plan, &verified));
    }
    Ok(match as_json {
        true => document(&verified, &installed) + "\n",
        false => text(plan, &verified),
    })
}

fn lower(plan: &ImagePlan, verified: &VerifiedArchive) -> String {
    format!(
        "version {} is lower than the installed {}: it will not start on data of that one",
        verified.record.product_version, plan.product.version
    )
}

/// One thing in each line.
fn text(plan: &ImagePlan, verified: &VerifiedArchive) -> String {
    let record = &verified.record;
    let mut lines = vec![record.reference()];
    lines.extend(verified.followed.iter().map(|key| format!("key {key} follows a key of this image")));
    lines.push(format!("signed by key {}", verified.key));
    lines.push(match record.expires {
        Some(expires) => format!("made {}, expires {}", time(record.created), time(expires)),
        None => format!("made {}, does not expire", time(record.created)),
    });
    let installed = &plan.reference;
    let counters = (record.counter.unwrap_or_default(), plan.product.counter.unwrap_or_default());
    lines.push(match verified.verdict.order {
        Order::LaterByCounter => {
            format!("released after `{installed}`: counter {} after {}", counters.0, counters.1)
        }
        Order::SameByCounter => format!("the release that is installed: counter {}", counters.0),
        Order::LaterByVersion => {
            format!("of a higher version than `{installed}`; there are no two counters to compare")
        }
        Order::SameByVersion | Order::Unknown => {
            format!("of the version of `{installed}`; there are no two counters to compare")
        }
    });
    let count = record.members.len();
    lines.push(format!(
        "{count} files, {} bytes: each is what was signed, and there is nothing else",
        record.size()
    ));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn document(verified: &VerifiedArchive, installed: &Installed<'_>) -> String {
    let record = &verified.record;
    let compared = match verified.verdict.order {
        Order::LaterByCounter | Order::SameByCounter => "counter",
        Order::LaterByVersion | Order::SameByVersion => "version",
        Order::Unknown => "nothing",
    };
    let followed: Vec<String> = verified.followed.iter().map(ToString::to_string).collect();
    let document = json!({
        "version": VERSION,
        "key": verified.key.to_string(),
        "followed": followed,
        "image": record.image,
        "tag": record.tag,
        "product_version": record.product_version,
        "channel": record.channel,
        "counter": record.counter,
        "created": record.created,
        "expires": record.expires,
        "files": record.members.len(),
        "size": record.size(),
        "installed": { "tag": installed.tag, "product_version": installed.version, "counter": installed.counter },
        "compared": compared,
        "lower_version": verified.verdict.lower_version,
    });
    document.to_string()
}

fn time(seconds: u64) -> String {
    format!("{} UTC", minute(i64::try_from(seconds).unwrap_or(i64::MAX / 2)))
}
