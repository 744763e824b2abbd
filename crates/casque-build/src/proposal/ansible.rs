//! Ansible: which playbook, for which group, and what its tasks put where. Nothing of it is run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::files::{Files, file_name, parent, rendered};
use super::jinja::{Variables, is_unknown};
use super::yaml::{documents, texts};

/// Names of a group that stands for an image, the best first.
const GROUPS: [&str; 4] = ["docker", "container", "image", "casque"];
/// Names of the playbook that does everything, the best first.
const MAIN: [&str; 6] = ["site", "playbook", "deploy", "main", "provision", "install"];
/// Keys of a task that are no module.
const KEYWORDS: [&str; 3] = ["local_action", "action", "args"];

/// What a project's playbooks say.
#[derive(Debug, Default)]
pub(super) struct Ansible {
    /// The playbook that does everything.
    pub(super) playbook: Option<String>,
    pub(super) inventory: Option<String>,
    /// The group that stands for an image.
    pub(super) group: Option<String>,
    /// Every group that has variables or hosts.
    pub(super) groups: BTreeSet<String>,
    pub(super) variables: Variables,
    /// Variables as they are written: file, name, value.
    pub(super) written: Vec<(String, String, String)>,
    pub(super) tasks: Vec<Task>,
}

/// One task, with one item of its loop.
#[derive(Debug)]
pub(super) struct Task {
    /// The file it is in.
    pub(super) file: String,
    /// The module; those that come with Ansible itself without what is before their name.
    pub(super) module: String,
    /// Its arguments, variables put in.
    pub(super) arguments: BTreeMap<String, String>,
}

impl Task {
    pub(super) fn argument(&self, name: &str) -> &str {
        self.arguments.get(name).map_or("", String::as_str)
    }

    /// Whether it is of a module that `ansible-core` has.
    fn is_core(&self) -> bool {
        // Its short name leads to a collection.
        !self.module.contains('.') && self.module != "supervisorctl"
    }
}

impl Ansible {
    pub(super) fn read(files: &Files) -> Self {
        let mut ansible = Self::default();
        ansible.playbooks(files);
        ansible.groups(files);
        ansible.variables(files);
        ansible.tasks(files);
        ansible
    }

