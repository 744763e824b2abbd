//! `prepare`: what it leaves, and that it leaves nothing when something is wrong.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::run::{AgentConfig, RunPlan};
use fs_err as fs;
use serde_json::json;

use crate::instance::{Instance, plan};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode(instance: &Instance, path: &str) -> u32 {
    fs::metadata(instance.path(path)).unwrap().permissions().mode() & 0o7777
}

fn owner(instance: &Instance, path: &str) -> (u32, u32) {
    let metadata = fs::metadata(instance.path(path)).unwrap();
    (metadata.uid(), metadata.gid())
}

#[test]
fn a_start_leaves_everything_resolved_with_owner_and_mode() {
    let instance = Instance::new();
    assert_eq!(instance.run(&["prepare"], &[("SMTP_URL", "smtp://u:p\"w@mail:25")]).quiet(), "");

    let secret = instance.read("/data/casque/secrets/admin-password");
    assert_eq!(secret.len(), 32);
    assert_eq!(
        instance.read("/run/casque/files/etc/app.conf"),
        format!("port = 8000\nurl = \"smtp://u:p\\\"w@mail:25\"\nadmin = '{secret}'\n")
    );
    let run: RunPlan = serde_json::from_value(instance.json(paths::RUN_PLAN)).unwrap();
    assert_eq!(run.services.keys().collect::<Vec<_>>(), ["mongodb", "web"]);
    assert_eq!(run.services["web"].environment["SMTP_URL"], "smtp://u:p\"w@mail:25");
    assert!(run.mask.contains(&secret) && run.mask.contains(&"smtp://u:p\"w@mail:25".to_owned()));
    assert_eq!((run.listen, run.agent_uid, run.stop_budget_ms), (vec![80, 443], 910, 9000));
    let config: AgentConfig = serde_json::from_value(instance.json(paths::AGENT_CONFIG)).unwrap();
    assert_eq!(config.status_token, instance.read("/data/casque/secrets/status-token"));
    assert_eq!((config.status_agent.as_str(), config.warnings.len()), ("monitor", 0));
    assert_eq!(instance.json(paths::STAMP)["product"], "vendor/backend");

    let modes = [
        (paths::RUN_PLAN, 0o600),
        (paths::AGENT_CONFIG, 0o600),
        ("/run/casque/agent", 0o755),
        ("/run/casque/files/etc", 0o755),
        ("/run/casque/files/etc/app.conf", 0o640),
        ("/data/mongodb", 0o750),
        (paths::SECRETS, 0o700),
        ("/data/casque/secrets/admin-password", 0o600),
    ];
    for (path, expected) in modes {
        assert_eq!(mode(&instance, path), expected, "{path}");
    }
    if is_root() {
        let owners = [
            (paths::RUN_PLAN, (0, 0)),
            (paths::AGENT_CONFIG, (910, 911)),
            ("/run/casque/agent", (910, 911)),
            ("/run/casque/files/etc/app.conf", (33, 34)),
            ("/data/mongodb", (900, 900)),
            (paths::SECRETS, (0, 0)),
        ];
        for (path, expected) in owners {
            assert_eq!(owner(&instance, path), expected, "{path}");
        }
    }
}

#[test]
fn a_second_start_keeps_secrets_and_instance_and_forgets_the_first_ones_files() {
    let instance = Instance::new();
    instance.run(&["prepare"], &[]).quiet();
    let kept = || {
        let secrets = ["admin-password", "status-token"]
            .map(|name| instance.read(&format!("{}/{name}", paths::SECRETS)));
        (secrets, instance.json(paths::STAMP))
    };
    let first = kept();
    assert_ne!(first.0[0], first.0[1]);
    instance.write("/run/casque/files/etc/old/app.conf", "stale");
    instance.write("/run/casque/files/etc/old.conf", "stale");
    let control = instance.control_socket();
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(kept(), first);
    assert_eq!(instance.list(paths::RENDERED), ["/run/casque/files/etc", "/run/casque/files/etc/app.conf"]);
    assert!(instance.exists(paths::CONTROL_SOCKET));
    drop(control);
}

