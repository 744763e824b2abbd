//! What `preflight` says of a host, and what of it ends a start.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use casque_format::control::{Overall, Reply, Snapshot};
use casque_format::paths;
use casque_format::preflight::{Check, NAMES, Preflight, Verdict};
use fs_err as fs;
use rustix::fs::{FlockOperation, Timespec, Timestamps, flock, utimensat};
use serde_json::json;

use crate::instance::{Finished, Instance, plan};

const CPUINFO: &str = "processor : 0\nmodel name : Some CPU\nflags : fpu avx\nprocessor : 1\n";

/// An instance on a machine that says what it is.
fn instance() -> Instance {
    let instance = Instance::new();
    let mut plan = plan();
    plan["expose"] = json!([free_port()]);
    plan["services"]["mongodb"]["needs"] = json!({"cpu": ["avx"], "memory": 1 << 30, "disk": 4096});
    instance.write_plan(plan);
    for (path, text) in [
        ("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
        ("/proc/cpuinfo", CPUINFO),
        ("/proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 3145728 kB\n"),
        (
            "/proc/self/limits",
            "Max open files            1024                 524288               files     \n",
        ),
        ("/sys/fs/cgroup/cpu.max", "100000 100000\n"),
    ] {
        instance.write(path, text);
    }
    instance
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs it, and returns its end and its document.
fn examined(instance: &Instance, environment: &[(&str, &str)]) -> (i32, String, Preflight) {
    let Finished { code, stdout, stderr } = instance.run(&["preflight", "--json"], environment);
    (code, stderr, serde_json::from_str(&stdout).unwrap())
}

fn check(found: &Preflight, name: &str) -> Check {
    found.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name}")).clone()
}

fn one(instance: &Instance, environment: &[(&str, &str)], name: &str) -> Check {
    check(&examined(instance, environment).2, name)
}

#[test]
fn a_good_host_is_said_to_be_one_and_nothing_is_written() {
    let instance = instance();
    let (code, stderr, found) = examined(&instance, &[]);
    assert_eq!((code, stderr.as_str(), found.verdict), (0, "", Verdict::Ok));
    assert_eq!((found.version, found.product.name.as_str()), (1, "vendor/backend"));
    let names: Vec<&str> = found.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, NAMES);
    assert!(found.checks.iter().all(|check| check.verdict == Verdict::Ok), "{found:?}");
    let fact = |name: &str| check(&found, name).fact;
    assert_eq!(fact("kernel"), "Linux 6.1.0-18-amd64");
    assert_eq!(fact("cpu"), "Some CPU, 1 of 2 processors, with `avx`");
    assert_eq!(fact("memory"), "4 GiB, 3 GiB available now, the services need 1 GiB");
    assert_eq!(fact("limits"), "1024 open files (at most 524288)");
    assert_eq!(fact("volume"), "the volume `named`, ext4, can be written and is new");
    assert_eq!(fact("settings"), "0 of 6 are given");
    assert_eq!(fact("certificates"), "HTTPS is off");
    assert!(fact("ports").ends_with(" can be opened here; which the host publishes its engine knows"));
    assert_eq!(instance.list("/data"), Vec::<String>::new());
    assert!(!instance.exists(paths::RUN));
}

#[test]
fn people_get_a_table_with_what_follows_and_what_helps() {
    let instance = instance();
    instance.write("/proc/cpuinfo", &CPUINFO.replace("avx", "sse"));
    let finished = instance.run(&["preflight"], &[]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (1, "error: this product does not work here: `cpu` failed\n")
    );
    let lines: Vec<&str> = finished.stdout.lines().take(5).collect();
    assert_eq!(
        lines,
        [
            "CHECK         VERDICT  FACT",
            "kernel        ok       Linux 6.1.0-18-amd64",
            "cpu           failed   Some CPU lacks `avx`",
            "                       so: `mongodb` cannot run",
            "                       remedy: another machine; of a virtual one, a processor type that passes on what the host's can, such as `host`",
        ]
    );
}

