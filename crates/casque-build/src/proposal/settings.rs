//! What is the customer's to choose: marks that are there already, and variables that look like it.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::marks;
use casque_format::settings::{Kind, Setting};

use super::Project;
use super::files::{Files, file_name};
use super::jinja::is_unknown;

/// Words in a variable's name that make its value the customer's.
const CHOSEN: [&str; 17] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "_url",
    "_uri",
    "dsn",
    "smtp",
    "mail_",
    "email",
    "_host",
    "hostname",
    "domain",
    "license_key",
    "licence_key",
];
/// Of these no value can be thought up: another product has it.
const FOREIGN: [&str; 11] =
    ["smtp", "mail", "api", "ldap", "oauth", "aws", "sentry", "stripe", "external", "license", "licence"];
/// Variables of a platform or of the system, that are no setting.
const SYSTEM: [&str; 13] = [
    "path",
    "home",
    "user",
    "logname",
    "shell",
    "lang",
    "tz",
    "nginx",
    "ld_preload",
    "port",
    "pwd",
    "hostname",
    "debug",
];

/// A setting to propose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposed {
    pub(super) kind: Kind,
    pub(super) description: String,
    pub(super) secret: bool,
    pub(super) generate: bool,
    pub(super) default: Option<String>,
    /// The variable it stands for, and the file that has it.
    pub(super) variable: String,
    pub(super) file: String,
    /// The filter for a mark in that file; none where the value reaches the product by itself.
    pub(super) filter: Option<&'static str>,
}

/// Settings by name, as there are three kinds.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// A file has the mark.
    pub(super) marked: BTreeMap<String, Proposed>,
    /// A variable of the environment takes it.
    pub(super) environment: BTreeMap<String, Proposed>,
    /// The vendor has to put a mark first.
    pub(super) candidates: BTreeMap<String, Proposed>,
}

pub(super) fn find(project: &Project) -> Settings {
    let mut settings = Settings { marked: marked(project), ..Settings::default() };
    for (file, name, value) in variables_of_environment(&project.files) {
        let setting = setting_name(&name);
        if !settings.marked.contains_key(&setting) {
            settings.environment.entry(setting).or_insert_with(|| proposed(&name, &file, Some(&value), None));
        }
    }
    let known: BTreeSet<String> =
        settings.marked.keys().chain(settings.environment.keys()).cloned().collect();
    for (file, name, value) in &project.ansible.written {
        let setting = setting_name(name);
        // What is made of other variables is decided there.
        if known.contains(&setting) || !is_chosen(name) || is_unknown(value) || value.contains(marks::OPENING)
        {
            continue;
        }
        settings.candidates.entry(setting).or_insert_with(|| proposed(name, file, Some(value), Some("ini")));
    }
    settings
}

/// Returns a setting for each mark in the project's files.
fn marked(project: &Project) -> BTreeMap<String, Proposed> {
    let mut settings: BTreeMap<String, Proposed> = BTreeMap::new();
    for (path, text) in project.files.iter() {
        let is_document = [".md", ".rst", ".py", ".rs", ".sh"].iter().any(|end| path.ends_with(end));
        for mark in marks::scan(text).unwrap_or_default().into_iter().filter(|_| !is_document) {
            let variable = mark.name.replace('-', "_");
            // The other stages say what a usual value is.
            let usual = project.ansible.written.iter().find(|(_, name, value)| {
                *name == variable && !is_unknown(value) && !value.contains(marks::OPENING)
            });
            let new = || proposed(&variable, path, usual.map(|(.., value)| value.as_str()), None);
            let setting = settings.entry(mark.name.clone()).or_insert_with(new);
            if mark.filters.is_empty() {
                // A secret may not be in such a place.
                setting.secret = false;
            }
        }
    }
    settings
}

/// Returns file, name and value of each variable in the project's files of environments.
fn variables_of_environment(files: &Files) -> Vec<(String, String, String)> {
    let mut variables = Vec::new();
    let is_one = |path: &str| {
        let name = file_name(path);
        name == ".env" || name.starts_with(".env.") || name.ends_with(".env") || name == "env.example"
    };
    for (path, text) in files.iter().filter(|(path, _)| is_one(path)) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.trim_start_matches("export ").split_once('=') else { continue };
            let name = name.trim();
            let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let lower = name.to_lowercase();
            if fits && !SYSTEM.contains(&lower.as_str()) && !lower.ends_with("_service_host") {
                // What stands in a file that is no example is this machine's own, and may be a secret.
                let value =
                    if file_name(path) == ".env" { "" } else { value.trim().trim_matches(['"', '\'']) };
                variables.push((path.to_owned(), name.to_owned(), value.to_owned()));
            }
        }
    }
    variables
}

