//! The real archive: it is verified, what vendors install comes out as apt chooses it, and pins lead to its files.

use std::collections::BTreeSet;
use std::time::Duration;

use casque_debian::{Archive, Keyring, Pin, PinnedArchive, Request, Snapshot, load_archives, resolve};
use casque_fetch::{FetchError, Network, NetworkSettings, Store};
use time::OffsetDateTime;

use crate::apt::{Answer, Apt, KEYRING, MIRROR, SUITES};

/// What vendors install; the set of each is compared with apt's.
const SYSTEMS: [&[&str]; 7] = [
    &[],
    &["apt", "nginx-light", "redis-server", "python3-venv", "supervisor"],
    &["ansible-core", "make"],
    &["postgresql", "postfix", "openjdk-17-jre-headless"],
    &["build-essential", "python3-dev", "git"],
    &["rabbitmq-server", "certbot", "mariadb-server"],
    &["php-fpm", "nodejs", "cron", "default-mta"],
];

fn archives() -> Vec<Archive> {
    let keyring = Keyring::open(&[KEYRING]).unwrap();
    let archive = |(path, suite): (&str, &str)| Archive {
        name: suite.to_owned(),
        url: format!("{MIRROR}/{path}"),
        suite: suite.to_owned(),
        components: vec!["main".to_owned()],
        mirror: None,
        accepted: None,
        keyring: keyring.clone(),
    };
    SUITES.map(archive).to_vec()
}

fn choice(snapshot: &Snapshot, names: &[String]) -> BTreeSet<String> {
    let wanted: Vec<_> = names.iter().map(|name| Request::parse(name)).collect();
    let chosen = resolve(&snapshot.universe, &[], &wanted).unwrap();
    chosen.iter().map(|package| format!("{} {}", package.control.name, package.control.version)).collect()
}

#[test]
fn the_real_archive_is_verified_and_resolved_as_apt_resolves_it() {
    let apt = Apt::new();
    let settings = NetworkSettings { timeout: Duration::from_secs(60), ..NetworkSettings::default() };
    let network = Network::new(&settings).unwrap();
    let store = Store::open(&apt.path().join("store")).unwrap();
    let now = OffsetDateTime::now_utc();
    let snapshot = load_archives(&network, &store, &archives(), "amd64", now).unwrap();
    assert!(snapshot.universe.len() > 60_000);

    let essential: Vec<_> = snapshot.universe.essential().iter().map(|p| p.control.name.clone()).collect();
    for system in SYSTEMS {
        let names: Vec<_> =
            essential.iter().cloned().chain(system.iter().map(|name| (*name).to_owned())).collect();
        let (theirs, said) = apt.ask("status", &names);
        assert_eq!(Answer::Install(choice(&snapshot, &names)), theirs, "{system:?}: {said}");
    }

    let merged = choice(&snapshot, &[vec!["usr-is-merged".to_owned()], essential].concat());
    assert!(!merged.iter().any(|package| package.starts_with("usrmerge ")), "{merged:?}");

    let package = snapshot.universe.newest("make").unwrap();
    let (archive, release) = (&archives()[package.archive], &snapshot.releases[package.archive]);
    let pin = Pin::new(package, archive, release);
    assert_eq!(pin.urls[0], format!("{}/{}", archive.url, pin.filename));
    assert!(pin.urls[1].starts_with("https://snapshot.debian.org/archive/debian/20"), "{}", pin.urls[1]);
    let text = toml::to_string(&pin).unwrap();
    assert_eq!(toml::from_str::<Pin>(&text).unwrap(), pin);
    let text = toml::to_string(&PinnedArchive::new(archive, release)).unwrap();
    assert_eq!(toml::from_str::<PinnedArchive>(&text).unwrap(), PinnedArchive::new(archive, release));

    let late = load_archives(
        &network,
        &store,
        &archives()[2..],
        "amd64",
        now + Duration::from_secs(400 * 24 * 3600),
    );
    let reason = late.unwrap_err().reason.to_string();
    assert!(reason.starts_with("the archive's metadata expired on "), "{reason}");
    let mut elsewhere = archives().remove(0);
    elsewhere.suite = "no-such-suite".to_owned();
    let missing = load_archives(&network, &store, &[elsewhere], "amd64", now).unwrap_err();
    assert_eq!(missing.to_string(), "cannot use archive `bookworm`");
    assert!(matches!(missing.reason, casque_debian::ArchiveReason::Fetch(FetchError::NotFound { .. })));
}
