//! The proposed manifest as text.

use std::collections::{BTreeMap, BTreeSet};

use super::Project;
use super::deploy;
use super::front::{self, Nginx};
use super::identity;
use super::jinja::is_unknown;
use super::known::{self, Part};
use super::layers::{self, Places};
use super::services::{self, Service};
use super::settings::{self, Proposed, Settings};
use super::sources;

/// Users that Debian itself or the package of a known program makes.
const USERS: [&str; 10] =
    ["root", "www-data", "nobody", "daemon", "redis", "postgres", "memcache", "rabbitmq", "mysql", "mongodb"];
/// The first number of a user that the manifest makes.
const FIRST_UID: u32 = 900;
/// Seconds of the usual `stop-timeout` that services may have.
const MOST_STOP: u64 = 8;
/// Where a web server of a Procfile is told to listen.
const WEB_PORT: u16 = 8000;

/// Writes the manifest, and tells the project what was found and what was not.
pub(super) fn manifest(project: &mut Project) -> String {
    let version = identity::version(&project.files, &project.directory);
    let name = identity::name(&project.files, &project.directory);
    tell(project, "name", &name.value, name.by.as_deref());
    tell(project, "version", &version.value, version.by.as_deref());
    let (deploy, problems) = deploy::find(&project.files, &project.ansible);
    project.undecided.extend(problems);
    let mut services = services::find(project);
    let nginx = front::read(project);
    let mut own_front = None;
    if !services.iter().any(|service| service.known.part == Part::Front) {
        let web = services.iter().find(|service| service.known.part == Part::Web);
        let known = known::recognise(&["nginx".to_owned()], false);
        if let Some((path, _)) = nginx.files.first() {
            services.push(services::packaged("nginx", path, known));
        } else if let Some(web) = web {
            let address = address(project, web, &nginx, true);
            own_front = address.clone();
            services.push(services::packaged("nginx", "The front", known));
        }
    }
    if !services.is_empty() && !services.iter().any(|service| service.known.part == Part::Front) {
        let line = "nothing is known to answer requests, so no port is exposed: `[image] expose` and a `[service]` with `front` do that";
        project.undecided.push(line.to_owned());
    }
    for service in services.iter().filter(|service| own_front.is_none() || service.known.part != Part::Front)
    {
        project.found.push(format!("`{}`: service {}", service.file, service.described()));
    }
    for (path, _) in &nginx.files {
        project.found.push(format!("`{path}`: configuration of nginx"));
    }
    let places = Places::of(project, &services, &name.value);
    let layers = match &deploy {
        Some(deploy) => layers::deployed(project, deploy),
        None if project.files.is_empty() || services.is_empty() => nothing(project),
        None => layers::copied(project, &services, &places, &nginx),
    };
    let settings = settings::find(project);
    let stop = services.iter().map(|service| longest_stop(service, &services, services.len())).max();
    let stop = stop.filter(|seconds| *seconds > MOST_STOP).map(|seconds| seconds + 1);
    if let Some(seconds) = stop {
        project.undecided.push(format!(
            "stopping one after the other may take {seconds} s, and engines kill after 10: shorten `stop`, or run with `--stop-timeout {}`",
            seconds + 1
        ));
    }
    let mut text = head(&services, &nginx, &name.value, &version.value, stop);
    text += &layers;
    text += &own_front.as_ref().map(|address| front_layer(address, deploy.is_some())).unwrap_or_default();
    text += &users(&services, deploy.is_some(), &name.value);
    text += &data(project, &services, deploy.is_some(), &name.value);
    text += &settings_text(project, &settings);
    for service in &services {
        text += &service_text(project, service, &services, &places, &nginx, &settings, &name.value);
    }
    sources::mention(project);
    if services.is_empty() {
        project.undecided.push(
            "no service was found: a `[service.NAME]` says what runs, by `from` or `command`".to_owned(),
        );
    }
    text
}

fn tell(project: &mut Project, what: &str, value: &str, by: Option<&str>) {
    match by {
        Some(by) => project.found.push(format!("{by}: {what} `{value}`")),
        None => {
            project.undecided.push(format!("nothing says the product's {what}; `{value}` stands in for it"))
        }
    }
}

