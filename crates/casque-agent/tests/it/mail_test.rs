//! `mail-test` and the check of a mail server, with small servers that take mail, or do not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use casque_format::paths;
use casque_format::preflight::{Preflight, Verdict};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::instance::{Finished, Instance, plan};

/// What answers some lines in another way than usual: by how they begin.
type Answers = &'static [(&'static str, &'static str)];

/// Reads a line octet by octet, so that nothing of what follows is lost when TLS begins.
fn line(stream: &mut impl Read) -> Option<String> {
    let mut line = Vec::new();
    let mut octet = [0];
    while stream.read(&mut octet).ok()? == 1 {
        match octet[0] {
            b'\n' => return Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            other => line.push(other),
        }
    }
    None
}

/// Talks until it is told to quit or to begin with TLS; says which.
fn talk(stream: &mut (impl Read + Write), answers: Answers, heard: &mut Vec<String>) -> bool {
    let mut in_data = false;
    while let Some(line) = line(stream) {
        heard.push(line.clone());
        let special = answers.iter().find(|(begin, _)| line.starts_with(begin)).map(|(_, answer)| *answer);
        let usual = match line.split(' ').next().unwrap() {
            "." => {
                in_data = false;
                "250 kept"
            }
            _ if in_data => continue,
            "EHLO" => "250-mail.example\r\n250 AUTH LOGIN PLAIN",
            "AUTH" => "235 welcome",
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            "STARTTLS" => "220 begin",
            _ => "250 fine",
        };
        let answer = special.unwrap_or(usual);
        if write!(stream, "{answer}\r\n").and_then(|()| stream.flush()).is_err() {
            return false;
        }
        match line.as_str() {
            // One that says so hangs up.
            _ if answer.starts_with("421") => return false,
            "QUIT" => return false,
            "STARTTLS" if answer.starts_with("220") => return true,
            _ => {}
        }
    }
    false
}

/// A server for one client.
fn server(
    greeting: &'static str,
    answers: Answers,
    tls: Option<Arc<ServerConfig>>,
) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let mut stream: TcpStream = listener.accept().unwrap().0;
        let mut heard = Vec::new();
        let _ = write!(stream, "{greeting}\r\n");
        if talk(&mut stream, answers, &mut heard) {
            let connection = ServerConnection::new(tls.unwrap()).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            heard.push("TLS".to_owned());
            // Nothing more is offered than before, but for TLS itself.
            talk(&mut stream, &[], &mut heard);
        }
        heard
    });
    (port, serving)
}

/// What a server on `host` shows, and the authority that vouches for it.
fn identity(host: &str) -> (Arc<ServerConfig>, String) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, format!("Authority of {host}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (Arc::new(config), authority.pem())
}

/// An instance with a setting for a mail server.
fn instance() -> Instance {
    let instance = Instance::new();
    let mut plan = plan();
    plan["expose"] = json!([]);
    plan["settings"]["smtp-url"]["schemes"] = json!(["smtp", "smtps"]);
    plan["settings"]["mail-from"] =
        json!({"type": "string", "description": "Sender.", "default": "backend@localhost"});
    instance.write_plan(plan);
    instance
}

fn send(instance: &Instance, url: &str, words: &[&str]) -> Finished {
    let words: Vec<&str> = ["mail-test"].iter().chain(words).copied().collect();
    instance.run(&words, &[("SMTP_URL", url)])
}

/// Sends one mail to a server with these answers, whose port is then called PORT.
fn sent(answers: Answers) -> Finished {
    let (port, serving) = server("220 mail.example", answers, None);
    let finished = send(&instance(), &format!("smtp://app:p%40ss@127.0.0.1:{port}"), &["a@b.example"]);
    serving.join().unwrap();
    let named = |text: String| text.replace(&port.to_string(), "PORT");
    Finished { stdout: named(finished.stdout), stderr: named(finished.stderr), ..finished }
}

