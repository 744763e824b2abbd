//! A support bundle: what is in it, what is not, and when there is none.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use casque_format::bundle::{Manifest, Scope};
use casque_format::digest::Digest;
use casque_format::paths;
use flate2::read::GzDecoder;
use fs_err as fs;
use serde_json::json;
use tar::Archive;

use crate::instance::{Instance, plan};

/// Every byte of it is changed by one of the encodings.
const PASSWORD: &str = "t0p/\"se cret\"+k\u{e4}se?>";
const FORMS: [&str; 4] = [
    "t0p%2F%22se%20cret%22%2Bk%C3%A4se%3F%3E",
    "t0p%2f%22se+cret%22%2bk%c3%a4se%3f%3e",
    "t0p/\\\"se cret\\\"+k\\u00e4se?>",
    "t0p/\\\\\\\"se cret\\\\\\\"+k\u{e4}se?>",
];

struct Made {
    code: i32,
    bytes: Vec<u8>,
    stderr: String,
}

impl Made {
    /// Each member by its name, and the order.
    fn members(&self) -> (BTreeMap<String, String>, Vec<String>) {
        let (mut members, mut order) = (BTreeMap::new(), Vec::new());
        for entry in Archive::new(GzDecoder::new(self.bytes.as_slice())).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let name = name.strip_prefix("support-bundle/").unwrap().to_owned();
            order.push(name.clone());
            members.insert(name, String::from_utf8_lossy(&content).into_owned());
        }
        (members, order)
    }

    fn manifest(&self) -> Manifest {
        serde_json::from_str(&self.members().0["manifest.json"]).unwrap()
    }

    /// Everything in it, headers too.
    fn text(&self) -> String {
        let mut all = Vec::new();
        GzDecoder::new(self.bytes.as_slice()).read_to_end(&mut all).unwrap();
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Asserts that there is none, and returns the one line that says why.
    fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.bytes.len()), (code, 0), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        self.stderr
    }
}

fn bundle_with(instance: &Instance, words: &[&str], environment: &[(&str, &str)]) -> Made {
    let mut command = instance.command(&[&["support-bundle"], words].concat());
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let root = instance.path("").display().to_string();
    let stderr = String::from_utf8(output.stderr).unwrap().replace(root.trim_end_matches('/'), "");
    Made { code: output.status.code().unwrap(), bytes: output.stdout, stderr }
}

fn bundle(instance: &Instance) -> Made {
    bundle_with(instance, &[], &[])
}

fn settings(instance: &Instance, lines: &str) {
    instance.write(paths::SETTINGS_FILE, lines);
}

/// What a step over a secret writes: base64 in the middle of something, of any length before it.
fn encoded(secret: &str) -> Vec<String> {
    (0..3)
        .flat_map(|before| {
            let text = format!("{}{secret}...", "u".repeat(before));
            [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE.encode(&text)]
        })
        .collect()
}

