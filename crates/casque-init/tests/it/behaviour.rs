//! What a PID 1 is known for getting wrong, one test for each, named after its number in the list of them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use casque_format::control::{Reply, Request, ServiceState};
use serde_json::{Value, json};

use crate::container::{Container, is_root, kill, plan, runs, sh};

const WEB: fn() -> String = || "web".to_owned();

/// Returns the lines of one service.
fn lines_of<'a>(output: &'a str, name: &str) -> Vec<&'a str> {
    let prefix = format!("{name} | ");
    output.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).collect()
}

#[test]
fn behaviour_01_every_signal_to_pid_1_is_known_by_name() {
    assert!(is_root(), "this test needs root");
    for (signal, stops) in [
        ("TERM", true),
        ("INT", true),
        ("QUIT", true),
        ("PWR", true),
        ("HUP", false),
        ("USR1", false),
        ("USR2", false),
        ("WINCH", false),
        ("CHLD", false),
        ("ALRM", false),
        ("PIPE", false),
        ("RTMIN", false),
    ] {
        let container = Container::start_as_pid_1(&plan(&json!({ "web": { "command": ["sleep", "1000"] } })));
        container.wait_ready();
        container.signal(signal);
        if !stops {
            // The signal is there before the question: it was taken when this is answered.
            let Reply::Status { snapshot } = container.ask(&Request::Status) else { panic!("no status") };
            assert_eq!(snapshot.services[0].restarts, 0, "{signal}");
            container.signal("TERM");
        }
        let end = container.end();
        assert_eq!(end.code, Some(0), "{signal}: {}", end.output);
        let named = end.output.contains(&format!("stopping on SIG{signal}, "));
        assert_eq!(named, stops, "{signal}: {}", end.output);
    }
}

#[test]
fn behaviour_02_a_service_starts_with_signals_as_new_whatever_pid_1_was_given() {
    let service = json!({ "web": { "kind": "oneshot", "command": ["cat", "/proc/self/status"] } });
    // PID 1 itself is started with signals ignored and blocked.
    let container = Container::start_below(
        &plan(&service),
        &[
            "perl",
            "-e",
            "$SIG{$_} = 'IGNORE' for qw(TERM HUP PIPE CHLD USR1); use POSIX; \
          sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM, SIGALRM, SIGUSR2)); exec @ARGV",
        ],
    );
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    let lines = lines_of(&end.output, "web");
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(lines.contains(&format!("{name}:\t0000000000000000").as_str()), "{name}: {lines:#?}");
    }
}

