//! `settings set`, `unset`, `check` and `--origin`: what they change, and that they change nothing that would be wrong.

use std::os::unix::fs::PermissionsExt;

use casque_format::paths;
use fs_err as fs;
use serde_json::json;

use crate::instance::{Instance, plan};

/// An instance with settings of every kind of rule.
fn instance() -> Instance {
    let instance = Instance::new();
    let mut plan = plan();
    let settings = plan["settings"].as_object_mut().unwrap();
    let workers = json!({"type": "integer", "description": "Processes.", "default": 2, "min": 1, "max": 64});
    let hosts = json!({"type": "list", "items": "host", "description": "Hosts."});
    let from = json!({"type": "string", "description": "Sender.", "required-when": "smtp-url"});
    let level = json!({
        "type": "choice", "choices": ["info", "debug"], "description": "How much is logged.",
        "renamed-from": ["verbosity"], "deprecated": "it goes away with version 50",
    });
    for (name, setting) in [("workers", workers), ("hosts", hosts), ("mail-from", from), ("level", level)] {
        settings.insert(name.to_owned(), setting);
    }
    instance.write_plan(plan);
    instance
}

#[test]
fn set_writes_a_value_as_its_type_and_leaves_everything_else_as_it_is() {
    let instance = instance();
    let before = "# Ours, see ticket 7.\nworkers = 2 # few\n\n# Debugging.\nverbosity = 'info'\n";
    instance.write(paths::SETTINGS_FILE, before);
    fs::set_permissions(instance.path(paths::SETTINGS_FILE), PermissionsExt::from_mode(0o640)).unwrap();
    let set = |words: &[&str]| instance.run(&[&["settings", "set"], words].concat(), &[]).quiet();
    assert_eq!(
        set(&["workers", "8"]),
        "`workers` is in `/data/config/settings.toml`; it takes effect at the next start of the container\n"
    );
    set(&["level", "debug"]);
    set(&["hosts", "a.example, b"]);
    assert_eq!(
        instance.read(paths::SETTINGS_FILE),
        "# Ours, see ticket 7.\nworkers = 8 # few\n\n# Debugging.\nlevel = \"debug\"\nhosts = [\"a.example\", \"b\"]\n"
    );
    let mode = fs::metadata(instance.path(paths::SETTINGS_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_eq!(instance.list("/data/config"), [paths::SETTINGS_FILE]);
    assert_eq!(instance.run(&["settings", "get", "hosts"], &[]).quiet(), "a.example,b\n");
}

#[test]
fn a_secret_comes_from_stdin_and_from_nowhere_else() {
    let instance = instance();
    instance.run(&["settings", "set", "mail-from", "a@b"], &[]).quiet();
    let refused = instance.run(&["settings", "set", "smtp-url", "smtp://u:hunter2@mail"], &[]);
    assert_eq!(
        (refused.code, refused.stderr.as_str()),
        (
            64,
            "error: setting `smtp-url` is a secret: give its value on stdin, as in `settings set smtp-url < FILE`, not as an argument\n"
        )
    );
    let said = instance.run_with(&["settings", "set", "smtp-url"], &[], "smtp://u:hunter2@mail\n").quiet();
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(instance.run(&["settings", "get", "smtp-url"], &[]).quiet(), "smtp://u:hunter2@mail\n");
    let wrong = instance.run_with(&["settings", "set", "smtp-url"], &[], "hunter3");
    assert_eq!(
        (wrong.code, wrong.stderr.as_str()),
        (
            100,
            "error: setting `smtp-url`: given a secret that is not shown, expected a URL such as `smtp://user:password@host:25` (from this command)\n"
        )
    );
    let mode = fs::metadata(instance.path(paths::SETTINGS_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn what_would_be_wrong_or_without_effect_is_refused_and_nothing_is_written() {
    let instance = instance();
    instance.write(paths::SETTINGS_FILE, "workers = 2\n");
    let refused = |words: &[&str], variables: &[(&str, &str)], input: &str| {
        let finished = instance.run_with(&[&["settings"], words].concat(), variables, input);
        assert_eq!(
            (finished.stdout.as_str(), instance.read(paths::SETTINGS_FILE).as_str()),
            ("", "workers = 2\n")
        );
        (finished.code, finished.stderr)
    };
    let text = |code: i32, text: &str| (code, format!("error: {text}\n"));
    assert_eq!(
        refused(&["set", "wrokers", "8"], &[], ""),
        text(64, "this product has no setting `wrokers`, did you mean `workers`?")
    );
    assert_eq!(
        refused(&["set", "verbosity", "info"], &[], ""),
        text(64, "this product has no setting `verbosity`, did you mean `level`?")
    );
    assert_eq!(
        refused(&["set", "workers", "65"], &[], ""),
        text(100, "setting `workers`: given `65`, expected a whole number from 1 to 64 (from this command)")
    );
    assert_eq!(
        refused(&["set", "workers", "8"], &[("WORKERS", "4")], ""),
        text(
            1,
            "setting `workers` is decided by environment variable `WORKERS` of this container: change it where the container is started"
        )
    );
    assert_eq!(
        refused(&["set", "smtp-url"], &[], "smtp://mail"),
        text(
            100,
            "setting `mail-from`: not given, expected text, since `smtp-url` is given (from environment variable `MAIL_FROM`, `MAIL_FROM_FILE` or the settings file)"
        )
    );
    instance.write(&format!("{}/etc/app.conf", paths::TEMPLATES), "level @casque{mail-from|nginx};\n");
    let unrenderable = "cannot render `/etc/app.conf`: line 1: mark `@casque{mail-from|nginx}`: the value has a `$`, which nginx takes for a variable and cannot escape";
    assert_eq!(refused(&["set", "mail-from", "a$b"], &[], ""), text(100, unrenderable));
    assert_eq!(refused(&["unset", "wrokers"], &[], "").0, 64);
}

#[test]
fn one_of_several_mistakes_can_be_corrected() {
    let instance = instance();
    instance.write(paths::SETTINGS_FILE, "workers = 'many'\nport = 0\n");
    instance.run(&["settings", "set", "workers", "3"], &[]).quiet();
    assert_eq!(instance.read(paths::SETTINGS_FILE), "workers = 3\nport = 0\n");
    instance.write(paths::SETTINGS_FILE, "workers = \n");
    let finished = instance.run(&["settings", "set", "workers", "3"], &[]);
    assert_eq!(finished.code, 100);
    assert!(
        finished
            .stderr
            .starts_with("error: cannot read settings file `/data/config/settings.toml`: line 1: ")
    );
}

#[test]
fn unset_takes_a_value_out_under_any_of_its_names() {
    let instance = instance();
    instance.write(paths::SETTINGS_FILE, "workers = 4 # more\nverbosity = 'info'\n");
    let unset = |name: &str| instance.run(&["settings", "unset", name], &[]).quiet();
    assert_eq!(
        unset("level"),
        "`level` is no longer in `/data/config/settings.toml`; that takes effect at the next start of the container\n"
    );
    assert_eq!(unset("hosts"), "`hosts` was not in `/data/config/settings.toml`\n");
    assert_eq!(instance.read(paths::SETTINGS_FILE), "workers = 4 # more\n");
}

#[test]
fn many_sets_at_the_same_time_are_all_kept() {
    let instance = instance();
    let names = ["workers", "port", "mail-from", "status-agent"];
    let children: Vec<_> =
        names.iter().map(|name| instance.command(&["settings", "set", name, "7"]).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let text = instance.read(paths::SETTINGS_FILE);
    assert!(names.iter().all(|name| text.contains(&format!("{name} = "))), "{text}");
}

#[test]
fn check_tells_what_this_version_would_say_of_a_volume() {
    let instance = instance();
    let check = |variables: &[(&str, &str)]| instance.run(&["settings", "check"], variables);
    let before = instance.list("");
    assert_eq!(check(&[]).quiet(), "vendor/backend 43.4.4 would start with these settings\n");
    assert_eq!(instance.list(""), before);
    instance.write(paths::SETTINGS_FILE, "verbosity = 'info'\n");
    let finished = check(&[]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            3,
            "warning: setting `level` is called `verbosity` in `/data/config/settings.toml`, which is its old name\n\
             warning: setting `level` is deprecated: it goes away with version 50 (from `/data/config/settings.toml`)\n\
             error: this version would start, with 2 to change, as the warnings say\n"
        )
    );
    instance.write(paths::SETTINGS_FILE, "removed-one = 'info'\n");
    let finished = check(&[("PORT", "x")]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            100,
            "error: setting `port`: given `x`, expected a port number from 1 to 65535 (from environment variable `PORT`)\n\
             error: setting `removed-one`: unknown to this product (from `/data/config/settings.toml`)\n"
        )
    );
    instance.write(
        paths::STAMP,
        r#"{"version":1,"product":"vendor/other","product_version":"1","instance":"x"}"#,
    );
    assert_eq!(check(&[]).code, 102);
}

#[test]
fn a_start_warns_of_what_is_to_change_and_keeps_a_renamed_secret() {
    let instance = Instance::new();
    let mut plan = plan();
    plan["settings"]["admin-password"]["renamed-from"] = json!(["root-password"]);
    plan["settings"]["port"]["renamed-from"] = json!(["listen"]);
    plan["settings"]["time-zone"] = json!({"type": "string", "description": "Zone.", "variables": ["TZ"]});
    instance.write_plan(plan);
    instance.write("/data/casque/secrets/root-password", "kept");
    let finished = instance.run(&["prepare"], &[("LISTEN", "81"), ("TZ", "Mars/Olympus")]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            0,
            "warning: setting `port`: `LISTEN` is its old name, it is `PORT` now\n\
             warning: time zone `Mars/Olympus` is not in this image, so services take it for UTC\n"
        )
    );
    assert_eq!(instance.read("/data/casque/secrets/admin-password"), "kept");
    assert!(instance.read("/run/casque/files/etc/app.conf").contains("admin = 'kept'"));
    assert_eq!(instance.json(paths::AGENT_CONFIG)["warnings"].as_array().unwrap().len(), 2);
    instance.write("/usr/share/zoneinfo/Mars/Olympus", "");
    instance.run(&["prepare"], &[("PORT", "81"), ("TZ", "Mars/Olympus")]).quiet();
}

#[test]
fn origin_shows_what_counts_and_what_it_goes_over() {
    let instance = instance();
    instance.write(paths::SETTINGS_FILE, "workers = 4\nadmin-password = 'hunter2'\n");
    let shown = instance.run(&["settings", "--origin"], &[("WORKERS", "8")]).quiet();
    let lines: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[0], "SETTING VALUE FROM IN PLACE OF");
    assert_eq!(lines[1], "admin-password ******** `/data/config/settings.toml` generated");
    assert_eq!(
        lines.last().unwrap(),
        "workers 8 environment variable `WORKERS` `/data/config/settings.toml`, default"
    );
    assert!(!shown.contains("hunter2"));
}
