//! Which certificate HTTPS is served with, over starts and while services run.

use casque_format::paths;
use casque_format::preflight::{Preflight, Verdict};
use casque_format::settings::of_https;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::instance::{Finished, Instance, plan};

/// An instance whose front can serve HTTPS.
fn instance() -> Instance {
    let instance = Instance::new();
    let mut plan = plan();
    plan["https_port"] = json!(443);
    for (name, setting) in of_https() {
        plan["settings"][name] = serde_json::to_value(setting).unwrap();
    }
    plan["settings"]["base-url"] = json!({"type": "url", "description": "Where it is."});
    instance.write_plan(plan);
    instance
}

/// Chain and key for `host`, good until the end of `year`.
fn made(host: &str, year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, host);
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn give(instance: &Instance, (chain, key): &(String, String)) {
    instance.write(paths::TLS_CERTIFICATE, chain);
    instance.write(paths::TLS_KEY, key);
}

fn listen(instance: &Instance) -> Value {
    instance.json(paths::RUN_PLAN)["listen"].clone()
}

fn certificates(instance: &Instance) -> Vec<String> {
    let config = instance.json(paths::AGENT_CONFIG);
    let all = config["certificates"].as_array().unwrap().iter();
    all.map(|one| format!("{} {}", one["setting"].as_str().unwrap(), one["subject"].as_str().unwrap()))
        .collect()
}

/// Asserts success, and returns what was warned of.
fn warned(finished: Finished) -> String {
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    finished.stderr
}

const OWN: &str = "warning: HTTPS has a certificate that signs itself, which browsers warn of: put one into `/data/tls/cert.pem` and its key into `/data/tls/key.pem`\n";

#[test]
fn without_a_certificate_nobody_waits_on_its_port() {
    let instance = instance();
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(listen(&instance), json!([80]));
    assert_eq!((instance.read(paths::FRONT_HTTP), instance.read(paths::FRONT_SERVER)), Default::default());
    assert!(!instance.exists(paths::TLS_SERVED));
}

#[test]
fn one_that_signs_itself_is_made_once_and_anew_for_another_host() {
    let instance = instance();
    assert_eq!(warned(instance.run(&["prepare"], &[("HTTPS", "on")])), OWN);
    assert_eq!(listen(&instance), json!([80, 443]));
    let first = instance.read(paths::TLS_SERVED);
    assert_eq!(instance.read(paths::TLS_OWN), first);
    assert_eq!(certificates(&instance), ["tls-certificate CN=localhost"]);
    warned(instance.run(&["prepare"], &[("HTTPS", "on")]));
    assert_eq!(instance.read(paths::TLS_SERVED), first);
    let host = [("HTTPS", "on"), ("BASE_URL", "https://backend.example:444/x")];
    assert_eq!(warned(instance.run(&["prepare"], &host)), OWN);
    assert_eq!(certificates(&instance), ["tls-certificate CN=backend.example"]);
}

#[test]
fn a_file_that_is_wrong_leaves_the_one_from_before_also_over_a_start() {
    let instance = instance();
    let (first, second) = (made("a.example", 2100), made("b.example", 2100));
    give(&instance, &first);
    instance.run(&["prepare"], &[]).quiet();
    let served = instance.read(paths::TLS_SERVED);
    assert_eq!(served, format!("{}{}", first.0, first.1).replace("-----\n-----", "-----\n-----"));
    give(&instance, &(second.0.clone(), first.1.clone()));
    let said = "warning: what is in `/data/tls` is not served: the private key is not that of the certificate (`CN=b.example`); the certificate from before (`CN=a.example`) is\n";
    for words in [&["prepare", "--running"][..], &["prepare"]] {
        assert_eq!(warned(instance.run(words, &[])), said);
        assert_eq!(instance.read(paths::TLS_SERVED), served);
    }
    give(&instance, &second);
    instance.run(&["prepare", "--running"], &[]).quiet();
    assert_eq!(certificates(&instance), ["tls-certificate CN=b.example"]);
}

#[test]
fn at_the_first_start_a_wrong_one_is_refused_in_one_line() {
    let instance = instance();
    instance.write(paths::TLS_CERTIFICATE, &made("a.example", 2100).0);
    let before = instance.list("/data");
    for words in [&["prepare"][..], &["settings", "check"]] {
        let finished = instance.run(words, &[]);
        let said = "error: cannot serve HTTPS: `/data/tls/key.pem` is missing; the certificate is in `/data/tls/cert.pem`, those that signed it below it, and its key in `/data/tls/key.pem`\n";
        assert_eq!((finished.code, finished.stderr.as_str()), (100, said));
    }
    assert_eq!(instance.list("/data"), before);
    assert!(!instance.exists(paths::RUN));
}

