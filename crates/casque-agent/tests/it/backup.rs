//! A volume as one stream, and back.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use casque_format::backup::{Header, Told};
use casque_format::control::{Overall, Reply, Request, ServiceState, ServiceStatus, Snapshot};
use casque_format::paths;
use fs_err as fs;
use serde_json::Value;

use crate::instance::{Finished, Instance, plan};

const UNENCRYPTED: &str = "warning: the backup is not encrypted and has every secret of this instance: keep it like a password, or use \
     --recipient or --passphrase-file\n";

/// What PID 1 was asked, and saw.
type Seen = Vec<String>;

/// A PID 1 that stops and starts nothing, and notes what it is asked; `breaks` ends the maintenance at once.
fn pid_1(listener: UnixListener, breaks: bool) -> JoinHandle<Seen> {
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                return seen;
            }
            let say = |reply: &Reply| {
                // Whoever has had enough hangs up.
                let _ = (&stream).write_all((serde_json::to_string(reply).unwrap() + "\n").as_bytes());
            };
            match serde_json::from_str(&line).unwrap() {
                Request::Maintain => {
                    seen.push("maintain".to_owned());
                    say(&Reply::Done);
                    if breaks {
                        say(&Reply::Error { message: "the container is stopping".to_owned() });
                    }
                    lines.read_to_string(&mut line).unwrap();
                    seen.push("hung up".to_owned());
                }
                Request::Watch => {
                    seen.push("watch".to_owned());
                    [ServiceState::Waiting, ServiceState::Ready]
                        .iter()
                        .for_each(|state| say(&snapshot(*state)));
                }
                other => panic!("{other:?}"),
            }
        }
        seen
    })
}

fn snapshot(state: ServiceState) -> Reply {
    let web = ServiceStatus {
        name: "web".to_owned(),
        state,
        pid: None,
        restarts: 0,
        since_ms: 0,
        last_exit: None,
        message: None,
        oom_kills: 0,
        dropped_lines: 0,
        unfiled_lines: 0,
        log_problem: None,
    };
    let failed = ServiceStatus { name: "job".to_owned(), state: ServiceState::Failed, ..web.clone() };
    let services = vec![failed, web];
    Reply::Status {
        snapshot: Snapshot {
            version: 1,
            state: Overall::Degraded,
            uptime_ms: 1,
            front_ready: false,
            services,
        },
    }
}

