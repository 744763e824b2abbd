//! A step as a whole: services start, are reported and stop in order.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use casque_format::shim::Manager;

use crate::test_step::{TestStep, is_alive};

/// A service that notes its process, and when it is asked to stop.
fn service(name: &str) -> String {
    format!(
        "[Service]\nExecStart=/bin/sh -c 'echo $$$$ > @/{name}.pid; trap \"echo {name} >> @/stopped; exit 0\" TERM; \
         while :; do sleep 1 & wait; done'\n"
    )
}

#[test]
fn the_step_ends_with_the_code_of_its_command() {
    assert_eq!(TestStep::new().run("exit 7").code, Some(7));
    assert_eq!(TestStep::new().run("kill -9 $$").code, Some(137));
    assert_eq!(TestStep::new().run("true").code, Some(0));
}

#[test]
fn a_command_that_does_not_exist_is_an_error() {
    let step = TestStep::new();
    let mut command = std::process::Command::new(crate::test_step::SHIM);
    command.args(["step", "--state"]).arg(step.path("state")).args(["--", "/does/not/exist"]);
    step.surround(&mut command);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        stderr,
        "casque-shim: cannot start the step's command: No such file or directory (os error 2)\n"
    );
}

#[test]
fn services_are_stopped_in_reverse_order_when_the_command_ends() {
    let step = TestStep::new();
    for name in ["one", "two", "three"] {
        step.unit(&format!("{name}.service"), &service(name));
    }
    let script = "systemctl start one three two; await test -s one.pid; await test -s two.pid; await test -s three.pid";
    step.run(script).printed();
    assert_eq!(step.text("stopped"), "two\nthree\none\n");
    for name in ["one", "two", "three"] {
        assert!(!is_alive(&step.path(&format!("{name}.pid"))), "{name}");
    }
}

#[test]
fn what_a_step_leaves_in_the_background_is_gone_afterwards() {
    let step = TestStep::new();
    step.run("setsid sh -c 'echo $$ > left.pid; trap \"\" TERM; while :; do sleep 1; done' & await test -s left.pid")
        .printed();
    assert!(!is_alive(&step.path("left.pid")));
}

#[test]
fn a_signal_is_passed_on_and_ends_everything() {
    let step = TestStep::new();
    step.unit("web.service", &service("web"));
    let script = "systemctl start web; await test -s web.pid; trap 'exit 9' TERM; echo ready; while :; do sleep 1 & wait; done";
    let mut child = step.command(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let status = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert!(!is_alive(&step.path("web.pid")));
}

#[test]
fn the_report_names_what_was_started_enabled_and_configured() {
    let step = TestStep::new();
    step.unit("web.service", &format!("{}[Install]\nWantedBy=multi-user.target\n", service("web")))
        .unit("old.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
        .unit("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
        .programs("[program:job]\ncommand=/bin/sleep 60\nstartsecs=0\n[program:manual]\ncommand=/bin/sleep 60\nautostart=false\n");
    let wants = step.root().join("etc/systemd/system/multi-user.target.wants");
    fs_err::create_dir_all(&wants).unwrap();
    std::os::unix::fs::symlink("/lib/systemd/system/old.service", wants.join("old.service")).unwrap();
    step.run("systemctl enable --now -q web; supervisorctl start job >/dev/null; systemctl start bad 2>/dev/null; true").printed();

    let report = step.report();
    let started: Vec<_> =
        report.started.iter().map(|service| (service.name.as_str(), service.manager)).collect();
    assert_eq!(
        started,
        [("web.service", Manager::Systemd), ("job", Manager::Supervisor), ("bad.service", Manager::Systemd)]
    );
    let enabled: Vec<_> = report.enabled.iter().map(|unit| (unit.unit.as_str(), unit.new)).collect();
    assert_eq!(enabled, [("old.service", false), ("web.service", true)]);
    let programs: Vec<_> =
        report.programs.iter().map(|program| (program.name.as_str(), program.autostart)).collect();
    assert_eq!(programs, [("job", true), ("manual", false)]);
    assert_eq!(report.programs[0].file, "/etc/supervisor/conf.d/all.conf");
    assert_eq!(report.failures, ["`bad.service`: it exited with 1"]);
}

#[test]
fn in_a_maintainer_script_nothing_starts_and_everything_succeeds() {
    let step = TestStep::new();
    step.unit("web.service", &service("web"));
    let script = "export DPKG_MAINTSCRIPT_NAME=postinst; systemctl start web && deb-systemd-invoke restart web.service \
                  && service web start && supervisorctl update; echo $?; policy-rc.d web start; echo $?";
    assert_eq!(step.run(script).printed(), "0\n101\n");
    assert!(step.report().started.is_empty());
    assert!(!step.path("web.pid").exists());
}

#[test]
fn taking_over_keeps_what_a_package_installs_meanwhile() {
    let step = TestStep::new();
    step.file("/usr/sbin/service", "real service")
        .file("/var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n");
    let script = "cd $T/root/usr && test -L bin/systemctl -a -L sbin/service -a -L sbin/policy-rc.d || exit 1
        grep -A1 -x /usr/bin/systemctl $T/root/var/lib/dpkg/diversions
        echo new > $T/root/usr/bin/systemctl.casque-real; echo newer > $T/root/usr/sbin/service.casque-real
        printf '/bin/a\\n/bin/a.b\\n:\\n' >> $T/root/var/lib/dpkg/diversions";
    let mut command = std::process::Command::new(crate::test_step::SHIM);
    command.args(["step", "--take-over", "--state"]).arg(step.path("state")).args(["--", "sh", "-c", script]);
    step.surround(&mut command);
    let output = command.output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "/usr/bin/systemctl\n/usr/bin/systemctl.casque-real\n"
    );
    assert_eq!(step.text("root/usr/bin/systemctl"), "new\n");
    assert_eq!(step.text("root/usr/sbin/service"), "newer\n");
    let left: Vec<_> = ["usr/bin", "usr/sbin"]
        .iter()
        .flat_map(|directory| fs_err::read_dir(step.root().join(directory)).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["systemctl", "service"]);
    assert_eq!(
        step.text("root/var/lib/dpkg/diversions"),
        "/bin/sh\n/bin/sh.distrib\ndash\n/bin/a\n/bin/a.b\n:\n"
    );
}