    /// Returns the package that has every module in use.
    pub(super) fn package(&self) -> &'static str {
        if self.tasks.iter().all(Task::is_core) { "ansible-core" } else { "ansible" }
    }

    pub(super) fn tasks_of<'a>(&'a self, modules: &'a [&str]) -> impl Iterator<Item = &'a Task> {
        self.tasks.iter().filter(move |task| modules.contains(&task.module.as_str()))
    }

    /// Returns where a file of the project is in the image, when a task puts it there.
    pub(super) fn destination(&self, path: &str) -> Option<String> {
        let name = rendered(file_name(path));
        let puts = |task: &&Task| {
            let source = task.argument("src");
            let base = parent(parent(&task.file));
            let places = ["templates", "files"].map(|place| format!("{base}/{place}/{source}"));
            places.iter().any(|place| place.trim_start_matches('/') == path)
                || path == source
                || (!source.is_empty()
                    && path.ends_with(&format!("/{source}"))
                    && parent(&task.file) == parent(path))
        };
        let task = self.tasks_of(&["template", "copy"]).find(puts)?;
        let to = task.argument("dest");
        if !to.starts_with('/') || is_unknown(to) {
            return None;
        }
        Some(if to.ends_with('/') { format!("{to}{name}") } else { to.to_owned() })
    }

    fn playbooks(&mut self, files: &Files) {
        let is_play = |value: &Value| {
            value.as_array().is_some_and(|plays| plays.iter().any(|play| play.get("hosts").is_some()))
        };
        let found: Vec<&str> = yaml_files(files)
            .filter(|(path, text)| !path.contains("roles/") && documents(text).iter().any(is_play))
            .map(|(path, _)| path)
            .collect();
        let rank = |path: &&&str| {
            let stem = file_name(path).split('.').next().unwrap_or_default();
            (MAIN.iter().position(|main| *main == stem).unwrap_or(MAIN.len()), path.matches('/').count())
        };
        self.playbook = found.iter().min_by_key(rank).map(|path| (*path).to_owned());
    }

    fn groups(&mut self, files: &Files) {
        for (path, text) in files.iter() {
            if let Some((_, rest)) = path.split_once("group_vars/") {
                let group = rest.split(['/', '.']).next().unwrap_or_default();
                self.groups.insert(group.to_owned());
            }
            let is_inventory = parent(path).ends_with("inventory")
                || ["hosts", "hosts.ini", "inventory.ini"].contains(&file_name(path));
            if is_inventory && !path.ends_with(".yml") {
                self.inventory.get_or_insert_with(|| path.to_owned());
                let headers =
                    text.lines().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
                self.groups.extend(headers.filter(|name| !name.contains(':')).map(str::to_owned));
            }
        }
        self.groups.remove("all");
        self.group = GROUPS.iter().find(|name| self.groups.contains(**name)).map(|name| (*name).to_owned());
    }

    /// Reads variables, those that count more later.
    fn variables(&mut self, files: &Files) {
        let in_role = |place: &str| {
            yaml_files(files)
                .filter(move |(path, _)| path.contains("roles/") && parent(path).ends_with(place))
                .collect::<Vec<_>>()
        };
        let of_group = |name: &str| {
            let is_it = |path: &str| {
                path.split_once("group_vars/")
                    .is_some_and(|(_, rest)| rest.split(['/', '.']).next() == Some(name))
            };
            yaml_files(files).filter(|(path, _)| is_it(path)).collect::<Vec<_>>()
        };
        let mut sources = in_role("/defaults");
        sources.extend(of_group("all"));
        let others = self.groups.iter().filter(|name| Some(*name) != self.group.as_ref());
        let others: Vec<_> = others.flat_map(|name| of_group(name)).collect();
        // Without a group of its own, an image is deployed as the only other one is.
        if self.group.is_none() && self.groups.len() == 1 {
            sources.extend(others.iter().copied());
        }
        sources.extend(self.group.iter().flat_map(|name| of_group(name)));
        sources.extend(in_role("/vars"));
        for (path, text) in &sources {
            for (name, value) in entries(text) {
                self.variables.set(&name, &value);
                self.written.push(((*path).to_owned(), name, value));
            }
        }
        for (path, text) in others {
            let new = entries(text).into_iter().map(|(name, value)| (path.to_owned(), name, value));
            self.written.extend(new);
        }
        if let Some(playbook) = &self.playbook {
            self.variables.set("playbook_dir", parent(playbook));
        }
    }

    fn tasks(&mut self, files: &Files) {
        for (path, text) in yaml_files(files) {
            let of_role = path.contains("tasks/") || path.contains("handlers/");
            for document in documents(text) {
                for entry in document.as_array().into_iter().flatten() {
                    if entry.get("hosts").is_some() {
                        for key in ["pre_tasks", "tasks", "post_tasks", "handlers"] {
                            self.block(path, entry.get(key));
                        }
                    } else if of_role {
                        self.task(path, entry);
                    }
                }
            }
        }
    }

    fn block(&mut self, path: &str, tasks: Option<&Value>) {
        for task in tasks.and_then(Value::as_array).into_iter().flatten() {
            self.task(path, task);
        }
    }

    fn task(&mut self, path: &str, task: &Value) {
        for key in ["block", "rescue", "always"] {
            self.block(path, task.get(key));
        }
        let Some(task) = task.as_object() else { return };
        let is_module =
            |key: &str| MODULES.contains(&key) || (key.contains('.') && !key.starts_with("with_"));
        let Some((module, arguments)) =
            task.iter().find(|(key, _)| is_module(key) && !KEYWORDS.contains(&key.as_str()))
        else {
            return;
        };
        let module = ["ansible.builtin.", "ansible.legacy."]
            .iter()
            .find_map(|core| module.strip_prefix(core))
            .unwrap_or(module);
        let items =
            task.iter().find(|(key, _)| *key == "loop" || key.starts_with("with_")).map(|(_, items)| items);
        let none = [Value::Null];
        let items = items.and_then(Value::as_array).map_or(&none[..], Vec::as_slice);
        for item in items {
            let mut variables = self.variables.clone();
            match item {
                Value::String(text) => variables.set("item", text),
                Value::Object(fields) => fields
                    .iter()
                    .filter_map(|(name, value)| Some((name, value.as_str()?)))
                    .for_each(|(name, value)| variables.set(&format!("item.{name}"), value)),
                _ => {}
            }
            let arguments = arguments_of(arguments, &variables);
            self.tasks.push(Task { file: path.to_owned(), module: module.to_owned(), arguments });
        }
    }
}

