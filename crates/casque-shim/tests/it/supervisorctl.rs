//! `supervisorctl`, compared with the words of the real one.

use crate::test_step::TestStep;

/// Replaces what changes from run to run: process numbers and uptimes.
fn steady(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.push(match line.split_once("pid ") {
            Some((before, _)) => format!("{before}pid N"),
            None => line.to_owned(),
        });
    }
    lines.join("\n")
}

const WEB: &str = "[program:web]\ncommand=/bin/sleep 60\nstartsecs=0\n";

#[test]
fn an_update_starts_what_the_step_configured() {
    let step = TestStep::new();
    step.programs("");
    let script = "printf '[program:web]\\ncommand=/bin/sleep 60\\nstartsecs=0\\nautorestart=true\\n' > root/etc/supervisor/conf.d/web.conf
        supervisorctl reread; supervisorctl update; supervisorctl update; supervisorctl status
        sed -i s/60/61/ root/etc/supervisor/conf.d/web.conf; supervisorctl reread; supervisorctl update
        rm root/etc/supervisor/conf.d/web.conf; supervisorctl update; supervisorctl status; echo $?";
    let printed = step.run(script).printed();
    let expected = "web: available\n\
        web: added process group\n\
        web                              RUNNING   pid N\n\
        web: changed\n\
        web: stopped\n\
        web: updated process group\n\
        web: stopped\n\
        web: removed process group\n\
        0";
    assert_eq!(steady(&printed), expected);
}

#[test]
fn programs_are_started_and_stopped_by_name_group_and_all() {
    let step = TestStep::new();
    step.programs(&format!(
        "{WEB}[program:job]\ncommand=/bin/sleep 60\nstartsecs=0\nnumprocs=2\nprocess_name=%(program_name)s_%(process_num)d\n"
    ));
    let script = "supervisorctl stop web; supervisorctl start web; supervisorctl start web; echo $?
        supervisorctl restart job:*; supervisorctl stop job:job_0; supervisorctl stop all; supervisorctl start nosuch; echo $?
        supervisorctl status web; echo $?; supervisorctl status nosuch; echo $?; supervisorctl pid web; echo $?";
    let expected = "web: stopped\nweb: started\nweb: ERROR (already started)\n0\n\
        job:job_0: stopped\njob:job_1: stopped\njob:job_0: started\njob:job_1: started\njob:job_0: stopped\n\
        job:job_1: stopped\nweb: stopped\nnosuch: ERROR (no such process)\n1\n\
        web                              STOPPED   Not started\n3\nnosuch: ERROR (no such process)\n4\n0\n7\n";
    assert_eq!(step.run(script).printed(), expected);
}

#[test]
fn a_program_that_cannot_start_says_so() {
    let step = TestStep::new();
    step.programs("[program:bad]\ncommand=/bin/false\nautostart=false\nstartretries=1\n[program:gone]\ncommand=/does/not/exist\nautostart=false\n");
    let ended = step.run("supervisorctl start bad; echo $?; supervisorctl start gone; echo $?");
    assert_eq!(ended.printed(), "bad: ERROR (spawn error)\n7\ngone: ERROR (no such file)\n1\n");
}

#[test]
fn the_output_of_a_program_can_be_read() {
    let step = TestStep::new();
    step.programs("[program:web]\ncommand=/bin/sh -c 'echo listening; exec sleep 60'\nstartsecs=0\n");
    let script =
        "supervisorctl status >/dev/null; await grep -q listening state/web.log; supervisorctl tail web";
    assert_eq!(step.run(script).printed(), "listening\n\n");
}

#[test]
fn supervisor_itself_is_a_service() {
    let step = TestStep::new();
    step.programs(WEB).unit(
        "supervisor.service",
        "[Service]\nExecStart=/usr/bin/supervisord -n -c /etc/supervisor/supervisord.conf\n",
    );
    let script = "systemctl is-active supervisor; service supervisor start; systemctl is-active supervisor; supervisorctl status
        service supervisor stop; supervisorctl status; echo $?; supervisord; supervisorctl status; supervisorctl shutdown; systemctl is-active supervisor; true";
    let expected = "inactive\nactive\nweb                              RUNNING   pid N\n\
        unix:///var/run/supervisor.sock no such file\n4\nweb                              RUNNING   pid N\nShut down\ninactive";
    assert_eq!(steady(&step.run(script).printed()), expected);
}

#[test]
fn a_configuration_that_cannot_be_read_is_shown_with_its_place() {
    let step = TestStep::new();
    step.programs("[program:web]\n");
    let ended = step.run("supervisorctl reread; echo $?");
    assert_eq!(
        ended.printed(),
        "`/etc/supervisor/conf.d/all.conf#web` does not say what to run: it has no `command`\n1\n"
    );
}

#[test]
fn there_is_no_interactive_mode() {
    let ended = TestStep::new().run("supervisorctl");
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        "supervisorctl: there is no interactive mode during the build; name a command such as `status`\n"
    );
}
