//! Unit files, and the services they become.

use std::collections::BTreeMap;

use casque_format::run::{Kind, Ready, Resource, RestartPolicy, RunDirectory, Stop};
use proptest::prelude::*;

use super::*;
use crate::supervisor::SourceFile;
use crate::{Startup, Translated, UnitError};

const NGINX: &str = r"# Stop dance
[Unit]
Description=A high performance web server
After=network-online.target remote-fs.target nss-lookup.target

[Service]
Type=forking
PIDFile=/run/nginx.pid
ExecStartPre=/usr/sbin/nginx -t -q -g 'daemon on; master_process on;'
ExecStart=/usr/sbin/nginx -g 'daemon on; master_process on;'
ExecReload=/usr/sbin/nginx -g 'daemon on; master_process on;' -s reload
ExecStop=-/sbin/start-stop-daemon --quiet --stop --retry QUIT/5 --pidfile /run/nginx.pid
TimeoutStopSec=5
KillMode=mixed

[Install]
WantedBy=multi-user.target
";

fn source(text: &str) -> SourceFile {
    SourceFile { path: "/lib/systemd/system/web.service".to_owned(), text: text.to_owned() }
}

fn translate(name: &str, text: &str) -> Result<Translated, UnitError> {
    Unit::parse(name, &[source(text)])?.translate(&BTreeMap::new())
}

fn service(text: &str) -> Translated {
    translate("web.service", &format!("[Service]\n{text}")).unwrap()
}

fn message(text: &str) -> String {
    translate("web.service", text).unwrap_err().to_string()
}

#[test]
fn nginx_forks_on_a_host_and_stays_in_the_foreground_in_an_image() {
    let nginx = translate("nginx.service", NGINX).unwrap();
    assert_eq!(nginx.startup, Startup::Forking { pid_file: Some("/run/nginx.pid".to_owned()) });
    assert_eq!(nginx.service.command, ["/usr/sbin/nginx", "-g", "daemon on; master_process on;"]);
    assert_eq!(nginx.start_pre[0].command[1..3], ["-t", "-q"]);
    assert!(nginx.stop_commands[0].ignore_failure);

    let image = nginx.in_foreground("nginx.service").unwrap();
    assert_eq!(image.service.command, ["/usr/sbin/nginx", "-g", "daemon off; master_process on;"]);
    assert_eq!(image.service.stop, Stop { signal: "QUIT".to_owned(), timeout_ms: 5000, group: false });
    assert_eq!(image.startup, Startup::Simple);
    assert_eq!(crate::summary(&image.notes), None);
}

#[test]
fn redis_is_told_not_to_daemonize() {
    let redis = service(concat!(
        "Type=notify\nUser=redis\nGroup=redis\nUMask=007\nRuntimeDirectory=redis\nRuntimeDirectoryMode=2755\n",
        "ExecStart=/usr/bin/redis-server /etc/redis/redis.conf --supervised systemd --daemonize no\n",
        "TimeoutStopSec=0\nLimitNOFILE=65535\nPrivateTmp=true\nProtectHome=true\n",
    ))
    .in_foreground("redis-server.service")
    .unwrap();
    let expected =
        ["/usr/bin/redis-server", "/etc/redis/redis.conf", "--daemonize", "no", "--supervised", "no"];
    assert_eq!(redis.service.command, expected);
    assert_eq!((redis.user.as_deref(), redis.group.as_deref()), (Some("redis"), Some("redis")));
    assert_eq!(redis.service.directories, [RunDirectory { mode: 0o2755, ..RunDirectory::new("/run/redis") }]);
    assert_eq!(redis.service.ready, None);
    assert_eq!(redis.service.umask, Some(0o007));
    assert_eq!(redis.service.stop, Stop { group: true, ..Stop::default() });
    assert_eq!(redis.service.limits, BTreeMap::from([(Resource::Nofile, 65535)]));
    assert_eq!(
        crate::summary(&redis.notes).unwrap(),
        "not carried over: `Type=notify` (it counts as ready at once; say `ready = { ... }` in the manifest); hardening left out: `PrivateTmp`, `ProtectHome`"
    );
}

#[test]
fn a_service_that_notifies_is_ready_when_it_says_so() {
    let web = service("Type=notify\nExecStart=/bin/web\nOOMScoreAdjust=-500\n");
    let web = web.in_foreground("web.service").unwrap();
    assert_eq!(web.service.ready, Some(Ready::Notify));
    assert_eq!(web.service.oom_score_adjust, Some(-500));
    assert_eq!(crate::summary(&web.notes), None);
    assert_eq!(
        message("[Service]\nExecStart=/bin/web\nNice=20\n"),
        "`web.service`: `Nice=20` is not a whole number in its range"
    );
}