#[test]
fn one_that_has_ended_does_not_replace_one_that_is_good() {
    let instance = instance();
    let ended = made("ended.example", 2001);
    give(&instance, &ended);
    // There is no other.
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(certificates(&instance), ["tls-certificate CN=ended.example"]);
    give(&instance, &made("a.example", 2100));
    instance.run(&["prepare", "--running"], &[]).quiet();
    give(&instance, &ended);
    assert_eq!(
        warned(instance.run(&["prepare", "--running"], &[])),
        "warning: the certificate for HTTPS (`CN=ended.example`) has ended; the one from before (`CN=a.example`) is served\n"
    );
}

#[test]
fn settings_go_over_files_and_a_wrong_pair_is_a_wrong_setting() {
    let instance = instance();
    give(&instance, &made("file.example", 2100));
    let (first, second) = (made("a.example", 2100), made("b.example", 2100));
    let given = [("TLS_CERTIFICATE", first.0.as_str()), ("TLS_KEY", first.1.as_str())];
    instance.run(&["prepare"], &given).quiet();
    assert_eq!(certificates(&instance), ["tls-certificate CN=a.example"]);
    let finished = instance.run(&["prepare", "--running"], &[given[0], ("TLS_KEY", second.1.as_str())]);
    assert_eq!(finished.code, 100);
    assert_eq!(
        finished.stderr,
        "error: setting `tls-certificate`: given with `tls-key` a pair that cannot be served (the private key is not that of the certificate (`CN=a.example`)), expected a certificate, those that signed it, and the key of the first (from environment variable `TLS_CERTIFICATE`)\n"
    );
    let alone = instance.run(&["prepare", "--running"], &[given[1]]);
    assert_eq!(
        alone.stderr,
        "error: setting `tls-key`: given alone, expected `tls-certificate` beside it (from environment variable `TLS_KEY`)\n"
    );
    assert_eq!(certificates(&instance), ["tls-certificate CN=a.example"]);
}

#[test]
fn a_certificate_for_another_host_is_served_and_said() {
    let instance = instance();
    give(&instance, &made("a.example", 2100));
    let said = warned(instance.run(&["prepare"], &[("BASE_URL", "https://b.example")]));
    assert_eq!(
        said,
        "warning: the certificate for HTTPS (`CN=a.example`) is not for `b.example`, the host of `base-url`\n"
    );
}

#[test]
fn the_port_stays_what_it_is_while_services_run() {
    let instance = instance();
    instance.run(&["prepare"], &[]).quiet();
    give(&instance, &made("a.example", 2100));
    assert_eq!(
        warned(instance.run(&["prepare", "--running"], &[])),
        "warning: HTTPS begins with the next start of the container, which opens the ports\n"
    );
    assert_eq!(listen(&instance), json!([80]));
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(listen(&instance), json!([80, 443]));
    assert_eq!(
        warned(instance.run(&["prepare", "--running"], &[("HTTPS", "off")])),
        "warning: HTTPS ends with the next start of the container, which opens the ports\n"
    );
    assert_eq!(listen(&instance), json!([80, 443]));
}

#[test]
fn redirect_and_hsts_are_what_the_settings_say() {
    let instance = instance();
    give(&instance, &made("a.example", 2100));
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(instance.read(paths::FRONT_HTTP), "");
    let plain = instance.read(paths::FRONT_SERVER);
    assert!(plain.starts_with("listen 443 ssl;\nssl_certificate /run/casque/tls/server.pem;\n"), "{plain}");
    let given = [("HTTPS_REDIRECT", "true"), ("HSTS", "1h"), ("BASE_URL", "https://a.example:444")];
    instance.run(&["prepare"], &given).quiet();
    assert_eq!(
        instance.read(paths::FRONT_HTTP),
        "map $scheme $casque_hsts {\n    default \"\";\n    https \"max-age=3600\";\n}\n\
         map $scheme$uri $casque_to_https {\n    default \"\";\n    \"~^http(/status|/livez|/readyz|/metrics)$\" \"\";\n    \"~^http/\" 1;\n}\n"
    );
    let server = instance.read(paths::FRONT_SERVER);
    let added = "add_header Strict-Transport-Security $casque_hsts always;\nif ($casque_to_https) {\n    return 308 https://a.example:444$request_uri;\n}\n";
    assert_eq!(server, format!("{plain}{added}"));
}

