//! The customer's words, with a stand-in for PID 1's socket where they need it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use casque_format::control::{Event, Overall, Reply, Request, ServiceState, ServiceStatus, Snapshot};
use casque_format::paths;
use serde_json::json;

use crate::instance::{Finished, Instance};

/// Answers one request, and returns it.
fn answer(socket: UnixListener, reply: Reply) -> JoinHandle<Request> {
    std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        writeln!(stream, "{}", serde_json::to_string(&reply).unwrap()).unwrap();
        serde_json::from_str(&line).unwrap()
    })
}

fn ask(words: &[&str], reply: Reply) -> (Finished, Request) {
    let instance = Instance::new();
    let asked = answer(instance.control_socket(), reply);
    let finished = instance.run(words, &[]);
    (finished, asked.join().unwrap())
}

fn snapshot() -> Reply {
    let service = |name: &str, state, pid, last_exit: Option<&str>| ServiceStatus {
        name: name.to_owned(),
        state,
        pid,
        restarts: 1,
        since_ms: 61_000,
        last_exit: last_exit.map(str::to_owned),
        message: None,
        oom_kills: 0,
        dropped_lines: 0,
        unfiled_lines: 0,
        log_problem: None,
    };
    Reply::Status {
        snapshot: Snapshot {
            version: 1,
            state: Overall::Degraded,
            uptime_ms: 3_600_000,
            front_ready: true,
            services: vec![
                service("mongodb", ServiceState::Backoff, None, Some("killed by SIGKILL")),
                service("web", ServiceState::Ready, Some(17), None),
            ],
        },
    }
}

#[test]
fn status_is_a_table_or_a_document() {
    let (finished, asked) = ask(&["status"], snapshot());
    assert_eq!(asked, Request::Status);
    assert_eq!(
        finished.quiet(),
        "vendor/backend 43.4.4: degraded, up 1 h 0 min\n\
         \n\
         SERVICE  STATE    FOR        PID  RESTARTS  NOTE\n\
         mongodb  backoff  1 min 1 s  -    1         killed by SIGKILL\n\
         web      ready    1 min 1 s  17   1\n"
    );
    let instance = Instance::new();
    instance.run(&["prepare"], &[]).quiet();
    let asked = answer(instance.control_socket(), snapshot());
    let finished = instance.run(&["status", "--json"], &[]);
    asked.join().unwrap();
    let document: serde_json::Value = serde_json::from_str(&finished.quiet()).unwrap();
    assert_eq!(document["state"], "degraded");
    assert_eq!(document["details"]["services"][0]["last_exit"], "killed by SIGKILL");
    assert_eq!(document["details"]["instance"], instance.json(paths::STAMP)["instance"]);
    let configuration = |instance: &Instance| instance.json(paths::AGENT_CONFIG)["configuration"].clone();
    assert_eq!(document["details"]["configuration"], configuration(&instance));
    // The same settings are the same configuration, and another value is another.
    let told = |variables: &[(&str, &str)]| {
        instance.run(&["prepare"], variables).quiet();
        configuration(&instance)
    };
    assert_eq!(document["details"]["configuration"], told(&[]));
    assert_ne!(document["details"]["configuration"], told(&[("PORT", "81")]));
}

#[test]
fn health_is_zero_when_everything_is_ready_and_names_what_is_not() {
    let (finished, asked) = ask(&["health"], snapshot());
    assert_eq!(asked, Request::Status);
    assert_eq!((finished.code, finished.stderr.as_str()), (1, "error: degraded: `mongodb` is backoff\n"));
    let Reply::Status { mut snapshot } = snapshot() else { unreachable!() };
    snapshot.state = Overall::Starting;
    snapshot.services.clear();
    let (finished, _) = ask(&["health"], Reply::Status { snapshot: snapshot.clone() });
    assert_eq!((finished.code, finished.stderr.as_str()), (1, "error: starting\n"));
    snapshot.state = Overall::Ready;
    let (finished, _) = ask(&["health"], Reply::Status { snapshot });
    assert_eq!(finished.quiet(), "ready\n");
}