#[test]
fn every_line_of_the_dialogue_is_shown_and_no_password() {
    let (port, serving) = server("220 mail.example", &[("AUTH", "235 p@ss is AGFwcABwQHNz")], None);
    let finished = send(&instance(), &format!("smtp://app:p%40ss@127.0.0.1:{port}"), &["a@b.example"]);
    let heard = serving.join().unwrap();
    let text = finished.quiet();
    let date = text.lines().find(|line| line.starts_with("> Date: ")).unwrap();
    let id = text.lines().find(|line| line.starts_with("> Message-ID: ")).unwrap();
    assert!(date.ends_with(" +0000") && id.ends_with(".test@backend.invalid>"), "{date} {id}");
    assert_eq!(
        text.replace(&port.to_string(), "PORT").replace(date, "> DATE").replace(id, "> ID"),
        "* connecting to 127.0.0.1:PORT\n\
         * connected to 127.0.0.1\n\
         < 220 mail.example\n\
         > EHLO [127.0.0.1]\n\
         < 250-mail.example\n\
         < 250 AUTH LOGIN PLAIN\n\
         * the server offers no TLS, so the password is sent without encryption\n\
         > AUTH PLAIN ********\n\
         < 235 ******** is ********\n\
         > MAIL FROM:<backend@localhost>\n\
         < 250 fine\n\
         > RCPT TO:<a@b.example>\n\
         < 250 fine\n\
         > DATA\n\
         < 354 go on\n\
         > DATE\n\
         > From: <backend@localhost>\n\
         > To: <a@b.example>\n\
         > Subject: Test of vendor/backend 43.4.4\n\
         > ID\n\
         >\n\
         > Whoever looks after vendor/backend 43.4.4 has sent this by `backend mail-test`.\n\
         > .\n\
         < 250 kept\n\
         > QUIT\n\
         < 221 bye\n\
         127.0.0.1:PORT has taken the mail: 250 kept\n"
    );
    assert_eq!(heard[1], "AUTH PLAIN AGFwcABwQHNz");
}

#[test]
fn a_server_that_takes_only_the_other_log_in_gets_that() {
    let (port, serving) = server(
        "220 mail.example",
        &[
            ("EHLO", "250-mail.example\r\n250 AUTH=LOGIN CRAM-MD5"),
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            ("YXBw", "334 UGFzc3dvcmQ6"),
            ("cEBzcw==", "235 welcome"),
        ],
        None,
    );
    let url = format!("smtp://app:p%40ss@127.0.0.1:{port}");
    let finished = send(&instance(), &url, &["a@b.example", "--from", "other@b.example"]);
    let heard = serving.join().unwrap();
    assert!(
        finished
            .quiet()
            .contains("> AUTH LOGIN\n< 334 VXNlcm5hbWU6\n> YXBw\n< 334 UGFzc3dvcmQ6\n> ********\n")
    );
    assert_eq!(heard[3..5], ["cEBzcw==", "MAIL FROM:<other@b.example>"]);
}

#[test]
fn a_refusal_is_told_in_the_servers_words_with_what_usually_helps() {
    let refused: [(Answers, &str, &str); 8] = [
        (
            &[("MAIL", "421-4.7.0 closing")],
            "does not go on: it hung up",
            "try it again; then ask whoever runs the server",
        ),
        (
            &[("AUTH", "535-5.7.8 Error:\r\n535 5.7.8 p@ss is wrong\u{1b}[2J")],
            "refuses the log-in: 535-5.7.8 Error: 5.7.8 ******** is wrong\u{fffd}[2J",
            "the right user and password in `smtp-url`, with `%XX` for characters such as `@`, `:` and `/`; an account with a second factor needs a password for programs",
        ),
        (
            &[("MAIL", "553 5.7.1 not owned by user")],
            "refuses the sender: 553 5.7.1 not owned by user",
            "another sender, by `mail-from` or `--from`, or have the server allow this user to send as it",
        ),
        (
            &[("MAIL", "530 5.7.0 Must issue a STARTTLS command first")],
            "refuses the sender: 530 5.7.0 Must issue a STARTTLS command first",
            "`smtps://` and port 465 in `smtp-url`: it wants TLS, and does not offer it here",
        ),
        (
            &[("RCPT", "554 5.7.1 Relay access denied")],
            "refuses the recipient: 554 5.7.1 Relay access denied",
            "another recipient, a user in `smtp-url` who may send to it, or have the server relay for this host",
        ),
        (
            &[("RCPT", "450 4.2.0 Greylisted")],
            "refuses the recipient: 450 4.2.0 Greylisted",
            "try again in some minutes: the server is busy, or lets strangers wait at first",
        ),
        (
            &[(".", "552 5.3.4 too big")],
            "does not take the mail: 552 5.3.4 too big",
            "ask whoever runs the server; its log has this refusal",
        ),
        (
            &[("EHLO", "250-mail.example\r\n250 AUTH GSSAPI")],
            "refuses the log-in: it offers a log-in by GSSAPI alone, and only PLAIN and LOGIN are tried here",
            "have whoever runs the server allow a log-in by PLAIN or LOGIN",
        ),
    ];
    for (answers, what, remedy) in refused {
        let finished = sent(answers);
        assert_eq!(
            (finished.code, finished.stderr),
            (1, format!("error: 127.0.0.1:PORT {what}; {remedy}\n"))
        );
    }
}

