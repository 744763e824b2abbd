//! What a command sees inside.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use casque_sandbox::{
    Bind, Error, Exit, FirstProcess, Identity, Join, Network, Privileges, Session, Tmpfs, start_time,
};

use crate::environment::{Environment, captured, output, sandbox, text};

#[test]
fn a_command_sees_its_own_root_and_no_trace_of_the_host() {
    let environment = Environment::new();
    let seen = text(&environment.script("echo /*; cut -d' ' -f5 /proc/self/mountinfo | sort"));
    assert_eq!(
        seen,
        "/bin /data /dev /etc /lib /lib64 /proc /run /sbin /sys /tmp /usr\n\
         /\n/dev\n/dev/full\n/dev/mqueue\n/dev/null\n/dev/pts\n/dev/random\n/dev/shm\n/dev/tty\n\
         /dev/urandom\n/dev/zero\n/proc\n/sys\n/usr\n"
    );
}

#[test]
fn a_command_has_processes_name_and_network_of_its_own() {
    let environment = Environment::new();
    let mut spec = environment.script(
        "echo $$; uname -n; cat /proc/1/comm; ls /sys/class/net; \
         cat /sys/class/net/lo/operstate; umask; pwd; echo $KEY",
    );
    spec.hostname = "build.invalid".to_owned();
    spec.environment = vec![("KEY".to_owned(), "value".to_owned())];
    spec.working_directory = "/data".into();
    spec.first_process = FirstProcess::Command;
    // A loopback device that is up has the state "unknown", one that is down "down".
    assert_eq!(text(&spec), "1\nbuild.invalid\nsh\nlo\nunknown\n0022\n/data\nvalue\n");
}

#[test]
fn the_host_network_is_there_when_it_is_asked_for() {
    let environment = Environment::new();
    let mut spec = environment.script("readlink /proc/self/ns/net");
    let own = text(&spec);
    spec.network = Network::Host;
    let host = text(&spec);
    let here = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(host.trim_end(), here.to_str().unwrap());
    assert_ne!(own, host);
}

#[test]
fn binds_and_memory_file_systems_appear_where_they_should() {
    let environment = Environment::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file"), "from the host\n").unwrap();
    let mut spec = environment.script(
        "cat /data/file; touch /data/new 2>/dev/null || echo read-only; stat -c %a /tmp; touch /tmp/x",
    );
    spec.binds.push(Bind { from: outside.path().into(), to: "/data".into(), read_only: true });
    spec.tmpfs.push(Tmpfs { at: "/tmp".into(), mode: 0o1777, size: Some(1 << 20) });
    assert_eq!(text(&spec), "from the host\nread-only\n1777\n");
    assert!(!environment.root.path().join("tmp/x").exists());
}

#[test]
fn a_link_in_the_root_does_not_lead_a_bind_to_the_host() {
    let environment = Environment::new();
    symlink("/etc", environment.root.path().join("settings")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("marker"), "").unwrap();
    let mut spec = environment.script("ls /etc");
    spec.binds.push(Bind { from: outside.path().into(), to: "/settings".into(), read_only: true });
    assert_eq!(text(&spec), "marker\n");
}

#[test]
fn a_missing_bind_target_is_named() {
    let environment = Environment::new();
    let mut spec = environment.script("true");
    spec.binds.push(Bind { from: "/etc".into(), to: "/nowhere".into(), read_only: true });
    let Err(error @ Error::Step { .. }) = output(&spec) else { panic!("the bind has no target") };
    assert_eq!(error.to_string(), "cannot find in the root file system `/nowhere`");
}

#[test]
fn a_missing_bind_source_is_named() {
    let environment = Environment::new();
    let mut spec = environment.script("true");
    spec.binds.push(Bind { from: "/no/such".into(), to: "/data".into(), read_only: true });
    assert_eq!(output(&spec).unwrap_err().to_string(), "cannot open `/no/such`");
}

#[test]
fn a_missing_command_is_named() {
    let environment = Environment::new();
    for first_process in [FirstProcess::Command, FirstProcess::Reaper] {
        let mut spec = environment.command(&["no-such-program"]);
        spec.first_process = first_process;
        let error = output(&spec).unwrap_err();
        assert_eq!(error.to_string(), "cannot run `no-such-program`");
    }
}

#[test]
fn a_missing_working_directory_is_named() {
    let environment = Environment::new();
    let mut spec = environment.script("true");
    spec.working_directory = "/nowhere".into();
    let error = output(&spec).unwrap_err();
    assert_eq!(error.to_string(), "cannot enter working directory `/nowhere`");
}

#[test]
fn a_command_is_found_in_its_own_path() {
    let environment = Environment::new();
    let tools = environment.root.path().join("data/tools");
    std::fs::create_dir(&tools).unwrap();
    symlink("/bin/echo", tools.join("say")).unwrap();
    let mut spec = environment.command(&["say", "hello"]);
    spec.environment = vec![("PATH".to_owned(), "/data/tools:/usr/bin".to_owned())];
    assert_eq!(text(&spec), "hello\n");
}