#[test]
fn behaviour_03_two_thousand_orphans_at_once_are_reaped_while_questions_are_answered() {
    assert!(is_root(), "this test needs root");
    // One process whose 2,000 children wait for a byte each; it ends, and then all of them at one moment.
    let storm = "pipe(R, W); for (1..2000) { if (!fork) { close W; sysread(R, my $b, 1); exit 0 } } \
                 open F, '>', 'DIR/up'; close F; <STDIN>; sleep 1 while !-e 'DIR/go'; kill 'KILL', $$";
    let services = json!({
        "storm": { "command": ["perl", "-e", storm], "ready": { "exec": ["test", "-e", "DIR/up"] } },
        "web": { "command": ["sleep", "1000"] },
    });
    // Whoever left the session is not killed with the others: here they all end by themselves.
    let container = Container::start_as_pid_1(&plan(&services));
    container.wait_ready();
    std::fs::write(container.path("go"), "").unwrap();
    let mut slowest = Duration::ZERO;
    loop {
        let began = Instant::now();
        let Reply::Status { snapshot } = container.ask(&Request::Status) else { panic!("no status") };
        slowest = slowest.max(began.elapsed());
        let storm = &snapshot.services[0];
        if storm.restarts > 0 && storm.state == ServiceState::Ready {
            break;
        }
    }
    container.until("all are reaped", || container.zombies().is_empty());
    assert!(slowest < Duration::from_secs(5), "an answer took {slowest:?}");
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn behaviour_04_each_exit_status_is_credited_to_the_right_service() {
    assert!(is_root(), "this test needs root");
    // Each ends with its own code as fast as it can be started: process numbers come around quickly.
    let mut services = serde_json::Map::new();
    for code in 0..20 {
        services.insert(
            format!("s{code}"),
            json!({ "command": ["sh", "-c", format!("exit {}", code + 10)], "critical": false,
                "restart": { "policy": "always", "limit": 100, "delay_ms": 0, "max_delay_ms": 0, "stable_ms": 60_000 } }),
        );
    }
    let container = Container::start_as_pid_1(&plan(&Value::Object(services)));
    let snapshot = container
        .wait(|snapshot| snapshot.services.iter().all(|service| service.state == ServiceState::Failed));
    for service in &snapshot.services {
        let code: u32 = service.name[1..].parse().unwrap();
        assert_eq!(service.last_exit, Some(format!("exited with {}", code + 10)), "{}", service.name);
        assert_eq!(service.restarts, 99, "{}", service.name);
    }
    let end = container.stop();
    for code in 0..20 {
        let right = format!("casque | `s{code}` exited with {}", code + 10);
        let about = end.output.lines().filter(|line| line.starts_with(&format!("casque | `s{code}` exited")));
        assert!(about.into_iter().all(|line| line.starts_with(&right)), "s{code}");
    }
}

#[test]
fn behaviour_05_term_goes_to_the_main_process_alone_and_kill_to_all_that_is_left() {
    let script = "sh -c 'trap \"echo told > DIR/worker\" TERM; echo $$ > DIR/pid; while :; do sleep 0.1; done' & \
                  trap 'echo told > DIR/main; while :; do sleep 0.1; done' TERM; while :; do sleep 0.1; done";
    let mut plan = plan(&json!({
        "web": { "command": sh(script), "ready": { "exec": ["test", "-s", "DIR/pid"] } },
    }));
    plan["services"]["web"]["stop"]["timeout_ms"] = json!(300);
    let container = Container::start(&plan);
    let main = container.wait_ready().services[0].pid.unwrap();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(end.read("main"), "told\n");
    assert!(!end.path("worker").exists(), "the worker had TERM, too");
    assert!(!runs(main) && !runs(end.read("pid").trim().parse().unwrap()));
}

#[test]
fn behaviour_08_the_exit_of_the_process_is_the_death_and_not_the_end_of_its_output() {
    assert!(is_root(), "this test needs root");
    let script = "test -e DIR/held && exec sleep 1000; setsid sh -c 'echo $$ > DIR/held; exec sleep 1000' & \
                  while ! test -s DIR/held; do :; done; exit 3";
    let container = Container::start_as_pid_1(&plan(&json!({ "web": { "command": sh(script) } })));
    let web = container.wait_for("web", |web| web.restarts == 1 && web.state == ServiceState::Ready);
    assert_eq!(web.last_exit.as_deref(), Some("exited with 3"));
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn behaviour_08_an_output_that_a_stranger_holds_open_delays_neither_a_restart_nor_the_end() {
    let script = "test -e DIR/go && { echo again; exec sleep 1000; }; echo first; touch DIR/up; \
                  while ! test -e DIR/go; do sleep 0.01; done; echo last; exit 3";
    let container = Container::start(&plan(&json!({
        "web": { "command": sh(script), "ready": { "exec": ["test", "-e", "DIR/up"] } },
    })));
    let pid = container.wait_ready().services[0].pid.unwrap();
    // Nobody can kill this one: it is the test itself.
    let holder = std::fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/1")).unwrap();
    std::fs::write(container.path("go"), "").unwrap();
    let web = container.wait_for("web", |web| web.restarts == 1 && web.state == ServiceState::Ready);
    assert_eq!(web.last_exit.as_deref(), Some("exited with 3"));
    container.wait_for_line("web | again");
    let end = container.stop();
    drop(holder);
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(lines_of(&end.output, "web"), ["first", "last", "again"]);
}

#[test]
fn behaviour_09_what_cannot_be_executed_is_no_crash() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "no program").unwrap();
    for (service, reason) in [
        (json!({ "command": ["/missing"] }), "No such file or directory"),
        (json!({ "command": [text] }), "Permission denied"),
        (
            json!({ "command": ["true"], "working_directory": "/missing" }),
            "cannot enter directory `/missing`",
        ),
    ] {
        let end = Container::start(&plan(&json!({ "web": service }))).end();
        assert!(end.output.contains(reason), "{}", end.output);
        assert!(!end.output.contains("starting it again"), "{}", end.output);
    }
}