#[test]
fn limits_and_the_reach_of_the_stop_signal_are_carried_over() {
    let limited = service(
        "ExecStart=/bin/web\nLimitNOFILE=1024:4096\nLimitCORE=1M\nLimitCPU=1min\nLimitNPROC=infinity\n",
    );
    let expected = [(Resource::Core, 1 << 20), (Resource::Cpu, 60), (Resource::Nofile, 4096)];
    assert_eq!(limited.service.limits, BTreeMap::from(expected));
    assert!(limited.service.stop.group);
    assert!(!service("ExecStart=/bin/web\nKillMode=mixed\n").service.stop.group);
    assert_eq!(
        message("[Service]\nExecStart=/bin/web\nLimitCORE=lots\n"),
        "`web.service`: `LimitCORE=lots` is not a number of bytes, such as `64M`"
    );
}

#[test]
fn what_an_image_does_not_do_is_one_line_by_weight() {
    let unit = translate(
        "web.service",
        concat!(
            "[Unit]\nAfter=redis.service network.target\nRequires=redis.service\nConditionPathExists=/srv/web\n",
            "[Service]\nType=dbus\nBusName=org.example\nExecStart=/bin/web\nExecStartPost=/bin/touch /run/up\n",
            "DynamicUser=yes\nWatchdogSec=30\nMemoryMax=1G\nNice=5\nSyslogIdentifier=web\nPrivateTmp=no\n",
            "ProtectSystem=full\nSystemCallFilter=@system-service\nSystemCallFilter=~@mount\nNoNewPrivileges=yes\n",
        ),
    )
    .unwrap();
    assert_eq!(unit.service.nice, Some(5));
    assert_eq!(
        (unit.needs.as_slice(), unit.after.as_slice()),
        (&["redis.service".to_owned()][..], &["redis.service".to_owned()][..])
    );
    let image = unit.in_foreground("web.service").unwrap();
    assert_eq!(
        crate::summary(&image.notes).unwrap(),
        "not carried over: `ConditionPathExists=/srv/web` (it starts in any case; `when` and `unless` are in the manifest), \
         `Type=dbus` (no message bus; it counts as ready at once), \
         `DynamicUser=yes` (it runs as its `User=`, else as root; say `user` in the manifest), \
         `WatchdogSec=30` (nothing watches for its sign of life), \
         `MemoryMax=1G` (the engine limits the container as a whole), \
         `ExecStartPost=/bin/touch /run/up` (make it a one-shot that comes `after` this service); \
         hardening left out: `ProtectSystem`, `SystemCallFilter`"
    );
}

#[test]
fn another_service_that_forks_is_an_error_with_a_remedy() {
    let error =
        service("Type=forking\nExecStart=/usr/sbin/otherd\n").in_foreground("other.service").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`other.service` puts itself into the background (`Type=forking`), and how to keep `/usr/sbin/otherd` in the foreground is not known"
    );
    assert_eq!(
        error.hint().unwrap(),
        "say how to run it in the foreground with `command = [...]` in the service's table of the manifest, in place of `from`"
    );
}

#[test]
fn command_lines_are_split_and_expanded_as_systemd_does() {
    let text = concat!(
        "[Service]\n",
        "Environment=\"OPTS=-a 'b c'\" NAME=x%%y\n",
        "Environment=PORT=80\n",
        "ExecStart=-/usr/bin/%p --unit=%n --instance %i --port=${PORT} \\\n",
        "# a comment in between\n",
        "  $OPTS $MISSING cost:$$5 \"say \\\"hi\\\"\" \\x41\n",
    );
    let unit = translate("web@eu-west.service", text).unwrap();
    let expected = [
        "/usr/bin/web",
        "--unit=web@eu-west.service",
        "--instance",
        "eu-west",
        "--port=80",
        "-a",
        "b c",
        "cost:$5",
        "say \"hi\"",
        "A",
    ];
    assert_eq!(unit.service.command, expected);
    assert_eq!(unit.service.environment["NAME"], "x%y");
    assert_eq!(
        crate::summary(&unit.notes).unwrap(),
        "not carried over: `$MISSING` (in `ExecStart`, it has no value and becomes nothing)"
    );
}

#[test]
fn a_drop_in_replaces_what_it_empties_first() {
    let unit = Unit::parse(
        "web.service",
        &[
            source("[Service]\nExecStart=/bin/old\nEnvironment=A=1\n"),
            source("[Service]\nExecStart=\nExecStart=/bin/new\nEnvironment=B=2\n"),
        ],
    )
    .unwrap();
    let service = unit.translate(&BTreeMap::new()).unwrap().service;
    assert_eq!(service.command, ["/bin/new"]);
    assert_eq!(service.environment.into_keys().collect::<Vec<_>>(), ["A", "B"]);
}

#[test]
fn environment_files_come_after_the_environment_and_may_be_optional() {
    let text = "[Service]\nEnvironment=A=1 B=1\nEnvironmentFile=/etc/default/web\nEnvironmentFile=-/etc/default/%p-none\nExecStart=/bin/web $A\n";
    let unit = Unit::parse("web.service", &[source(text)]).unwrap();
    let wanted: Vec<_> =
        unit.environment_files().unwrap().into_iter().map(|file| (file.path, file.optional)).collect();
    assert_eq!(wanted, [("/etc/default/web".to_owned(), false), ("/etc/default/web-none".to_owned(), true)]);
    let files =
        BTreeMap::from([("/etc/default/web".to_owned(), "# comment\nA='2 3'\nC=\"x\\\"y\" \n".to_owned())]);
    let service = unit.translate(&files).unwrap().service;
    assert_eq!(service.command, ["/bin/web", "2", "3"]);
    assert_eq!(service.environment["C"], "x\"y");
    assert_eq!(
        unit.translate(&BTreeMap::new()).unwrap_err().to_string(),
        "`web.service`: `EnvironmentFile=/etc/default/web` is not a file that exists"
    );
}