/// An instance that was started once, and has all kinds of files.
fn full() -> Instance {
    let instance = Instance::new();
    instance.run(&["prepare"], &[]).quiet();
    let data = |path: &str| instance.path(&format!("/data/{path}"));
    instance.write("/data/mongodb/deep/er/file", "content");
    instance.write("/data/mongodb/empty", "");
    instance.write("/data/mongodb/big", &"0123456789".repeat(30_000));
    let long = "n".repeat(200);
    instance.write(&format!("/data/mongodb/{long}/{long}"), "long");
    instance.write("/data/mongodb/strange \n\\ ü", "strange");
    fs::create_dir(data("mongodb/nothing")).unwrap();
    symlink("deep/er/file", data("mongodb/link")).unwrap();
    symlink("x".repeat(300), data("mongodb/dangling")).unwrap();
    fs::hard_link(data("mongodb/deep/er/file"), data("mongodb/same")).unwrap();
    let sparse = fs::File::create(data("mongodb/sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    sparse.file().write_at(b"middle", 4 << 20).unwrap();
    instance.write("/data/logs/web.log", "a line\n");
    instance.write(&format!("{}/1", paths::SYSLOG_BUFFER), "a record that is to be sent");
    fs::set_permissions(data("mongodb/deep/er/file"), PermissionsExt::from_mode(0o4640)).unwrap();
    fs::set_permissions(data("mongodb/nothing"), PermissionsExt::from_mode(0o2510)).unwrap();
    for path in ["mongodb/deep", "mongodb/deep/er", "mongodb/deep/er/file", "mongodb/nothing"] {
        chown(data(path), Some(900), Some(901)).unwrap();
    }
    fs::set_permissions(data("mongodb/deep/er/file"), PermissionsExt::from_mode(0o4640)).unwrap();
    chown(data("mongodb/big"), Some(3_000_000_000), Some(5)).unwrap();
    std::os::unix::fs::lchown(data("mongodb/link"), Some(900), Some(900)).unwrap();
    for path in ["mongodb/deep/er/file", "mongodb/nothing", "mongodb/deep"] {
        let file = std::fs::File::open(data(path)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    }
    instance
}

/// Everything in the volume, a line each; of another user's restore, without owners.
fn listing(instance: &Instance, owners: bool) -> Vec<String> {
    let own = [paths::LOCK, paths::STAMP];
    let is_sent = |path: &str| path.starts_with(paths::SYSLOG_BUFFER);
    let all = instance
        .list("/data")
        .into_iter()
        .filter(move |path| !own.contains(&path.as_str()) && !is_sent(path));
    let line = |path: String| {
        let place = instance.path(&path);
        let found = place.symlink_metadata().unwrap();
        let what = match found.file_type() {
            kind if kind.is_symlink() => format!("-> {}", fs::read_link(&place).unwrap().display()),
            kind if kind.is_dir() => format!("{:o}", found.mode()),
            _ => {
                let digest = casque_format::digest::Digest::of(&fs::read(&place).unwrap());
                format!("{:o} {} {} {digest}", found.mode(), found.nlink(), found.size())
            }
        };
        let owner = if owners { format!("{}:{}", found.uid(), found.gid()) } else { String::new() };
        let time = if found.is_symlink() || path == "/data/logs" { 0 } else { found.mtime() };
        // The directory of the stamp is written to once more.
        let time = if path == "/data/casque" { 0 } else { time };
        format!("{path} {what} {owner} {time}")
    };
    all.map(line).collect()
}

struct Made {
    bytes: Vec<u8>,
    code: Option<i32>,
    stderr: String,
    seen: Seen,
}

/// Runs `backup` beside a PID 1.
fn back_up(instance: &Instance, words: &[&str], environment: &[(&str, &str)], breaks: bool) -> Made {
    let pid_1 = pid_1(instance.control_socket(), breaks);
    let mut command = instance.command(&[&["backup"], words].concat());
    let output = command.envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap();
    Made {
        bytes: output.stdout,
        code: output.status.code(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        seen: end(instance, pid_1),
    }
}

fn end(instance: &Instance, pid_1: JoinHandle<Seen>) -> Seen {
    drop(std::os::unix::net::UnixStream::connect(instance.path(paths::CONTROL_SOCKET)).unwrap());
    let seen = pid_1.join().unwrap();
    fs::remove_file(instance.path(paths::CONTROL_SOCKET)).unwrap();
    seen
}

fn made(instance: &Instance) -> Vec<u8> {
    let made = back_up(instance, &[], &[], false);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    made.bytes
}

fn restore(instance: &Instance, words: &[&str], environment: &[(&str, &str)], bytes: &[u8]) -> Finished {
    let mut command = instance.command(&[&["restore"], words].concat());
    command.envs(environment.iter().copied());
    feed(command, bytes, &instance.path("/").display().to_string())
}

fn feed(mut command: Command, bytes: &[u8], root: &str) -> Finished {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(root.trim_end_matches('/'), "");
    Finished { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Asserts that a restore says `message`, and that the volume stays empty.
fn refused(words: &[&str], bytes: &[u8], code: i32, message: &str) {
    let instance = Instance::new();
    let finished = restore(&instance, words, &[], bytes);
    assert_eq!((finished.code, finished.stderr.lines().last()), (code, Some(message)), "{}", finished.stderr);
    assert_eq!(instance.list("/data"), Vec::<String>::new());
}

#[test]
fn what_is_backed_up_is_what_is_restored() {
    let before = full();
    let made = back_up(&before, &[], &[], false);
    assert_eq!(made.seen, ["maintain", "hung up", "watch"]);
    let (first, rest) = made.stderr.split_at(UNENCRYPTED.len());
    assert_eq!(first, UNENCRYPTED);
    assert!(rest.starts_with("all services are stopped\n"), "{rest}");
    assert!(rest.contains(" of 9 MiB, 95 %\n"), "{rest}");
    let last = "the backup is written, 1 MiB\nwarning: these are not ready: `job`\nthe services run again\n";
    assert!(rest.ends_with(last), "{rest}");
    let after = Instance::new();
    let finished = restore(&after, &[], &[], &made.bytes);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let mut expected = listing(&before, true);
    expected.retain(|line| !line.starts_with("/data/logs/web.log"));
    assert_eq!(listing(&after, true), expected);
    let sparse = after.path("/data/mongodb/sparse").metadata().unwrap();
    assert!(sparse.blocks() * 512 < 1 << 20, "{} blocks", sparse.blocks());
    assert_eq!(after.json(paths::STAMP), before.json(paths::STAMP));
    assert!(!after.exists(&format!("{}/1", paths::SYSLOG_BUFFER)));
    // And it starts, with the same secrets.
    after.run(&["prepare"], &[]).quiet();
    assert_eq!(
        after.read("/data/casque/secrets/admin-password"),
        before.read("/data/casque/secrets/admin-password")
    );
    let second = restore(&after, &[], &[], &made.bytes);
    let message = "error: volume `/data` is not empty, it has `casque`; restore into a new volume\n";
    assert_eq!((second.code, second.stderr.as_str()), (102, message));
    assert!(!after.exists(paths::RESTORING));
}

#[test]
fn logs_go_along_when_they_are_asked_for_and_programs_get_documents() {
    let before = full();
    let made = back_up(&before, &["--logs", "--json"], &[], false);
    let told: Vec<Told> = made.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(matches!(&told[..2], [Told::Warning { .. }, Told::Stopped]), "{told:?}");
    assert!(told.iter().any(|one| matches!(one, Told::Progress { .. })), "{told:?}");
    assert_eq!(told.last(), Some(&Told::Started { not_ready: vec!["job".to_owned()] }));
    let after = Instance::new();
    let finished = restore(&after, &["--json"], &[], &made.bytes);
    let last: Told = serde_json::from_str(finished.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((finished.code, last), (0, Told::Restored));
    assert_eq!(after.read("/data/logs/web.log"), "a line\n");
    let checked = restore(&after, &["--check", "--json"], &[], &made.bytes);
    let last: Told = serde_json::from_str(checked.stderr.lines().last().unwrap()).unwrap();
    let Told::Verified { header: Header { secrets, logs, stamp, .. } } = last else { panic!("{last:?}") };
    assert_eq!((secrets, logs), (vec!["admin-password".to_owned(), "status-token".to_owned()], true));
    assert_eq!(stamp.instance, before.json(paths::STAMP)["instance"].as_str().unwrap());
}

#[test]
fn it_is_a_tar_for_those_who_have_no_other_program() {
    let made = made(&full());
    let place = tempfile::tempdir().unwrap();
    let tar = zstd::decode_all(&*made).unwrap();
    tar::Archive::new(&*tar).unpack(place.path()).unwrap();
    let script = "cat SHA256SUMS.* > all; sha256sum --quiet --check all && wc -l < all";
    let output = Command::new("sh").args(["-c", script]).current_dir(place.path()).output().unwrap();
    let files = String::from_utf8(output.stdout).unwrap().trim().parse::<usize>().unwrap();
    assert!(output.status.success() && files >= 8, "{files} {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn services_come_back_whatever_happens_to_the_backup() {
    let instance = full();
    let run = |change: &mut dyn FnMut(&mut Command)| {
        let pid_1 = pid_1(instance.control_socket(), false);
        let mut command = instance.command(&["backup", "--patience", "1"]);
        change(command.stdin(Stdio::null()).stderr(Stdio::piped()));
        let mut child = command.spawn().unwrap();
        // Whoever has a pipe reads a little and goes, or does not read at all.
        let mut pipe = child.stdout.take();
        if let Some(pipe) = &mut pipe {
            pipe.read_exact(&mut [0; 8]).unwrap();
        }
        (child, pipe, pid_1)
    };
    let noise = |instance: &Instance| {
        let mut random = vec![0; 4 << 20];
        getrandom::fill(&mut random).unwrap();
        fs::write(instance.path("/data/mongodb/noise"), random).unwrap();
    };
    noise(&instance);
    let failed = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap().lines().last().unwrap().to_owned())
    };
    let said = |what: &str| {
        (
            Some(1),
            format!(
                "error: cannot write the backup to stdout: {what}; what was written is no backup, remove it"
            ),
        )
    };
    let (child, pipe, seen) = run(&mut |command| {
        command.stdout(Stdio::piped());
    });
    drop(pipe);
    assert_eq!(failed(child), said("Broken pipe (os error 32)"));
    assert_eq!(end(&instance, seen), ["maintain", "hung up"]);

    let (child, pipe, seen) = run(&mut |command| {
        command.stdout(Stdio::piped());
    });
    assert_eq!(failed(child), said("nobody has read for 1 s"));
    drop(pipe);
    assert_eq!(end(&instance, seen), ["maintain", "hung up"]);

    let (mut child, _pipe, seen) = run(&mut |command| {
        command.stdout(Stdio::piped());
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(end(&instance, seen), ["maintain", "hung up"]);

    let full_disk = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (child, _, seen) = run(&mut |command| {
        command.stdout(full_disk.file().try_clone().unwrap());
    });
    assert_eq!(failed(child), said("No space left on device (os error 28)"));
    assert_eq!(end(&instance, seen), ["maintain", "hung up"]);
}

#[test]
fn a_backup_during_which_services_may_have_run_is_none() {
    let made = back_up(&full(), &[], &[], true);
    let message = "error: the container is stopping, and services may have run meanwhile; what was written is no backup, remove it";
    assert_eq!((made.code, made.stderr.lines().last()), (Some(1), Some(message)));
    refused(&[], &made.bytes, 65, "error: the backup is not whole, it ends too early; nothing was restored");
}

#[test]
fn a_terminal_gets_no_backup_and_no_bundle_and_gives_none() {
    let instance = full();
    let on_terminal = |word: &str| {
        let root = instance.path("/").display().to_string();
        let line = format!("{} --root {root} {word}", env!("CARGO_BIN_EXE_casque-agent"));
        let output =
            Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let message = "error: stdout is a terminal or closed: write to a file, as in `docker exec CONTAINER COMMAND backup > FILE`, without `-t`";
    assert_eq!(on_terminal("backup"), (Some(64), message.to_owned()));
    assert_eq!(on_terminal("support-bundle"), (Some(64), message.replace("backup", "support-bundle")));
    let message = "error: stdin is a terminal or closed: give the backup there, as in `docker run --rm -i -v NAME:/data IMAGE restore < FILE`, without `-t`";
    assert_eq!(on_terminal("restore"), (Some(64), message.to_owned()));
}

#[test]
fn what_cannot_be_carried_is_named_and_a_socket_is_left_out() {
    let instance = full();
    let _socket = UnixListener::bind(instance.path("/data/mongodb/socket")).unwrap();
    let made = back_up(&instance, &[], &[], false);
    assert!(
        made.stderr.contains("\nwarning: `/data/mongodb/socket` is a socket and is left out\n"),
        "{}",
        made.stderr
    );
    let after = Instance::new();
    assert_eq!(restore(&after, &[], &[], &made.bytes).code, 0);
    assert!(!after.exists("/data/mongodb/socket"));
    let status = Command::new("mkfifo").arg(instance.path("/data/mongodb/pipe")).status().unwrap();
    assert!(status.success());
    let made = back_up(&instance, &[], &[], false);
    let message =
        "error: `/data/mongodb/pipe` is a device or a named pipe, which a backup cannot carry; remove it";
    assert_eq!((made.code, made.stderr.lines().last(), made.bytes.len()), (Some(1), Some(message), 0));
    assert_eq!(made.seen, ["maintain", "hung up"]);
}

#[test]
fn an_empty_container_has_nothing_to_back_up() {
    let finished = Instance::new().run(&["backup"], &[]);
    let message = "error: volume `/data` has no data of this product yet\n";
    assert_eq!((finished.code, finished.stderr.as_str()), (1, message));
}

#[test]
fn damaged_files_leave_the_volume_as_it_was() {
    let made = made(&full());
    let truncated = "error: the backup is not whole, it ends too early; nothing was restored";
    for length in [5, 100, 2_000, made.len() / 2, made.len() - 1] {
        refused(&[], &made[..length], 65, truncated);
    }
    refused(
        &[],
        b"",
        65,
        "error: stdin is empty: give the backup there, as in `docker run --rm -i -v NAME:/data IMAGE restore < FILE`",
    );
    refused(&[], b"something else altogether", 65, "error: this is no backup: it does not begin as one");
    let mut flipped = made.clone();
    let last = flipped.len() - 20;
    flipped[last] ^= 1;
    let message = "error: the backup is damaged or was changed: its bytes are not those that were written; nothing was restored";
    refused(&[], &flipped, 65, message);
    let mut header = made.clone();
    let version = header.windows(11).position(|window| window == b"\"version\":1").unwrap();
    header[version + 10] = b'2';
    refused(
        &[],
        &header,
        65,
        "error: the backup has format 2, this image knows format 1; restore it with the image that made it, or a newer one",
    );
}

#[test]
fn another_product_and_a_newer_version_are_refused_and_an_older_one_is_not() {
    let before = full();
    let backup = made(&before);
    let with = |key: &str, value: &str| {
        let instance = Instance::new();
        let mut plan = plan();
        plan["product"][key] = Value::from(value);
        instance.write_plan(plan);
        let finished = restore(&instance, &[], &[], &backup);
        (finished.code, finished.stderr.lines().last().unwrap().to_owned(), instance)
    };
    let (code, said, instance) = with("name", "other/thing");
    let message = "error: the backup is one of `vendor/backend` 43.4.4, this is `other/thing`";
    assert_eq!((code, said.as_str(), instance.list("/data")), (65, message, vec![]));
    let (code, said, instance) = with("version", "43.4.3");
    let message = "error: the backup has data of version 43.4.4, this is 43.4.3; restore it with version 43.4.4 or newer";
    assert_eq!((code, said.as_str(), instance.list("/data")), (65, message, vec![]));
    let (code, _, instance) = with("version", "43.10.0");
    assert_eq!(code, 0);
    assert_eq!(instance.json(paths::STAMP)["product_version"], "43.4.4");
    // What a start does with older data: here there is no migration, so they are its own at once.
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(instance.json(paths::STAMP)["product_version"], "43.10.0");
    assert_eq!(instance.json(paths::STAMP)["instance"], before.json(paths::STAMP)["instance"]);
}

#[test]
fn a_copy_beside_the_first_can_be_an_instance_of_its_own() {
    let before = full();
    let after = Instance::new();
    assert_eq!(restore(&after, &["--new-instance"], &[], &made(&before)).code, 0);
    let instance = |of: &Instance| of.json(paths::STAMP)["instance"].as_str().unwrap().to_owned();
    assert_ne!(instance(&after), instance(&before));
    assert_eq!(instance(&after).len(), 32);
}

#[test]
fn a_passphrase_opens_what_it_has_closed() {
    let before = full();
    let variable = [("CASQUE_BACKUP_PASSPHRASE", "correct horse")];
    before.write("/run/secret", "correct horse\n");
    let file = before.path("/run/secret").display().to_string();
    let by_file = back_up(&before, &["--passphrase-file", &file], &[], false);
    assert!(by_file.stderr.starts_with("all services are stopped\n"), "{}", by_file.stderr);
    assert!(by_file.bytes.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let after = Instance::new();
    assert_eq!(restore(&after, &[], &variable, &by_file.bytes).code, 0);
    assert_eq!(after.read("/data/mongodb/deep/er/file"), "content");
    let locked = "error: the backup is encrypted with a passphrase: give it by `--passphrase-file` or CASQUE_BACKUP_PASSPHRASE";
    refused(&[], &by_file.bytes, 65, locked);
    before.write("/run/other", "wrong");
    let other = before.path("/run/other").display().to_string();
    let wrong = "error: cannot decrypt the backup: the passphrase is another";
    refused(&["--passphrase-file", &other], &by_file.bytes, 65, wrong);
    let half = &by_file.bytes[..by_file.bytes.len() / 2];
    let finished = restore(&Instance::new(), &[], &variable, half);
    assert_eq!(finished.code, 65, "{}", finished.stderr);
    before.write("/run/empty", "\n");
    let empty = before.path("/run/empty").display().to_string();
    let finished = before.run(&["backup", "--passphrase-file", &empty], &[]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (64, "error: the passphrase in `/run/empty` is empty\n")
    );
    let finished = before.run(&["backup", "--passphrase-file", "/none"], &[]);
    assert_eq!(
        finished.stderr,
        "error: cannot read a key: failed to open file `/none`: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_recipient_opens_what_was_closed_for_it() {
    use age::secrecy::ExposeSecret;
    let before = full();
    let (own, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    for (name, identity) in [("own", &own), ("other", &other)] {
        before.write(&format!("/run/{name}"), &format!("# made\n{}\n", identity.to_string().expose_secret()));
    }
    let made = back_up(&before, &["--recipient", &own.to_public().to_string()], &[], false);
    let key = |name: &str| before.path(&format!("/run/{name}")).display().to_string();
    let after = Instance::new();
    assert_eq!(restore(&after, &["--identity", &key("own")], &[], &made.bytes).code, 0);
    assert_eq!(after.read("/data/mongodb/deep/er/file"), "content");
    refused(
        &["--identity", &key("other")],
        &made.bytes,
        65,
        "error: cannot decrypt the backup: it was made for another key",
    );
    refused(&[], &made.bytes, 65, "error: the backup is encrypted for a key: give its file by `--identity`");
    let armored = b"-----BEGIN AGE ENCRYPTED FILE-----\n";
    refused(
        &[],
        armored,
        65,
        "error: the backup is encrypted as text: pass it through `age --decrypt` first",
    );
    let finished = before.run(&["backup", "--recipient", "age1x"], &[]);
    assert_eq!(finished.code, 64);
    assert!(finished.stderr.starts_with("error: `age1x` is no recipient of age, which begins with `age1`: "));
    let finished = restore(&Instance::new(), &["--identity", "/dev/null"], &[], &made.bytes);
    let message = "error: `/dev/null` has no identity of age, a line that begins with `AGE-SECRET-KEY-1`\n";
    assert_eq!((finished.code, finished.stderr.as_str()), (64, message));
}

#[test]
fn a_restore_that_was_killed_is_begun_anew_and_nothing_starts_before() {
    let before = full();
    let mut random = vec![0; 1 << 20];
    getrandom::fill(&mut random).unwrap();
    fs::write(before.path("/data/mongodb/noise"), random).unwrap();
    let made = made(&before);
    let after = Instance::new();
    let mut command = after.command(&["restore"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&made[..made.len() / 2]).unwrap();
    // It tells when it has unpacked something.
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains(" MiB, "), "{first}");
    let busy = restore(&after, &[], &[], &made);
    assert_eq!(
        (busy.code, busy.stderr.as_str()),
        (102, "error: another restore into this volume is under way\n")
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_dir(after.path("/data")).unwrap().count(), 1, "nothing is visible");
    let refusal =
        "error: a restore into volume `/data` has not ended; run it again, or start with another volume\n";
    for words in [&["prepare"][..], &["settings", "check"]] {
        let finished = after.run(words, &[]);
        assert_eq!((finished.code, finished.stderr.as_str()), (102, refusal));
    }
    assert_eq!(restore(&after, &[], &[], &made).code, 0);
    let mut expected = listing(&before, true);
    expected.retain(|line| !line.starts_with("/data/logs/web.log"));
    assert_eq!(listing(&after, true), expected);
}

#[test]
fn one_that_was_killed_while_everything_got_its_place_is_undone() {
    let before = full();
    let made = made(&before);
    let after = Instance::new();
    // The database has its place, the rest has not.
    after.write("/data/.restore/moved", r#"["casque","mongodb"]"#);
    after.write("/data/.restore/new/casque/stamp.json", "{}");
    after.write("/data/mongodb/stale", "stale");
    assert_eq!(after.run(&["prepare"], &[]).code, 102);
    assert_eq!(restore(&after, &[], &[], &made).code, 0);
    assert!(!after.exists("/data/mongodb/stale") && !after.exists(paths::RESTORING));
    // What is not of that restore is somebody's.
    let after = Instance::new();
    after.write("/data/.restore/moved", r#"["casque"]"#);
    after.write("/data/mongodb/kept", "kept");
    let finished = restore(&after, &[], &[], &made);
    let message = "error: volume `/data` is not empty, it has `mongodb`; restore into a new volume\n";
    assert_eq!((finished.code, finished.stderr.as_str()), (102, message));
    assert_eq!(after.read("/data/mongodb/kept"), "kept");
}

#[test]
fn a_volume_that_is_too_small_is_refused_before_anything_is_written() {
    let made = made(&full());
    let after = Instance::new();
    let data = after.path("/data").display().to_string();
    let script =
        format!("mount -t tmpfs -o size=12m tmpfs {data} && \"$@\"; code=$?; ls -A {data}; exit $code");
    let inner = after.command(&["restore"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    let finished = feed(command, &made, "/nowhere");
    assert_eq!((finished.code, finished.stdout.as_str()), (102, ""), "{}", finished.stderr);
    let message =
        "error: volume `/data` has 12 MiB free, the backup needs 17 MiB; restore into a larger one\n";
    assert_eq!(finished.stderr, message);
}

#[test]
fn each_identity_can_read_what_another_has_backed_up() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
    let before = full();
    let made = made(&before);
    // From switching to single: everything is the one user's.
    let single = Instance::new();
    fs::set_permissions(single.path("/"), PermissionsExt::from_mode(0o755)).unwrap();
    chown(single.path("/data"), Some(54_321), Some(0)).unwrap();
    let program = single.command(&["restore"]);
    let as_user = |program: &Command| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=54321", "--regid=0", "--clear-groups"]);
        command.arg(program.get_program()).args(program.get_args());
        command
    };
    let finished = feed(as_user(&program), &made, "/nowhere");
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let mut expected = listing(&before, false);
    expected.retain(|line| !line.starts_with("/data/logs/web.log"));
    assert_eq!(listing(&single, false), expected);
    let others = |instance: &Instance, uid: u32| {
        let all = instance.list("/data").into_iter();
        all.filter(|path| instance.path(path).symlink_metadata().unwrap().uid() != uid).collect::<Vec<_>>()
    };
    assert_eq!(others(&single, 54_321), Vec::<String>::new());
    assert_eq!(single.json(paths::STAMP)["uid"], 54_321);
    // And back: each service gets its own, and the start does not take it for another's.
    let again = {
        let pid_1 = pid_1(single.control_socket(), false);
        chown(single.path(paths::CONTROL_SOCKET), Some(54_321), Some(0)).unwrap();
        let output = as_user(&single.command(&["backup"])).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        end(&single, pid_1);
        output.stdout
    };
    let switching = Instance::new();
    assert_eq!(restore(&switching, &[], &[], &again).code, 0);
    let owner = |path: &str| switching.path(path).symlink_metadata().unwrap().uid();
    let owners = ["/data/mongodb/deep/er/file", "/data/mongodb/link", "/data/casque/secrets/admin-password"]
        .map(owner);
    assert_eq!(owners, [900, 900, 0]);
    assert_eq!(switching.json(paths::STAMP)["uid"], 0);
    switching.run(&["prepare"], &[]).quiet();
    // Root that may give nothing away says so at once.
    let poor = Instance::new();
    let program = poor.command(&["restore"]);
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-chown", "--inh-caps=-chown"])
        .arg(program.get_program())
        .args(program.get_args());
    let finished = feed(command, &made, "/nowhere");
    assert_eq!(finished.code, 102);
    assert!(
        finished.stderr.starts_with("error: root without the capability CHOWN cannot "),
        "{}",
        finished.stderr
    );
    assert_eq!(poor.list("/data"), Vec::<String>::new());
}