#[test]
fn starts_at_the_same_time_agree_on_every_secret() {
    let instance = Instance::new();
    let children: Vec<_> = (0..4).map(|_| instance.command(&["prepare"]).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let secret = instance.read("/data/casque/secrets/status-token");
    assert_eq!(instance.json(paths::AGENT_CONFIG)["status_token"], secret);
    assert!(instance.json(paths::RUN_PLAN)["mask"].as_array().unwrap().contains(&json!(secret)));
    assert_eq!(fs::read_dir(instance.path(paths::SECRETS)).unwrap().count(), 2);
}

#[test]
fn a_wrong_setting_is_one_line_and_nothing_is_written() {
    let instance = Instance::new();
    instance.write(paths::SETTINGS_FILE, "prot = 1\n");
    let before = instance.list("");
    let finished = instance.run(&["prepare"], &[("PORT", "http"), ("SMTP_URL", "hunter2")]);
    assert_eq!(finished.code, 100);
    assert_eq!(
        finished.stderr,
        "error: setting `port`: given `http`, expected a port number from 1 to 65535 (from environment variable `PORT`)\n\
         error: setting `smtp-url`: given a secret that is not shown, expected a URL such as `smtp://user:password@host:25` (from environment variable `SMTP_URL`)\n\
         error: setting `prot`: unknown to this product, did you mean `port`? (from `/data/config/settings.toml`)\n"
    );
    assert_eq!(instance.list(""), before);
}

#[test]
fn a_marked_file_that_cannot_be_rendered_is_named_and_nothing_is_written() {
    let instance = Instance::new();
    instance.write(&format!("{}/etc/app.conf", paths::TEMPLATES), "a\nb = @casque{smtp-url|nginx}\n");
    let before = instance.list("");
    let finished = instance.run(&["prepare"], &[("SMTP_URL", "smtp://a:hunter$2@b")]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            100,
            "error: cannot render `/etc/app.conf`: line 2: mark `@casque{smtp-url|nginx}`: the value has a `$`, which nginx takes for a variable and cannot escape\n"
        )
    );
    fs::remove_file(instance.path(&format!("{}/etc/app.conf", paths::TEMPLATES))).unwrap();
    let finished = instance.run(&["prepare"], &[]);
    assert_eq!(finished.code, 100);
    assert!(
        finished.stderr.starts_with("error: cannot read the marked file `/etc/app.conf`: "),
        "{finished:?}"
    );
    assert!(!instance.exists(paths::RUN));
    assert_eq!(before.len(), instance.list("").len() + 1);
}

#[test]
fn another_products_volume_is_refused_untouched() {
    let instance = Instance::new();
    instance.run(&["prepare"], &[]).quiet();
    let mut other = plan();
    other["product"]["name"] = json!("vendor/other");
    instance.write_plan(other);
    let before = instance.read(paths::STAMP);
    let finished = instance.run(&["prepare"], &[]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            102,
            "error: volume `/data` belongs to `vendor/backend` 43.4.4, this is `vendor/other`; start with a volume of its own\n"
        )
    );
    assert_eq!(instance.read(paths::STAMP), before);
}

#[test]
fn a_newer_versions_data_are_refused_untouched_by_a_start_and_a_check() {
    let instance = Instance::new();
    let version = |version: &str| {
        let mut other = plan();
        other["product"]["version"] = json!(version);
        instance.write_plan(other);
    };
    version("43.10.0");
    instance.run(&["prepare"], &[]).quiet();
    version("43.4.4");
    let before = instance.list("/data");
    let line = "error: volume `/data` has data of `vendor/backend` 43.10.0, this is 43.4.4; start version 43.10.0 or newer, or restore a backup that 43.4.4 made\n";
    for words in [&["prepare"][..], &["settings", "check"]] {
        let finished = instance.run(words, &[]);
        assert_eq!((finished.code, finished.stderr.as_str()), (102, line), "{words:?}");
    }
    assert_eq!(instance.list("/data"), before);
}

