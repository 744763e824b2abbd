//! Mistakes in a manifest: refused by `casque check` as by every command that reads one, before anything is written.

use casque_test::TestEnv;
use insta::assert_snapshot;

const MANIFEST: &str = r#"[image]
name = "vendor/notes"
version = "1.4.0"
command = "notes"

[base]
distribution = "debian"
suite = "bookworm"

[[layer]]
name = "deploy"
run = "true"

[service.web]
command = ["/usr/bin/web"]
after = ["database"]

[service.database]
command = ["/usr/bin/database"]
"#;

/// Returns everything `casque check` says of the manifest with one text in place of another.
///
/// `casque lock` and `casque build` say the same with the same code, and none of them leaves a file, beside the cache's
/// record of whose it is.
fn check(from: &str, to: &str) -> String {
    let environment = TestEnv::default();
    assert!(MANIFEST.contains(from), "{from}");
    environment.write("project/casque.toml", MANIFEST.replacen(from, to, 1));
    let checked = environment.run(&["check", "project"]);
    let rest = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    for command in ["lock", "build"] {
        let seen = environment.run(&[command, "project"]);
        assert_eq!((seen.code, rest(&seen.stderr)), (checked.code, rest(&checked.stderr)), "{command}");
    }
    let left: Vec<_> = environment.files("").into_iter().filter(|file| file != "cache/numbers").collect();
    assert_eq!(left, ["project/casque.toml"]);
    checked.to_string()
}