#[test]
fn a_start_refuses_what_cannot_work_before_anything_is_written_and_only_warns_of_the_rest() {
    let instance = instance();
    instance.write("/proc/cpuinfo", &CPUINFO.replace("avx", "sse"));
    let refused = instance.run(&["prepare"], &[]);
    assert_eq!(
        (refused.code, refused.stderr.as_str()),
        (
            100,
            "error: Some CPU lacks `avx`; `mongodb` cannot run; another machine; of a virtual one, a processor type that passes on what the host's can, such as `host`\n"
        )
    );
    assert_eq!(instance.list("/data"), Vec::<String>::new());
    // Who has it elsewhere does not need it here.
    instance.run(&["prepare"], &[("MONGODB_URL", "mongodb://db.example/x")]).quiet();
    instance.write("/proc/cpuinfo", CPUINFO);
    instance.write("/sys/fs/cgroup/memory.max", "536870912\n");
    let warned = instance.run(&["prepare"], &[]);
    let line = "512 MiB of the machine's 4 GiB may be used, the services need 1 GiB; the kernel kills services when it is used up; `--memory` with more, or none";
    assert_eq!((warned.code, warned.stderr), (0, format!("warning: {line}\n")));
    assert_eq!(instance.json(paths::AGENT_CONFIG)["warnings"], json!([line]));
}