#[test]
fn an_update_with_a_migration_leaves_the_data_the_earlier_versions_until_it_is_done() {
    let instance = Instance::new();
    let start = |version: &str| {
        let mut other = plan();
        other["product"]["version"] = json!(version);
        other["services"]["web"]["service"]["kind"] = json!("oneshot");
        other["services"]["web"]["service"]["once"] = json!("version");
        instance.write_plan(other);
        instance.run(&["prepare"], &[])
    };
    start("1").quiet();
    start("2").quiet();
    let stamp = instance.json(paths::STAMP);
    assert_eq!(stamp["product_version"], "1");
    assert_eq!(stamp["update"], json!({ "product_version": "2", "migrations": ["web"] }));
    start("1").quiet();
    start("2").quiet();
    instance.write(&format!("{}/web.json", paths::ONCE), r#"{"version":1,"product_version":"2"}"#);
    assert_eq!(start("1").code, 102);
    start("2").quiet();
    assert_eq!(instance.json(paths::STAMP)["product_version"], "2");
}

#[test]
fn a_directory_that_persists_is_in_the_volume_with_the_owners_of_its_seed() {
    assert!(is_root(), "this test needs root");
    let instance = Instance::new();
    let mut with = plan();
    with["persist"] = json!([{ "path": "/var/lib/db", "uid": 905, "gid": 906, "mode": 448 }]);
    instance.write_plan(with);
    let missing = instance.run(&["prepare"], &[]);
    assert_eq!(
        (missing.code, missing.stderr.as_str()),
        (
            102,
            "error: cannot put what the image has in `/var/lib/db` into the volume: failed to open file `/usr/lib/casque/seeds/var/lib/db.tar`: No such file or directory (os error 2)\n"
        )
    );
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_uid(905);
    header.set_gid(906);
    header.set_mode(0o700);
    header.set_size(0);
    let mut seed = tar::Builder::new(Vec::new());
    seed.append_data(&mut header, "seed/", std::io::empty()).unwrap();
    let place = instance.path(&format!("{}/var/lib/db.tar", paths::SEEDS));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, seed.into_inner().unwrap()).unwrap();
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(owner(&instance, "/data/persist/var/lib/db"), (905, 906));
    // A later start looks at no owner in there.
    std::os::unix::fs::chown(instance.path("/data/persist/var/lib/db"), Some(7), Some(7)).unwrap();
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(owner(&instance, "/data/persist/var/lib/db"), (7, 7));
}