#[test]
fn the_manifest_of_these_tests_is_accepted() {
    let environment = TestEnv::default();
    environment.write("project/casque.toml", MANIFEST);
    assert_snapshot!(environment.run(&["check", "project"]), @r"
    stdout: vendor/notes:v1.4.0: 2 services, 14 settings
    exit code 0
    ");
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest_known_one() {
    assert_snapshot!(check("after =", "aftr ="), @r#"
    error: cannot accept `project`
      caused by: cannot read manifest `project/casque.toml:16`
      caused by: TOML parse error at line 16, column 1
           |
        16 | aftr = ["database"]
           | ^^^^
        unknown field `aftr`, expected one of `from`, `command`, `type`, `user`, `working-directory`, `environment`, `environment-settings`, `inherit`, `umask`, `limits`, `nice`, `oom-score-adjust`, `directories`, `replicas`, `after`, `requires`, `when-lost`, `ready`, `health`, `once`, `schedule`, `reload`, `check`, `files`, `start-timeout`, `restart`, `stop`, `post-stop`, `critical`, `when`, `unless`, `front`, `needs`
    hint: did you mean `after`?
    exit code 2
    "#);
}

#[test]
fn an_unknown_table_is_shown() {
    assert_snapshot!(check("[service.web]", "[services.web]"), @r"
    error: cannot accept `project`
      caused by: cannot read manifest `project/casque.toml:14`
      caused by: TOML parse error at line 14, column 2
           |
        14 | [services.web]
           |  ^^^^^^^^
        unknown field `services`, expected one of `image`, `base`, `layer`, `settings`, `service`, `users`, `data`, `logs`, `preflight`
    hint: did you mean `service`?
    exit code 2
    ");
}

#[test]
fn a_value_of_the_wrong_type_is_shown_with_what_is_expected() {
    assert_snapshot!(check("run = \"true\"", "run = true"), @r"
    error: cannot accept `project`
      caused by: cannot read manifest `project/casque.toml:12`
      caused by: TOML parse error at line 12, column 7
           |
        12 | run = true
           |       ^^^^
        invalid type: boolean `true`, expected a string
    exit code 2
    ");
}

#[test]
fn a_missing_key_is_named() {
    assert_snapshot!(check("version = \"1.4.0\"\n", ""), @r"
    error: cannot accept `project`
      caused by: cannot read manifest `project/casque.toml:1`
      caused by: TOML parse error at line 1, column 1
          |
        1 | [image]
          | ^^^^^^^
        missing field `version`
    exit code 2
    ");
}

#[test]
fn what_is_no_toml_is_shown() {
    assert_snapshot!(check("name = \"vendor/notes\"", "name = vendor/notes"), @r"
    error: cannot accept `project`
      caused by: cannot read manifest `project/casque.toml:2`
      caused by: TOML parse error at line 2, column 8
          |
        2 | name = vendor/notes
          |        ^^^^^^^^^^^^
        string values must be quoted, expected literal string
    exit code 2
    ");
}

#[test]
fn a_value_that_its_key_cannot_have_is_named_with_what_can() {
    assert_snapshot!(check("vendor/notes", "Vendor/Notes"), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:2: `image.name` is `Vendor/Notes`, expected a repository name in lower case such as `vendor/backend`
    exit code 2
    ");
}

#[test]
fn an_unknown_service_is_answered_with_the_nearest_one() {
    assert_snapshot!(check("[\"database\"]", "[\"databse\"]"), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:16: service `web` needs `databse`, which this manifest does not define
    hint: did you mean `database`?
    exit code 2
    ");
}

#[test]
fn services_that_wait_for_each_other_are_named_in_their_order() {
    assert_snapshot!(check("[\"/usr/bin/database\"]", "[\"/usr/bin/database\"]\nafter = [\"web\"]"), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:20: services wait for each other: `database` -> `web` -> `database`
    hint: remove one of these from `after` or `requires`
    exit code 2
    ");
}

#[test]
fn a_missing_file_is_named_with_the_line_that_wants_it() {
    assert_snapshot!(check("run = \"true\"", "copy = [{ from = \"files\", to = \"/opt\" }]"), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:12: there is no `project/files`
    hint: paths start from the manifest's directory
    exit code 2
    ");
}

#[test]
fn a_missing_key_file_is_named_with_the_line_that_wants_it() {
    assert_snapshot!(check("suite = \"bookworm\"", "suite = \"bookworm\"\nsigned-by = \"keys.asc\""), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:9: there is no `project/keys.asc`
    hint: paths start from the manifest's directory
    exit code 2
    ");
}

#[test]
fn an_unknown_setting_is_answered_with_the_nearest_one() {
    let setting = "[settings.database-url]\ntype = \"url\"\ndescription = \"Elsewhere.\"\n\n[service.web]\n";
    assert_snapshot!(check("[service.web]\n", &format!("{setting}unless = \"databse-url\"\n")), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:19: `service.web.unless` names the setting `databse-url`, which this manifest does not define
    hint: did you mean `database-url`?
    exit code 2
    ");
}

#[test]
fn stops_that_take_longer_than_the_whole_are_named() {
    assert_snapshot!(check("after = ", "stop = { timeout = \"20s\" }\nafter = "), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:14: stopping `web` -> `database` in turn may take 20250 ms, of the whole stop's 9000 ms they have all but 500
    hint: lower `stop = { timeout }` of these, or raise `[image] stop-timeout`
    exit code 2
    ");
}

#[test]
fn a_directory_without_a_manifest_is_named() {
    let environment = TestEnv::default();
    assert_snapshot!(environment.run(&["check", "elsewhere"]), @r"
    error: cannot accept `elsewhere`
      caused by: failed to open file `elsewhere`: No such file or directory (os error 2)
    hint: name a directory that has a `casque.toml`, or such a file
    exit code 2
    ");
}

#[test]
fn what_cannot_live_in_the_volume_is_named_with_what_can() {
    let see = |persist: &str| {
        check("[service.web]\n", &format!("[data]\npersist = [{persist}]\n\n[service.web]\n"))
    };
    assert_snapshot!(see("\"/run/database\""), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:15: `data.persist` is `/run/database`, expected a directory of the software, outside of `/data` and what is made at each start
    exit code 2
    ");
    assert_snapshot!(see("\"/var\""), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:15: `data.persist` is `/var`, expected a directory below another, such as `/var/lib/postgresql`
    exit code 2
    ");
    assert_snapshot!(see("\"/var/lib/db\", \"/var/lib/db/main\""), @r"
    error: cannot accept `project`
      caused by: project/casque.toml:15: `data.persist` is `/var/lib/db/main`, expected a directory that no other entry holds
    exit code 2
    ");
}