#[test]
fn what_a_start_would_refuse_of_the_volume_has_failed() {
    let instance = instance();
    instance.write(paths::STAMP, r#"{"version":1,"product":"a/b","product_version":"3","instance":"x"}"#);
    let (code, stderr, found) = examined(&instance, &[]);
    assert_eq!((code, stderr.as_str()), (1, "error: this product does not work here: `volume` failed\n"));
    assert_eq!(
        check(&found, "volume"),
        Check::failed("volume", "volume `/data` belongs to `a/b` 3, this is `vendor/backend`")
            .so("a start ends with 102 before any service runs")
            .remedy("start with a volume of its own")
    );
    fs::remove_dir_all(instance.path("/data")).unwrap();
    assert_eq!(one(&instance, &[], "disk-space").verdict, Verdict::NotChecked);
}

#[test]
fn a_volume_that_this_user_cannot_write_has_failed_and_the_line_that_helps_is_there() {
    let instance = instance();
    fs::set_permissions(instance.path("/data"), PermissionsExt::from_mode(0o755)).unwrap();
    let finished = instance.run_as(54321, &["preflight", "--json"]);
    let found: Preflight = serde_json::from_str(&finished.stdout).unwrap();
    let volume = check(&found, "volume");
    assert_eq!((finished.code, volume.verdict), (1, Verdict::Failed));
    assert_eq!(volume.fact, "cannot use `/data` as uid 54321: permission denied");
    let remedy = volume.remedy.unwrap();
    assert!(
        remedy.contains("docker run --rm --user 0 -v NAME:/data IMAGE /bin/chown -R 54321 /data"),
        "{remedy}"
    );
    assert_eq!(check(&found, "disk-speed").verdict, Verdict::NotChecked);
}

#[test]
fn data_that_would_be_lost_and_a_volume_in_use_are_warned_of() {
    let instance = instance();
    instance.write("/proc/self/mountinfo", "1 0 0:5 / / rw - overlay overlay rw\n");
    assert_eq!(
        one(&instance, &[], "volume"),
        Check::warning(
            "volume",
            "data is not on a named volume: it is part of this container and is lost with it"
        )
        .so("the product's next container has none of its data")
        .remedy("start with `-v NAME:/data`")
    );
    instance.write(paths::LOCK, "backend-1\n");
    let held = fs::File::open(instance.path(paths::LOCK)).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let used = one(&instance, &[], "volume");
    assert_eq!(
        (used.verdict, used.fact.as_str()),
        (Verdict::Warning, "it is used by another container (`backend-1`)",)
    );
    drop(held);
    assert!(!one(&instance, &[], "volume").fact.contains("used by"));
}

#[test]
fn room_is_asked_for_on_a_new_volume_only() {
    let instance = instance();
    let mut plan = plan();
    plan["expose"] = json!([]);
    plan["services"]["mongodb"]["needs"] = json!({"disk": u64::MAX});
    instance.write_plan(plan);
    let room = one(&instance, &[], "disk-space");
    assert_eq!(room.verdict, Verdict::Warning);
    assert!(room.fact.contains(" are free, the services need "), "{}", room.fact);
    let warned = instance.run(&["prepare"], &[]);
    assert_eq!(warned.code, 0, "{}", warned.stderr);
    assert!(warned.stderr.contains("the services need "), "{}", warned.stderr);
    assert_eq!(one(&instance, &[], "disk-space").verdict, Verdict::Ok);
}

#[test]
fn a_clock_before_the_image_or_the_last_start_is_warned_of() {
    let instance = instance();
    assert_eq!(one(&instance, &[], "clock").verdict, Verdict::Ok);
    let later = |path: &str, seconds| {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        let directory = fs::File::open(instance.path("/")).unwrap();
        utimensat(&directory, path.trim_start_matches('/'), &times, rustix::fs::AtFlags::empty()).unwrap();
    };
    // In 2100.
    later(paths::IMAGE_PLAN, 4_102_444_800);
    let clock = one(&instance, &[], "clock");
    assert_eq!(clock.verdict, Verdict::Warning);
    assert!(clock.fact.ends_with(" UTC, before this image was made (2100-01-01 00:00)"), "{}", clock.fact);
    later(paths::IMAGE_PLAN, 0);
    instance.write(paths::LOCK, "");
    later(paths::LOCK, 4_102_444_800);
    let clock = one(&instance, &[], "clock");
    assert!(
        clock.fact.ends_with("before this volume was last started on (2100-01-01 00:00)"),
        "{}",
        clock.fact
    );
}

#[test]
fn wrong_settings_have_failed_and_what_depends_on_them_is_not_checked() {
    let instance = instance();
    let (code, _, found) = examined(&instance, &[("PORT", "many"), ("SMTP_URL", "nowhere")]);
    let settings = check(&found, "settings");
    assert_eq!((code, settings.verdict), (1, Verdict::Failed));
    assert_eq!(
        settings.fact,
        "setting `port`: given `many`, expected a port number from 1 to 65535 (from environment variable `PORT`); \
         setting `smtp-url`: given a secret that is not shown, expected a URL such as `smtp://user:password@host:25` (from environment variable `SMTP_URL`)"
    );
    let verdict = |name| check(&found, name).verdict;
    assert_eq!((verdict("ports"), verdict("certificates")), (Verdict::NotChecked, Verdict::NotChecked));
    // Nobody knows which services run, so all of them count.
    assert_eq!(check(&found, "cpu").fact, "Some CPU, 1 of 2 processors, with `avx`");
}

#[test]
fn a_file_that_cannot_be_rendered_has_failed_and_an_old_name_is_warned_of() {
    let instance = instance();
    instance.write(&format!("{}/etc/app.conf", paths::TEMPLATES), "@casque{nothing}\n");
    let settings = one(&instance, &[], "settings");
    assert_eq!(
        (settings.verdict, settings.fact.as_str()),
        (Verdict::Failed, "cannot render `/etc/app.conf`: line 1: mark `@casque{nothing}` names no setting",)
    );
    let instance = Instance::new();
    let mut plan = plan();
    plan["expose"] = json!([]);
    plan["settings"]["port"]["renamed-from"] = json!(["listen"]);
    instance.write_plan(plan);
    let (code, _, found) = examined(&instance, &[("LISTEN", "81")]);
    let settings = check(&found, "settings");
    assert_eq!((code, settings.verdict), (0, Verdict::Warning));
    assert!(settings.fact.starts_with("1 of 6 are given; "), "{}", settings.fact);
}

#[test]
fn a_port_that_is_taken_has_failed_unless_it_is_this_product_that_has_it() {
    let instance = instance();
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut plan = plan();
    plan["expose"] = json!([port]);
    instance.write_plan(plan);
    assert_eq!(
        one(&instance, &[], "ports"),
        Check::failed("ports", format!("port {port} cannot be opened: Address already in use (os error 98)"))
            .so("a start ends with 100 before any service runs")
            .remedy("a network of the container's own, or the end of what uses the port")
    );
    let socket = instance.control_socket();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
        let (state, services) = (Overall::Ready, Vec::new());
        let snapshot = Snapshot { version: 1, state, uptime_ms: 1, front_ready: true, services };
        writeln!(stream, "{}", serde_json::to_string(&Reply::Status { snapshot }).unwrap()).unwrap();
    });
    let ports = one(&instance, &[], "ports");
    answering.join().unwrap();
    assert_eq!(ports, Check::not_checked("ports", format!("{port}: this product has them")));
}

/// A server that accepts one client and says nothing.
fn silent() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, std::thread::spawn(move || drop(listener.accept().unwrap())))
}