#[test]
fn what_is_not_there_or_is_no_mail_server_is_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = send(&instance(), &format!("smtp://127.0.0.1:{closed}"), &["a@b.example"]);
    let said =
        format!("error: 127.0.0.1:{closed} is not reached: Connection refused (os error 111); start it, or ");
    assert!(away.code == 1 && away.stderr.starts_with(&said), "{}", away.stderr);
    let (port, serving) = server("SSH-2.0-OpenSSH_9.2", &[], None);
    let other = send(&instance(), &format!("smtp://127.0.0.1:{port}"), &["a@b.example"]);
    drop(serving);
    let said = format!(
        "error: 127.0.0.1:{port} is reached, but does not greet: what answers is no mail server: `SSH-2.0-OpenSSH_9.2`; "
    );
    assert!(other.stderr.starts_with(&said), "{}", other.stderr);
    let (port, _serving) = server("220 mail.example", &[], None);
    let url = format!("smtps://127.0.0.1:{port}");
    let alone = send(&instance(), &url, &["a@b.example"]);
    assert!(
        alone.stderr.ends_with(
            "nobody here could vouch for it: failed to open file `/etc/ssl/certs/ca-certificates.crt`: No such file or directory (os error 2); \
             put the authority that signed the server's certificate, in PEM, into `/data/tls/ca`\n"
        ),
        "{}",
        alone.stderr
    );
    let (port, _serving) = server("220 mail.example", &[], None);
    let instance = instance();
    instance.write("/etc/ssl/certs/ca-certificates.crt", &identity("other").1);
    let plain = send(&instance, &format!("smtps://127.0.0.1:{port}"), &["a@b.example"]);
    let said = format!("error: 127.0.0.1:{port} is reached, but there is no TLS with it: ");
    assert!(plain.stderr.starts_with(&said), "{}", plain.stderr);
    assert!(
        plain
            .stderr
            .ends_with("; `smtp://` in `smtp-url` for a port that begins without TLS, such as 25 and 587\n"),
        "{}",
        plain.stderr
    );
}

#[test]
fn tls_is_taken_where_it_is_offered_from_a_server_that_proves_who_it_is() {
    let offers: Answers = &[("EHLO", "250-mail.example\r\n250 STARTTLS")];
    let instance = instance();
    let (config, authority) = identity("localhost");
    instance.write("/etc/ssl/certs/ca-certificates.crt", &identity("other").1);
    let run = |url: &dyn Fn(u16) -> String, config: &Arc<ServerConfig>| {
        let (port, serving) = server("220 mail.example", offers, Some(Arc::clone(config)));
        let finished = send(&instance, &url(port), &["a@b.example"]);
        (finished, serving.join().unwrap())
    };
    let url = |port: u16| format!("smtp://app:p%40ss@localhost:{port}");
    let (stranger, heard) = run(&url, &config);
    assert!(
        stranger.stderr.contains("no TLS with it: invalid peer certificate: UnknownIssuer"),
        "{}",
        stranger.stderr
    );
    assert!(
        stranger.stderr.ends_with(
            "; put the authority that signed the server's certificate, in PEM, into `/data/tls/ca`\n"
        ),
        "{}",
        stranger.stderr
    );
    assert_eq!(heard[1..], ["STARTTLS", "TLS"], "the password stays here");
    instance.write(&format!("{}/bank.pem", paths::AUTHORITIES), &authority);
    let (finished, heard) = run(&url, &config);
    assert!(finished.quiet().contains(
        "* TLS: the certificate is for this host, and signed by an authority that is trusted\n> EHLO"
    ));
    assert_eq!(heard[1..3], ["STARTTLS", "TLS"]);
    assert!(heard[3].starts_with("EHLO ") && heard[4].starts_with("AUTH PLAIN "), "{heard:?}");
    let (misnamed, _) = run(&|port| format!("smtp://127.0.0.1:{port}"), &config);
    assert!(
        misnamed.stderr.ends_with("; name the server in `smtp-url` as its certificate does\n"),
        "{}",
        misnamed.stderr
    );
}

