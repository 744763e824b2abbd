//! The last layer: the run plan, the templates, the front's includes and the customer's command.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use casque_format::image::{DataDirectory, HostCheck, ImagePlan, Product, VERSION};
use casque_format::paths;
use casque_format::run::{Identity, LogLimit};
use casque_format::shim::Report;
use casque_image::resolve::located;

use crate::base;
use crate::builder::Builder;
use crate::error::{BuildError, ServiceError};
use crate::event::Event;
use crate::identity::Accounts;
use crate::inputs::Inputs;
use crate::manifest::{Front, LayerStep, Manifest, PreflightRule, StepNetwork};
use crate::stage::{Parts, Recipe, Stage};
use crate::{data, front, group_zero, persist, sbom, services, template};

/// The status path of a product without a front.
const STATUS_PATH: &str = "/status";

impl Builder<'_> {
    /// Makes the layer that turns a root filesystem into a casque image.
    pub(crate) fn plan_stage(&self, below: &[Stage]) -> Result<Stage, BuildError> {
        let recipe = Recipe {
            name: "plan",
            created_by: "casque: run plan, templates and command".to_owned(),
            inputs: self.plan_inputs()?,
            below,
            transient: None,
            parts: Parts::One,
            vendor: false,
        };
        let stage = self.stage(&recipe, |root| {
            let mut notes = Vec::new();
            let plan = self.image_plan(below, root, &mut notes)?;
            let text = serde_json::to_vec_pretty(&plan).expect("a plan is plain data");
            let bin = located(root, Path::new("usr/bin")).map_err(BuildError::Root)?;
            let command = bin.join(&plan.product.command);
            if command.symlink_metadata().is_ok() {
                return Err(BuildError::CommandTaken { path: format!("/usr/bin/{}", plan.product.command) });
            }
            let write = || {
                fs_err::write(located(root, Path::new(paths::IMAGE_PLAN))?, text)?;
                fs_err::os::unix::fs::symlink(paths::AGENT, command)?;
                data::prepare(root, &plan.data)
            };
            for path in write().map_err(BuildError::Root)? {
                notes.push(format!(
                    "the image has `{path}`, which an empty named volume takes over and no other; \
                     `[data] persist` is for what a start is to find"
                ));
            }
            self.write_bill(below, root).map_err(BuildError::Root)?;
            Ok(Some(Report::of_notes(notes)))
        })?;
        // Of a plan from the cache as well: what an image lacks does not become right by building it again.
        for text in stage.record.report.iter().flat_map(|report| report.notes.clone()) {
            self.observer.event(&Event::Warning { text });
        }
        Ok(stage)
    }

    /// Everything of the manifest that is not in a layer below.
    fn plan_inputs(&self) -> Result<Inputs, BuildError> {
        let text = fs_err::read_to_string(&self.manifest.path).map_err(BuildError::Root)?;
        let inputs = Inputs::default()
            .with_digest_of("manifest", &text)
            .with_digest_of("lock", &self.lock)
            .with("tag", self.manifest.tag())
            .with("version", &self.manifest.content.image.version);
        let keys = &self.manifest.verify_keys;
        let inputs = if keys.is_empty() { inputs } else { inputs.with_digest_of("verify-key", keys) };
        Ok(match self.manifest.counter {
            Some(counter) => inputs.with("counter", counter),
            None => inputs,
        })
    }

    /// Writes the bill of materials, last, so that it is of what ships.
    fn write_bill(&self, below: &[Stage], root: &Path) -> io::Result<()> {
        let manifest = self.manifest;
        let stages = below.iter().map(|stage| sbom::Written {
            name: &stage.record.name,
            tree: &stage.trees[0],
            vendor: stage.record.vendor,
            comment: comment(&manifest.content.layer, &stage.record.name),
            downloads: self.downloads(&stage.record.name),
        });
        let distributions = self.lock.python.iter().flat_map(|set| &set.distributions);
        let base = match &self.base {
            Some(base) => Some(sbom::Base::of(base, self.lock.has_dpkg(), &below[0].trees[0])?),
            None => None,
        };
        let document = sbom::document(&sbom::Facts {
            base: base.as_ref(),
            reference: &manifest.reference(),
            version: &manifest.content.image.version,
            epoch: self.epoch,
            root,
            pins: &self.lock.packages,
            distributions: distributions.collect(),
            stages: stages.collect(),
        })?;
        let text = serde_json::to_vec(&document).expect("a document is plain data");
        fs_err::write(located(root, Path::new(paths::BILL))?, text)
    }

    /// Returns the files that the step of a layer takes from the network.
    fn downloads(&self, layer: &str) -> Vec<sbom::Download<'_>> {
        let fetches = self.lock.step(layer).into_iter().flat_map(|step| &step.fetches);
        let files = fetches.filter_map(|fetch| {
            let (url, size) = (fetch.url.as_str(), fetch.size);
            fetch.sha256.filter(|_| size > 0).map(|sha256| sbom::Download { url, size, sha256 })
        });
        files.collect()
    }

    /// Makes the plan; `notes` takes what of the services could not be carried over.
    fn image_plan(
        &self,
        below: &[Stage],
        root: &Path,
        notes: &mut Vec<String>,
    ) -> Result<ImagePlan, BuildError> {
        let manifest = self.manifest;
        let accounts = Accounts::of_root(root);
        let mut made = services::services(manifest, root, &accounts, &self.carried.environment)?;
        notes.append(&mut made.summaries);
        for text in made.details.drain(..) {
            self.observer.event(&Event::Detail { text });
        }
        let agent = accounts.identity(base::AGENT_USER, None).expect("the base has the agent's user");
        made.services.insert("agent".to_owned(), services::agent(agent.clone()));
        let front = manifest.content.service.values().find_map(|rule| rule.front.as_ref());
        let status_path = front.map_or(STATUS_PATH, |front| &front.status_path).to_owned();
        let probes = front.map(Front::probes).unwrap_or_default();
        if front.is_some() {
            let paths: Vec<&str> = std::iter::once(status_path.as_str()).chain(probes.paths()).collect();
            front::add_includes(root, &paths, manifest.https_port()).map_err(BuildError::Root)?;
        }
        let image = &manifest.content.image;
        let mut plan = ImagePlan {
            version: VERSION,
            product: Product {
                name: image.name.get_ref().clone(),
                version: image.version.clone(),
                command: image.command.get_ref().clone(),
                counter: manifest.counter,
            },
            reference: manifest.reference(),
            expose: image.expose.clone(),
            services: made.services,
            settings: manifest.settings(),
            env_prefix: image.env_prefix.clone(),
            templates: Vec::new(),
            data: data_directories(manifest, &accounts)?,
            persist: Vec::new(),
            agent,
            stop_budget_ms: image.stop_timeout.milliseconds,
            status_path,
            logs: logs(manifest),
            probes,
            https_port: manifest.https_port(),
            verify_keys: manifest.verify_keys.clone(),
            preflight: host_checks(manifest),
        };
        let vendor = below.iter().filter(|stage| stage.record.vendor).map(|stage| stage.trees[0].as_path());
        for file in template::find(vendor, root).map_err(BuildError::Root)? {
            let text = fs_err::read_to_string(root.join(&file)).map_err(BuildError::Root)?;
            template::judge(&format!("/{}", file.display()), &text, &plan.settings)?;
            plan.templates.push(template::install(root, &file).map_err(BuildError::Root)?);
        }
        // Last, for what lives in the volume may have marked files too.
        for path in &manifest.content.data.persist {
            plan.persist.push(persist::install(root, path.get_ref(), self.epoch)?);
        }
        let users = plan.services.values().filter_map(|service| service.service.user.as_ref());
        let owners: Vec<_> = users.filter_map(|user| accounts.with_own_group(user.uid)).collect();
        let closed = group_zero::give(root, &owners).map_err(BuildError::Root)?;
        notes.extend(group_zero::warning(&closed));
        Ok(plan)
    }
}

