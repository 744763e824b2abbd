//! What an image says about itself: labels, annotations and how to ask whether it is well.

use std::collections::BTreeMap;
use std::time::Duration;

use casque_format::paths;
use casque_image::config::{Healthcheck, ImageConfig};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::Spanned;

use crate::carried::Carried;
use crate::configure::ARCHITECTURE;
use crate::manifest::Manifest;

/// What OCI's image specification calls these things.
const PREFIX: &str = "org.opencontainers.image.";
/// Those of its words that a vendor may say.
pub(crate) const WORDS: [&str; 9] =
    ["authors", "description", "documentation", "licenses", "revision", "source", "title", "url", "vendor"];
/// Those that follow from the manifest and the lock.
const OWN: [&str; 3] = ["created", "ref.name", "version"];

/// Returns a label's whole name: one of OCI's words gets their prefix, any other has a dot in it.
pub(crate) fn full_name(name: &str) -> Option<String> {
    if WORDS.contains(&name) || OWN.contains(&name) {
        return Some(format!("{PREFIX}{name}"));
    }
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    (plain && name.contains('.') && !name.starts_with('.')).then(|| name.to_owned())
}

/// Says whether casque itself says what has this whole name.
pub(crate) fn is_own(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|word| OWN.contains(&word))
}

/// Says whether OCI's image specification gives this name its meaning.
pub(crate) fn is_of_oci(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Returns what engines are told, `created` being the build's epoch and `carried` what the base says.
pub(crate) fn config(manifest: &Manifest, created: u64, carried: &Carried) -> ImageConfig {
    let image = &manifest.content.image;
    let mut environment = BTreeMap::from([(
        "PATH".to_owned(),
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
    )]);
    environment.extend(carried.environment.clone());
    let mut all_labels = carried.labels.clone();
    all_labels.extend(labels(manifest, created));
    ImageConfig {
        architecture: ARCHITECTURE.to_owned(),
        created,
        entrypoint: vec![paths::INIT.to_owned()],
        environment,
        ports: image.expose.clone(),
        volumes: vec![paths::DATA.to_owned()],
        labels: all_labels,
        stop_signal: Some("SIGTERM".to_owned()),
        healthcheck: healthcheck(manifest),
        ..ImageConfig::default()
    }
}

/// Returns the annotations of the OCI manifest: the labels that are OCI's own, and what the vendor adds.
pub(crate) fn annotations(manifest: &Manifest, created: u64) -> BTreeMap<String, String> {
    let mut annotations = labels(manifest, created);
    annotations.retain(|name, _| name.starts_with(PREFIX));
    annotations.extend(facts(&manifest.content.image.annotations));
    annotations
}

fn labels(manifest: &Manifest, created: u64) -> BTreeMap<String, String> {
    let image = &manifest.content.image;
    let own = |name: &str, value: &str| (format!("{PREFIX}{name}"), value.to_owned());
    let mut labels = BTreeMap::from([own("title", image.name.get_ref()), own("version", &image.version)]);
    labels.extend(rfc3339(created).map(|time| own("created", &time)));
    labels.extend(facts(&image.labels));
    labels
}

fn facts(facts: &BTreeMap<String, Spanned<String>>) -> impl Iterator<Item = (String, String)> {
    facts.iter().filter_map(|(name, value)| Some((full_name(name)?, value.get_ref().clone())))
}

fn rfc3339(seconds: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    time.format(&Rfc3339).ok()
}

/// The agent is asked directly: no shell, and no search for a program.
fn healthcheck(manifest: &Manifest) -> Option<Healthcheck> {
    let rule = &manifest.content.image.healthcheck;
    rule.enabled.then(|| Healthcheck {
        command: vec![paths::AGENT.to_owned(), "health".to_owned()],
        interval: Duration::from_millis(rule.interval.milliseconds),
        timeout: Duration::from_millis(rule.timeout.milliseconds),
        start_period: Duration::from_millis(rule.start_period.milliseconds),
        retries: rule.retries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(image: &str) -> Manifest {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "[image]\nname = \"vendor/notes\"\nversion = \"1.4.0\"\ncommand = \"notes\"\n{image}\n[base]\ndistribution = \"debian\"\nsuite = \"bookworm\"\n"
        );
        fs_err::write(directory.path().join("casque.toml"), text).unwrap();
        Manifest::read(directory.path()).unwrap()
    }

    #[test]
    fn labels_are_what_the_vendor_says_and_what_follows_from_the_manifest() {
        let manifest = manifest(
            "labels = { licenses = \"MIT\", title = \"Notes\", \"com.vendor.team\" = \"x\" }\nannotations = { \"com.vendor.channel\" = \"beta\" }",
        );
        let config = config(&manifest, 1_700_000_000, &Carried::default());
        let expected = [
            ("com.vendor.team", "x"),
            ("org.opencontainers.image.created", "2023-11-14T22:13:20Z"),
            ("org.opencontainers.image.licenses", "MIT"),
            ("org.opencontainers.image.title", "Notes"),
            ("org.opencontainers.image.version", "1.4.0"),
        ];
        let map = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        assert_eq!(config.labels, map(&expected));
        let mut expected = expected.to_vec();
        expected[0] = ("com.vendor.channel", "beta");
        assert_eq!(annotations(&manifest, 1_700_000_000), map(&expected));
    }

    #[test]
    fn health_is_asked_of_the_agent_without_a_shell_unless_it_is_switched_off() {
        let check = config(&manifest(""), 0, &Carried::default()).healthcheck.unwrap();
        assert_eq!(check.command, ["/usr/lib/casque/agent", "health"]);
        assert_eq!(check.start_period, Duration::from_secs(120));
        let check =
            config(&manifest("healthcheck = { interval = \"5s\", retries = 9 }"), 0, &Carried::default())
                .healthcheck;
        let check = check.unwrap();
        assert_eq!(
            (check.interval, check.timeout, check.retries),
            (Duration::from_secs(5), Duration::from_secs(5), 9)
        );
        assert_eq!(
            config(&manifest("healthcheck = { enabled = false }"), 0, &Carried::default()).healthcheck,
            None
        );
    }
}