#[test]
fn logs_are_printed_as_they_are() {
    let reply = Reply::Logs { lines: vec!["web | one".to_owned(), "web | two".to_owned()] };
    let (finished, asked) = ask(&["logs", "web", "-n", "2"], reply);
    assert_eq!(finished.quiet(), "web | one\nweb | two\n");
    assert_eq!(asked, Request::Logs { service: Some("web".to_owned()), lines: 2 });
}

#[test]
fn commands_reach_pid_1_and_its_refusal_reaches_the_user() {
    let web = || "web".to_owned();
    let all = [
        ("restart", Request::Restart { service: web() }),
        ("stop", Request::Stop { service: web() }),
        ("start", Request::Start { service: web() }),
    ];
    for (word, expected) in all {
        let (finished, asked) = ask(&[word, "web"], Reply::Done);
        assert_eq!((finished.quiet().as_str(), asked), ("", expected));
    }
    let message = "no service is called `wbe`".to_owned();
    let (finished, _) = ask(&["restart", "wbe"], Reply::Error { message });
    assert_eq!((finished.code, finished.stderr.as_str()), (1, "error: no service is called `wbe`\n"));
    let (finished, _) = ask(&["restart", "web"], Reply::Logs { lines: vec![] });
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (1, "error: cannot understand the answer of PID 1\n")
    );
}

#[test]
fn without_pid_1_the_user_is_told_where_the_word_belongs() {
    let finished = Instance::new().run(&["status"], &[]);
    assert_eq!(finished.code, 69);
    assert_eq!(
        finished.stderr,
        "error: cannot reach PID 1 of this container: `/run/casque/control.sock`: No such file or directory (os error 2); this command is for `docker exec` in a running container\n"
    );
}

#[test]
fn settings_show_where_each_value_comes_from_and_no_secret() {
    let instance = Instance::new();
    let environment = [("SMTP_URL", "smtp://hunter2@mail"), ("PORT", "81")];
    let expected = |generated: &str| {
        let value = |text: &str| format!("{text:<20}");
        format!(
            "SETTING         {}  FROM                             DESCRIPTION\n\
             admin-password  {}  generated                        First password.\n\
             mongodb-url     {}  not given                        An external MongoDB.\n\
             port            {}  environment variable `PORT`      Where it listens.\n\
             smtp-url        {}  environment variable `SMTP_URL`  Mail server.\n\
             status-agent    {}  default                          First word.\n\
             status-token    {}  generated                        Token.\n",
            value("VALUE"),
            value(generated),
            value("-"),
            value("81"),
            value("********"),
            value("monitor"),
            value(generated)
        )
    };
    let before = instance.list("");
    assert_eq!(instance.run(&["settings"], &environment).quiet(), expected("(at the first start)"));
    assert_eq!(instance.list(""), before);
    instance.run(&["prepare"], &environment).quiet();
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = instance.run(&["settings"], &environment).quiet();
    assert_eq!(squeezed(&shown), squeezed(&expected("********")));
    let document = instance.run(&["settings", "--json"], &environment).quiet();
    assert!(!document.contains("hunter2"));
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        document[2],
        json!({
            "name": "port", "value": "81", "secret": false, "origin": "environment variable `PORT`",
            "variable": "PORT", "description": "Where it listens.", "type": "port",
            "expected": "a port number from 1 to 65535",
        })
    );
    assert_eq!(document[3].get("value"), None);
}

#[test]
fn settings_get_prints_one_plain_value() {
    let instance = Instance::new();
    let get = |name: &str| instance.run(&["settings", "get", name], &[]);
    assert_eq!(get("port").quiet(), "8000\n");
    let finished = get("admin-password");
    let message = "error: setting `admin-password` has no value: it is generated at the first start\n";
    assert_eq!((finished.code, finished.stderr.as_str()), (1, message));
    let finished = get("smtp-url");
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (1, "error: setting `smtp-url` has no value: none was given\n")
    );
    let finished = get("prt");
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (64, "error: this product has no setting `prt`, did you mean `port`?\n")
    );
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(get("admin-password").quiet(), instance.read("/data/casque/secrets/admin-password") + "\n");
}