#[test]
fn authorities_of_the_customers_own_are_trusted_beside_those_of_the_image() {
    let instance = instance();
    let of_web = |instance: &Instance, variable: &str| {
        instance.json(paths::RUN_PLAN)["services"]["web"]["environment"][variable].clone()
    };
    let own = made("own.example", 2100).0;
    instance.write("/data/tls/ca/own.crt", &format!("words\n{own}"));
    instance.write("/data/tls/ca/..data/hidden.pem", &own);
    instance.write("/data/tls/ca/readme.txt", "words");
    assert_eq!(
        warned(instance.run(&["prepare"], &[])),
        "warning: nobody trusts what is in `/data/tls/ca/readme.txt`: there is no certificate in PEM or DER\n\
         warning: this image has no certificate authorities of its own (package `ca-certificates`), so that services trust those of `/data/tls/ca` alone\n"
    );
    let alone = of_web(&instance, "SSL_CERT_FILE").as_str().unwrap().to_owned();
    assert_eq!(instance.read(&alone), own);
    fs_err::remove_file(instance.path("/data/tls/ca/readme.txt")).unwrap();
    let of_the_image = made("image.example", 2100).0;
    instance.write("/etc/ssl/certs/ca-certificates.crt", &of_the_image);
    // As other systems write it.
    let other = pem::parse(made("other.example", 2100).0).unwrap();
    fs_err::write(instance.path("/data/tls/ca/zother.cer"), other.contents()).unwrap();
    instance.run(&["prepare"], &[]).quiet();
    let both = of_web(&instance, "SSL_CERT_FILE").as_str().unwrap().to_owned();
    // Programs read it once, so that another content is another name, and a reason to start anew.
    assert_ne!(both, alone);
    for variable in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        assert_eq!(of_web(&instance, variable), both);
    }
    let text = instance.read(&both);
    assert!(text.starts_with(&format!("{of_the_image}{own}")), "{text}");
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 3);
    fs_err::remove_dir_all(instance.path(paths::AUTHORITIES)).unwrap();
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(of_web(&instance, "SSL_CERT_FILE"), Value::Null);
}

#[test]
fn preflight_judges_what_would_be_served() {
    let instance = instance();
    let mut plan = instance.json(paths::IMAGE_PLAN);
    plan["expose"] = json!([]);
    instance.write_plan(plan);
    let found = |environment: &[(&str, &str)]| {
        let finished = instance.run(&["preflight", "--json"], environment);
        let found: Preflight = serde_json::from_str(&finished.stdout).unwrap();
        let check = |name: &str| found.checks.iter().find(|check| check.name == name).unwrap().clone();
        (finished.code, check("certificates"), check("ports").verdict)
    };
    let (code, own, _) = found(&[("HTTPS", "on")]);
    let text = OWN.trim_start_matches("warning: ").trim_end();
    assert_eq!((code, own.verdict, own.fact.as_str()), (0, Verdict::Warning, text));
    give(&instance, &(made("a.example", 2100).0, made("b.example", 2100).1));
    let (code, wrong, ports) = found(&[]);
    assert_eq!((code, wrong.verdict, ports), (1, Verdict::Failed, Verdict::NotChecked));
    assert_eq!(
        wrong.fact,
        "cannot serve HTTPS: the private key is not that of the certificate (`CN=a.example`)"
    );
    assert_eq!(wrong.consequence.as_deref(), Some("a start ends with 100 before any service runs"));
    give(&instance, &made("a.example", 2100));
    let (_, good, _) = found(&[("BASE_URL", "https://a.example")]);
    assert_eq!(good.verdict, Verdict::Ok);
    assert!(good.fact.starts_with("`tls-certificate` (`CN=a.example`) ends in 2"), "{}", good.fact);
    let (_, other, _) = found(&[("BASE_URL", "https://b.example")]);
    assert_eq!(other.verdict, Verdict::Warning);
    assert!(!instance.exists(paths::TLS_KEPT) && !instance.exists(paths::TLS_OWN), "nothing is kept");
}