fn head(services: &[Service], nginx: &Nginx, name: &str, version: &str, stop: Option<u64>) -> String {
    let stop = stop.map(|seconds| format!("stop-timeout = \"{seconds}s\"\n")).unwrap_or_default();
    let has_front = services.iter().any(|service| service.known.part == Part::Front);
    let ports = if nginx.ports.is_empty() { vec![80] } else { nginx.ports.clone() };
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let expose = if has_front { format!("expose = [{}]\n", ports.join(", ")) } else { String::new() };
    format!(
        "# Proposed by `casque init`. `casque check` says whether it holds together.\n\n[image]\nname = {}\nversion = {}\n{expose}command = {}\n{stop}\n[base]\ndistribution = \"debian\"\nsuite = \"bookworm\"\n",
        quote(&format!("vendor/{name}")),
        quote(version),
        quote(name)
    )
}

fn nothing(project: &mut Project) -> String {
    project.undecided.push("nothing says how the product is installed: a `[[layer]]` with `run`, or with `packages` and `copy`, does".to_owned());
    "\n# [[layer]]\n# name = \"deploy\"\n# mount = [{ from = \".\", to = \"/src\" }]\n# run = \"sh /src/install.sh\"\n# network = true\n".to_owned()
}

fn front_layer(address: &str, deployed: bool) -> String {
    // Without a step of the project's own, every package is in one layer.
    let packages = if deployed { "packages = [\"nginx-light\"]\n" } else { "" };
    let site = front::site(address, 80);
    format!(
        "\n# Nothing in the project serves port 80, so nginx passes it on.\n[[layer]]\nname = \"front\"\n{packages}run = '''\ncat >/etc/nginx/sites-available/default <<'END'\n{site}END\n'''\n"
    )
}

/// Writes the users that nobody makes.
fn users(services: &[Service], deployed: bool, name: &str) -> String {
    if deployed {
        return String::new();
    }
    let mut names: BTreeSet<&str> = services.iter().filter_map(|service| service.user.as_deref()).collect();
    let procfile = services.iter().any(|service| service.from.is_none());
    if procfile {
        names.insert(name);
    }
    let names = names.into_iter().filter(|user| !USERS.contains(user) && !is_unknown(user));
    let home = |user: &str| match procfile && user == name {
        true => format!("home = \"/data/{name}\"\n"),
        false => String::new(),
    };
    let table = |(user, uid): (&str, u32)| format!("\n[users.{}]\nuid = {uid}\n{}", key(user), home(user));
    names.zip(FIRST_UID..).map(table).collect()
}

/// Writes the directories of the volume.
fn data(project: &mut Project, services: &[Service], deployed: bool, name: &str) -> String {
    let mut directories: BTreeMap<String, (String, String)> = BTreeMap::new();
    for task in project.ansible.tasks_of(&["file"]).filter(|task| task.argument("state") == "directory") {
        let (path, owner) = (task.argument("path"), task.argument("owner"));
        if path.starts_with("/data/") && !is_unknown(path) && !owner.is_empty() && !is_unknown(owner) {
            let mode = Some(task.argument("mode"))
                .filter(|mode| !mode.is_empty() && !is_unknown(mode))
                .unwrap_or("0750");
            directories.insert(path.trim_end_matches('/').to_owned(), (owner.to_owned(), mode.to_owned()));
        }
    }
    for service in services {
        let own = |directory: &&String| directory.starts_with("/data/");
        if let (Some(directory), Some(user)) = (service.directory.as_ref().filter(own), &service.user) {
            directories.entry(directory.clone()).or_insert_with(|| (user.clone(), "0750".to_owned()));
        }
        if let Some(place) = service.known.data
            && !directories.keys().any(|directory| directory.contains(service.name.as_str()))
        {
            project.undecided.push(format!(
                "{} keeps its data in `{place}` unless its configuration says otherwise, and only `/data` is a volume: let it keep them below `/data`",
                service.described()
            ));
        }
    }
    if !deployed && services.iter().any(|service| service.from.is_none()) {
        directories.insert(format!("/data/{name}"), (name.to_owned(), "0750".to_owned()));
    }
    if directories.is_empty() {
        return String::new();
    }
    let line = |(path, (owner, mode)): (&String, &(String, String))| {
        format!("  {{ path = {}, owner = {}, mode = {} }},\n", quote(path), quote(owner), quote(mode))
    };
    format!("\n[data]\ndirectories = [\n{}]\n", directories.iter().map(line).collect::<String>())
}