#[test]
fn only_root_and_pid_1s_user_get_plain_values() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
    let instance = Instance::new();
    let get = || instance.run_as(4711, &["settings", "get", "port"]);
    let finished = get();
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (77, "error: only root and the user of PID 1 may read a plain value; run this as uid 0\n")
    );
    std::os::unix::fs::chown(instance.path("/proc/1"), Some(4711), None).unwrap();
    assert_eq!(get().quiet(), "8000\n");
}

#[test]
fn run_line_has_everything_production_needs() {
    assert_eq!(
        Instance::new().run(&["run-line"], &[]).quiet(),
        "docker run --detach \\\n  --name backend \\\n  --restart unless-stopped \\\n  --publish 80:80 \\\n  --publish 443:443 \\\n  \
         --volume backend-data:/data \\\n  --stop-timeout 10 \\\n  \
         --log-driver json-file --log-opt max-size=20m --log-opt max-file=5 \\\n  vendor/backend:v43.4.4\n"
    );
}

#[test]
fn docs_is_the_handbook_of_this_image_as_text_or_as_a_page() {
    let instance = Instance::new();
    let text = instance.run(&["docs"], &[]).quiet();
    assert!(text.starts_with("# vendor/backend 43.4.4\n"), "{text}");
    assert!(text.contains(&instance.run(&["run-line"], &[]).quiet()), "{text}");
    let row = "\n| `port` | `PORT` | port | a port number from 1 to 65535 | `8000` | no | no | Where it listens. |\n";
    assert!(text.contains(row), "{text}");
    let page = instance.run(&["docs", "--html"], &[]).quiet();
    assert!(page.starts_with("<!DOCTYPE html>\n") && page.ends_with("</html>\n"), "{page}");
    assert!(page.contains("<h1 id=\"vendorbackend-4344\">vendor/backend 43.4.4</h1>"), "{page}");
    // What the customer has changed is nobody's business in a text that is passed on.
    assert_eq!(instance.run(&["docs"], &[("PORT", "9999"), ("ADMIN_PASSWORD", "secret")]).quiet(), text);
}

#[test]
fn an_unknown_word_lists_the_commands() {
    let finished = Instance::new().run(&["sttus"], &[]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            64,
            "error: unknown command `sttus`, did you mean `status`?; commands are: status, health, logs, events, exec-as, restart, stop, start, settings, reload, verify, preflight, mail-test, backup, restore, support-bundle, run-line, docs, help\n"
        )
    );
    let finished = Instance::new().run(&["status", "--wrong"], &[]);
    assert_eq!((finished.code, finished.stdout.as_str()), (64, ""));
    assert!(finished.stderr.contains("unexpected argument '--wrong'"), "{finished:?}");
    assert_eq!(Instance::new().run(&[], &[]).code, 64);
}

#[test]
fn help_shows_the_customers_words_only() {
    let text = Instance::new().run(&["help"], &[]).quiet();
    assert!(text.starts_with("Look after this product\n"), "{text}");
    for word in ["status", "health", "logs", "restart", "stop", "start", "settings", "run-line", "docs"] {
        assert!(text.contains(&format!("\n  {word} ")), "{word}\n{text}");
    }
    assert!(!text.contains("prepare") && !text.contains("serve ") && !text.contains("--root"), "{text}");
}

#[test]
fn a_shell_or_a_path_is_run_instead() {
    let instance = Instance::new();
    assert_eq!(
        instance.run(&["sh", "-c", "echo \"$0 $1\"; exit 0", "a", "--help"], &[]).quiet(),
        "a --help\n"
    );
    assert_eq!(instance.run(&["/bin/sh", "-c", "exit 7"], &[]).code, 7);
    let finished = instance.run(&["/none"], &[]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (127, "error: cannot run `/none`: No such file or directory (os error 2)\n")
    );
}