#[test]
fn more_than_was_asked_for_before_tls_is_not_believed() {
    let injected: Answers =
        &[("EHLO", "250-mail.example\r\n250 STARTTLS"), ("STARTTLS", "220 begin\r\n250 AUTH PLAIN")];
    let (port, _serving) = server("220 mail.example", injected, Some(identity("localhost").0));
    let finished = send(&instance(), &format!("smtp://a:b@127.0.0.1:{port}"), &["a@b.example"]);
    assert!(
        finished.stderr.contains("it says more than it was asked for before TLS begins"),
        "{}",
        finished.stderr
    );
}

#[test]
fn an_address_that_says_more_than_one_thing_is_refused_before_anybody_is_asked() {
    for wrong in ["nobody", "a@b>\r\nRCPT TO:<c@d", "<a@b>"] {
        let finished = send(&instance(), "smtp://127.0.0.1:1", &[wrong]);
        let said = format!(
            "error: `{}` is no address of a mail: it looks like `name@example.com`, in ASCII and without `<` and `>`\n",
            wrong.escape_debug()
        );
        assert_eq!((finished.code, finished.stderr), (64, said));
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn without_a_mail_server_there_is_nothing_to_test() {
    let said = |instance: &Instance, environment: &[(&str, &str)]| {
        let finished = instance.run(&["mail-test", "a@b.example"], environment);
        assert_eq!(finished.code, 78);
        finished.stderr
    };
    let none = Instance::new();
    assert_eq!(said(&none, &[]), "error: this product has no setting for a mail server\n");
    assert_eq!(said(&instance(), &[]), "error: no mail server is given by `smtp-url`\n");
    let mut plan = plan();
    for name in ["mail-a", "mail-b"] {
        plan["settings"][name] = json!({"type": "url", "description": "x.", "schemes": ["smtp"]});
    }
    none.write_plan(plan);
    let both = [("MAIL_A", "smtp://127.0.0.1:1"), ("MAIL_B", "smtp://127.0.0.1:1")];
    assert_eq!(
        said(&none, &both),
        "error: there are several mail servers: say `--setting` and one of `mail-a`, `mail-b`\n"
    );
    let chosen = none.run(&["mail-test", "a@b.example", "--setting", "mail-b"], &both);
    assert!(chosen.stderr.contains("127.0.0.1:1 is not reached"), "{}", chosen.stderr);
}

#[test]
fn preflight_logs_in_and_sends_nothing() {
    let found = |answers: Answers| {
        let (port, serving) = server("220 mail.example", answers, None);
        let url = format!("smtp://app:p%40ss@127.0.0.1:{port}");
        let finished = instance().run(&["preflight", "--json"], &[("SMTP_URL", &url)]);
        let found: Preflight = serde_json::from_str(&finished.stdout).unwrap();
        let mail = found.checks.into_iter().find(|check| check.name == "smtp-url").unwrap();
        (mail.verdict, mail.fact.replace(&port.to_string(), "PORT"), mail.remedy, serving.join().unwrap())
    };
    let (verdict, fact, _, heard) = found(&[]);
    let said = "127.0.0.1:PORT speaks SMTP without encryption, and lets the user in".to_owned();
    assert_eq!((verdict, fact), (Verdict::Ok, said));
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert_eq!(heard[2], "QUIT");
    let (verdict, fact, remedy, _) = found(&[("AUTH", "535 no")]);
    assert_eq!((verdict, fact.as_str()), (Verdict::Warning, "127.0.0.1:PORT refuses the log-in: 535 no"));
    assert!(remedy.unwrap().starts_with("the right user and password in `smtp-url`"));
}
