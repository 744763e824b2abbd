//! Configuration files of supervisor, and the services they become.

use super::*;

fn source(text: &str) -> SourceFile {
    SourceFile { path: "/etc/supervisor/conf.d/web.conf".to_owned(), text: text.to_owned() }
}

fn read(text: &str) -> Result<Vec<Program>, UnitError> {
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    programs(&[source(text)], &Surroundings { environment, host_name: None })
}

fn only(text: &str) -> Program {
    let mut programs = read(text).unwrap();
    assert_eq!(programs.len(), 1, "{programs:?}");
    programs.remove(0)
}

#[test]
fn a_program_becomes_a_service() {
    let web = only(concat!(
        "; the web server\n",
        "[program:web]\n",
        "command=/opt/venv/bin/gunicorn -b 127.0.0.1:8000 --name '%(program_name)s app' app:app ; served by nginx\n",
        "directory = %(here)s/app\n",
        "user=backend\n",
        "umask=027\n",
        "stopsignal=QUIT\nstopasgroup=true\nkillasgroup=true\n",
        "stopwaitsecs=3\n",
        "autorestart=true\n",
        "startretries=5\n",
        "environment=PATH=\"/opt/venv/bin:%(ENV_PATH)s\",\n",
        "    LIST=\"a,b\",PLAIN=x/y:z\n",
    ));
    let service = &web.translated.service;
    assert_eq!(
        service.command,
        ["/opt/venv/bin/gunicorn", "-b", "127.0.0.1:8000", "--name", "web app", "app:app"]
    );
    assert_eq!(service.working_directory.as_deref(), Some("/etc/supervisor/conf.d/app"));
    assert_eq!(web.translated.user.as_deref(), Some("backend"));
    assert_eq!(service.umask, Some(0o027));
    assert_eq!(service.stop, Stop { signal: "QUIT".to_owned(), timeout_ms: 3000, group: true });
    assert_eq!((service.restart.policy, service.restart.limit), (RestartPolicy::Always, 5));
    assert_eq!(service.kind, Kind::Simple);
    let environment: Vec<_> = service.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(environment, ["LIST=a,b", "PATH=/opt/venv/bin:/usr/bin:/bin", "PLAIN=x/y:z"]);
    assert_eq!(web.translated.notes, []);
}

#[test]
fn a_task_that_is_neither_restarted_nor_watched_is_a_one_shot() {
    let setup = only("[program:setup]\ncommand=/bin/setup\nautorestart=false\nstartsecs=0\n");
    assert_eq!(setup.translated.service.kind, Kind::Oneshot);
    let daemon = only("[program:daemon]\ncommand=/bin/daemon\nautorestart=false\n");
    assert_eq!(daemon.translated.service.kind, Kind::Simple);
    assert_eq!(daemon.translated.service.restart.policy, RestartPolicy::Never);
}

#[test]
fn a_program_that_does_not_say_is_restarted_when_its_exit_was_not_expected() {
    let policy = |more: &str| {
        let program = only(&format!("[program:web]\ncommand=/bin/web\n{more}"));
        (program.translated.service.restart.policy, program.exit_codes)
    };
    assert_eq!(policy(""), (RestartPolicy::OnFailure, vec![0]));
    assert_eq!(policy("autorestart=unexpected\nexitcodes=0,2\n"), (RestartPolicy::OnFailure, vec![0, 2]));
    assert_eq!(policy("autorestart=true\n"), (RestartPolicy::Always, vec![0]));
}

#[test]
fn several_programs_come_in_the_order_supervisor_starts_them() {
    let programs = read(concat!(
        "[program:web]\ncommand=/bin/web\n",
        "[program:mongodb]\ncommand=/bin/mongod\npriority=10\n",
        "[program:worker]\ncommand=/bin/worker %(process_num)d\nnumprocs=2\nprocess_name=%(program_name)s_%(process_num)02d\n",
        "[group:jobs]\nprograms=worker\n",
    ))
    .unwrap();
    let names: Vec<_> = programs.iter().map(Program::display_name).collect();
    assert_eq!(names, ["mongodb", "jobs:worker_00", "jobs:worker_01", "web"]);
    assert_eq!(programs[2].translated.service.command, ["/bin/worker", "1"]);
}

