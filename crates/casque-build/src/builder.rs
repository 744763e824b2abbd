//! The build as a whole: which stages there are, in which order, and the image they make.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use casque_format::digest::Digest;
use casque_format::settings::environment_name;
use casque_sandbox::Sandbox;

use crate::base_image::BaseImage;
use crate::cache::Cache;
use crate::carried::{Carried, carried};
use crate::elsewhere::{Elsewhere, HOST_NAME};
use crate::error::BuildError;
use crate::event::{Event, Observer};
use crate::inputs::Inputs;
use crate::lock::Lockfile;
use crate::manifest::{LayerStep, Manifest};
use crate::record::Recording;
use crate::secrets::Secrets;
use crate::shares::Shares;
use crate::stage::Stage;

/// The static programs that a build puts into images or sandboxes.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `casque-init`.
    pub init: PathBuf,
    /// `casque-agent`.
    pub agent: PathBuf,
    /// `casque-shim`; it never ships.
    pub shim: PathBuf,
}

/// How this place reaches the network; a step with the host's network gets it, an image never.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Certificates to trust in place of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Environment variables, such as proxies.
    pub variables: Vec<(String, String)>,
    /// Variables that say where Python packages are. Every step with a network gets them; where its downloads are
    /// recorded, without the credentials in them.
    pub python_variables: Vec<(String, String)>,
}

/// Everything a build needs.
pub struct Builder<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) lock: &'a Lockfile,
    /// The image that the product starts from.
    pub(crate) base: Option<Arc<BaseImage>>,
    /// What of its configuration carries over.
    pub(crate) carried: Carried,
    pub(crate) cache: &'a Cache,
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) programs: &'a Programs,
    pub(crate) reach: &'a Reach,
    pub(crate) observer: &'a dyn Observer,
    /// Seconds since 1970: no file of the image is newer.
    pub(crate) epoch: u64,
    /// Digest of the shim: another shim may make another layer.
    pub(crate) shim: Digest,
    /// How many layers each stage may have.
    pub(crate) shares: Shares,
    /// Says of each stage why it is made or not.
    pub(crate) explains: bool,
    /// On disk, for what sandboxes see as `/run` and `/tmp`.
    pub(crate) work: &'a Path,
    /// What steps may see and nobody else.
    pub(crate) secrets: &'a Secrets,
    /// Another machine than this one, where stages are made a second time.
    pub(crate) elsewhere: Option<Elsewhere>,
    /// Steps whose downloads are to be recorded; all others replay what the lock has.
    pub(crate) recording: Option<Recording<'a>>,
}

/// Opens the image that the product starts from, and decides what of its configuration carries over.
pub(crate) fn base(manifest: &Manifest) -> Result<(Option<Arc<BaseImage>>, Carried), BuildError> {
    let base = BaseImage::open(manifest)?;
    let prefix = &manifest.content.image.env_prefix;
    let settings = manifest.settings().into_keys().map(|name| environment_name(prefix, &name)).collect();
    let carried = base.as_ref().map(|base| carried(base.archive.config(), &settings)).unwrap_or_default();
    Ok((base.map(Arc::new), carried))
}

impl Builder<'_> {
    /// Makes every stage, lowest first.
    pub(crate) fn stages(&self) -> Result<Vec<Stage>, BuildError> {
        let layers = &self.manifest.content.layer;
        let mut stages = self.stages_of(layers)?;
        stages.push(self.plan_stage(&stages)?);
        Ok(stages)
    }

    /// Makes the stages of the first layers.
    pub(crate) fn stages_of(&self, layers: &[LayerStep]) -> Result<Vec<Stage>, BuildError> {
        let mut stages = self.base_stages()?;
        stages.push(self.programs_stage(&stages)?);
        for layer in layers {
            if !layer.packages.is_empty() {
                stages.push(self.packages_stage(layer, &stages)?);
            }
            if !layer.python.is_empty() {
                stages.push(self.python_stage(layer, &stages)?);
            }
            if !layer.copy.is_empty() {
                stages.push(self.copy_stage(layer, &stages)?);
            }
            if let Some(run) = &layer.run {
                let stage = self.step_stage(layer, run, &stages)?;
                self.report_undeclared(&stage);
                stages.push(stage);
            }
        }
        Ok(stages)
    }

    /// Returns the host name of sandboxes.
    pub(crate) fn host_name(&self) -> &'static str {
        self.elsewhere.as_ref().map_or(HOST_NAME, |elsewhere| elsewhere.host_name)
    }

    /// Begins the inputs of a stage that programs make: they see the time.
    pub(crate) fn dated(&self) -> Inputs {
        Inputs::default().with("SOURCE_DATE_EPOCH", self.epoch)
    }

    /// Names what a step set up to run and the manifest does not, with the lines to add.
    fn report_undeclared(&self, stage: &Stage) {
        let declared: Vec<&str> = self
            .manifest
            .content
            .service
            .values()
            .filter_map(|rule| rule.from.as_ref())
            .map(|from| from.get_ref().as_str())
            .collect();
        let named = |from: &str| declared.contains(&from);
        let Some(report) = &stage.record.report else { return };
        let warn = |text| self.observer.event(&Event::Warning { text });
        for note in &report.notes {
            warn(format!("the step of `{}`: {note}", stage.record.name));
        }
        let units = report.enabled.iter().filter(|unit| unit.new);
        let (services, others): (Vec<_>, Vec<_>) = units.partition(|unit| unit.unit.ends_with(".service"));
        for unit in others {
            warn(format!("`{}` is enabled and does nothing in an image: only services run there", unit.unit));
        }
        let services = services
            .into_iter()
            .map(|unit| (unit.unit.trim_end_matches(".service"), format!("systemd:{}", unit.unit)));
        let programs = report.programs.iter().filter(|program| program.autostart);
        let programs =
            programs.map(|program| (program.name.as_str(), format!("supervisor:{}", program.file)));
        for (name, from) in services.chain(programs) {
            // Its programs are services of their own.
            let supervised =
                name == "supervisor" && declared.iter().any(|known| known.starts_with("supervisor:"));
            if supervised || named(&from) || named(&format!("{from}#{name}")) {
                continue;
            }
            // A template's instance or a program of a group has characters that a table's name has not.
            let table = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_', "-");
            let from = match table == name || from.starts_with("systemd:") {
                true => from,
                false => format!("{from}#{name}"),
            };
            warn(format!(
                "`{from}` is set up to run and the manifest does not say so; add:\n[service.{table}]\nfrom = \"{from}\""
            ));
        }
    }
}