#[test]
fn a_volume_of_another_user_is_refused_with_the_line_that_hands_it_over() {
    assert!(is_root(), "this test needs root");
    let instance = Instance::new();
    let line = |path: &str, owner: u32| {
        format!(
            "error: cannot use `{path}` as uid 4711: Permission denied (os error 13); it belongs to uid {owner}, hand it over once with `docker run --rm --user 0 -v NAME:/data IMAGE /bin/chown -R 4711 /data`\n"
        )
    };
    let refused = || {
        let finished = instance.run_as(4711, &["prepare"]);
        assert_eq!(finished.code, 102);
        finished.stderr.replace("permission denied", "Permission denied (os error 13)")
    };
    assert_eq!(refused(), line("/data", 0));
    assert!(!instance.exists(paths::RUN));
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(
        refused(),
        "error: volume `/data` was written as uid 0, this is uid 4711; start with `--user 0:0` as before, or hand it over once with `docker run --rm --user 0 -v NAME:/data IMAGE /bin/chown -R 4711 /data`\n"
    );
    // One from before anybody noted who writes.
    let stamp = instance.read(paths::STAMP).replace("\"uid\": 0", "\"other\": 0");
    instance.write(paths::STAMP, &stamp);
    assert_eq!(refused(), line("/data/casque/secrets", 0));
    fs::set_permissions(instance.path("/data/casque"), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(refused(), line("/data/casque/stamp.json", 0));
}

#[test]
fn any_user_can_start_on_a_volume_of_its_own() {
    assert!(is_root(), "this test needs root");
    let instance = Instance::new();
    for path in ["/data", "/run"] {
        fs::create_dir_all(instance.path(path)).unwrap();
        std::os::unix::fs::chown(instance.path(path), Some(4711), Some(0)).unwrap();
    }
    assert_eq!(instance.run_as(4711, &["prepare"]).quiet(), "");
    assert_eq!(owner(&instance, "/run/casque/files/etc/app.conf"), (4711, 4711));
    assert_eq!(owner(&instance, "/data/mongodb"), (4711, 4711));
}

#[test]
fn a_volume_that_is_no_directory_is_refused() {
    let instance = Instance::new();
    fs::remove_dir(instance.path("/data")).unwrap();
    instance.write("/data", "not a directory");
    let finished = instance.run(&["prepare"], &[]);
    assert_eq!(finished.code, 102, "{finished:?}");
    assert!(finished.stderr.starts_with("error: cannot use the stamp of the volume: "), "{finished:?}");
    assert!(!instance.exists(paths::RUN));
}

#[test]
fn what_the_customer_has_elsewhere_is_asked_for_in_the_place_of_the_service() {
    let instance = Instance::new();
    instance.run(&["prepare"], &[("MONGODB_URL", "mongodb://db/x")]).quiet();
    let run: RunPlan = serde_json::from_value(instance.json(paths::RUN_PLAN)).unwrap();
    assert_eq!(run.services.keys().collect::<Vec<_>>(), ["mongodb", "web"]);
    assert_eq!(run.services["mongodb"].command, ["/usr/lib/casque/agent", "external", "mongodb-url"]);
    assert_eq!(run.services["web"].after, ["mongodb"]);
    assert!(!run.services["web"].environment.contains_key("SMTP_URL"));
}

#[test]
fn a_start_without_a_volume_says_so_in_the_log_and_to_the_agent() {
    let instance = Instance::new();
    instance.write("/proc/self/mountinfo", "1 0 0:1 / / rw - overlay overlay rw\n");
    let finished = instance.run(&["prepare"], &[]);
    let warning = "data is not on a named volume: it is part of this container and is lost with it; start with `-v NAME:/data`";
    assert_eq!((finished.code, finished.stderr), (0, format!("warning: {warning}\n")));
    assert_eq!(instance.json(paths::AGENT_CONFIG)["warnings"], json!([warning]));
}

#[test]
fn an_image_without_a_plan_is_not_started() {
    let instance = Instance::new();
    instance.write(paths::IMAGE_PLAN, "{");
    let finished = instance.run(&["prepare"], &[]);
    assert_eq!(finished.code, 1);
    assert!(
        finished
            .stderr
            .starts_with("error: cannot understand the plan of this image `/usr/lib/casque/plan.json`: ")
    );
    fs::remove_file(instance.path(paths::IMAGE_PLAN)).unwrap();
    let finished = instance.run(&["prepare"], &[]);
    assert!(finished.stderr.starts_with("error: cannot read the plan of this image: "), "{finished:?}");
}

#[test]
fn passwords_reach_files_whole_whatever_they_are_made_of() {
    let instance = Instance::new();
    let mut all: ImagePlan = serde_json::from_value(plan()).unwrap();
    all.templates[0].mode = 0o600;
    instance.write_plan(serde_json::to_value(&all).unwrap());
    let password = " '\"\\$#!@/%:;`~ {{x}} {%y%} @casque{port} äöü€𝄞 <&>";
    instance.write(&format!("{}/etc/app.conf", paths::TEMPLATES), "@casque{admin-password|json}");
    instance.write("/password", &format!("{password}\n"));
    instance.run(&["prepare"], &[("ADMIN_PASSWORD_FILE", "/password")]).quiet();
    assert_eq!(instance.json("/run/casque/files/etc/app.conf"), json!(password));
    assert!(!instance.exists("/data/casque/secrets/admin-password"));
}
