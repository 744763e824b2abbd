//! `status`: every service and its state, for people or as JSON.

use casque_format::control::{Overall, Reply, Request, ServiceState, ServiceStatus, Snapshot};
use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::run::AgentConfig;
use casque_format::status::{self, Details, Status};

use crate::control::ask;
use crate::error::Error;
use crate::root::Root;
use crate::{mounts, syslog, ui, volume};

/// Returns a table.
pub fn table(root: &Root, plan: &ImagePlan) -> Result<String, Error> {
    let snapshot = snapshot(root)?;
    let product = &plan.product;
    let up = ui::duration(snapshot.uptime_ms);
    let mut text = format!("{} {}: {}, up {up}\n\n", product.name, product.version, overall(snapshot.state));
    let heading = ["SERVICE", "STATE", "FOR", "PID", "RESTARTS", "NOTE"].map(str::to_owned);
    let rows: Vec<_> = [heading].into_iter().chain(snapshot.services.iter().map(row)).collect();
    text.push_str(&ui::table(&rows));
    // What the start found is for whom the configuration is; everybody may see the mounts.
    let known =
        config(root).map_or_else(|_| mounts::warning(root).into_iter().collect(), |config| config.warnings);
    for warning in known.into_iter().chain(volume::volume(root).and_then(volume::warning)) {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    Ok(text)
}

/// Returns the document that `/status` shows with the token.
pub fn json(root: &Root, plan: &ImagePlan) -> Result<String, Error> {
    let snapshot = snapshot(root)?;
    let config = config(root)?;
    let volume = volume::volume(root);
    let syslog = config.syslog.map(|receiver| syslog::status(root, &receiver));
    let mut warnings = config.warnings;
    warnings.extend(volume.and_then(volume::warning));
    warnings.extend(syslog.as_ref().and_then(syslog::warning));
    let status = Status {
        version: status::VERSION,
        state: snapshot.state,
        details: Some(Details {
            product: plan.product.name.clone(),
            product_version: plan.product.version.clone(),
            instance: config.instance,
            configuration: config.configuration,
            uptime_ms: snapshot.uptime_ms,
            services: snapshot.services,
            warnings,
            volume,
            certificates: config.certificates,
            syslog,
        }),
    };
    let text = serde_json::to_string_pretty(&status).map_err(|_| Error::Protocol)?;
    Ok(text + "\n")
}

/// Reads what the start left for whoever serves the status.
fn config(root: &Root) -> Result<AgentConfig, Error> {
    let content = fs_err::read(root.join(paths::AGENT_CONFIG)).map_err(Error::Config)?;
    serde_json::from_slice(&content).map_err(Error::ConfigSyntax)
}

pub(super) fn snapshot(root: &Root) -> Result<Snapshot, Error> {
    match ask(root, &Request::Status)? {
        Reply::Status { snapshot } => Ok(snapshot),
        _ => Err(Error::Protocol),
    }
}

fn row(service: &ServiceStatus) -> [String; 6] {
    [
        service.name.clone(),
        state(service.state).to_owned(),
        ui::duration(service.since_ms),
        service.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        service.restarts.to_string(),
        notes(service),
    ]
}

/// Returns what an operator should know of a service.
pub(super) fn notes(service: &ServiceStatus) -> String {
    let mut notes: Vec<String> = Vec::new();
    notes.extend(service.message.clone());
    notes.extend(service.last_exit.clone());
    if service.oom_kills > 0 {
        notes.push(format!("killed for lack of memory: {}", service.oom_kills));
    }
    if service.dropped_lines > 0 {
        notes.push(format!("lines that nobody read: {}", service.dropped_lines));
    }
    if service.unfiled_lines > 0 {
        notes.push(format!("lines missing in its file: {}", service.unfiled_lines));
    }
    notes.extend(service.log_problem.as_ref().map(|why| format!("its log file cannot be written: {why}")));
    notes.join("; ")
}

pub fn overall(state: Overall) -> &'static str {
    match state {
        Overall::Starting => "starting",
        Overall::Ready => "ready",
        Overall::Degraded => "degraded",
        Overall::Maintenance => "maintenance",
        Overall::Stopping => "stopping",
    }
}

pub(super) fn state(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Waiting => "waiting",
        ServiceState::Starting => "starting",
        ServiceState::Ready => "ready",
        ServiceState::Backoff => "backoff",
        ServiceState::Stopping => "stopping",
        ServiceState::Stopped => "stopped",
        ServiceState::Failed => "failed",
    }
}
