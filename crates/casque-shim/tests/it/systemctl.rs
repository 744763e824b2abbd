//! `systemctl`, compared with the words of the real one.

use std::path::Path;

use crate::test_step::TestStep;

const WEB: &str = "[Unit]\nDescription=The web\n[Service]\nEnvironment=GREETING=hello\n\
    ExecStart=/bin/sh -c 'echo $GREETING; exec sleep 60'\nExecReload=/bin/sh -c 'echo again >> @/reloads'\n\
    [Install]\nWantedBy=multi-user.target\nAlias=www.service\n";

#[test]
fn a_unit_is_started_shown_and_stopped() {
    let step = TestStep::new();
    step.unit("web.service", WEB);
    let script = "systemctl is-active web; echo $?
        systemctl start web; systemctl is-active web; echo $?; await grep -q hello state/web.service.log
        systemctl show web -p ActiveState,SubState -p LoadState -p Description -p FragmentPath
        test $(systemctl show -p MainPID --value web) -gt 1 && echo pid
        systemctl reload web; cat reloads
        systemctl stop web; systemctl is-active web; true";
    assert_eq!(
        step.run(script).printed().lines().collect::<Vec<_>>(),
        [
            "inactive",
            "3",
            "active",
            "0",
            "ActiveState=active",
            "SubState=running",
            "LoadState=loaded",
            "Description=The web",
            "FragmentPath=/lib/systemd/system/web.service",
            "pid",
            "again",
            "inactive",
        ]
    );
    assert_eq!(step.text("state/web.service.log"), "hello\n");
}

#[test]
fn a_unit_changed_while_it_runs_is_new_after_a_restart() {
    let step = TestStep::new();
    step.unit("web.service", WEB);
    let script = "systemctl start web; sed -i s/hello/changed/ $T/root/lib/systemd/system/web.service
        systemctl daemon-reload; systemctl restart web; await grep -q changed state/web.service.log";
    step.run(script).printed();
}

#[test]
fn enabling_makes_the_links_the_real_tool_makes() {
    let step = TestStep::new();
    step.unit("web.service", WEB).unit("static.service", "[Service]\nExecStart=/bin/true\n");
    let ended = step.run(
        "systemctl is-enabled web; echo $?; systemctl enable web; systemctl enable web; systemctl is-enabled web www static; echo $?",
    );
    assert_eq!(
        ended.stderr,
        "Created symlink /etc/systemd/system/multi-user.target.wants/web.service → /lib/systemd/system/web.service.\n\
         Created symlink /etc/systemd/system/www.service → /lib/systemd/system/web.service.\n"
    );
    assert_eq!(ended.printed(), "disabled\n1\nenabled\nenabled\nstatic\n0\n");
    let link = step.link("/etc/systemd/system/multi-user.target.wants/web.service");
    assert_eq!(link.as_deref(), Some(Path::new("/lib/systemd/system/web.service")));

    let ended = step.run("systemctl disable web; systemctl is-enabled web");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "disabled\n"));
    assert_eq!(step.link("/etc/systemd/system/www.service"), None);
}

#[test]
fn deb_systemd_helper_may_ask_for_the_presets() {
    let step = TestStep::new();
    step.unit("web.service", WEB)
        .unit("extra.service", WEB)
        .file("/lib/systemd/system-preset/90.preset", "disable extra.service\n");
    let script = "for unit in web extra; do systemctl --root=/ --system --preset-mode=enable-only preset $unit; systemctl is-enabled $unit; done";
    assert_eq!(step.run(script).stdout, "enabled\ndisabled\n");
}

#[test]
fn a_masked_unit_does_not_start() {
    let step = TestStep::new();
    step.unit("web.service", WEB);
    let ended = step.run(
        "systemctl mask -q web; systemctl is-enabled web; systemctl show -p LoadState web; systemctl start web; echo $?; systemctl unmask -q web; systemctl start web",
    );
    assert_eq!(ended.stderr, "Failed to start web.service: Unit web.service is masked.\n");
    assert_eq!(ended.printed(), "masked\nLoadState=masked\n1\n");
}

#[test]
fn a_unit_that_does_not_exist_is_reported_as_the_real_tool_does() {
    let ended = TestStep::new().run(
        "systemctl start web; echo $?; systemctl show -p LoadState web; systemctl status web; echo $?; systemctl is-enabled web",
    );
    assert_eq!(ended.stdout, "5\nLoadState=not-found\n4\n");
    assert_eq!(
        ended.stderr,
        "Failed to start web.service: Unit web.service not found.\nUnit web.service could not be found.\n\
         Failed to get unit file state for web.service: No such file or directory\n"
    );
}

