//! The log, read through real pipes.

use std::io::Write;

use super::ring::{KEPT_BYTES, KEPT_LINES};
use super::*;

fn log() -> Log {
    Log::new(Output::standard().unwrap())
}

fn stream(log: &mut Log, label: &str) -> (u64, File) {
    let (read, write) = sys::pipe().unwrap();
    (log.open(label, read), File::from(write))
}

#[test]
fn a_secret_across_two_reads_and_across_the_limit_is_masked() {
    let mut log = log();
    log.hide(Mask::new(&["topsecret".to_owned()]));
    let (id, mut pipe) = stream(&mut log, "web");
    pipe.write_all(b"it is top").unwrap();
    log.read(id);
    pipe.write_all(b"secret!\n").unwrap();
    log.read(id);
    let before = "x".repeat(LONGEST - 4);
    pipe.write_all(format!("{before}topsecret and much more\n").as_bytes()).unwrap();
    log.read(id);
    let shrunk = format!("topsecret{}", "x".repeat(LONGEST - 9));
    pipe.write_all(format!("{shrunk}topsec and much more\n").as_bytes()).unwrap();
    log.read(id);
    assert_eq!(
        log.newest(Some("web"), 10).unwrap(),
        [
            "web | it is ***!".to_owned(),
            format!("web | {before}*** [cut]"),
            format!("web | ***{} [cut]", "x".repeat(LONGEST - 9)),
        ]
    );
}

#[test]
fn the_newest_lines_of_all_come_in_the_order_they_were_written() {
    let mut log = log();
    let (web, mut web_pipe) = stream(&mut log, "web");
    let (db, mut db_pipe) = stream(&mut log, "db");
    web_pipe.write_all(b"1\n").unwrap();
    log.read(web);
    db_pipe.write_all(b"2\n").unwrap();
    log.read(db);
    log.say("3");
    web_pipe.write_all(b"4").unwrap();
    drop(web_pipe);
    log.finish(web, Duration::ZERO);
    assert_eq!(log.newest(None, 3).unwrap(), ["db | 2", "casque | 3", "web | 4"]);
    assert_eq!(log.newest(Some("db"), 3).unwrap(), ["db | 2"]);
    assert_eq!(log.newest(Some("cache"), 3), None);
    log.arrange(&Logs::default(), ["cache"].into_iter());
    assert_eq!(log.newest(Some("cache"), 3), Some(vec![]));
}

#[test]
fn memory_is_bounded_in_lines_and_in_bytes() {
    let mut log = log();
    for number in 0..KEPT_LINES + 5 {
        log.say(&number.to_string());
    }
    let kept = log.newest(None, u32::MAX).unwrap();
    assert_eq!((kept.len(), kept[0].as_str()), (KEPT_LINES, "casque | 5"));
    let long = "x".repeat(LONGEST);
    for _ in 0..KEPT_LINES {
        log.say(&long);
    }
    assert_eq!(log.newest(None, u32::MAX).unwrap().len(), KEPT_BYTES / (LONGEST + 1));
}

#[test]
fn a_pipe_held_by_a_stranger_is_closed_after_a_while() {
    let mut log = log();
    let (id, _held) = stream(&mut log, "web");
    log.finish(id, Duration::from_secs(1));
    assert_eq!(log.deadline(), Some(Duration::from_millis(1200)));
    log.due(Duration::from_millis(1199));
    assert!(log.is_reading());
    log.due(Duration::from_millis(1200));
    assert!(!log.is_reading());
}

#[test]
fn each_label_has_its_file_with_lines_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let logs = Logs {
        directory: Some(directory.path().to_str().unwrap().to_owned()),
        services: BTreeMap::from([("db".to_owned(), casque_format::run::LogLimit { size: 8, files: 2 })]),
        ..Logs::default()
    };
    let mut log = log();
    log.hide(Mask::new(&["topsecret".to_owned()]));
    log.arrange(&logs, ["db", "web"].into_iter());
    for label in ["db", "web"] {
        let (id, mut pipe) = stream(&mut log, label);
        pipe.write_all(b"topsecret\n1\n2\n3\n4").unwrap();
        drop(pipe);
        log.finish(id, Duration::ZERO);
    }
    log.say("done");
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("web.log"), "***\n1\n2\n3\n4\n");
    assert_eq!((read("db.log.1"), read("db.log")), ("***\n1\n2\n".to_owned(), "3\n4\n".to_owned()));
    assert_eq!(read("casque.log"), "done\n");
}