fn settings_text(project: &mut Project, settings: &Settings) -> String {
    let mut text = String::new();
    for (name, setting) in settings.marked.iter().chain(&settings.environment) {
        project.found.push(format!("`{}`: setting `{name}`", setting.file));
        text += &format!("\n{}", table(name, setting, ""));
    }
    for (name, setting) in &settings.candidates {
        let filter = setting.filter.unwrap_or("ini");
        text += &format!(
            "\n# For the customer to choose, put the mark `@casque{{{name}|{filter}}}` in place of the value of `{}` in\n# `{}`, with the filter for the files it ends up in, and uncomment this:\n{}",
            setting.variable,
            setting.file,
            table(name, setting, "# ")
        );
        project.undecided.push(format!(
            "`{}` in `{}` looks like the customer's to choose: the manifest has the setting `{name}` as a comment, with the mark to put there",
            setting.variable, setting.file
        ));
    }
    text
}

fn table(name: &str, setting: &Proposed, before: &str) -> String {
    let mut lines = vec![format!("[settings.{name}]"), format!("type = \"{}\"", setting.kind.name())];
    if setting.secret && setting.kind != casque_format::settings::Kind::Password {
        lines.push("secret = true".to_owned());
    }
    if setting.generate {
        lines.push("generate = true".to_owned());
    }
    lines.extend(setting.default.as_ref().map(|default| format!("default = {}", quote(default))));
    lines.push(format!("description = {}", quote(&setting.description)));
    lines.iter().map(|line| format!("{before}{line}\n")).collect()
}

/// Returns where a service that answers requests listens; `sure` tells the project when that is a guess.
fn address(project: &mut Project, service: &Service, nginx: &Nginx, quiet: bool) -> Option<String> {
    if service.from.is_none()
        && service.command.iter().any(|word| word.contains("$PORT") || word.contains("${PORT"))
    {
        return Some(format!("127.0.0.1:{WEB_PORT}"));
    }
    let found = known::listens(&service.command).or_else(|| nginx.upstream.clone());
    if found.is_none() && !quiet && service.known.part == Part::Web {
        project.undecided.push(format!(
            "nothing says where {} listens; its usual port is asked whether it is ready",
            service.described()
        ));
    }
    found.or_else(|| service.known.port.map(|port| format!("127.0.0.1:{port}")))
}

fn ready(project: &mut Project, service: &Service, nginx: &Nginx) -> Option<String> {
    let known = &service.known;
    match (known.part, known.ready) {
        (Part::Store, kind) => {
            if let Some(address) =
                known::listens(&service.command).filter(|address| !address.starts_with("unix:"))
            {
                return Some(format!("{{ {kind} = \"{address}\" }}"));
            }
            let variable = project.ansible.variables.get(&format!("{}_port", service.name));
            let usual = known.port.map(|port| port.to_string());
            let port = variable.filter(|port| port.parse::<u16>().is_ok()).or(usual)?;
            Some(format!("{{ {kind} = \"127.0.0.1:{port}\" }}"))
        }
        (Part::Web, _) => {
            let address = address(project, service, nginx, false)?;
            if let Some(path) = address.strip_prefix("unix:") {
                return Some(format!("{{ unix = {} }}", quote(path.split(':').next().unwrap_or(path))));
            }
            Some(match sources::health(project) {
                Some(path) => format!("{{ http = {} }}", quote(&format!("http://{address}{path}"))),
                None => format!("{{ tcp = {} }}", quote(&address)),
            })
        }
        _ => None,
    }
}

/// Returns the services that have to be ready before this one.
fn after<'a>(service: &Service, services: &'a [Service]) -> Vec<&'a str> {
    let of = |part: Part| {
        services.iter().filter(move |other| other.known.part == part).map(|other| other.name.as_str())
    };
    let first = |parts: &[Part]| {
        parts
            .iter()
            .map(|part| of(*part).collect::<Vec<_>>())
            .find(|names| !names.is_empty())
            .unwrap_or_default()
    };
    let mut after = match service.known.part {
        Part::Store => Vec::new(),
        Part::Setup => first(&[Part::Store]),
        Part::Web | Part::Worker => first(&[Part::Setup, Part::Store]),
        Part::Front => first(&[Part::Web, Part::Worker]),
    };
    // What a unit says of others that the image has, as far as it does not turn the order above round.
    let follows = |other: &&Service| {
        let unit = other.from.as_ref().and_then(|from| from.strip_prefix("systemd:"));
        unit.is_some_and(|unit| service.follows.iter().any(|followed| followed == unit))
            && other.known.part <= service.known.part
            && other.name != service.name
    };
    let further: Vec<&str> = services.iter().filter(follows).map(|other| other.name.as_str()).collect();
    after.extend(further.into_iter().filter(|name| !after.contains(name)).collect::<Vec<_>>());
    after
}