#[test]
fn logs_are_lines_or_documents_and_go_on_when_they_are_followed() {
    let lines = |lines: &[&str]| Reply::Logs { lines: lines.iter().map(|&line| line.to_owned()).collect() };
    let (finished, asked) =
        ask(&["logs", "web", "-n", "2", "--json"], lines(&["web | a | \"b\"", "web | c"]));
    assert_eq!(asked, Request::Logs { service: Some("web".to_owned()), lines: 2 });
    assert_eq!(
        finished.quiet(),
        "{\"line\":\"a | \\\"b\\\"\",\"service\":\"web\"}\n{\"line\":\"c\",\"service\":\"web\"}\n"
    );
    let (finished, asked) = ask(&["logs", "--follow"], lines(&["web | a", "db | b"]));
    assert_eq!(asked, Request::Follow { service: None, lines: 100 });
    assert_eq!(finished.quiet(), "web | a\ndb | b\n");
}

#[test]
fn events_are_lines_or_documents() {
    let event = Event { time: "T".to_owned(), container: Some(Overall::Degraded), service: None };
    let reply = || Reply::Event { event: event.clone() };
    assert_eq!(ask(&["events"], reply()).0.quiet(), "T everything: degraded\n");
    let (finished, asked) = ask(&["events", "--json"], reply());
    assert_eq!(asked, Request::Events);
    assert_eq!(finished.quiet(), "{\"time\":\"T\",\"container\":\"degraded\"}\n");
}

#[test]
fn a_command_runs_as_a_service_does() {
    let instance = Instance::new();
    let user = json!({ "name": "web", "uid": 64_001, "gid": 64_002, "groups": [64_003], "home": "/srv" });
    let plan = json!({
        "version": 1, "product": { "name": "vendor/backend", "version": "1", "command": "backend" },
        "listen": [], "stop_budget_ms": 9000, "mask": [], "agent_uid": 910,
        "services": { "web": {
            "kind": "simple", "command": ["/bin/x"], "user": user, "environment": { "A": "1 2" },
            "working_directory": "/usr", "umask": 0o027, "limits": { "nofile": 300 }, "start_timeout_ms": 1000,
            "restart": { "policy": "always", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 },
            "stop": { "signal": "TERM", "timeout_ms": 1000 }, "critical": true,
        } },
    });
    std::fs::create_dir_all(instance.path("/run/casque")).unwrap();
    std::fs::write(instance.path("/run/casque/plan.json"), plan.to_string()).unwrap();
    let script = "env | sort | grep -v -e ^_ -e ^PWD; pwd; umask; ulimit -n; id -u; id -G; grep NoNewPrivs /proc/self/status";
    let finished =
        instance.run(&["exec-as", "web", "sh", "-c", script], &[("TERM", "dumb"), ("SECRET", "x")]);
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let ids = if rustix::process::geteuid().is_root() {
        "64001\n64002 64003".to_owned()
    } else {
        String::from_utf8(
            std::process::Command::new("sh").args(["-c", "id -u; id -G"]).output().unwrap().stdout,
        )
        .unwrap()
        .trim()
        .to_owned()
    };
    assert_eq!(
        finished.quiet(),
        format!(
            "A=1 2\nHOME=/srv\nLOGNAME=web\nPATH={path}\nTERM=dumb\nUSER=web\n/usr\n0027\n300\n{ids}\nNoNewPrivs:\t1\n"
        )
    );
    let unknown = instance.run(&["exec-as", "wen", "id"], &[]);
    assert_eq!(
        (unknown.code, unknown.stderr.as_str()),
        (64, "error: this container runs no service `wen`, did you mean `web`?\n")
    );
    let missing = instance.run(&["exec-as", "web", "/missing"], &[]);
    assert_eq!(missing.code, 127);
}
