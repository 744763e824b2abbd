//! The commands with which a customer gets from a file here to a backend that answers, ready to copy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::install::run_line;

/// What one has to know for them.
#[derive(Debug, Clone)]
pub(crate) struct Known<'a> {
    /// Where the depot is.
    pub(crate) address: &'a str,
    /// Who downloads.
    pub(crate) customer: &'a str,
    /// The product.
    pub(crate) product: &'a str,
    /// The version.
    pub(crate) release: &'a str,
    /// The image's file.
    pub(crate) image: &'a str,
    /// The key that signed it, in one line, if it is signed.
    pub(crate) key: Option<&'a str>,
    /// The product's line to run it.
    pub(crate) run: &'a str,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// What it does.
    pub(crate) what: &'static str,
    /// What is typed, in one line or more.
    pub(crate) command: String,
}

/// Returns the commands in their order. The password is in none: curl asks for it, so it is in no list of processes.
pub(crate) fn steps(known: &Known<'_>) -> Vec<Step> {
    let Known { address, customer, product, image, .. } = known;
    let url = format!("{address}/{product}/{image}");
    let curl = format!("curl -f -u {}", quoted(customer));
    let step = |what, command| Step { what, command };
    let mut steps = vec![
        step("Download the image; curl asks for your password", format!("{curl} -C - -O {url}")),
        step("Check that it arrived whole", format!("{curl} {url}.sha256 | sha256sum -c")),
    ];
    if let Some(key) = known.key {
        let command = format!("{curl} -O {url}.minisig\nminisign -V -P {key} -m {image}");
        steps.push(step("Check that the vendor signed it", command));
    }
    steps.push(step("Load it into Docker", format!("docker load -i {image}")));
    let run = run_line(known.run, known.release);
    if !run.is_empty() {
        let status = match port(&run) {
            Some(80) | None => "curl http://127.0.0.1/status".to_owned(),
            Some(port) => format!("curl http://127.0.0.1:{port}/status"),
        };
        steps.push(step("Run it", run));
        steps.push(step("Ask how it is", status));
    }
    steps
}

/// Returns the port of the host that a line of `docker run` publishes first.
fn port(run: &str) -> Option<u16> {
    let mut words = run.split_whitespace();
    while let Some(word) = words.next() {
        let published = match word.strip_prefix("-p").or_else(|| word.strip_prefix("--publish")) {
            Some("") => words.next()?,
            Some(rest) => rest.trim_start_matches('='),
            None => continue,
        };
        let (host, _) = published.rsplit_once(':')?;
        return host.rsplit(':').next()?.parse().ok();
    }
    None
}

/// Quotes a word for a shell. Names of accounts seldom need it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@+".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Returns which of these keys, each in one line, made a signature: both name the key's number in the same place.
pub(crate) fn signer<'a>(keys: impl Iterator<Item = &'a str>, signature: &str) -> Option<&'a str> {
    let number = |line: &str| STANDARD.decode(line.trim()).ok()?.get(2..10).map(<[u8]>::to_vec);
    let wanted = number(signature.lines().nth(1)?)?;
    keys.into_iter().find(|key| number(key).as_ref() == Some(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known<'a>(run: &'a str, key: Option<&'a str>) -> Known<'a> {
        Known {
            address: "https://get.example",
            customer: "acme",
            product: "backend",
            release: "v1.0",
            image: "docker_backend-v1.0.tar",
            key,
            run,
        }
    }

    #[test]
    fn the_commands_are_those_of_this_host_this_user_and_this_version() {
        let steps = steps(&known("docker run -d -p 8080:80 vendor/backend:{tag}", Some("RWQ")));
        let commands: Vec<&str> = steps.iter().flat_map(|step| step.command.lines()).collect();
        assert_eq!(
            commands,
            [
                "curl -f -u acme -C - -O https://get.example/backend/docker_backend-v1.0.tar",
                "curl -f -u acme https://get.example/backend/docker_backend-v1.0.tar.sha256 | sha256sum -c",
                "curl -f -u acme -O https://get.example/backend/docker_backend-v1.0.tar.minisig",
                "minisign -V -P RWQ -m docker_backend-v1.0.tar",
                "docker load -i docker_backend-v1.0.tar",
                "docker run -d -p 8080:80 vendor/backend:v1.0",
                "curl http://127.0.0.1:8080/status",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let steps = steps(&known("", None));
        assert_eq!(steps.len(), 3, "{steps:?}");
        assert_eq!(run_line("x:{version} y:{tag}", "v2.1"), "x:2.1 y:v2.1");
        assert_eq!(run_line("x:{version}", "vendor"), "x:vendor");
    }

    #[test]
    fn the_port_is_the_hosts() {
        let ports = [
            ("docker run -p 80:80 x", Some(80)),
            ("docker run -p127.0.0.1:8443:443 x", Some(8443)),
            ("docker run --publish=81:80 x", Some(81)),
            ("docker run --publish 82:80 -p 83:80 x", Some(82)),
            ("docker run -p 80 x", None),
            ("docker run x", None),
        ];
        for (run, expected) in ports {
            assert_eq!(port(run), expected, "{run}");
        }
    }

    #[test]
    fn the_key_of_a_signature_is_found_among_others() {
        use casque_sign::{Passphrase, SecretKey};
        let make = || SecretKey::generate(&Passphrase::new("a")).unwrap().0;
        let (one, two) = (make(), make());
        let signature = two.sign(&b"content"[..], "comment").unwrap();
        let lines = [one.public().line(), two.public().line()];
        assert_eq!(signer(lines.iter().map(String::as_str), &signature), Some(lines[1].as_str()));
        assert_eq!(signer(lines[..1].iter().map(String::as_str), &signature), None);
        assert_eq!(signer(lines.iter().map(String::as_str), "no signature"), None);
    }

    #[test]
    fn a_strange_name_stays_one_word_of_the_shell() {
        assert_eq!(quoted("a'b c"), r"'a'\''b c'");
    }
}