#[test]
fn what_the_customer_has_elsewhere_is_asked() {
    let instance = instance();
    let mut plan = plan();
    plan["expose"] = json!([]);
    for (name, setting) in casque_format::settings::built_in() {
        plan["settings"][name] = serde_json::to_value(setting).unwrap();
    }
    instance.write_plan(plan);
    let closed = free_port();
    let database = format!("redis://127.0.0.1:{closed}");
    let (code, stderr, found) = examined(&instance, &[("MONGODB_URL", &database)]);
    assert_eq!(
        (code, stderr.as_str()),
        (1, "error: this product does not work here: `mongodb-url` failed\n")
    );
    let away = check(&found, "mongodb-url");
    assert_eq!(away.fact, format!("127.0.0.1:{closed}: Connection refused (os error 111)"));
    assert_eq!(
        away.consequence.as_deref(),
        Some("the product waits for it, and serves nobody until it is there")
    );
    let wrong = one(&instance, &[("MONGODB_URL", "redis://%ff@127.0.0.1")], "mongodb-url");
    assert_eq!((wrong.verdict, wrong.fact.as_str()), (Verdict::Failed, "a part of it is no UTF-8"));
    assert_eq!(wrong.consequence.as_deref(), Some("a start ends with 100"));

    let (port, serving) = silent();
    let proxy = one(&instance, &[("HTTPS_PROXY", &format!("http://u:p@127.0.0.1:{port}"))], "outgoing-proxy");
    serving.join().unwrap();
    let reached = format!("127.0.0.1:{port} is reached; what speaks there was not asked");
    assert_eq!(proxy, Check::ok("outgoing-proxy", reached));
    let syslog = one(&instance, &[("SYSLOG_URL", &format!("tcp://127.0.0.1:{closed}"))], "syslog-url");
    assert_eq!(
        (syslog.verdict, syslog.fact),
        (Verdict::Warning, format!("127.0.0.1:{closed}: Connection refused (os error 111)"),)
    );
    let syslog = one(&instance, &[("SYSLOG_URL", "udp://127.0.0.1")], "syslog-url");
    assert_eq!(syslog.verdict, Verdict::NotChecked);
}

#[test]
fn the_vendor_looks_at_more_as_a_service_does() {
    let instance = instance();
    let mut plan = plan();
    plan["expose"] = json!([]);
    // Which the first start makes.
    plan["services"]["web"]["service"]["working_directory"] = json!("/data/web");
    let asked = |script: &str, service: &str| {
        json!({"service": service, "run": ["/bin/sh", "-c", script], "timeout_ms": 300,
            "consequence": "reports stay empty", "remedy": "ask the vendor"})
    };
    plan["preflight"] = json!({
        "fine": asked("echo \"licence of $SMTP_URL\"; echo more", "web"),
        "meagre": asked("echo it ends in 3 days; exit 1", "web"),
        "gone": asked("echo it has ended; exit 2", "web"),
        "odd": asked("exit 7", "web"),
        "silent": asked(":", "web"),
        "slow": asked("exec sleep 100", "web"),
        "off": asked(":", "mongodb"),
    });
    plan["settings"]["smtp-url"]["schemes"] = json!(["smtp", "http"]);
    instance.write_plan(plan);
    let (code, stderr, found) =
        examined(&instance, &[("SMTP_URL", "smtp://secret"), ("MONGODB_URL", "s3://bucket")]);
    assert_eq!((code, stderr.as_str()), (1, "error: this product does not work here: `gone` failed\n"));
    let judged = |check: Check| check.so("reports stay empty").remedy("ask the vendor");
    assert_eq!(check(&found, "fine"), Check::ok("fine", "licence of ********"));
    assert_eq!(check(&found, "meagre"), judged(Check::warning("meagre", "it ends in 3 days")));
    assert_eq!(check(&found, "gone"), judged(Check::failed("gone", "it has ended")));
    assert_eq!(check(&found, "odd"), Check::not_checked("odd", "`/bin/sh -c exit 7` exited with 7"));
    assert_eq!(check(&found, "silent"), Check::ok("silent", "`/bin/sh -c :` exited with 0"));
    assert_eq!(
        check(&found, "slow"),
        Check::not_checked("slow", "`/bin/sh -c exec sleep 100` takes longer than 300ms")
    );
    assert_eq!(check(&found, "off"), Check::not_checked("off", "`mongodb` does not run with these settings"));
    // A start runs none of them.
    instance.run(&["prepare"], &[]).quiet();
}
