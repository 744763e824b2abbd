//! Services as the project describes them: supervisor's programs, systemd's units, a Procfile.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::run::Kind;
use casque_units::supervisor::{self, SourceFile, Surroundings};
use casque_units::systemd::Unit;

use super::Project;
use super::files::{file_name, parent, rendered};
use super::jinja::is_unknown;
use super::known::{self, Known, Part};

/// A service as far as the project says.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) name: String,
    /// The file of the project that says it.
    pub(super) file: String,
    /// Where the image has it: `supervisor:...` or `systemd:...`; none for a Procfile.
    pub(super) from: Option<String>,
    pub(super) command: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) directory: Option<String>,
    pub(super) known: Known,
    pub(super) oneshot: bool,
    /// Units that it says it follows.
    pub(super) follows: Vec<String>,
    pub(super) environment_files: Vec<String>,
}

impl Service {
    /// The line that says where it is, for people.
    pub(super) fn described(&self) -> String {
        format!("`{}` ({})", self.name, self.known.title)
    }
}

/// Finds every service; what cannot be read is said.
pub(super) fn find(project: &mut Project) -> Vec<Service> {
    let mut services = supervised(project);
    services.extend(units(project));
    if services.is_empty() {
        services.extend(procfile(project));
    }
    services.extend(enabled(project, &services));
    let mut names = BTreeSet::new();
    for service in &mut services {
        let plain: String = service
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
            .collect();
        // `agent` is the image's own.
        let base = if plain == "agent" { "agent-1".to_owned() } else { plain };
        let free = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base}-{number}")));
        service.name = free.into_iter().find(|name| !names.contains(name)).unwrap_or(base);
        names.insert(service.name.clone());
    }
    services.sort_by(|a, b| (a.known.part, &a.name).cmp(&(b.known.part, &b.name)));
    services
}

fn supervised(project: &mut Project) -> Vec<Service> {
    let mut services = Vec::new();
    let mut unread = Vec::new();
    for (path, text) in project.files.iter() {
        let named = rendered(path);
        if !(named.ends_with(".conf") || named.ends_with(".ini")) || !text.contains("[program:") {
            continue;
        }
        let place = project
            .ansible
            .destination(path)
            .unwrap_or_else(|| format!("/etc/supervisor/conf.d/{}", file_name(named)));
        let source = SourceFile { path: place.clone(), text: project.ansible.variables.fill(text) };
        match supervisor::programs(&[source], &Surroundings::default()) {
            Ok(programs) => {
                let only = programs.len() == 1;
                for program in programs.into_iter().filter(|program| program.autostart) {
                    let from = match only && program.name == program.group {
                        true => format!("supervisor:{place}"),
                        false => format!("supervisor:{place}#{}", program.display_name()),
                    };
                    let service = program.translated.service;
                    let oneshot = service.kind == Kind::Oneshot;
                    services.push(Service {
                        name: program.name,
                        file: path.to_owned(),
                        from: Some(from),
                        known: known::recognise(&service.command, oneshot),
                        command: service.command,
                        user: program.translated.user,
                        directory: service.working_directory,
                        oneshot,
                        follows: Vec::new(),
                        environment_files: Vec::new(),
                    });
                }
            }
            Err(error) => {
                unread.push(format!("`{path}` holds programs of supervisor and could not be read: {error}"))
            }
        }
    }
    project.undecided.extend(unread);
    services
}

fn units(project: &mut Project) -> Vec<Service> {
    let mut services = Vec::new();
    let mut unread = Vec::new();
    for (path, text) in project.files.iter() {
        let unit = file_name(rendered(path));
        if !unit.ends_with(".service") {
            continue;
        }
        let stem = unit.trim_end_matches(".service");
        if stem.ends_with('@') {
            unread.push(format!(
                "`{path}` is a template: name the instances that run as `systemd:{stem}NAME.service`"
            ));
            continue;
        }
        let source = SourceFile {
            path: format!("/etc/systemd/system/{unit}"),
            text: project.ansible.variables.fill(text),
        };
        let parsed = Unit::parse(unit, &[source]);
        let files = parsed.as_ref().ok().and_then(|unit| unit.environment_files().ok()).unwrap_or_default();
        // Their values are not needed to see what the service is.
        let given: BTreeMap<String, String> =
            files.iter().map(|file| (file.path.clone(), String::new())).collect();
        match parsed.and_then(|unit| unit.translate(&given)) {
            Ok(translated) => {
                let oneshot = translated.service.kind == Kind::Oneshot;
                services.push(Service {
                    name: stem.to_owned(),
                    file: path.to_owned(),
                    from: Some(format!("systemd:{unit}")),
                    known: known::recognise(&translated.service.command, oneshot),
                    command: translated.service.command,
                    user: translated.user,
                    directory: translated.service.working_directory,
                    oneshot,
                    follows: translated.after.into_iter().chain(translated.needs).collect(),
                    environment_files: files
                        .into_iter()
                        .filter(|file| !file.optional)
                        .map(|file| file.path)
                        .collect(),
                });
            }
            Err(error) => unread.push(format!("`{path}` could not be read as a unit: {error}")),
        }
    }
    project.undecided.extend(unread);
    services
}

/// Services that a playbook switches on and a package brings.
fn enabled(project: &Project, known: &[Service]) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    let supervised =
        known.iter().any(|service| service.from.as_ref().is_some_and(|from| from.starts_with("supervisor:")));
    for task in project.ansible.tasks_of(&["service", "systemd", "systemd_service"]) {
        let name = task.argument("name").trim_end_matches(".service");
        let off = ["false", "no", "False"].contains(&task.argument("enabled"));
        let on = !task.argument("enabled").is_empty()
            || ["started", "restarted"].contains(&task.argument("state"));
        let taken = known.iter().chain(&services).any(|service| service.name == name);
        if name.is_empty()
            || off
            || !on
            || taken
            || is_unknown(name)
            || name.ends_with(".timer")
            || (name == "supervisor" && supervised)
        {
            continue;
        }
        let found = known::recognise(&[name.to_owned()], false);
        services.push(packaged(name, &task.file, found));
    }
    services
}

/// Returns the service that a package's own unit describes.
pub(super) fn packaged(name: &str, file: &str, known: Known) -> Service {
    Service {
        name: name.to_owned(),
        file: file.to_owned(),
        from: Some(format!("systemd:{name}.service")),
        command: vec![name.to_owned()],
        user: None,
        directory: None,
        known,
        oneshot: false,
        follows: Vec::new(),
        environment_files: Vec::new(),
    }
}

fn procfile(project: &Project) -> Vec<Service> {
    let mut services = Vec::new();
    for (path, text) in project.files.named("Procfile").filter(|(path, _)| parent(path).is_empty()) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((name, command)) = line.split_once(':') else { continue };
            let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            if command.is_empty() {
                continue;
            }
            // What a platform runs once before each start has this name.
            let oneshot = name == "release";
            services.push(Service {
                name: name.to_owned(),
                file: path.to_owned(),
                from: None,
                known: match known::recognise(&command, oneshot) {
                    // The name is a platform's promise: this process gets the requests.
                    known if name == "web" && known.part == Part::Worker => {
                        Known { part: Part::Web, ready: "http", ..known }
                    }
                    known => known,
                },
                command,
                user: None,
                directory: None,
                oneshot,
                follows: Vec::new(),
                environment_files: Vec::new(),
            });
        }
    }
    services
}