#[test]
fn every_secret_is_replaced_by_one_name_in_whatever_form_it_is() {
    let instance = Instance::new();
    settings(&instance, &format!("smtp-url = {}\n", json!(format!("smtp://u:{}@mail", FORMS[0]))));
    instance.run(&["prepare"], &[("ADMIN_PASSWORD", PASSWORD)]).quiet();
    let token = instance.read(&format!("{}/status-token", paths::SECRETS));
    let token = token.trim();
    let mut lines = vec![format!("one {PASSWORD} and {token}")];
    lines.extend(FORMS.iter().map(|form| format!("<{form}>")));
    lines.extend(encoded(PASSWORD).into_iter().chain(encoded(token)).map(|text| format!("[{text}]")));
    instance.write("/data/logs/web.log", &(lines.join("\n") + "\n"));
    let wrapped = BASE64_STANDARD.encode(format!("user:{PASSWORD}"));
    let (left, right) = wrapped.split_at(16);
    let other = format!("two {PASSWORD}\n{left}\n  {right}\nat mongodb://app:unknown1@db/\n");
    instance.write("/data/logs/other.log", &other);
    instance.write(&format!("/data/logs/{token}.log"), "named so\n");
    let key =
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\nAwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n";
    instance.write(paths::TLS_KEY, key);
    instance.write("/data/logs/key.log", "it is AwEHBG0wawIBAQQg here\n");

    let made = bundle_with(&instance, &[], &[("ADMIN_PASSWORD", PASSWORD)]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let text = made.text();
    for form in FORMS.iter().copied().chain([PASSWORD, token, "unknown1", "AwEHBG0wawIBAQQg", "MIGHAgEA"]) {
        assert!(!text.contains(form), "{form}");
    }
    let squeezed: String = text.split_whitespace().collect();
    for secret in [PASSWORD, token] {
        for encoded in encoded(secret) {
            // Without the digits at both ends, which other bytes decide.
            let inner = &encoded[4..secret.len() * 4 / 3 - 1];
            assert!(!squeezed.contains(inner), "{inner}");
        }
    }
    let (members, _) = made.members();
    let manifest = made.manifest();
    let name = |setting: &str| {
        let secret = manifest.secrets.iter().find(|secret| secret.name == setting).unwrap();
        secret.pseudonyms.clone()
    };
    let [password] = &name("admin-password")[..] else { panic!("{:?}", manifest.secrets) };
    let [of_token] = &name("status-token")[..] else { panic!("{:?}", manifest.secrets) };
    assert!(password.starts_with("secret-admin-password-") && password.len() == 30, "{password}");
    assert_eq!(members["logs/web.log"].lines().next().unwrap(), format!("one {password} and {of_token}"));
    assert_eq!(members["logs/web.log"].matches(password.as_str()).count(), 11);
    assert_eq!(members["logs/web.log"].matches(of_token.as_str()).count(), 7);
    assert_eq!(members["logs/other.log"].matches(password.as_str()).count(), 2);
    assert_eq!(members[&format!("logs/{of_token}.log")], "named so\n");
    assert!(members["logs/other.log"].contains("at mongodb://app:secret-url-"));
    let web = manifest.members.iter().find(|member| member.name == "logs/web.log").unwrap();
    assert_eq!(web.replaced, 18);
    for member in &manifest.members {
        let digest = Digest::of(members[&member.name].as_bytes()).to_string();
        assert!(digest.ends_with(&member.sha256), "{}", member.name);
        assert_eq!(member.size, members[&member.name].len() as u64, "{}", member.name);
    }
    // The same name in another bundle.
    assert_eq!(manifest.pseudonyms, Scope::Volume);
    let again = bundle_with(&instance, &[], &[("ADMIN_PASSWORD", PASSWORD)]);
    assert_eq!(again.members().0["logs/web.log"], members["logs/web.log"]);
}

#[test]
fn what_pid_1_masks_was_a_secret_though_nobody_gives_it_any_more() {
    let instance = Instance::new();
    instance.run(&["prepare"], &[("ADMIN_PASSWORD", PASSWORD)]).quiet();
    instance.write("/data/logs/web.log", &format!("one {PASSWORD}\n"));
    let made = bundle(&instance);
    assert!(!made.text().contains(PASSWORD));
    let (members, _) = made.members();
    assert!(members["logs/web.log"].starts_with("one secret-masked-"), "{}", members["logs/web.log"]);
}

#[test]
fn without_a_running_product_there_is_a_bundle_that_says_so() {
    let instance = Instance::new();
    let made = bundle(&instance);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let (_, order) = made.members();
    assert_eq!(
        order,
        [
            "settings.txt",
            "certificates.json",
            "files.txt",
            "processes.txt",
            "system.txt",
            "mounts.txt",
            "room.txt",
            "manifest.json"
        ]
    );
    let manifest = made.manifest();
    let missing: Vec<&str> = manifest.missing.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(missing, ["status.json", "services.txt", "plan.json", "lines.txt", "stamp.json", "logs"]);
    assert!(manifest.missing[0].reason.starts_with("cannot reach PID 1 of this container"));
    assert_eq!((manifest.running, manifest.pseudonyms, manifest.instance), (false, Scope::Bundle, None));
    let known: Vec<(&str, bool)> =
        manifest.secrets.iter().map(|secret| (secret.name.as_str(), secret.known)).collect();
    assert_eq!(
        known,
        [("admin-password", false), ("mongodb-url", false), ("smtp-url", false), ("status-token", false)]
    );
    assert!(made.stderr.contains("note: not in the bundle: stamp.json: "), "{}", made.stderr);
    assert!(
        made.stderr.contains("note: no value is known here of `admin-password`, `mongodb-url`"),
        "{}",
        made.stderr
    );
    let last = made.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("the bundle is written, 8 files, ") && last.ends_with("; secrets replaced: 0"),
        "{last}"
    );
}

#[test]
fn a_wrong_setting_is_in_the_bundle_and_no_reason_for_none() {
    let instance = Instance::new();
    settings(&instance, "port = \"many\"\nsmtp-url = \"geheim-geheim\"\n");
    let made = bundle(&instance);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.members().0["settings.txt"].starts_with("setting `port`: given `many`, expected"));
    assert!(!made.text().contains("geheim"));
}