#[test]
fn what_is_not_carried_over_is_noted() {
    let web = only(
        "[program:web]\ncommand=/bin/web\npriority=5\nautostart=no\nstdout_logfile=/var/log/%(program_name)s.log\nexitcodes=0,2\nspeed=9\n",
    );
    assert_eq!(
        crate::summary(&web.translated.notes).unwrap(),
        "not carried over: `autostart=no` (a declared service is started), `exitcodes=0,2` (only exit code 0 is expected), `speed=9` (not an option supervisor knows)"
    );
    let moot: Vec<_> =
        web.translated.notes.iter().filter(|note| note.weight == crate::Weight::Moot).collect();
    assert_eq!(moot.len(), 2, "{moot:?}");
}

#[test]
fn the_environment_of_supervisord_reaches_every_program() {
    let web = only(
        "[supervisord]\nenvironment=LANG=\"C.UTF-8\",STAGE=docker\n[program:web]\ncommand=/bin/web\nenvironment=STAGE=test\n",
    );
    let environment: Vec<_> = web.translated.service.environment.into_iter().collect();
    assert_eq!(
        environment,
        [("LANG", "C.UTF-8"), ("STAGE", "test")].map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn mistakes_are_named_with_their_place() {
    let message = |text: &str| read(text).unwrap_err().to_string();
    let at = "`/etc/supervisor/conf.d/web.conf";
    assert_eq!(
        message("[program:web]\n"),
        format!("{at}#web` does not say what to run: it has no `command`")
    );
    assert_eq!(
        message("[program:web]\ncommand=/bin/web 'x\n"),
        format!("{at}#web`: `command=/bin/web 'x` is not a command line whose quotes are closed")
    );
    assert_eq!(
        message("[program:web]\ncommand=/bin/web %(ENV_SECRET)s\n"),
        format!("{at}#web`: `command` uses `%(ENV_SECRET)s`, which has no value during the build")
    );
    assert_eq!(
        message("[program:web]\ncommand=/bin/web\nstopsignal=LOUD\n"),
        format!("{at}#web`: `stopsignal=LOUD` is not a signal")
    );
    assert_eq!(
        message("[program:web]\ncommand=/bin/web\nenvironment=A=b@c\n"),
        format!("{at}#web`: `environment=A=b@c` is not a list of KEY=\"value\" with commas between")
    );
    assert_eq!(message("command=/bin/web\n"), format!("{at}` line 1: an option stands before any section"));
    assert_eq!(message("[program:web\n"), format!("{at}` line 1: a section's `]` is missing"));
    assert_eq!(
        message("[program:web]\nnonsense\n"),
        format!("{at}` line 2: a line is neither a section nor `key=value`")
    );
}

#[test]
fn what_only_a_running_supervisor_feeds_is_named() {
    let text = "[eventlistener:memmon]\ncommand=memmon\n[fcgi-program:php]\ncommand=php\n[program:web]\ncommand=/bin/web\n";
    assert_eq!(unsupported(&[source(text)]).unwrap(), ["eventlistener:memmon", "fcgi-program:php"]);
    assert_eq!(only(text).name, "web");
}

#[test]
fn included_files_are_named_relative_to_the_main_file() {
    let main = SourceFile {
        path: "/etc/supervisor/supervisord.conf".to_owned(),
        text: "[supervisord]\n[include]\nfiles = conf.d/*.conf /srv/*.ini\n".to_owned(),
    };
    assert_eq!(include_patterns(&main).unwrap(), ["/etc/supervisor/conf.d/*.conf", "/srv/*.ini"]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[program:a\\]\n)?([a-z%(){}='\" ;#\\\\\n]|command=|process_name=|environment=){0,60}") {
        drop(read(&text));
    }
}