#[test]
fn a_start_that_fails_shows_why_and_the_last_lines() {
    let step = TestStep::new();
    step.unit("web.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo no such table; exit 3'\n")
        .unit("gone.service", "[Service]\nExecStart=/does/not/exist\n")
        .unit("who.service", "[Service]\nUser=nobody-here\nExecStart=/bin/true\n");
    let ended =
        step.run("systemctl start web; systemctl start gone; systemctl start who; systemctl is-failed web");
    assert_eq!(
        ended.stderr,
        "Job for web.service failed: `web.service`: it exited with 3\n  no such table\n\
         Job for gone.service failed: `gone.service`: cannot run `/does/not/exist`: No such file or directory (os error 2)\n\
         Job for who.service failed: `who.service`: user `nobody-here` is not in `/etc/passwd`\n"
    );
    assert_eq!(ended.printed(), "failed\n");
}

#[test]
fn a_service_that_forks_is_known_by_its_pid_file() {
    let step = TestStep::new();
    step.unit(
        "fork.service",
        "[Service]\nType=forking\nPIDFile=/run/fork.pid\n\
         ExecStartPre=/bin/mkdir -p @/root/run\n\
         ExecStart=/bin/sh -c 'setsid sleep 60 & echo $! > @/root/run/fork.pid'\n",
    );
    let script = "systemctl start fork; test $(systemctl show -p MainPID --value fork) = $(cat root/run/fork.pid) && echo same
        kill -0 $(cat root/run/fork.pid) && systemctl stop fork; kill -0 $(cat root/run/fork.pid) 2>/dev/null || echo gone";
    assert_eq!(step.run(script).printed(), "same\ngone\n");
}

#[test]
fn a_service_that_notifies_is_started_when_it_has() {
    let step = TestStep::new();
    // A datagram from a shell: python where there is one is what the image has too.
    step.unit(
        "ready.service",
        "[Service]\nType=notify\nExecStart=/usr/bin/python3 -c 'import os,socket,time; open(\"@/began\",\"w\"); \
         s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.connect(os.environ[\"NOTIFY_SOCKET\"]); \
         open(\"@/told\",\"w\"); s.send(b\"STATUS=x\\\\nREADY=1\"); time.sleep(60)'\n",
    );
    let script = "systemctl start ready; test -e told; echo $?; systemctl is-active ready";
    assert_eq!(step.run(script).printed(), "0\nactive\n");
}

#[test]
fn what_a_unit_requires_starts_with_it() {
    let step = TestStep::new();
    step.unit("base.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo base >> @/order'\n")
        .unit("web.service", "[Unit]\nRequires=base.service\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo web >> @/order'\n");
    assert_eq!(
        step.run("systemctl start web; cat order; systemctl is-active base").printed(),
        "base\nweb\nactive\n"
    );
}

#[test]
fn an_init_script_without_a_unit_is_run() {
    let step = TestStep::new();
    step.file("/etc/init.d/legacy", "#!/bin/sh\necho $1 >> @/calls\n");
    let script = "chmod +x root/etc/init.d/legacy; ln -s $T/root/etc/init.d /tmp/none 2>/dev/null
        service legacy status >/dev/null; echo $?; service nosuch start; echo $?; service legacy configtest; cat calls";
    let ended = step.run(script);
    assert_eq!(ended.stdout, "3\n1\nconfigtest\n", "{ended:?}");
    assert_eq!(ended.stderr, "nosuch: unrecognized service\n");
}

#[test]
fn a_verb_or_option_that_cannot_work_is_refused_by_name() {
    let ended = TestStep::new().run("systemctl isolate rescue; systemctl --user start web");
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        "systemctl: `isolate` is not a verb that works during the build\n\
         systemctl: option `--user` does not work during the build\n"
    );
}

#[test]
fn questions_that_installers_ask_have_answers() {
    let script = "systemctl --version; systemctl is-system-running; systemctl daemon-reload; systemctl is-active multi-user.target; systemctl list-units --no-legend";
    assert_eq!(TestStep::new().run(script).printed(), "systemd 252 (casque)\nrunning\nactive\n");
}

#[test]
fn without_a_step_the_missing_manager_is_named() {
    let step = TestStep::new();
    step.unit("web.service", WEB);
    let mut command = std::process::Command::new(step.path("bin/systemctl"));
    step.surround(&mut command);
    let output = command.args(["start", "web"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let socket = step.path("state/shim.sock");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "systemctl: cannot reach the step's service manager at `{}`: No such file or directory (os error 2)\n",
            socket.display()
        )
    );
}

#[test]
fn a_unit_starts_and_stops_the_instances_that_a_generator_finds() {
    let step = TestStep::new();
    step.unit("db.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")
        .unit("db@.service", "[Unit]\nPartOf=db.service\n[Service]\nExecStart=/bin/sleep 60\n")
        .file(
            "/usr/lib/systemd/system-generators/db-generator",
            "#!/bin/sh\nmkdir $1/db.service.wants; for name in main spare; do ln -s /x $1/db.service.wants/$(printf 'db\\100%s.service' $name); done\n",
        );
    let script = "chmod +x $T/root/usr/lib/systemd/system-generators/db-generator
        service db start; systemctl is-active db db@main db@spare
        systemctl stop db; systemctl is-active db db@main db@spare; true";
    assert_eq!(step.run(script).printed(), "active\nactive\nactive\ninactive\ninactive\ninactive\n");
}