#[test]
fn behaviour_16_nothing_is_lost_torn_or_doubled_over_a_crash_and_rotations() {
    // Written in one go, and the process dies at once; two runs.
    let script = "seq -f 'line %08.0f of this run' 1 50000; kill -KILL $$";
    let mut plan = plan(&json!({ "web": { "command": sh(script) } }));
    plan["services"]["web"]["restart"]["limit"] = json!(2);
    plan["logs"] = json!({ "directory": "DIR/logs", "limit": { "size": 500_000, "files": 100 } });
    let end = Container::start(&plan).end();
    assert_eq!(end.code, Some(137));
    let expected: Vec<String> =
        (0..2).flat_map(|_| (1..=50_000).map(|n| format!("line {n:08} of this run"))).collect();
    assert_eq!(lines_of(&end.output, "web"), expected);
    let mut names: Vec<String> = std::fs::read_dir(end.path("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("web.log"))
        .collect();
    assert!(names.len() > 5, "{names:?}");
    // The oldest has the highest number, and the newest none.
    names.sort_by_key(|name| std::cmp::Reverse(name[7..].trim_start_matches('.').parse().unwrap_or(0)));
    let files: String = names.iter().map(|name| end.read(&format!("logs/{name}"))).collect();
    assert_eq!(files.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn behaviour_16_five_megabytes_written_while_stopping_all_arrive() {
    let script = "trap 'seq -f \"%0.0f xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" 1 70000; exit 0' TERM; \
                  touch DIR/up; sleep 1000 & wait";
    let mut plan =
        plan(&json!({ "web": { "command": sh(script), "ready": { "exec": ["test", "-e", "DIR/up"] } } }));
    plan["logs"] = json!({ "directory": "DIR/logs" });
    let container = Container::start(&plan);
    container.wait_ready();
    let end = container.stop();
    let number = |line: &str| line.split(' ').next().unwrap().parse::<u32>().unwrap();
    let shown: Vec<u32> = lines_of(&end.output, "web").into_iter().map(number).collect();
    let filed: Vec<u32> = end.read("logs/web.log").lines().map(number).collect();
    assert_eq!((shown.len(), filed.len()), (70_000, 70_000));
    assert!(shown == filed && shown.is_sorted());
}

#[test]
fn behaviour_16_a_full_disk_costs_lines_that_are_owned_up_to_and_nothing_else() {
    assert!(is_root(), "this test needs root");
    let disk = tempfile::tempdir().unwrap();
    let mount =
        |words: &[&str]| assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success());
    let place = disk.path().to_str().unwrap();
    mount(&["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", place]);
    let script = "seq -f 'line %08.0f' 1 20000; touch DIR/written; while ! test -e DIR/room; do sleep 0.01; done; \
                  echo after; exec sleep 1000";
    let mut plan = plan(
        &json!({ "web": { "command": sh(script), "ready": { "exec": ["test", "-e", "DIR/written"] } } }),
    );
    plan["logs"] = json!({ "directory": place });
    let container = Container::start(&plan);
    container.wait_ready();
    let web = container.wait_for("web", |web| web.log_problem.is_some());
    assert!(web.log_problem.unwrap().starts_with("No space left on device"));
    assert!(web.unfiled_lines > 0 && web.dropped_lines == 0);
    mount(&["mount", "-o", "remount,size=4m", place]);
    std::fs::write(container.path("room"), "").unwrap();
    let file = disk.path().join("web.log");
    let text = || String::from_utf8(std::fs::read(&file).unwrap()).unwrap();
    container.until("it is written again", || text().ends_with("after\n"));
    let missing = format!(
        "casque | {} lines are missing here: No space left on device (os error 28)\nafter\n",
        web.unfiled_lines
    );
    assert!(text().ends_with(&missing), "{}", text());
    let end = container.stop();
    mount(&["umount", place]);
    assert_eq!(lines_of(&end.output, "web").len(), 20_001, "standard output has them all");
    assert_eq!(
        end.output.matches("cannot write log file").count(),
        2,
        "once for each file: {}",
        end.output.len()
    );
}

#[test]
fn behaviour_16_a_closed_output_is_forgotten_and_a_long_line_is_marked() {
    let script = "perl -e 'print \"x\" x 100000, \"\\n\"'; exec >&- 2>&-; touch DIR/closed; exec sleep 1000";
    let container = Container::start(&plan(&json!({
        "later": { "kind": "oneshot", "command": ["sleep", "0.5"], "after": ["web"] },
        "web": { "command": sh(script), "ready": { "exec": ["test", "-e", "DIR/closed"] } },
    })));
    container.wait_for("web", |web| web.state == ServiceState::Ready);
    let spent = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", container.pid)).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // Half a second in which nothing happens: a loop that spins would take all of it, which is fifty ticks.
    let before = spent();
    container.wait_ready();
    assert!(spent() - before < 15, "it spins");
    let Reply::Logs { lines } = container.ask(&Request::Logs { service: Some(WEB()), lines: 1 }) else {
        panic!()
    };
    assert_eq!(lines[0], format!("web | {} [cut]", "x".repeat(16 * 1024)));
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn behaviour_16_json_lines_hold_whatever_was_written() {
    let mut plan =
        plan(&json!({ "web": { "kind": "oneshot", "command": sh("printf 'a \"b\"\\n\\tc\\n'") } }));
    plan["logs"] = json!({ "format": "json" });
    let container = Container::start(&plan);
    container.wait_ready();
    let end = container.stop();
    let lines: Vec<Value> = end.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| {
        let own = lines.iter().filter(|line| line["service"] == name);
        own.map(|line| line["line"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("web"), ["a \"b\"", "\tc"]);
    assert_eq!(of("casque").last().unwrap(), "stopped");
    assert!(lines.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z')));
}

#[test]
fn behaviour_17_an_unprivileged_service_opens_its_standard_output_by_name() {
    assert!(is_root(), "this test needs root");
    let user = json!({ "name": "web", "uid": 10_001, "gid": 10_001, "home": "/" });
    let script = "echo out > /dev/stdout; echo error > /dev/stderr; echo again >> /proc/self/fd/1";
    let container = Container::start_as_pid_1(&plan(
        &json!({ "web": { "kind": "oneshot", "command": sh(script), "user": user } }),
    ));
    container.wait_ready();
    assert_eq!(lines_of(&container.stop().output, "web"), ["out", "error", "again"]);
}

#[test]
fn behaviour_18_rights_are_dropped_completely_and_a_user_needs_no_name() {
    assert!(is_root(), "this test needs root");
    let user = json!({ "name": "4000000001", "uid": 4_000_000_001_u32, "gid": 64_002, "groups": [64_003], "home": "/srv" });
    let script = "grep -E '^(Uid|Gid|Groups|Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status; echo $HOME $USER $LOGNAME; \
                  setpriv --reuid 0 true 2>/dev/null || echo no way back";
    let container = Container::start_as_pid_1(&plan(
        &json!({ "web": { "kind": "oneshot", "command": sh(script), "user": user } }),
    ));
    container.wait_ready();
    let end = container.stop();
    let none = "0000000000000000";
    assert_eq!(
        lines_of(&end.output, "web"),
        [
            "Uid:\t4000000001\t4000000001\t4000000001\t4000000001",
            "Gid:\t64002\t64002\t64002\t64002",
            "Groups:\t64003 ",
            &format!("CapInh:\t{none}"),
            &format!("CapPrm:\t{none}"),
            &format!("CapEff:\t{none}"),
            &format!("CapAmb:\t{none}"),
            "NoNewPrivs:\t1",
            "/srv 4000000001 4000000001",
            "no way back",
        ]
    );
}

#[test]
fn behaviour_18_a_missing_capability_is_named() {
    assert!(is_root(), "this test needs root");
    let user = json!({ "name": "web", "uid": 64_001, "gid": 64_001, "home": "/" });
    let container = Container::start_below(
        &plan(&json!({ "web": { "command": ["true"], "user": user } })),
        &["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--"],
    );
    let end = container.end();
    assert_eq!(end.code, Some(126), "{}", end.output);
    assert!(end.output.contains("the container lacks CAP_SETUID or CAP_SETGID"), "{}", end.output);
}

#[test]
fn behaviour_20_a_secret_of_one_service_is_nowhere_else() {
    let canary = "c4nary-0123456789";
    let mut plan = plan(&json!({
        "db": { "command": ["sleep", "1001"], "environment": { "PASSWORD": "d8-only" } },
        "web": { "command": sh("echo it is $TOKEN; exec sleep 1002"), "environment": { "TOKEN": canary } },
    }));
    plan["mask"] = json!([canary]);
    plan["logs"] = json!({ "directory": "DIR/logs" });
    // What PID 1 was given is nobody else's either.
    let container = Container::start_with(&plan, |command| {
        command.env("GIVEN", "t0-pid-1");
    });
    let services = container.wait_ready().services;
    let read = |pid: u32, file: &str| {
        String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{file}")).unwrap()).into_owned()
    };
    for (service, own) in services.iter().zip(["PASSWORD=d8-only".to_owned(), format!("TOKEN={canary}")]) {
        let pid = service.pid.unwrap();
        container.until_executed(pid, "sleep");
        let environment = read(pid, "environ");
        let names =
            |entry: &&str| !entry.is_empty() && !entry.starts_with("PWD=") && !entry.starts_with("_=");
        let mut entries: Vec<&str> = environment.split('\0').filter(names).collect();
        entries.sort_unstable();
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut expected = vec!["HOME=/root", "LOGNAME=root", &own, path, "USER=root"];
        expected.sort_unstable();
        assert_eq!(entries, expected, "{}", service.name);
        assert!(!read(pid, "cmdline").contains(canary));
    }
    let own = read(container.pid, "environ");
    assert!(own.contains("t0-pid-1") && !own.contains(canary) && !own.contains("d8-only"));
    container.until("it is written", || container.path("logs/web.log").exists());
    for request in [Request::Status, Request::Logs { service: None, lines: 100 }] {
        assert!(!format!("{:?}", container.ask(&request)).contains(canary));
    }
    assert_eq!(container.read("logs/web.log"), "it is ***\n");
    let end = container.stop();
    assert!(!end.output.contains(canary), "{}", end.output);
}

#[test]
fn behaviour_21_a_service_has_nothing_open_but_its_own() {
    // PID 1 is started with more than it should have, and has files, a socket and pipes of its own.
    let mut plan = plan(&json!({
        "a": { "command": ["sleep", "1001"] },
        "web": { "kind": "oneshot", "command": sh("exec ls /proc/self/fd"), "after": ["a"] },
    }));
    plan["logs"] = json!({ "directory": "DIR/logs" });
    let container =
        Container::start_below(&plan, &["bash", "-c", "exec 7</dev/null 9>/dev/null; exec \"$@\"", "bash"]);
    container.wait_ready();
    let end = container.stop();
    // The fourth is how `ls` reads the directory.
    assert_eq!(lines_of(&end.output, "web"), ["0", "1", "2", "3"]);
}

#[test]
fn behaviour_23_an_oom_kill_is_recognised_counted_and_said() {
    assert!(is_root(), "this test needs root");
    let Some(group) = MemoryGroup::new(48 << 20) else {
        panic!("this test needs a hierarchy of cgroups with the memory controller");
    };
    let eat = "test -e DIR/ate && exec sleep 1000; touch DIR/ate; exec perl -e 'my @a; push @a, \"x\" x (1 << 20) while 1'";
    let join = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", group.0.display());
    let container =
        Container::start_below(&plan(&json!({ "web": { "command": sh(eat) } })), &["sh", "-c", &join, "sh"]);
    let web = container.wait_for("web", |web| web.restarts > 0 && web.state == ServiceState::Ready);
    assert_eq!(web.last_exit.as_deref(), Some("killed by SIGKILL, out of memory"));
    assert_eq!(web.oom_kills, 1);
    kill("KILL", web.pid.unwrap());
    let web = container.wait_for("web", |web| web.restarts > 1 && web.state == ServiceState::Ready);
    assert_eq!((web.last_exit.as_deref(), web.oom_kills), (Some("killed by SIGKILL"), 1), "that was no OOM");
    let end = container.stop();
    assert_eq!(
        end.output.matches("casque | `web` killed by SIGKILL, out of memory").count(),
        1,
        "{}",
        end.output
    );
}

/// A cgroup with a limit, of whichever version there is.
struct MemoryGroup(std::path::PathBuf);

impl MemoryGroup {
    fn new(bytes: u64) -> Option<Self> {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let name = format!("casque-test-{}", std::process::id());
        let field = |line: &str| line.splitn(3, ':').nth(2).unwrap().trim_start_matches('/').to_owned();
        let (directory, limit) = match own.lines().find(|line| line.contains(":memory:")) {
            Some(line) => {
                (std::path::Path::new("/sys/fs/cgroup/memory").join(field(line)), "memory.limit_in_bytes")
            }
            None => (std::path::Path::new("/sys/fs/cgroup").join(field(own.lines().last()?)), "memory.max"),
        };
        let group = directory.join(name);
        std::fs::create_dir(&group).ok()?;
        let group = Self(group);
        std::fs::write(group.0.join(limit), bytes.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn behaviour_25_without_an_agent_only_the_owner_can_knock_and_a_flood_is_cut_off() {
    use std::os::unix::fs::MetadataExt;
    let container = Container::start(&plan(&json!({ "web": { "command": ["sleep", "1000"] } })));
    container.wait_ready();
    let socket = std::fs::metadata(container.path("control.sock")).unwrap();
    assert_eq!((socket.mode() & 0o777, socket.uid()), (0o600, 0));
    // A line without an end: far more than any request, and far less than PID 1 would take if it had no limit.
    let mut flood = container.connect();
    let piece = [b'x'; 4096];
    assert!((0..1024).any(|_| flood.write_all(&piece).is_err()), "4 MiB of one request were taken");
    assert!(matches!(container.ask(&Request::Status), Reply::Status { .. }));
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn behaviour_25_clients_that_hold_the_line_keep_nobody_out() {
    let container = Container::start(&plan(&json!({ "web": { "command": ["sleep", "1000"] } })));
    container.wait_ready();
    let mut stuck: Vec<UnixStream> = Vec::new();
    for _ in 0..200 {
        let mut stream = container.connect();
        // Some were hung up on to make room for others.
        let _ = stream.write_all(b"{\"command\":");
        stuck.push(stream);
    }
    assert!(matches!(container.ask(&Request::Status), Reply::Status { .. }));
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn behaviour_25_with_no_descriptor_left_who_holds_the_line_makes_room() {
    let services = plan(&json!({ "web": { "command": ["sleep", "1000"] } }));
    let container = Container::start_below(&services, &["prlimit", "--nofile=20:20"]);
    container.wait_ready();
    let stuck: Vec<UnixStream> = (0..40).map(|_| container.connect()).collect();
    assert!(matches!(container.ask(&Request::Status), Reply::Status { .. }));
    // Watchers are not sent away: then whoever comes is.
    let watch = |mut stream: UnixStream| {
        let _ = stream.write_all(b"{\"command\":\"watch\"}\n");
        stream
    };
    let watchers: Vec<UnixStream> = stuck.into_iter().map(watch).collect();
    container.until("they all watch, or have been hung up on", || {
        let mut stream = container.connect();
        let mut byte = [0];
        std::io::Read::read(&mut stream, &mut byte).is_ok_and(|count| count == 0)
    });
    drop(watchers);
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn behaviour_25_who_follows_gets_each_line_and_who_does_not_read_is_left_behind() {
    let script = "while ! test -e DIR/go; do sleep 0.01; done; seq 1 200000; touch DIR/done; exec sleep 1000";
    let container = Container::start(&plan(&json!({
        "other": { "command": sh("echo other; exec sleep 1000") }, "web": { "command": sh(script) },
    })));
    container.wait_ready();
    let follow = || {
        let mut stream = container.connect();
        stream.write_all(b"{\"command\":\"follow\",\"service\":\"web\",\"lines\":10}\n").unwrap();
        stream
    };
    let mut stuck = BufReader::new(follow());
    let mut answers = BufReader::new(follow()).lines();
    let lines = |line: String| match serde_json::from_str(&line).unwrap() {
        Reply::Logs { lines } => lines,
        other => panic!("{other:?}"),
    };
    assert_eq!(lines(answers.next().unwrap().unwrap()), Vec::<String>::new());
    let mut first = String::new();
    stuck.read_line(&mut first).unwrap();
    std::fs::write(container.path("go"), "").unwrap();
    let mut all = Vec::new();
    while all.len() < 200_000 {
        all.extend(lines(answers.next().unwrap().unwrap()));
    }
    assert!(all.iter().zip(1..).all(|(line, number)| *line == format!("web | {number}")));
    container.until("all is written", || container.path("done").exists());
    // What it had in the pipeline, and then why there is no more.
    let last = stuck.lines().map(Result::unwrap).last().unwrap();
    assert!(last.contains("this end read too slowly"), "{last}");
    assert_eq!(container.stop().code, Some(0));
    assert!(answers.all(|line| line.is_ok()), "it ends with the container");
}

#[test]
fn behaviour_25_changes_of_state_are_told_as_they_happen() {
    let container = Container::start(&plan(&json!({ "web": { "command": ["sleep", "1000"] } })));
    container.wait_ready();
    let mut stream = container.connect();
    stream.write_all(b"{\"command\":\"events\"}\n").unwrap();
    let mut events =
        BufReader::new(stream).lines().map(|line| match serde_json::from_str(&line.unwrap()).unwrap() {
            Reply::Event { event } => event,
            other => panic!("{other:?}"),
        });
    assert_eq!(events.next().unwrap().container, Some(casque_format::control::Overall::Ready));
    assert_eq!(container.ask(&Request::Stop { service: WEB() }), Reply::Done);
    let states: Vec<String> = events
        .by_ref()
        .map(|event| match (event.service, event.container) {
            (Some(service), None) => format!("{:?}", service.state),
            (None, Some(container)) => format!("{container:?}"),
            other => panic!("{other:?}"),
        })
        .take(3)
        .collect();
    assert_eq!(states, ["Stopping", "Degraded", "Stopped"]);
    container.stop();
}

#[test]
fn behaviour_29_a_stray_is_told_only_at_the_end_and_not_waited_for_once_it_is_gone() {
    assert!(is_root(), "this test needs root");
    let script = "test -e DIR/pid || setsid sh -c 'trap \"echo told > DIR/stray; exit\" TERM; echo $$ > DIR/pid; sleep 1000 & wait' & \
                  while ! test -s DIR/pid; do :; done; trap 'test -e DIR/stray && echo early > DIR/early; exit 0' TERM; \
                  touch DIR/up; sleep 1000 & wait";
    let services = json!({ "web": { "command": sh(script), "ready": { "exec": ["test", "-e", "DIR/up"] } } });
    let container = Container::start_as_pid_1(&plan(&services));
    container.wait_ready();
    let began = Instant::now();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(end.read("stray"), "told\n");
    assert!(!end.path("early").exists());
    assert!(began.elapsed() < Duration::from_secs(8), "it waited although all were gone");
}

#[test]
fn behaviour_30_without_descriptors_or_processes_a_start_is_repeated() {
    // No process may be made at all: the limit is on the user, whom nobody else is.
    assert!(is_root(), "this test needs root");
    let container = Container::start_below(
        &plan(&json!({ "web": { "command": ["sleep", "1000"] } })),
        &["setpriv", "--reuid", "64997", "--regid", "64997", "--clear-groups", "prlimit", "--nproc=1"],
    );
    let end = container.end();
    assert!(end.output.contains("cannot make a process: Resource temporarily unavailable"), "{}", end.output);
    assert_eq!(end.output.matches("starting it again").count(), 2, "{}", end.output);
    assert_eq!(end.code, Some(126));
}

#[test]
fn behaviour_27_one_key_press_on_a_terminal_stops_once() {
    // `script` gives a terminal, as `docker run -it` does; what it reads are key presses.
    let services = json!({
        "web": {
            "command": sh("trap 'echo INT > DIR/int' INT; trap 'exit 0' TERM; touch DIR/up; while :; do sleep 0.05; done"),
            "ready": { "exec": ["test", "-e", "DIR/up"] },
        },
    });
    let container = Container::start_with_words(&plan(&services), |words| {
        vec![
            "script".to_owned(),
            "--quiet".to_owned(),
            "--flush".to_owned(),
            "--return".to_owned(),
            "--command".to_owned(),
            format!("exec {}", words.join(" ")),
            "/dev/null".to_owned(),
        ]
    });
    container.wait_ready();
    container.type_keys(b"\x03");
    let end = container.end();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(end.output.matches("stopping on SIGINT").count(), 1, "{}", end.output);
    assert!(!end.output.contains("again"), "{}", end.output);
    assert!(!end.path("int").exists(), "the key went to the service, too");
}
