//! What the template says of a product, out of its plan.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::image::{DataDirectory, ImagePlan};
use casque_format::paths;
use casque_format::run::Kind;
use casque_format::settings::{self, Setting, environment_name};
use casque_settings::expected;
use serde::Serialize;

use crate::run_line::{line, run_line, short_name};

/// Everything the template names.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    product: String,
    version: String,
    reference: String,
    /// The reference without its tag.
    repository: String,
    tag: String,
    command: String,
    /// What the container is called.
    name: String,
    run_line: String,
    /// The same for the version that is not there yet.
    next_line: String,
    /// The port for a first try, and all of them.
    first_port: Option<u16>,
    ports: Vec<Port>,
    https_port: Option<u16>,
    /// The address of the status on the host; none without a port.
    status: Option<String>,
    has_token: bool,
    status_path: String,
    live: String,
    ready: String,
    metrics: String,
    env_prefix: String,
    settings: Vec<Row>,
    settings_of_https: Vec<Row>,
    settings_of_all: Vec<Row>,
    /// The product's own settings that the first start thinks up.
    generated: Vec<Row>,
    /// The first that is asked for and must not be an argument.
    secret: Option<Row>,
    external: Vec<External>,
    /// Settings for mail servers.
    mail: Vec<String>,
    has_syslog: bool,
    has_log_size: bool,
    users: Vec<User>,
    directories: Vec<Directory>,
    verifies: bool,
    /// A service of the product, to be the example.
    service: Option<String>,
    stop_seconds: u64,
}

#[derive(Debug, Serialize)]
struct Port {
    number: u16,
    protocol: &'static str,
}

/// A row of a table of settings.
#[derive(Debug, Clone, Serialize)]
struct Row {
    name: String,
    variable: String,
    kind: &'static str,
    expected: String,
    default: Option<String>,
    /// There is a default, and it is secret.
    hidden_default: bool,
    generated: bool,
    required: bool,
    required_when: Option<String>,
    secret: bool,
    description: String,
    variables: Vec<String>,
    renamed_from: Vec<String>,
    deprecated: Option<String>,
}