#[test]
fn a_file_that_cannot_be_written_is_said_once_and_shown() {
    let logs = Logs { directory: Some("/proc/casque".to_owned()), ..Logs::default() };
    let mut log = log();
    log.arrange(&logs, ["web"].into_iter());
    let (id, mut pipe) = stream(&mut log, "web");
    for _ in 0..3 {
        pipe.write_all(b"1\n2\n").unwrap();
        log.read(id);
    }
    let losses = log.losses("web");
    assert_eq!((losses.dropped, losses.unfiled), (0, 6));
    assert_eq!(losses.problem.as_deref(), Some("No such file or directory (os error 2)"));
    assert_eq!(
        log.newest(Some(OWN), 10).unwrap(),
        [
            "casque | cannot write log file `/proc/casque/web.log`: No such file or directory (os error 2); standard output has its lines"
        ]
    );
}

#[test]
fn last_lines_are_quoted_when_others_came_after_them() {
    let mut log = log();
    let (web, mut web_pipe) = stream(&mut log, "web");
    let (db, mut db_pipe) = stream(&mut log, "db");
    web_pipe.write_all(b"1\n2\n3\n4\n5\noh no\n").unwrap();
    log.read(web);
    log.say("`web` failed");
    log.quote("web");
    assert_eq!(log.newest(Some(OWN), 10).unwrap(), ["casque | `web` failed"], "they are right above");
    db_pipe.write_all(b"bye\n").unwrap();
    log.read(db);
    log.quote("web");
    let own = log.newest(Some(OWN), 10).unwrap();
    assert_eq!(own[1..3], ["casque | the last lines of `web`:", "casque |   2"]);
    assert_eq!(own.last().unwrap(), "casque |   oh no");
}

#[test]
fn who_follows_gets_what_is_new() {
    let mut log = log();
    log.say("before");
    log.follow(true);
    log.say("after");
    assert_eq!(log.fresh(), [(OWN.to_owned(), b"after\n".to_vec())]);
    assert_eq!(log.fresh(), []);
    log.follow(false);
    log.say("nobody");
    assert_eq!(log.fresh(), []);
}

#[test]
fn all_lines_are_in_the_buffer_for_syslog_in_the_order_they_came_and_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("syslog");
    let about =
        casque_format::syslog::Buffer { directory: below.to_str().unwrap().to_owned(), size: 1 << 20 };
    let logs = Logs { syslog: Some(about), ..Logs::default() };
    let mut log = log();
    log.hide(Mask::new(&["topsecret".to_owned()]));
    log.arrange(&logs, ["web"].into_iter());
    let (web, mut pipe) = stream(&mut log, "web");
    pipe.write_all(b"lost\n").unwrap();
    log.read(web);
    std::fs::create_dir(&below).unwrap();
    pipe.write_all(b"a topsecret\n").unwrap();
    log.read(web);
    // As when settings change: what is the same goes on.
    log.arrange(&logs, ["web"].into_iter());
    log.say("own");
    let files: Vec<_> = std::fs::read_dir(&below).unwrap().collect();
    assert_eq!(files.len(), 1);
    let text = std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    let records: Vec<casque_format::syslog::Record> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<String> =
        records.iter().map(|one| format!("{} {} {}", one.number, one.service, one.line)).collect();
    let again = format!("4 casque `{}` is written again", below.display());
    // The first and what was said of it had nowhere to go.
    assert_eq!(seen, ["3 web a ***", again.as_str(), "5 casque own"]);
    assert!(log.newest(Some(OWN), 9).unwrap()[0].starts_with("casque | cannot write to `"));
    log.arrange(&Logs::default(), ["web"].into_iter());
    log.say("nowhere");
    assert!(!std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap().contains("nowhere"));
}