#[test]
fn a_container_has_the_capabilities_of_docker_without_device_nodes() {
    let environment = Environment::new();
    let mut spec = environment.script(
        "grep CapEff /proc/self/status; mknod /tmp/null c 1 3 2>/dev/null || echo no nodes; \
         (echo 1 > /proc/sys/vm/swappiness) 2>/dev/null || echo no kernel settings; \
         cat /proc/sys/net/ipv4/ip_unprivileged_port_start; wc -c < /proc/keys",
    );
    spec.privileges = Privileges::Container;
    assert_eq!(text(&spec), "CapEff:\t00000000a00425fb\nno nodes\nno kernel settings\n0\n0\n");
}

#[test]
fn a_device_node_of_the_root_does_not_open_in_a_container() {
    let environment = Environment::new();
    let node = environment.root.path().join("data/null");
    let status = std::process::Command::new("mknod").arg(&node).args(["c", "1", "3"]).status();
    assert!(status.unwrap().success());
    let mut spec = environment.script("(echo > /data/null) 2>/dev/null || echo refused; : > /dev/null");
    assert_eq!(text(&spec), "");
    spec.privileges = Privileges::Container;
    assert_eq!(text(&spec), "refused\n");
}

#[test]
fn another_user_runs_a_command_with_its_groups() {
    let environment = Environment::new();
    let mut spec = environment.script("id -u; id -g; id -G");
    spec.identity = Some(Identity { uid: 900, gid: 901, groups: vec![901, 33] });
    assert_eq!(text(&spec), "900\n901\n901 33\n");
}

#[test]
fn a_read_only_root_refuses_writing() {
    let environment = Environment::new();
    let mut spec = environment.script("touch /tmp/x 2>/dev/null || echo refused");
    spec.read_only_root = true;
    // The mount points must exist then.
    for directory in ["proc", "sys", "dev"] {
        std::fs::create_dir(environment.root.path().join(directory)).unwrap();
    }
    assert_eq!(text(&spec), "refused\n");
}

#[test]
fn the_exit_is_that_of_the_command() {
    let environment = Environment::new();
    for (first_process, script, expected) in [
        (FirstProcess::Command, "exit 7", Exit::Code(7)),
        (FirstProcess::Reaper, "exit 7", Exit::Code(7)),
        (FirstProcess::Reaper, "kill -KILL $$", Exit::Code(137)),
    ] {
        let mut spec = environment.script(script);
        spec.first_process = first_process;
        assert_eq!(output(&spec).unwrap().exit, expected);
    }
}

#[test]
fn a_reaper_leaves_no_zombie_of_a_stranger() {
    let environment = Environment::new();
    // The subshell's child outlives it, is inherited by process 1 and ends while we look.
    let script = "(sleep 0.05 & echo $! > /tmp/pid); \
                  while [ -d /proc/$(cat /tmp/pid) ]; do :; done; echo gone";
    assert_eq!(text(&environment.script(script)), "gone\n");
}

#[test]
fn a_joined_command_shares_everything_with_the_container() {
    let environment = Environment::new();
    let mut spec = environment.script("echo ready; read line < /data/pipe; echo $line");
    spec.hostname = "inside".to_owned();
    let pipe = environment.root.path().join("data/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (_reader, streams) = captured();
    let mut running = sandbox().spawn_with(&spec, streams).unwrap();

    let pid = running.pid_of_first();
    let mut join = Join {
        pid,
        start_time: start_time(pid).unwrap(),
        command: ["/bin/sh", "-c", "uname -n; cat /proc/1/comm; test -p pipe && exit 3"]
            .map(str::to_owned)
            .to_vec(),
        environment: Vec::new(),
        working_directory: PathBuf::from("/data"),
        identity: None,
        privileges: Privileges::Full,
        no_new_privileges: false,
        session: Session::Own,
    };
    let (mut reader, streams) = captured();
    let mut joined = sandbox().join(&join, streams).unwrap();
    let mut seen = String::new();
    std::io::Read::read_to_string(&mut reader, &mut seen).unwrap();
    assert_eq!(joined.wait().unwrap(), Exit::Code(3));
    assert_eq!(seen, "inside\ncasque-sandbox-\n");
    // Not by the joined command: with the first process of a container all others end.
    std::fs::write(&pipe, "go\n").unwrap();
    assert_eq!(running.wait().unwrap(), Exit::Code(0));

    join.start_time += 1;
    let (_reader, streams) = captured();
    let error = sandbox().join(&join, streams).unwrap_err();
    assert_eq!(error.to_string(), format!("process {pid} has ended"));
}

#[test]
fn a_command_may_use_as_many_processors_as_it_is_given() {
    let environment = Environment::new();
    let mut spec = environment.script("nproc; sh -c nproc");
    spec.processors = Some(1);
    assert_eq!(text(&spec), "1\n1\n");
    spec.processors = None;
    let all = std::thread::available_parallelism().unwrap();
    assert_eq!(text(&spec), format!("{all}\n{all}\n"));
}