/// A service that the customer may have elsewhere.
#[derive(Debug, Serialize)]
struct External {
    setting: Row,
    services: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    runs: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Directory {
    path: String,
    /// Where software looks for it, if not there.
    seen_at: Option<String>,
    owner: String,
    uid: u32,
    gid: u32,
    mode: String,
}

impl View {
    pub(crate) fn of(plan: &ImagePlan) -> Self {
        let (repository, tag) = plan.reference.rsplit_once(':').unwrap_or((&plan.reference, "latest"));
        let names = |all: Vec<(&'static str, Setting)>| -> BTreeSet<&str> {
            all.into_iter().map(|(name, _)| name).collect()
        };
        let (of_all, of_https) = (names(settings::built_in()), names(settings::of_https()));
        let rows = |wanted: &dyn Fn(&str) -> bool| -> Vec<Row> {
            let some = plan.settings.iter().filter(|(name, _)| wanted(name));
            some.map(|(name, setting)| Row::of(name, setting, &plan.env_prefix)).collect()
        };
        let own =
            rows(&|name| !(of_all.contains(name) || plan.https_port.is_some() && of_https.contains(name)));
        let external = external(plan);
        let is_external = |row: &Row| external.iter().any(|one| one.setting.name == row.name);
        let secret = own
            .iter()
            .find(|row| row.secret && !row.generated && !row.hidden_default && !is_external(row))
            .cloned();
        let first_port = plan.expose.iter().copied().find(|port| Some(*port) != plan.https_port);
        let address = first_port.map(|port| match port {
            80 => "http://127.0.0.1".to_owned(),
            port => format!("http://127.0.0.1:{port}"),
        });
        Self {
            product: plan.product.name.clone(),
            version: plan.product.version.clone(),
            reference: plan.reference.clone(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            command: plan.product.command.clone(),
            name: short_name(plan).to_owned(),
            run_line: run_line(plan),
            next_line: line(plan, &format!("{repository}:NEXT")),
            first_port,
            ports: ports(plan),
            https_port: plan.https_port,
            status: address.map(|address| format!("{address}{}", plan.status_path)),
            has_token: plan.settings.contains_key("status-token"),
            status_path: plan.status_path.clone(),
            live: plan.probes.live.clone(),
            ready: plan.probes.ready.clone(),
            metrics: plan.probes.metrics.clone(),
            env_prefix: plan.env_prefix.clone(),
            generated: own.iter().filter(|row| row.generated).cloned().collect(),
            secret,
            settings: own,
            settings_of_https: rows(&|name| plan.https_port.is_some() && of_https.contains(name)),
            settings_of_all: rows(&|name| of_all.contains(name)),
            has_syslog: plan.settings.contains_key(settings::SYSLOG_URL),
            has_log_size: plan.settings.contains_key(settings::LOG_SIZE),
            external,
            mail: mail_servers(plan),
            users: users(plan),
            directories: directories(plan),
            verifies: !plan.verify_keys.is_empty(),
            service: long_running(plan),
            stop_seconds: plan.stop_budget_ms.div_ceil(1000),
        }
    }
}

impl Row {
    fn of(name: &str, setting: &Setting, prefix: &str) -> Self {
        let secret = setting.is_secret();
        Self {
            name: name.to_owned(),
            variable: environment_name(prefix, name),
            kind: setting.kind.name(),
            expected: expected(setting),
            // A secret that every instance has is still one.
            default: setting.default.clone().filter(|_| !secret),
            hidden_default: secret && setting.default.is_some(),
            generated: setting.generate,
            required: setting.required,
            required_when: setting.required_when.clone().map(String::from),
            secret,
            description: setting.description.clone(),
            variables: setting.variables.clone(),
            renamed_from: setting.renamed_from.clone(),
            deprecated: setting.deprecated.clone(),
        }
    }
}

/// Returns a service that runs all the time.
fn long_running(plan: &ImagePlan) -> Option<String> {
    let mut all = plan.services.iter().rev();
    all.find(|(_, service)| service.service.kind != Kind::Oneshot).map(|(name, _)| name.clone())
}

fn ports(plan: &ImagePlan) -> Vec<Port> {
    let protocol = |port: u16| if Some(port) == plan.https_port { "HTTPS" } else { "HTTP" };
    plan.expose.iter().map(|port| Port { number: *port, protocol: protocol(*port) }).collect()
}

fn external(plan: &ImagePlan) -> Vec<External> {
    let mut services: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, service) in &plan.services {
        if let Some(setting) = &service.unless {
            services.entry(setting).or_default().push(name.clone());
        }
    }
    let found = services.into_iter().filter_map(|(name, services)| {
        let setting = Row::of(name, plan.settings.get(name)?, &plan.env_prefix);
        Some(External { setting, services })
    });
    found.collect()
}

fn mail_servers(plan: &ImagePlan) -> Vec<String> {
    let some = plan.settings.iter().filter(|(_, setting)| setting.names_mail_server());
    some.map(|(name, _)| name.clone()).collect()
}

/// Returns who runs something, the lowest number first.
fn users(plan: &ImagePlan) -> Vec<User> {
    let own = "root";
    let mut users: BTreeMap<(u32, &str), User> = BTreeMap::new();
    let mut add = |uid, gid, groups: &[u32], user, service: &str| {
        let new = || User { name: String::from(user), uid, gid, groups: groups.to_vec(), runs: Vec::new() };
        users.entry((uid, user)).or_insert_with(new).runs.push(service.to_owned());
    };
    add(0, 0, &[], own, "PID 1");
    for (name, service) in &plan.services {
        match &service.service.user {
            Some(user) => add(user.uid, user.gid, &user.groups, &user.name, name),
            None => add(0, 0, &[], own, name),
        }
    }
    let agent = &plan.agent;
    add(agent.uid, agent.gid, &agent.groups, &agent.name, "the status, HTTPS and what is sent to syslog");
    users.into_values().collect()
}

fn directories(plan: &ImagePlan) -> Vec<Directory> {
    let mut names: BTreeMap<u32, &str> =
        BTreeMap::from([(0, "root"), (plan.agent.uid, plan.agent.name.as_str())]);
    for user in plan.services.values().filter_map(|service| service.service.user.as_ref()) {
        names.insert(user.uid, &user.name);
    }
    let row = |directory: &DataDirectory, path: String, seen_at| Directory {
        path,
        seen_at,
        owner: names.get(&directory.uid).map_or_else(String::new, |name| (*name).to_owned()),
        uid: directory.uid,
        gid: directory.gid,
        mode: format!("{:04o}", directory.mode),
    };
    let kept = plan.persist.iter().map(|directory| {
        row(directory, format!("{}{}", paths::PERSISTED, directory.path), Some(directory.path.clone()))
    });
    plan.data.iter().map(|directory| row(directory, directory.path.clone(), None)).chain(kept).collect()
}