#[test]
fn what_is_stuck_does_not_stop_the_rest() {
    let instance = Instance::new();
    instance.run(&["prepare"], &[]).quiet();
    let listener = instance.control_socket();
    let answers = std::thread::spawn(move || {
        let mut held = Vec::new();
        // For the status, for the table, and for lines.
        while held.len() < 3 {
            held.push(listener.accept().unwrap());
        }
        held
    });
    instance.write("/data/logs/web.log", "a line\n");
    let fifo = instance.path("/data/logs/stuck.log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let made = bundle_with(&instance, &["--patience", "1"], &[]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let manifest = made.manifest();
    let missing: Vec<(&str, &str)> =
        manifest.missing.iter().map(|one| (one.name.as_str(), one.reason.as_str())).collect();
    let stuck = "nothing came within 1 s";
    assert_eq!(missing, [("status.json", stuck), ("services.txt", stuck), ("lines.txt", stuck)]);
    let (members, _) = made.members();
    assert_eq!(members["logs/web.log"], "a line\n");
    assert!(!members.contains_key("logs/stuck.log"));
    assert!(members["plan.json"].contains("\"mask\": []"), "{}", members["plan.json"]);
    assert!(!manifest.running);
    answers.join().unwrap();
}

#[test]
fn where_a_secret_cannot_be_told_or_hidden_there_is_no_bundle() {
    let instance = Instance::new();
    let cannot = "error: cannot tell what is secret, so no bundle is made: ";
    settings(&instance, "smtp-url = \"geheim\nport = 1\n");
    let said = bundle(&instance).refused(100);
    assert!(
        said.starts_with(&format!("{cannot}cannot read settings file `/data/config/settings.toml`: line 1")),
        "{said}"
    );
    fs::remove_file(instance.path(paths::SETTINGS_FILE)).unwrap();
    let said = bundle_with(&instance, &[], &[("SMTP_URL_FILE", "/run/secrets/none")]).refused(100);
    assert!(
        said.starts_with(&format!(
            "{cannot}setting `smtp-url`: the file named by `SMTP_URL_FILE` cannot be read"
        )),
        "{said}"
    );
    let said = bundle_with(&instance, &[], &[("ADMIN_PASSWORD", "abc")]).refused(100);
    assert_eq!(
        said,
        format!(
            "{cannot}setting `admin-password`: its secret has 3 bytes, and 4 are the least that can be looked for\n"
        )
    );
    // The names of secrets have this word, too.
    let said = bundle_with(&instance, &[], &[("ADMIN_PASSWORD", "secret")]).refused(1);
    assert_eq!(
        said,
        "error: the secret of `admin-password` is still in `support-bundle/manifest.json`, so no bundle is written\n"
    );
    instance.write(paths::RUN_PLAN, "{");
    let said = bundle(&instance).refused(1);
    assert!(said.starts_with(&format!("{cannot}`/run/casque/plan.json`: ")), "{said}");
}

#[test]
fn another_user_gets_no_bundle() {
    let instance = Instance::new();
    instance.run(&["prepare"], &[]).quiet();
    let finished = instance.run_as(4711, &["support-bundle"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (77, ""));
    assert_eq!(
        finished.stderr,
        "error: cannot tell what is secret, so no bundle is made: failed to read directory `/data/casque/secrets`: Permission denied (os error 13)\n"
    );
}

#[test]
fn a_password_that_is_a_word_of_the_product_is_replaced_everywhere() {
    let instance = Instance::new();
    let environment = [("ADMIN_PASSWORD", "backend"), ("SMTP_URL", "smtp://u:smtp@mail")];
    instance.run(&["prepare"], &environment).quiet();
    let made = bundle_with(&instance, &[], &environment);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.manifest().product.starts_with("vendor/secret-admin-password-"));
    assert!(!made.text().contains("smtp") && !made.text().contains("backend"));
}

#[test]
fn a_preview_lists_everything_and_writes_nothing() {
    let instance = Instance::new();
    instance.run(&["prepare"], &[]).quiet();
    let token = instance.read(&format!("{}/status-token", paths::SECRETS));
    instance.write("/data/logs/web.log", &format!("is {token}\n"));
    let before = instance.list("/data");
    let text = instance.run(&["support-bundle", "--preview"], &[]).quiet();
    assert_eq!(instance.list("/data"), before);
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let words = |name: &str| line(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words("logs/web.log")[2..], ["1", "the", "end", "of", "a", "log", "file"]);
    assert!(
        line("status.json").ends_with("this command is for `docker exec` in a running container"),
        "{text}"
    );
    assert!(words("status-token")[1].starts_with("secret-status-token-"), "{text}");
    assert!(line("smtp-url").ends_with("(no value is known here)"), "{text}");
    let manifest: Manifest =
        serde_json::from_str(&instance.run(&["support-bundle", "--preview", "--json"], &[]).quiet()).unwrap();
    assert_eq!(manifest.instance, Some(instance.json(paths::STAMP)["instance"].as_str().unwrap().to_owned()));
}

#[test]
fn a_closed_pipe_is_an_error() {
    let instance = Instance::new();
    let mut child =
        instance.command(&["support-bundle"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(said, "error: cannot write the bundle: Broken pipe (os error 32)\n");
}

#[test]
fn the_password_of_an_url_that_is_no_secret_is_one() {
    let instance = Instance::new();
    let mut plan = plan();
    plan["settings"]["mongodb-url"]["secret"] = json!(false);
    instance.write_plan(plan);
    instance.write("/data/logs/web.log", "with p@ss-word and p%40ss-word\n");
    let made = bundle_with(&instance, &[], &[("MONGODB_URL", "mongodb://app:p%40ss-word@db/orders")]);
    let (members, _) = made.members();
    let line = &members["logs/web.log"];
    assert_eq!(line.matches("secret-mongodb-url-").count(), 2, "{line}");
    assert!(
        members["settings.txt"].contains("mongodb://app:secret-mongodb-url-"),
        "{}",
        members["settings.txt"]
    );
}