/// Modules by the short names under which old playbooks know them.
const MODULES: [&str; 14] = [
    "apt",
    "command",
    "copy",
    "file",
    "get_url",
    "package",
    "pip",
    "service",
    "shell",
    "supervisorctl",
    "systemd",
    "template",
    "uri",
    "user",
];

fn yaml_files(files: &Files) -> impl Iterator<Item = (&str, &str)> {
    files.iter().filter(|(path, _)| path.ends_with(".yml") || path.ends_with(".yaml"))
}

/// Returns the variables of a file; of a list its first element, since that is where a product's own value is.
fn entries(text: &str) -> Vec<(String, String)> {
    let documents = documents(text);
    let tables: Vec<&Map<String, Value>> = documents.iter().filter_map(Value::as_object).collect();
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.first()?.as_str().map(str::to_owned),
        _ => None,
    };
    tables.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

/// Returns a module's arguments, written as a table or as `key=value` words, with the variables put in.
fn arguments_of(arguments: &Value, variables: &Variables) -> BTreeMap<String, String> {
    match arguments {
        Value::Object(table) => {
            let text = |value: &Value| variables.fill(&texts(value).join(","));
            table.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        }
        Value::String(line) => {
            let line = variables.fill(line);
            let words = line.split_whitespace().filter_map(|word| word.split_once('='));
            words.map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())).collect()
        }
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_says_what_goes_where_with_its_variables_and_the_items_of_its_loop() {
        let place = tempfile::tempdir().unwrap();
        let files = [
            ("site.yml", "- hosts: web\n  roles: [web]\n"),
            ("group_vars/all.yml", "home: /opt/shop\n"),
            ("group_vars/docker.yml", "data: /data\n"),
            ("group_vars/production.yml", "data: /srv\n"),
            (
                "roles/web/tasks/main.yml",
                "- block:\n  - template: src=web.conf.j2 dest={{ home }}/etc/\n- community.general.ufw: {state: enabled}\n\
                 - ansible.builtin.file:\n    path: \"{{ item.at }}\"\n    state: directory\n  loop:\n  - at: \"{{ data }}/a\"\n  - at: \"{{ data }}/b\"\n",
            ),
            ("roles/web/templates/web.conf.j2", ""),
            ("roles/broken/tasks/main.yml", "- {{ x }}: [\n"),
        ];
        for (name, text) in files {
            let path = place.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let ansible = Ansible::read(&Files::read(place.path()).unwrap());
        assert_eq!(
            (ansible.playbook.as_deref(), ansible.group.as_deref()),
            (Some("site.yml"), Some("docker"))
        );
        assert_eq!(ansible.package(), "ansible");
        let directories: Vec<&str> = ansible.tasks_of(&["file"]).map(|task| task.argument("path")).collect();
        assert_eq!(directories, ["/data/a", "/data/b"]);
        let destination = ansible.destination("roles/web/templates/web.conf.j2");
        assert_eq!(destination.as_deref(), Some("/opt/shop/etc/web.conf"));
    }
}