/// Says what made a stage of the vendor's files: `name` is a layer's, with `/copy` after it for what it copies.
fn comment(layers: &[LayerStep], name: &str) -> String {
    let Some(layer) = layers.iter().find(|layer| layer.name.get_ref() == name) else {
        return "files of the project".to_owned();
    };
    let run = layer.run.as_deref().unwrap_or_default();
    let network = match layer.network {
        StepNetwork::None => "it had no network",
        StepNetwork::Recorded => "it had a network, and what it took from there is listed",
        StepNetwork::Host => "it had this host's network, and nobody knows what it took from there",
    };
    format!("what `{run}` left; {network}")
}

fn logs(manifest: &Manifest) -> BTreeMap<String, LogLimit> {
    let rules = manifest.content.logs.iter();
    let limit = |size: u32, files| LogLimit { size: u64::from(size) << 20, files };
    rules.map(|(name, rule)| (name.clone(), limit(rule.size.get(), rule.files.get()))).collect()
}

fn host_checks(manifest: &Manifest) -> BTreeMap<String, HostCheck> {
    let check = |rule: &PreflightRule| HostCheck {
        service: rule.service.get_ref().clone(),
        run: rule.run.clone(),
        timeout_ms: rule.timeout.milliseconds,
        consequence: rule.consequence.clone(),
        remedy: rule.remedy.clone(),
    };
    manifest.content.preflight.iter().map(|(name, rule)| (name.clone(), check(rule))).collect()
}

fn data_directories(manifest: &Manifest, accounts: &Accounts) -> Result<Vec<DataDirectory>, ServiceError> {
    let mut directories = Vec::new();
    for directory in &manifest.content.data.directories {
        let path = directory.path.get_ref().clone();
        let Some(Identity { uid, gid, .. }) = accounts.identity(&directory.owner, None) else {
            let closest =
                crate::manifest::raw::nearest(&directory.owner, accounts.names()).map(str::to_owned);
            return Err(ServiceError::UnknownOwner { path, user: directory.owner.clone(), closest });
        };
        directories.push(DataDirectory { path, uid, gid, mode: directory.mode.0 });
    }
    Ok(directories)
}
