//! Old engines and kernels: system calls that are refused or not there.

use serde_json::json;

use crate::container::{Container, plan, sh};

/// Makes the calls after the error number (as first argument, separated by commas) answer with it, and becomes the rest.
const FILTER: &str = r#"
    my ($errno, @calls) = split /,/, shift;
    my @filter = pack("SCCL", 0x20, 0, 0, 0);                                  # load the number
    push @filter, pack("SCCL", 0x15, 0, 1, $_), pack("SCCL", 0x06, 0, 0, 0x50000 | $errno) for @calls;
    push @filter, pack("SCCL", 0x06, 0, 0, 0x7fff0000);                        # allow
    my $filter = join "", @filter;
    my $program = pack("Sx6P", scalar @filter, $filter);
    syscall(157, 38, 1, 0, 0, 0) == 0 or die "prctl: $!";
    syscall(317, 1, 0, $program) == 0 or die "seccomp: $!";
    exec @ARGV or die "exec: $!";
"#;
const ENOSYS: i32 = 38;
const EPERM: i32 = 1;
const CALLS: [(&str, u32); 5] =
    [("pidfd_open", 434), ("clone3", 435), ("close_range", 436), ("openat2", 437), ("faccessat2", 439)];

fn run(errno: i32, calls: &[u32]) -> String {
    let calls: Vec<String> = calls.iter().map(u32::to_string).collect();
    let plan = plan(&json!({
        "db": { "command": sh("trap 'exit 0' TERM; touch DIR/db; while :; do sleep 0.05; done"),
            "ready": { "exec": ["test", "-e", "DIR/db"] } },
        "web": { "command": sh("test -e DIR/died || { touch DIR/died; exit 3; }; touch DIR/web; exec sleep 1000"),
            "after": ["db"], "ready": { "exec": ["test", "-e", "DIR/web"] } },
    }));
    let words = format!("{errno},{}", calls.join(","));
    let container = Container::start_below(&plan, &["perl", "-e", FILTER, &words]);
    let snapshot = container.wait_ready();
    assert_eq!(snapshot.services[1].last_exit.as_deref(), Some("exited with 3"));
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    end.output
}

#[test]
fn it_works_where_a_newer_call_is_not_there_or_refused() {
    for errno in [ENOSYS, EPERM] {
        for (name, call) in CALLS {
            let output = run(errno, &[call]);
            let warned = output.contains("this container engine forbids clone3");
            assert_eq!(warned, errno == EPERM && name == "clone3", "{name}: {output}");
            assert_eq!(warned, output.contains("Docker 20.10.10"), "{name}: {output}");
        }
    }
}

#[test]
fn it_works_where_all_newer_calls_are_not_there_or_refused() {
    for errno in [ENOSYS, EPERM] {
        run(errno, &CALLS.map(|(_, call)| call));
    }
}