fn setting_name(variable: &str) -> String {
    let name = variable.to_lowercase().replace('_', "-");
    let name = name.trim_matches('-').to_owned();
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("setting-{name}") }
}

fn is_chosen(name: &str) -> bool {
    let name = name.to_lowercase();
    let ours =
        ["_file", "_dir", "_path", "_user", "_names", "_uid", "_port"].iter().any(|end| name.ends_with(end));
    !ours && CHOSEN.iter().any(|word| name.contains(word))
}

fn is_duration(value: &str) -> bool {
    casque_settings::check(&Setting { kind: Kind::Duration, ..Setting::default() }, value).is_some()
}

fn proposed(variable: &str, file: &str, value: Option<&str>, filter: Option<&'static str>) -> Proposed {
    let name = variable.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let value = value.filter(|value| !value.is_empty());
    let kind = match value {
        _ if has(&["password", "passwd", "secret", "token", "_key", "apikey", "credential"]) => {
            Kind::Password
        }
        _ if has(&["_url", "_uri", "_dsn"]) || name == "dsn" => Kind::Url,
        Some("true" | "false" | "True" | "False") => Kind::Bool,
        Some(value) if name.ends_with("port") && value.parse::<u16>().is_ok() => Kind::Port,
        Some(value) if value.parse::<i64>().is_ok() => Kind::Integer,
        Some(value) if has(&["timeout", "interval"]) && is_duration(value) => Kind::Duration,
        _ if name.ends_with("_host") || has(&["hostname", "domain"]) => Kind::Host,
        _ => Kind::String,
    };
    let secret = matches!(kind, Kind::Password | Kind::Url);
    let generate = kind == Kind::Password && !has(&FOREIGN);
    let fits = |value: &&str| match kind {
        // A usual password is none, and an address with a login is the vendor's own.
        Kind::Password => false,
        Kind::Url => value.contains("://") && !value.contains('@'),
        Kind::Host => !value.contains([' ', '/', ':']),
        _ => true,
    };
    let words = name.replace('_', " ");
    let mut description = words[..1].to_uppercase() + &words[1..];
    description += if generate { "; made at the first start when none is given." } else { "." };
    let default = value.filter(fits).map(|value| match kind {
        Kind::Bool => value.to_lowercase(),
        _ => value.to_owned(),
    });
    let (variable, file) = (variable.to_owned(), file.to_owned());
    Proposed { kind, description, secret, generate, default, variable, file, filter }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, value: &str) -> (Kind, bool, Option<String>) {
        let setting = proposed(name, "x", Some(value), None);
        (setting.kind, setting.generate, setting.default)
    }

    #[test]
    fn a_variable_s_name_and_value_say_its_type() {
        assert_eq!(seen("ADMIN_PASSWORD", "changeme"), (Kind::Password, true, None));
        assert_eq!(seen("SMTP_PASSWORD", ""), (Kind::Password, false, None));
        assert_eq!(seen("DATABASE_URL", "postgres://u:p@db/x"), (Kind::Url, false, None));
        assert_eq!(
            seen("CACHE_URL", "redis://localhost"),
            (Kind::Url, false, Some("redis://localhost".to_owned()))
        );
        assert_eq!(seen("web_workers", "2"), (Kind::Integer, false, Some("2".to_owned())));
        assert_eq!(seen("answer_timeout", "60s"), (Kind::Duration, false, Some("60s".to_owned())));
        assert_eq!(seen("answer_timeout", "long"), (Kind::String, false, Some("long".to_owned())));
        assert_eq!(seen("DEBUG_MAIL", "True"), (Kind::Bool, false, Some("true".to_owned())));
    }

    #[test]
    fn what_a_product_decides_itself_is_no_setting() {
        assert!(is_chosen("smtp_host") && is_chosen("admin_password") && is_chosen("base_url"));
        assert!(!is_chosen("app_dir") && !is_chosen("secret_names") && !is_chosen("mongodb_user"));
    }
}
