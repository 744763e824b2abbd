//! The real apt, with directories of its own: nothing of the host's state or configuration reaches it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use casque_debian::{Control, Stanza, Universe, stanzas};

pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
pub const MIRROR: &str = "http://deb.debian.org";
pub const SUITES: [(&str, &str); 3] =
    [("debian", "bookworm"), ("debian", "bookworm-updates"), ("debian-security", "bookworm-security")];

/// What apt would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Install these, `name version` each.
    Install(BTreeSet<String>),
    /// Replace or remove these of what is there.
    Change(BTreeSet<String>),
    /// Nothing.
    Refuse,
}

/// An apt that has read the archives, and what each of their indexes says.
pub struct Apt {
    directory: tempfile::TempDir,
    indexes: Vec<String>,
}

impl Apt {
    pub fn new() -> Self {
        assert!(Path::new("/usr/bin/apt-get").exists(), "this test needs apt-get");
        assert!(Path::new(KEYRING).exists(), "this test needs Debian's keyring");
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().display();
        let source = |(archive, suite): &(&str, &str)| {
            format!("deb [arch=amd64 signed-by={KEYRING}] {MIRROR}/{archive} {suite} main\n")
        };
        let sources: String = SUITES.iter().map(source).collect();
        fs_err::write(directory.path().join("sources.list"), sources).unwrap();
        let configuration = format!(
            "Dir::Etc::parts \"/dev/null\";\nDir::Etc::main \"/dev/null\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
             Dir::Etc::sourcelist \"{here}/sources.list\";\nDir::State \"{here}/state\";\n\
             Dir::State::status \"{here}/status\";\nDir::Cache \"{here}/cache\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures:: \"amd64\";\nAPT::Install-Recommends \"0\";\n\
             APT::Sandbox::User \"root\";\nAPT::Update::Error-Mode \"any\";\nAcquire::Languages \"none\";\n\
             Acquire::GzipIndexes \"false\";\nDebug::NoLocking \"1\";\n"
        );
        fs_err::write(directory.path().join("apt.conf"), configuration).unwrap();
        fs_err::write(directory.path().join("status"), "").unwrap();
        for path in ["state/lists/partial", "cache/archives/partial"] {
            fs_err::create_dir_all(directory.path().join(path)).unwrap();
        }
        let mut apt = Self { directory, indexes: vec![] };
        let update = apt.run("status", &["update"]);
        assert!(update.status.success(), "apt cannot read the archives: {update:?}");
        apt.indexes = SUITES.iter().map(|suite| apt.list(*suite, "main_binary-amd64_Packages")).collect();
        apt
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn list(&self, (archive, suite): (&str, &str), file: &str) -> String {
        let name = format!("deb.debian.org_{archive}_dists_{suite}_{file}");
        fs_err::read_to_string(self.path().join("state/lists").join(name)).unwrap()
    }

    /// Returns what apt has read of the first `count` archives.
    pub fn universe(&self, count: usize) -> Universe {
        let mut universe = Universe::new("amd64");
        for (number, (suite, index)) in SUITES.iter().zip(&self.indexes).enumerate().take(count) {
            universe.add_index(index, number).unwrap();
            let release = self.list(*suite, "InRelease");
            let body = release.split_once("\n\n").unwrap().1;
            let field = |name: &str| Stanza::first(body).unwrap().get(name).unwrap().to_owned();
            universe.name_archive(number, &[suite.1, &field("Suite"), &field("Codename")]);
        }
        universe
    }

    /// Writes a status file in which these packages, `name version` each, are installed.
    pub fn write_status(&self, name: &str, packages: &BTreeSet<String>) -> Vec<Control> {
        let (mut status, mut controls) = (String::new(), vec![]);
        let mut missing = packages.clone();
        for stanza in self.indexes.iter().flat_map(|index| stanzas(index)) {
            let (package, version) = (stanza.get("Package").unwrap(), stanza.get("Version").unwrap());
            if missing.remove(&format!("{package} {version}")) {
                controls.push(Control::parse(&stanza).unwrap());
                status.push_str(&format!("Status: install ok installed\n{}\n", stanza.text()));
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
        fs_err::write(self.path().join(name), status).unwrap();
        controls
    }

    fn run(&self, status: &str, arguments: &[&str]) -> Output {
        Command::new("/usr/bin/apt-get")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("APT_CONFIG", self.path().join("apt.conf"))
            .args(["-o", &format!("Dir::State::status={}", self.path().join(status).display())])
            .args(["-o", &format!("Dir::Cache::pkgcache={status}.bin")])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Asks apt what it would do, and what it says about that.
    pub fn ask(&self, status: &str, names: &[String]) -> (Answer, String) {
        // It lists what it would do and where the files are, and stops there. A simulation says the same and takes
        // four times as long.
        let mut arguments = vec!["--print-uris", "-V", "--no-install-recommends", "install"];
        arguments.extend(names.iter().map(String::as_str));
        let output = self.run(status, &arguments);
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        if !output.status.success() {
            return (Answer::Refuse, said.concat());
        }
        let (mut install, mut change, mut heading) = (BTreeSet::new(), BTreeSet::new(), "");
        for line in said[0].lines() {
            let Some(item) = line.strip_prefix("   ") else {
                heading = line;
                continue;
            };
            let (name, version) = item.split_once(" (").unwrap_or((item, ""));
            if heading.starts_with("The following NEW packages") {
                install.insert(format!("{name} {}", version.trim_end_matches(')')));
            } else if ["REMOVED:", "upgraded:", "DOWNGRADED:"].iter().any(|end| heading.ends_with(end)) {
                change.insert(name.to_owned());
            }
        }
        let answer = if change.is_empty() { Answer::Install(install) } else { Answer::Change(change) };
        (answer, said.concat())
    }
}

/// Returns what a base system is made of, as `[base]` asks for it.
pub fn base(universe: &Universe) -> Vec<String> {
    let required = universe.packages().iter().filter(|package| package.control.priority == "required");
    let names: BTreeSet<_> = universe
        .essential()
        .into_iter()
        .chain(required)
        .map(|package| package.control.name.as_str())
        .collect();
    let first = ["usr-is-merged", "apt"].map(str::to_owned);
    first.into_iter().chain(names.into_iter().filter(|name| *name != "usrmerge").map(str::to_owned)).collect()
}
