//! Passwords of 64 characters through every filter, read back by the programs that read such files.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use casque_format::paths;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use crate::instance::{Instance, plan};

const PASSWORDS: usize = 24;

/// Reads each file as programs do that use this syntax, and prints what each holds.
const READERS: &str = r#"
import configparser, json, subprocess, sys, urllib.parse, yaml
place, names = sys.argv[1], sys.argv[2:]
text = lambda name: open(f"{place}/{name}", encoding="utf-8").read()
ini = configparser.ConfigParser(interpolation=None)
ini.read(f"{place}/app.ini", encoding="utf-8")
script = r'''. "$1"; shift; for name; do eval "value=\$$name"; printf '%s\0' "$value"; done'''
shell = subprocess.run(["/bin/sh", "-c", script, "sh", f"{place}/app.sh", *names], stdout=subprocess.PIPE, check=True)
urls = dict(line.split(" ") for line in text("app.urls").splitlines())
documents = {"json": json.loads(text("app.json")), "yaml": yaml.safe_load(text("app.yaml"))}
result = {syntax: [document[name] for name in names] for syntax, document in documents.items()}
result["ini"] = [ini["passwords"][name] for name in names]
result["shell"] = shell.stdout.decode().split(chr(0))[:-1]
result["url"] = [urllib.parse.unquote(urllib.parse.urlsplit(urls[name]).password) for name in names]
json.dump(result, sys.stdout)
"#;

/// 64 printable characters: quotes, `$`, `#`, `%`, blanks and some beyond ASCII; at the ends what readers cut off or
/// take for something else.
fn password() -> impl Strategy<Value = String> {
    let beyond = proptest::sample::select("äöüßéñ€漢字😀".chars().collect::<Vec<_>>());
    let character = prop_oneof![8 => proptest::char::range(' ', '~'), 1 => beyond];
    let first = proptest::sample::select("#;\"'%$=[{!&*@`~-".chars().collect::<Vec<_>>());
    let last = proptest::sample::select("\\\"'#$%;:,".chars().collect::<Vec<_>>());
    (first, proptest::collection::vec(character, 62), last)
        .prop_map(|(first, middle, last)| std::iter::once(first).chain(middle).chain([last]).collect())
}

fn passwords() -> Vec<String> {
    let mut runner = TestRunner::default();
    (0..PASSWORDS).map(|_| password().new_tree(&mut runner).unwrap().current()).collect()
}

/// Starts the instance with the passwords in its settings file and one marked file for each syntax.
fn rendered(names: &[String], passwords: &[String], files: &[(&str, String)]) -> Instance {
    let instance = Instance::new();
    let mut plan = plan();
    let given = names.iter().zip(passwords);
    plan["settings"] = given
        .clone()
        .map(|(name, _)| (name.clone(), json!({"type": "password", "description": "One."})))
        .collect::<Map<String, Value>>()
        .into();
    let template = |(path, _): &(&str, String)| json!({"path": path, "uid": 0, "gid": 0, "mode": 0o600});
    plan["templates"] = files.iter().map(template).collect();
    plan["services"] = json!({});
    instance.write_plan(plan);
    for (path, text) in files {
        instance.write(&format!("{}{path}", paths::TEMPLATES), text);
    }
    // Written by a TOML library that shares nothing with the program's reader but the language.
    let table: toml::Table = given.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    instance.write(paths::SETTINGS_FILE, &table.to_string());
    instance.run(&["prepare"], &[]).quiet();
    instance
}

/// Returns one text for each name, joined.
fn lines(names: &[String], separator: &str, line: impl Fn(&str) -> String) -> String {
    names.iter().map(|name| line(name)).collect::<Vec<_>>().join(separator)
}

#[test]
fn every_reader_gets_the_password_that_was_given() {
    let passwords = passwords();
    let names: Vec<String> = (0..PASSWORDS).map(|number| format!("p{number}")).collect();
    let json = lines(&names, ",\n", |name| format!("\"{name}\": @casque{{{name}|json}}"));
    let ini = lines(&names, "\n", |name| format!("{name} = @casque{{{name}|ini}}"));
    let url = lines(&names, "\n", |name| format!("{name} smtp://user:@casque{{{name}|url}}@host:25/"));
    let instance = rendered(
        &names,
        &passwords,
        &[
            ("/app.json", format!("{{{json}}}\n")),
            ("/app.yaml", lines(&names, "\n", |name| format!("{name}: @casque{{{name}|yaml}}  # one"))),
            ("/app.ini", format!("[passwords]\n{ini}\n")),
            ("/app.sh", lines(&names, "\n", |name| format!("{name}=@casque{{{name}|shell}}"))),
            ("/app.urls", url),
        ],
    );
    let mut readers = Command::new("python3");
    readers.args(["-c", READERS]).arg(instance.path(paths::RENDERED)).args(&names);
    let output = readers.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    let read: Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read.keys().collect::<Vec<_>>(), ["ini", "json", "shell", "url", "yaml"]);
    for (syntax, read) in read {
        assert_eq!(read, json!(passwords), "{syntax}");
    }
}

#[test]
fn nginx_gets_the_password_that_was_given() {
    // It has no way to write `$`: those passwords are refused, which a test of its own shows.
    let passwords: Vec<String> = passwords().iter().map(|one| one.replace('$', "S")).collect();
    let names: Vec<String> = (0..PASSWORDS).map(|number| format!("p{number}")).collect();
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path().display();
    let locations =
        lines(&names, "\n", |name| format!("location = /{name} {{ return 200 @casque{{{name}|nginx}}; }}"));
    let configuration = format!(
        "daemon off; master_process off; error_log stderr; pid {place}/pid; events {{}}\n\
         http {{ access_log off; client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;\n\
         uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;\n\
         server {{ listen unix:{place}/socket; {locations} }} }}\n"
    );
    let instance = rendered(&names, &passwords, &[("/nginx.conf", configuration)]);
    let file = instance.path(&format!("{}/nginx.conf", paths::RENDERED));
    let mut nginx = Command::new("/usr/sbin/nginx").arg("-c").arg(file).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let read: Result<Vec<String>, String> =
        names.iter().map(|name| page(&scratch.path().join("socket"), name, deadline)).collect();
    nginx.kill().unwrap();
    nginx.wait().unwrap();
    assert_eq!(read.unwrap(), passwords);
}

/// Returns the body of a page, as soon as somebody answers.
fn page(socket: &std::path::Path, name: &str, deadline: Instant) -> Result<String, String> {
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => return Err(error.to_string()),
            Err(_) => std::thread::yield_now(),
        }
    };
    let mut text = String::new();
    write!(stream, "GET /{name} HTTP/1.0\r\n\r\n")
        .and_then(|()| stream.read_to_string(&mut text).map(drop))
        .map_err(|error| error.to_string())?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or(text)
}
