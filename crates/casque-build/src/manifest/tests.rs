//! What a vendor sees who made a mistake in the manifest.

use super::*;

const HEAD: &str = r#"[image]
name = "vendor/notes"
version = "1.4.0"
command = "notes"
[base]
distribution = "debian"
suite = "bookworm"
"#;

/// Reads a manifest made of a plain head and `rest`; returns what the vendor sees on a mistake.
fn mistake(rest: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("casque.toml"), format!("{HEAD}{rest}")).unwrap();
    let error = Manifest::read(directory.path()).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text += &format!("\n{cause}");
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        text += &format!("\nhint: {hint}");
    }
    text.replace(&format!("{}/", directory.path().display()), "")
}

#[test]
fn an_unknown_key_is_shown_with_its_line_and_the_nearest_known_one() {
    insta::assert_snapshot!(mistake("[service.web]\ncomand = [\"web\"]\n"), @r##"
    cannot read manifest `casque.toml:9`
    TOML parse error at line 9, column 1
      |
    9 | comand = ["web"]
      | ^^^^^^
    unknown field `comand`, expected one of `from`, `command`, `type`, `user`, `working-directory`, `environment`, `environment-settings`, `inherit`, `umask`, `limits`, `nice`, `oom-score-adjust`, `directories`, `replicas`, `after`, `requires`, `when-lost`, `ready`, `health`, `once`, `schedule`, `reload`, `check`, `files`, `start-timeout`, `restart`, `stop`, `post-stop`, `critical`, `when`, `unless`, `front`, `needs`

    hint: did you mean `command`?
    "##);
}

#[test]
fn a_wrong_type_is_shown_with_its_line() {
    insta::assert_snapshot!(mistake("[service.web]\ncommand = \"web --now\"\n"), @r#"
    cannot read manifest `casque.toml:9`
    TOML parse error at line 9, column 11
      |
    9 | command = "web --now"
      |           ^^^^^^^^^^^
    invalid type: string "web --now", expected a sequence
    "#);
}

#[test]
fn a_network_that_is_none_of_the_three_is_shown_with_its_line() {
    insta::assert_snapshot!(mistake("[[layer]]\nname = \"a\"\nrun = \"true\"\nnetwork = \"hots\"\n"), @r#"
    cannot read manifest `casque.toml:11`
    TOML parse error at line 11, column 11
       |
    11 | network = "hots"
       |           ^^^^^^
    invalid value: string "hots", expected `true`, `false` or `"host"`
    "#);
}

#[test]
fn an_unknown_service_in_after_is_named_with_the_nearest() {
    insta::assert_snapshot!(mistake("[service.database]\ncommand = [\"db\"]\n[service.web]\ncommand = [\"web\"]\nafter = [\"databse\"]\n"), @r"
    casque.toml:12: service `web` needs `databse`, which this manifest does not define
    hint: did you mean `database`?
    ");
}

#[test]
fn a_dependency_cycle_is_shown_whole() {
    insta::assert_snapshot!(mistake("[service.a]\ncommand = [\"a\"]\nafter = [\"b\"]\n[service.b]\ncommand = [\"b\"]\nafter = [\"a\"]\n"), @r"
    casque.toml:10: services wait for each other: `a` -> `b` -> `a`
    hint: remove one of these from `after` or `requires`
    ");
}

#[test]
fn a_missing_file_is_named_with_the_line_that_names_it() {
    insta::assert_snapshot!(mistake("[[layer]]\nname = \"app\"\ncopy = [{ from = \"app\", to = \"/opt/app\" }]\n"), @r"
    casque.toml:10: there is no `app`
    hint: paths start from the manifest's directory
    ");
}

#[test]
fn stops_that_cannot_fit_are_refused() {
    insta::assert_snapshot!(mistake("[service.db]\ncommand = [\"db\"]\nstop = { timeout = \"6s\" }\n[service.web]\ncommand = [\"w\"]\nafter = [\"db\"]\nstop = { timeout = \"4s\" }\n"), @r"
    casque.toml:11: stopping `web` -> `db` in turn may take 10000 ms, of the whole stop's 9000 ms they have all but 500
    hint: lower `stop = { timeout }` of these, or raise `[image] stop-timeout`
    ");
}

#[test]
fn an_unknown_setting_in_unless_is_named_with_the_nearest() {
    insta::assert_snapshot!(mistake("[settings.mongodb-url]\ntype = \"url\"\ndescription = \"x\"\n[service.db]\ncommand = [\"db\"]\nunless = \"mongo-url\"\n"), @r"
    casque.toml:13: `service.db.unless` names the setting `mongo-url`, which this manifest does not define
    hint: did you mean `mongodb-url`?
    ");
}

#[test]
fn a_setting_that_would_hide_the_path_is_refused() {
    insta::assert_snapshot!(mistake("[settings.path]\ntype = \"string\"\ndescription = \"x\"\n"), @"casque.toml:8: `settings.path` is `PATH`, expected a name that hides nothing: set `[image] env-prefix`");
}

#[test]
fn an_answer_that_debconf_would_not_understand_is_shown_with_its_own_line() {
    // The manifest itself is a file that is there, and holds no answers.
    insta::assert_snapshot!(mistake("preseed = \"casque.toml\"\n"), @"casque.toml:1: `base.preseed` is `[image]`, expected a line `PACKAGE QUESTION TYPE ANSWER`, TYPE being one of debconf's and not `password`");
    insta::assert_snapshot!(mistake("preseed = \"answers\"\n"), @r"
    casque.toml:8: there is no `answers`
    hint: paths start from the manifest's directory
    ");
}

fn archive(url: &str, more: &str) -> String {
    format!(
        "[[base.archive]]\nname = \"a\"\nurl = \"{url}\"\nsuite = \"x\"\ncomponents = []\nsigned-by = \"casque.toml\"\n{more}"
    )
}

#[test]
fn a_login_in_an_address_is_refused_without_being_shown() {
    insta::assert_snapshot!(mistake(&archive("https://vendor:secret@repo.example.com/apt", "")), @"casque.toml:10: `base.archive.url` is `USER:PASSWORD@`, expected an address without user name and password: they go into `CASQUE_AUTH`");
    insta::assert_snapshot!(mistake(&archive("ftp://repo.example.com", "")), @"casque.toml:10: `base.archive.url` is `ftp://repo.example.com`, expected an address such as `https://repo.example.com/apt/debian`");
}

#[test]
fn a_pin_names_an_archive_that_is_there_or_a_version() {
    let pin = |rest: &str| mistake(&format!("[[base.pin]]\npackages = [\"x\"]\npriority = 1\n{rest}"));
    insta::assert_snapshot!(pin("archive = \"backports\""), @"casque.toml:8: `base.pin.archive` is `backports`, expected one of `bookworm`, `bookworm-updates`, `bookworm-security`");
    insta::assert_snapshot!(pin(""), @"casque.toml:8: `base.pin` is `x`, expected `archive`, `version` or both beside `packages`");
}

#[test]
fn a_label_that_casque_gives_itself_or_nobody_knows_is_refused() {
    insta::assert_snapshot!(mistake("[image.labels]\nversion = \"2\"\n"), @"casque.toml:9: `image.labels.version` is `2`, expected nothing: casque says this itself");
    insta::assert_snapshot!(mistake("[image.annotations]\n\"org.opencontainers.image.created\" = \"now\"\n"), @"casque.toml:9: `image.annotations.org.opencontainers.image.created` is `now`, expected nothing: casque says this itself");
    insta::assert_snapshot!(mistake("[image.labels]\nlicence = \"MIT\"\n"), @"casque.toml:9: `image.labels.licence` is `MIT`, expected a name with a dot in it, or one of authors, description, documentation, licenses, revision, source, title, url, vendor");
}

#[test]
fn a_health_check_that_engines_would_not_take_is_refused() {
    insta::assert_snapshot!(mistake("[image.healthcheck]\ninterval = \"0s\"\n"), @"casque.toml:1: `image.healthcheck.interval` is `0ms`, expected 1 ms or more");
    insta::assert_snapshot!(mistake("[image.healthcheck]\nretries = 0\n"), @"casque.toml:1: `image.healthcheck.retries` is `0`, expected 1 or more");
}

#[test]
fn a_mistake_in_a_step_s_secrets_is_shown_with_its_line() {
    let layer =
        |secrets: &str| mistake(&format!("[[layer]]\nname = \"a\"\nrun = \"true\"\nsecrets = [{secrets}]\n"));
    insta::assert_snapshot!(layer("{ id = \"a token\" }"), @"casque.toml:11: `layer.secrets.id` is `a token`, expected a name of letters, digits, `-`, `_` and `.`");
    insta::assert_snapshot!(layer("{ id = \"a\", to = \"run/a\" }"), @"casque.toml:11: `layer.secrets.to` is `run/a`, expected an absolute path without `..`");
    insta::assert_snapshot!(layer("{ id = \"a\", variable = \"A-B\" }"), @"casque.toml:11: `layer.secrets.variable` is `A-B`, expected a variable's name such as `VAULT_PASSWORD`");
    insta::assert_snapshot!(layer("{ id = \"a\" }, { id = \"b\", to = \"/run/secrets/a\" }"), @"casque.toml:11: `layer.secrets.to` is `/run/secrets/a`, expected a place that no other secret has");
    insta::assert_snapshot!(mistake("[[layer]]\nname = \"a\"\nsecrets = [{ id = \"a\" }]\n"), @"casque.toml:9: `layer.name` is `a`, expected `run` beside `mount`, `with-packages`, `network` and `secrets`, which are for the step");
}

#[test]
fn two_environments_of_a_layer_are_at_two_places() {
    let one = "{ venv = \"/opt/v\", requirements = \"casque.toml\" }";
    insta::assert_snapshot!(mistake(&format!("[[layer]]\nname = \"a\"\npython = [{one}, {one}]\n")), @"casque.toml:10: `layer.python.venv` is `/opt/v`, expected a path that no other environment of the layer has");
}

#[test]
fn log_files_of_a_service_that_is_not_there_are_refused() {
    let web = "[service.web]\ncommand = [\"web\"]\n";
    let unknown = mistake(&format!("{web}[logs.wbe]\nsize = 5\n"));
    assert!(
        unknown.contains("`wbe`") && unknown.contains("the name of a service that this manifest defines"),
        "{unknown}"
    );
    let nothing = mistake(&format!("{web}[logs.web]\nsize = 0\n"));
    assert!(nothing.contains("expected a nonzero u32"), "{nothing}");
}

/// Reads a manifest with a service `job` that has these further lines.
fn mistake_of_job(lines: &str) -> String {
    mistake(&format!("[service.db]\ncommand = [\"db\"]\n[service.job]\ncommand = [\"job\"]\n{lines}\n"))
}

#[test]
fn a_schedule_that_is_none_is_shown_with_the_reason() {
    assert_eq!(
        mistake_of_job("schedule = \"0 25 * * *\""),
        "casque.toml:12: `service.job.schedule` is `0 25 * * *`, expected a cron expression such as `0 3 * * *` or `@daily`: \
         `25` is not an hour, 0 to 23"
    );
    assert_eq!(
        mistake_of_job("schedule = \"@daily\"\nonce = \"version\""),
        "casque.toml:12: `service.job.schedule` is `@daily`, expected no `schedule` beside `once`"
    );
    assert_eq!(
        mistake_of_job("schedule = \"@daily\"\ncritical = true"),
        "casque.toml:10: `service.job.critical` is `true`, expected `false`: a run that fails is reported, and the next comes at its time"
    );
    assert_eq!(
        mistake_of_job("schedule = \"@daily\"\ntype = \"simple\""),
        "casque.toml:10: `service.job.type` is `simple`, expected `oneshot` beside `once` or `schedule`"
    );
    assert_eq!(
        mistake_of_job("once = \"version\"\nready = { notify = true }"),
        "casque.toml:10: `service.job.ready` is `given`, expected a service that stays: a one-shot is ready when it has ended well"
    );
}

#[test]
fn needs_that_cannot_be_are_shown_with_their_line() {
    assert_eq!(
        mistake_of_job("requires = [\"bd\"]"),
        "casque.toml:12: service `job` needs `bd`, which this manifest does not define\nhint: did you mean `db`?"
    );
    assert_eq!(
        mistake_of_job("after = [\"db\"]\nwhen-lost = { web = \"restart\" }"),
        "casque.toml:13: `service.job.when-lost` is `web`, expected a service that it comes `after` or `requires`"
    );
    assert_eq!(
        mistake(
            "[service.job]\ncommand = [\"j\"]\nschedule = \"@daily\"\n[service.web]\ncommand = [\"w\"]\nrequires = [\"job\"]\n"
        ),
        "casque.toml:13: `service.web.requires` is `job`, expected a service without `schedule`: nobody can wait for the next run of one"
    );
    assert_eq!(
        mistake(
            "[service.a]\ncommand = [\"a\"]\nafter = [\"b\"]\n[service.b]\ncommand = [\"b\"]\nrequires = [\"a\"]\n"
        ),
        "casque.toml:10: services wait for each other: `a` -> `b` -> `a`\nhint: remove one of these from `after` or `requires`"
    );
    let chain = "[service.db]\ncommand = [\"db\"]\nstop = { timeout = \"6s\" }\n[service.web]\ncommand = [\"w\"]\nrequires = [\"db\"]\nstop = { timeout = \"4s\" }\n";
    assert!(
        mistake(chain).contains("stopping `web` -> `db` in turn may take 10000 ms"),
        "{}",
        mistake(chain)
    );
}

#[test]
fn health_checks_and_reloads_that_say_nothing_are_refused() {
    assert_eq!(
        mistake_of_job("health = { interval = \"5s\" }"),
        "casque.toml:10: `service.job.health` is `0 of them`, expected exactly one of `tcp`, `unix`, `http`, `exec`, `redis`, `mongodb`"
    );
    assert_eq!(
        mistake_of_job("health = { tcp = \"127.0.0.1:1\", interval = \"10ms\" }"),
        "casque.toml:10: `service.job.health.interval` is `10ms`, expected `1s` or more"
    );
    assert_eq!(
        mistake_of_job("health = { tcp = \"127.0.0.1:1\", failures = 0 }"),
        "casque.toml:10: `service.job.health.failures` is `0`, expected 1 or more"
    );
    assert_eq!(
        mistake_of_job("health = { tcp = \"127.0.0.1:1\", timeout = \"0s\" }"),
        "casque.toml:10: `service.job.health.timeout` is `0ms`, expected 1 ms or more"
    );
    assert_eq!(
        mistake_of_job("reload = { signal = \"HUP\", exec = [\"x\"] }"),
        "casque.toml:10: `service.job.reload` is `2 of them`, expected exactly one of `signal`, `exec`"
    );
    assert_eq!(
        mistake_of_job("check = []"),
        "casque.toml:10: `service.job.check` is `empty`, expected a command, such as `[\"nginx\", \"-t\"]`"
    );
    assert_eq!(
        mistake_of_job("post-stop = []"),
        "casque.toml:10: `service.job.post-stop` is `empty`, expected a command, such as `[\"rm\", \"-f\", \"/run/web/lock\"]`"
    );
    assert_eq!(
        mistake_of_job("reload = { signal = \"SIGHUP\" }"),
        "casque.toml:12: `service.job.reload.signal` is `SIGHUP`, expected one of TERM, INT, QUIT, HUP, USR1, USR2"
    );
}

#[test]
fn surroundings_out_of_range_are_refused() {
    for (lines, expected) in [
        ("nice = 20", "casque.toml:12: `service.job.nice` is `20`, expected -20 to 19"),
        (
            "oom-score-adjust = -1001",
            "casque.toml:12: `service.job.oom-score-adjust` is `-1001`, expected -1000 to 1000",
        ),
        (
            "directories = [{ path = \"run/x\" }]",
            "casque.toml:12: `directories.path` is `run/x`, expected an absolute path without `..`",
        ),
        ("files = [\"x.ini\"]", "casque.toml:12: `files` is `x.ini`, expected an absolute path without `..`"),
        (
            "inherit = [\"A=1\"]",
            "casque.toml:12: `service.job.inherit` is `A=1`, expected the name of an environment variable",
        ),
        ("replicas = 0", "casque.toml:12: `service.job.replicas` is `0`, expected 1 or more"),
        (
            "replicas = { max = 3 }",
            "casque.toml:12: `service.job.replicas` is `a table without either`, expected `per-cpu`, `per-memory` or both beside `max`",
        ),
        (
            "replicas = 2\nonce = \"volume\"",
            "casque.toml:12: `service.job.replicas` is `given`, expected a service that is not the front and has neither `once` nor `schedule`",
        ),
        (
            "replicas = 2\n[service.job-2]\ncommand = [\"x\"]",
            "casque.toml:13: `service` is `job-2`, expected another name: the replicas of `job` are called so",
        ),
    ] {
        assert_eq!(mistake_of_job(lines), expected);
    }
    assert!(mistake_of_job("replicas = \"cores\"").contains(
        "invalid value: string \"cores\", expected a number, `\"cpus\"` or a table such as `{ per-cpu = 2, max = 8 }`"
    ));
    assert!(
        mistake_of_job("replicas = { per-memory = \"256MB\" }")
            .contains("`256MB` is not an amount such as `256MiB` or `2GiB`")
    );
}

#[test]
fn what_a_host_cannot_be_asked_for_is_shown_with_its_line() {
    let feature = mistake_of_job("needs = { cpu = [\"axv\"] }");
    assert!(feature.ends_with("\nhint: did you mean `avx`?"), "{feature}");
    let own = |name: &str, service: &str, run: &str| {
        let rest = "consequence = \"a\"\nremedy = \"b\"";
        mistake_of_job(&format!("[preflight.{name}]\nservice = \"{service}\"\nrun = [{run}]\n{rest}"))
    };
    let taken = "expected another name: casque looks at something that is called so";
    for name in ["disk-space", "base-url"] {
        let mistake = own(name, "job", "\"x\"");
        assert_eq!(mistake, format!("casque.toml:12: `preflight` is `{name}`, {taken}"));
    }
    assert_eq!(
        own("licence", "jbo", "\"x\""),
        "casque.toml:13: `preflight.licence.service` is `jbo`, expected a service of this manifest"
    );
    assert_eq!(
        own("licence", "job", ""),
        "casque.toml:12: `preflight.licence.run` is `empty`, expected a command, such as `[\"/opt/backend/bin/licence\"]`"
    );
}

#[test]
fn what_a_setting_cannot_be_is_shown_with_its_line() {
    let workers = |rest: &str| mistake(&format!("[settings.workers]\ntype = \"integer\"\n{rest}"));
    insta::assert_snapshot!(workers("description = \"Processes.\"\nmin = 1\nmax = 64\ndefault = 100\n"), @"casque.toml:13: `settings.workers.default` is `100`, expected a whole number from 1 to 64");
    insta::assert_snapshot!(workers("description = \"\"\n"), @"casque.toml:10: `settings.workers.description` is ``, expected a sentence for the customer");
    insta::assert_snapshot!(workers("description = \"Processes.\"\nrequired-when = \"status-agnt\"\n"), @"casque.toml:11: `settings.workers.required-when` is `status-agnt`, expected a setting of this manifest");
}

#[test]
fn a_path_that_the_front_cannot_route_is_shown() {
    let front = |paths: &str| {
        let front = format!("[service.web]\ncommand = [\"nginx\"]\nfront = {{ {paths} }}\n");
        mistake(&format!("{front}\n[settings.a]\ntype = \"url\"\ndescription = \"An address.\"\n"))
    };
    insta::assert_snapshot!(front("status-path = \"/a b;\""), @"casque.toml:8: `service.web.front.status-path` is `/a b;`, expected a path such as `/status`");
    insta::assert_snapshot!(front("status-path = \"/a\", metrics-path = \"/a\""), @"casque.toml:8: `service.web.front.metrics-path` is `/a`, expected another path than that of `status-path`");
    insta::assert_snapshot!(front("status-path = \"/a\", https-port = 444"), @"casque.toml:8: `service.web.front.https-port` is `444`, expected one of the ports of `[image] expose`");
}

#[test]
fn the_key_of_the_next_release_is_read_with_the_manifest() {
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let directory = tempfile::tempdir().unwrap();
    let text = HEAD.replace("[base]", "verify-key = \"vendor.pub\"\n[base]");
    fs_err::write(directory.path().join("casque.toml"), text).unwrap();
    let read = || {
        let manifest = Manifest::read(directory.path());
        let text =
            |error: ManifestError| error.to_string().replace(&format!("{}/", directory.path().display()), "");
        manifest.map(|manifest| manifest.verify_keys).map_err(text)
    };
    assert_eq!(read().unwrap_err(), "casque.toml:5: there is no `vendor.pub`");
    fs_err::write(directory.path().join("vendor.pub"), "hello").unwrap();
    assert!(
        read().unwrap_err().starts_with(
            "casque.toml:5: `image.verify-key` is `vendor.pub`, expected a file of public keys as `casque keygen` writes \
             them; this is no public key: "
        ),
        "{:?}",
        read()
    );
    fs_err::write(directory.path().join("vendor.pub"), format!("untrusted comment: x\n{key}\n")).unwrap();
    assert_eq!(read(), Ok(vec![key.to_owned()]));
}