#[test]
fn a_one_shot_runs_its_commands_in_order() {
    let setup = service(
        "Type=oneshot\nRemainAfterExit=yes\nExecStartPre=+/bin/zero\nExecStart=/bin/one\nExecStart=/bin/two\n",
    );
    assert_eq!(setup.service.kind, Kind::Oneshot);
    assert_eq!(setup.startup, Startup::Oneshot { remains: true });
    assert_eq!(setup.service.command, ["/bin/two"]);
    let before: Vec<_> =
        setup.start_pre.iter().map(|step| (step.command[0].as_str(), step.privileged)).collect();
    assert_eq!(before, [("/bin/zero", true), ("/bin/one", false)]);
}

#[test]
fn the_one_command_after_the_end_is_carried_over() {
    let web = service("ExecStart=/bin/web\nEnvironment=A=1\nExecStopPost=-/bin/sweep $A\n");
    assert_eq!(web.service.post_stop.unwrap(), ["/bin/sweep", "1"]);
    assert_eq!(web.notes, []);
    for text in [
        "ExecStart=/bin/web\nExecStopPost=/bin/one\nExecStopPost=/bin/two\n",
        "ExecStart=/bin/web\nUser=web\nExecStopPost=+/bin/one\n",
        "Type=oneshot\nExecStart=/bin/web\nExecStopPost=/bin/one\n",
    ] {
        let web = service(text);
        assert_eq!(web.service.post_stop, None, "{text}");
        assert_eq!(
            web.notes[0].to_string(),
            "`ExecStopPost=/bin/one` (`post-stop` is one command of a service that stays, and runs as its user)",
            "{text}"
        );
    }
}

#[test]
fn restart_and_stop_are_carried_over() {
    let web = service(
        "ExecStart=/bin/web\nRestart=on-failure\nRestartSec=1min 500ms\nKillSignal=SIGINT\nTimeoutSec=3\nKillMode=mixed\n",
    );
    assert_eq!(web.service.restart.policy, RestartPolicy::OnFailure);
    assert_eq!((web.service.restart.delay_ms, web.service.restart.max_delay_ms), (60_500, 60_500));
    assert_eq!(web.service.stop, Stop { signal: "INT".to_owned(), timeout_ms: 3000, group: false });
    assert_eq!(service("ExecStart=/bin/web\nRestart=no\n").service.restart.policy, RestartPolicy::Never);
}

#[test]
fn the_install_section_is_read_for_enabling() {
    let unit = Unit::parse(
        "web@a.service",
        &[source(
            "[Service]\nExecStart=/b\n[Install]\nWantedBy=multi-user.target x.target\nAlias=%p-%i.service\n",
        )],
    );
    let install = unit.unwrap().install().unwrap();
    assert_eq!(install.wanted_by, ["multi-user.target", "x.target"]);
    assert_eq!(install.alias, ["web-a.service"]);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let at = "`/lib/systemd/system/web.service`";
    assert_eq!(message("[Unit]\nDescription=x\n"), "`web.service` has no `Service` section");
    assert_eq!(
        message("[Service]\nType=simple\n"),
        "`web.service` does not say what to run: it has no `ExecStart`"
    );
    assert_eq!(message("[Service\n"), format!("{at} line 1: a section's `]` is missing"));
    assert_eq!(message("A=b\n"), format!("{at} line 1: an assignment stands before any section"));
    assert_eq!(
        message("[Service]\nnonsense\n"),
        format!("{at} line 2: a line is neither a section nor `Key=value`")
    );
    assert_eq!(
        message("[Service]\nExecStart=/bin/web 'x\n"),
        "`web.service`: `ExecStart=/bin/web 'x` is not a command line whose quotes are closed"
    );
    assert_eq!(
        message("[Service]\nExecStart=/bin/web %H\n"),
        "`web.service`: `ExecStart` uses `%H`, which has no value during the build"
    );
    assert_eq!(
        message("[Service]\nType=magic\nExecStart=/bin/web\n"),
        "`web.service` has `Type=magic`, which is not known here"
    );
    assert_eq!(
        message("[Service]\nTimeoutStopSec=soon\nExecStart=/bin/web\n"),
        "`web.service`: `TimeoutStopSec=soon` is not a time span such as `90s`"
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\[Service\\]\n(ExecStart=|Environment=|[a-z%${}='\" ;#\\\\\n@+-]|\\\\x[0-9]|é){0,60}") {
        drop(translate("web@a.service", &text));
    }

    #[test]
    fn an_environment_file_never_makes_the_reader_panic(text in "[A-Z='\"\\\\\n#é ]{0,60}") {
        parse_environment_file(&text);
    }
}
