//! A start without a plan: the agent prepares it first. The agent's place is fixed, so these tests
//! give the program a `/usr/lib` and a `/run` of its own, which only root can.

use std::process::{Command, Output};

use serde_json::json;

use crate::container::{is_root, plan};

/// Runs `casque-init` as PID 1 with a shell script for an agent.
fn run(agent: &str, arguments: &[&str]) -> Option<Output> {
    if !is_root() {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("agent");
    std::fs::write(&script, format!("#!/bin/sh\n{agent}\n")).unwrap();
    let set_up = "set -e
        mount -t tmpfs tmpfs /run
        mkdir -p /run/over/casque /run/work
        mount -t overlay overlay -o lowerdir=/usr/lib,upperdir=/run/over,workdir=/run/work /usr/lib
        cp \"$1\" /usr/lib/casque/agent
        chmod 755 /usr/lib/casque/agent
        init=$2; shift 2
        exec \"$init\" \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", set_up, "sh"])
        .arg(&script)
        .arg(env!("CARGO_BIN_EXE_casque-init"))
        .args(arguments)
        .env("SMTP_URL", "smtp://mail")
        .output()
        .unwrap();
    Some(output)
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_refused_setting_ends_the_container_with_the_agent_s_code() {
    let agent = "echo 'setting `smtp-url`: expected a URL' >&2; exit 100";
    let Some(output) = run(agent, &[]) else { return };
    assert_eq!(output.status.code(), Some(100), "{output:?}");
    assert_eq!(
        text(&output),
        "prepare | setting `smtp-url`: expected a URL\n\
         casque | `prepare` failed: exited with 100\n\
         casque | service `prepare` failed: exited with 100; stopping everything\n\
         casque | stopped with 100: service `prepare` failed: exited with 100\n"
    );
}

#[test]
fn the_plan_that_the_agent_left_is_carried_out() {
    let services = json!({ "web": { "command": ["sh", "-c", "echo served; exit 7"] } });
    let plan = plan(&services).to_string();
    let agent =
        format!("[ \"$1\" = prepare ] && echo $SMTP_URL && cat > /run/casque/plan.json <<'END'\n{plan}\nEND");
    let Some(output) = run(&agent, &[]) else { return };
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let text = text(&output);
    assert!(text.starts_with("prepare | smtp://mail\ncasque | `prepare` done after "), "{text}");
    assert!(text.contains("\nweb | served\n"), "{text}");
}

#[test]
fn an_agent_that_leaves_no_plan_is_found_out() {
    let Some(output) = run("true", &[]) else { return };
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output).ends_with(
        "casque | cannot read run plan `/run/casque/plan.json`: No such file or directory (os error 2)\n"
    ));
}

#[test]
fn an_image_without_an_agent_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_casque-init")).arg("status").output().unwrap();
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    assert_eq!(
        text(&output),
        "casque | cannot execute `/usr/lib/casque/agent`: No such file or directory (os error 2)\n"
    );
}

#[test]
fn words_go_to_the_agent() {
    let Some(output) = run("echo \"agent: $*\"; exit 64", &["status", "--json"]) else { return };
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert_eq!(text(&output), "agent: status --json\n");
}

/// Asks PID 1 to reload until it has twice been answered, then waits for what the second plan starts.
const ASK: &str = "import json, os, socket, sys, time
for _ in range(2):
    s = socket.socket(socket.AF_UNIX)
    s.connect('/run/casque/control.sock')
    s.sendall(b'{\"command\":\"reload\"}\\n')
    print(s.makefile().readline().strip(), flush=True)
while not os.path.exists('/run/second'):
    time.sleep(0.02)
sys.exit(7)";

#[test]
fn a_reload_prepares_anew_and_what_the_agent_refuses_changes_nothing() {
    let never = json!({ "policy": "never", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 });
    let services = |script: &str| {
        let services = json!({
            "asker": { "command": ["python3", "-c", ASK], "after": ["web"], "restart": never },
            "web": { "command": ["sh", "-c", script] },
        });
        plan(&services).to_string()
    };
    let first = services("echo first; exec sleep 1000");
    let second = services("echo second; touch /run/second; exec sleep 1000");
    let agent = format!(
        "[ \"$*\" = prepare ] || [ \"$*\" = 'prepare --running' ] || exit 9
        echo >> /run/runs
        case $(wc -l < /run/runs) in
        1) cat > /run/casque/plan.json <<'END'\n{first}\nEND\n;;
        2) echo 'error: setting `port`: given `x`, expected a port' >&2; exit 100;;
        *) cat > /run/casque/plan.json <<'END'\n{second}\nEND\n;;
        esac"
    );
    let Some(output) = run(&agent, &[]) else { return };
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let text = text(&output);
    let refusal = r#"asker | {"reply":"error","message":"the plan could not be prepared: exited with 100; nothing was changed\nerror: setting `port`: given `x`, expected a port"}"#;
    assert!(text.contains(refusal), "{text}");
    assert!(text.contains("prepare | error: setting `port`: given `x`, expected a port\n"), "{text}");
    assert!(
        text.contains(
            "asker | {\"reply\":\"reloaded\",\"changes\":[{\"service\":\"web\",\"touched\":\"started\"}]}\n"
        ),
        "{text}"
    );
    assert_eq!(text.matches("web | first\n").count(), 1, "{text}");
    assert_eq!(text.matches("web | second\n").count(), 1, "{text}");
    assert!(text.contains("casque | `web` is started anew, its plan or its files have changed\n"), "{text}");
}