/// Returns the seconds that the longest chain of stops takes from this service on.
fn longest_stop(service: &Service, services: &[Service], depth: usize) -> u64 {
    let own = if service.oneshot { 0 } else { service.known.stop };
    let below = |name: &str| services.iter().find(|other| other.name == name);
    let rest = after(service, services).into_iter().filter(|_| depth > 0).filter_map(below);
    own + rest.map(|other| longest_stop(other, services, depth - 1)).max().unwrap_or_default()
}

fn service_text(
    project: &mut Project,
    service: &Service,
    services: &[Service],
    places: &Places,
    nginx: &Nginx,
    settings: &Settings,
    name: &str,
) -> String {
    let known = &service.known;
    let mut lines =
        vec![format!("\n# {}: {}.", service.file, known.title), format!("[service.{}]", key(&service.name))];
    match &service.from {
        Some(from) => lines.push(format!("from = {}", quote(from))),
        None => lines.extend(own_command(service, places, name)),
    }
    if service.oneshot {
        lines.push("type = \"oneshot\"".to_owned());
    }
    let takes =
        matches!(known.part, Part::Web | Part::Worker | Part::Setup) && !settings.environment.is_empty();
    if takes {
        let pairs: Vec<String> = settings
            .environment
            .iter()
            .map(|(name, setting)| format!("{} = {}", setting.variable, quote(name)))
            .collect();
        lines.push(format!("environment-settings = {{ {} }}", pairs.join(", ")));
    }
    if known.part == Part::Front {
        lines.push("front = { status-path = \"/status\" }".to_owned());
    }
    let after = after(service, services);
    if !after.is_empty() {
        lines.push(format!("after = {}", list(&after)));
    }
    lines.extend(ready(project, service, nginx).map(|ready| format!("ready = {ready}")));
    if !known.critical {
        lines.push("critical = false".to_owned());
    }
    if !service.oneshot {
        let signal = known.signal.map(|signal| format!("signal = \"{signal}\", ")).unwrap_or_default();
        lines.push(format!("stop = {{ {signal}timeout = \"{}s\" }}", known.stop));
    }
    lines.join("\n") + "\n"
}

/// Writes a command of a Procfile, which a platform gives to a shell in the product's directory.
fn own_command(service: &Service, places: &Places, name: &str) -> Vec<String> {
    let port = WEB_PORT.to_string();
    let line = service.command.join(" ");
    let line = ["${PORT:-8000}", "${PORT:-5000}", "${PORT}", "$PORT"]
        .iter()
        .fold(line, |line, form| line.replace(form, &port));
    let program = line.split(' ').next().unwrap_or_default();
    let of_venv = places
        .venv
        .as_ref()
        .filter(|_| !program.contains('/') && !["node", "npm", "sh", "bash"].contains(&program));
    let needs_shell = line.contains(['$', '&', '|', ';', '<', '>', '`', '*', '"', '\'', '\\']);
    let command = match (needs_shell, of_venv) {
        (true, _) => {
            let several = line.contains([';', '&', '|']);
            vec!["/bin/sh".to_owned(), "-c".to_owned(), if several { line } else { format!("exec {line}") }]
        }
        (false, venv) => {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            if let Some(venv) = venv {
                words[0] = format!("{venv}/bin/{}", words[0]);
            }
            words
        }
    };
    let path = places.venv.as_ref().map(|venv| format!("{venv}/bin:")).unwrap_or_default();
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    vec![
        format!("command = {}", list(&words)),
        format!("user = {}", quote(name)),
        format!("working-directory = {}", quote(&places.application)),
        format!("environment = {{ PATH = {} }}", quote(&format!("{path}/usr/local/bin:/usr/bin:/bin"))),
    ]
}

/// Returns a TOML string.
pub(crate) fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Returns a TOML array of strings.
pub(crate) fn list(texts: &[&str]) -> String {
    format!("[{}]", texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", "))
}

/// Returns a name as a key of TOML.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { quote(name) }
}
