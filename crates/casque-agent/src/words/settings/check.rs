//! `settings check`: whether this version starts with what is in the volume and the environment, before it is tried.

use casque_format::image::ImagePlan;

use crate::error::Error;
use crate::mounts;
use crate::prepare::render;
use crate::settings::{Sources, warnings};
use crate::tls::{self, Moment, authorities};
use crate::{backup, stamp, ui};

/// Returns a line when all is well; what still works and should be changed is an error with a code of its own.
pub fn run(sources: &Sources, plan: &ImagePlan, now: i64) -> Result<String, Error> {
    if backup::is_unfinished(sources.root) {
        return Err(Error::Restoring);
    }
    stamp::read(sources.root, &plan.product).map_err(Error::Stamp)?;
    let settings = sources.resolve().map_err(Error::Settings)?;
    render(sources.root, &plan.templates, &settings)?;
    let root = sources.root;
    let mut facts: Vec<String> = mounts::warning(root).into_iter().collect();
    tls::choose(Moment { root, now, running: false }, plan, &settings, &mut facts)?;
    authorities::read(root, &mut facts);
    facts.iter().for_each(|warning| ui::warning(warning));
    let warnings = warnings(&settings);
    warnings.iter().for_each(|warning| ui::warning(warning));
    let product = &plan.product;
    match warnings.len() {
        0 => Ok(format!("{} {} would start with these settings\n", product.name, product.version)),
        count => Err(Error::Outdated { count }),
    }
}
