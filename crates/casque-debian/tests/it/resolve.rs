//! The same archives are given to apt and to `resolve`; both have to choose the same packages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use casque_debian::{Archive, Keyring, Pin, PinnedArchive, Request, Snapshot, load_archives, resolve};
use casque_fetch::{FetchError, Network, NetworkSettings, Store};
use time::OffsetDateTime;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MIRROR: &str = "http://deb.debian.org";
const SUITES: [(&str, &str); 3] =
    [("debian", "bookworm"), ("debian", "bookworm-updates"), ("debian-security", "bookworm-security")];

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

struct Apt {
    directory: tempfile::TempDir,
}

impl Apt {
    /// Returns an apt with a state of its own, or none where there is no apt, no keyring or no archive.
    fn new() -> Option<Self> {
        if !Path::new("/usr/bin/apt-get").exists() || !Path::new(KEYRING).exists() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let sources: String = SUITES
            .iter()
            .map(|(archive, suite)| {
                format!("deb [arch=amd64 signed-by={KEYRING}] {MIRROR}/{archive} {suite} main\n")
            })
            .collect();
        fs_err::write(directory.path().join("sources.list"), sources).unwrap();
        fs_err::write(directory.path().join("status"), "").unwrap();
        for path in ["state/lists/partial", "cache/archives/partial"] {
            fs_err::create_dir_all(directory.path().join(path)).unwrap();
        }
        let apt = Self { directory };
        apt.run(&["update"]).map(|_| apt)
    }

    fn run(&self, arguments: &[&str]) -> Option<String> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let output = Command::new("/usr/bin/apt-get")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(["-o", &format!("Dir::State={}", path("state"))])
            .args(["-o", &format!("Dir::State::status={}", path("status"))])
            .args(["-o", &format!("Dir::Cache={}", path("cache"))])
            .args(["-o", &format!("Dir::Etc::sourcelist={}", path("sources.list"))])
            .args(["-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Dir::Etc::preferencesparts=/dev/null"])
            .args(["-o", "APT::Architecture=amd64", "-o", "APT::Architectures=amd64"])
            .args([
                "-o",
                "APT::Install-Recommends=0",
                "-o",
                "APT::Sandbox::User=root",
                "-o",
                "APT::Update::Error-Mode=any",
            ])
            .args(["-o", "APT::Update::Post-Invoke-Success=", "-o", "Debug::NoLocking=1"])
            .args(arguments)
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn choice(&self, names: &[String]) -> BTreeSet<String> {
        let mut arguments = vec!["-s", "install"];
        arguments.extend(names.iter().map(String::as_str));
        let output = self.run(&arguments).expect("apt can install this");
        output
            .lines()
            .filter_map(|line| line.strip_prefix("Inst "))
            .filter_map(|line| {
                let (name, rest) = line.split_once(' ')?;
                Some(format!("{name} {}", rest.strip_prefix('(')?.split(' ').next()?))
            })
            .collect()
    }
}

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
    let apt = Apt::new().expect("this test needs apt-get, Debian's keyring and a network");
    let settings = NetworkSettings { timeout: Duration::from_secs(60), ..NetworkSettings::default() };
    let network = Network::new(&settings).unwrap();
    let store = Store::open(&apt.directory.path().join("store")).unwrap();
    let now = OffsetDateTime::now_utc();
    let snapshot = load_archives(&network, &store, &archives(), "amd64", now).unwrap();
    assert!(snapshot.universe.len() > 60_000);

    let essential: Vec<_> = snapshot.universe.essential().iter().map(|p| p.control.name.clone()).collect();
    for system in SYSTEMS {
        let names: Vec<_> =
            essential.iter().cloned().chain(system.iter().map(|name| (*name).to_owned())).collect();
        let (ours, theirs) = (choice(&snapshot, &names), apt.choice(&names));
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let extra: Vec<_> = ours.difference(&theirs).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{system:?}: missing {missing:?}, extra {extra:?}");
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
