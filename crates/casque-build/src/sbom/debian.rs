//! The Debian packages of a root filesystem, by dpkg's own record of what is installed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use casque_debian::{Control, Pin, Stanza, stanzas};
use casque_format::spdx::{BASE, NOT_KNOWN, Package};

use super::base::Base;
use super::copyright::{Declared, declared};
use super::licences::Extracted;
use super::purl::Purl;
use super::root::Root;
use super::{Contents, Download, Related, id, sha256};
use crate::configure::ARCHITECTURE;

/// What a distribution calls itself, os-release(5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Distribution {
    pub(super) id: String,
    pub(super) version: String,
}

impl Distribution {
    pub(super) fn parse(text: &str) -> Self {
        let value = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default().trim_matches('"').to_owned()
        };
        Self { id: value("ID"), version: value("VERSION_ID") }
    }

    /// As `debian-12`.
    fn qualifier(&self) -> String {
        format!("{}-{}", self.id, self.version)
    }
}

/// A package as dpkg knows it.
struct Installed<'a> {
    control: Control,
    stanza: Stanza<'a>,
}

impl Installed<'_> {
    fn id(&self) -> String {
        id("deb", &format!("{}-{}", self.control.name, self.control.architecture))
    }

    /// Returns the source package's name and version.
    fn source(&self) -> (String, String) {
        let control = &self.control;
        let written = self.stanza.get("Source").unwrap_or(&control.name);
        match written.split_once(" (") {
            Some((name, version)) => (name.to_owned(), version.trim_end_matches(')').to_owned()),
            None => (written.to_owned(), control.version.to_string()),
        }
    }
}

/// Where packages came from.
pub(super) struct Origins<'a> {
    /// The image that the product starts from.
    pub(super) base: Option<&'a Base>,
    /// Those of the lock.
    pub(super) pins: &'a [Pin],
    /// What steps took from the network.
    pub(super) downloads: &'a [Download<'a>],
}

impl Origins<'_> {
    /// Returns what a step downloaded as this package.
    fn download(&self, control: &Control) -> Option<&Download<'_>> {
        let version = control.version.to_string();
        let version = version.split_once(':').map_or(version.as_str(), |(_, version)| version);
        let file = format!("{}_{version}_{}.deb", control.name, control.architecture);
        let plain = |found: &str| {
            found.replace("%2b", "+").replace("%2B", "+").replace("%7e", "~").replace("%7E", "~")
        };
        self.downloads.iter().find(|download| plain(download.file()) == file)
    }
}

/// Adds what is installed in `root`.
pub(super) fn add(
    root: &Root,
    distribution: &Distribution,
    origins: &Origins<'_>,
    extracted: &mut Extracted,
    contents: &mut Contents,
) -> io::Result<()> {
    let status = root.text("var/lib/dpkg/status")?.unwrap_or_default();
    let installed = installed(&status);
    let pins: HashMap<_, _> =
        origins.pins.iter().map(|pin| ((&pin.name, &pin.version, &pin.architecture), pin)).collect();
    let mut sources = BTreeMap::new();
    for package in &installed {
        let control = &package.control;
        let text = root.text(&format!("usr/share/doc/{}/copyright", control.name))?;
        let licences = text.map(|text| declared(&package.source().0, &text, extracted));
        let pin = pins.get(&(&control.name, &control.version, &control.architecture)).copied();
        let mut described = describe(package, distribution, pin, licences);
        if let (None, Some(download)) = (pin, origins.download(control)) {
            described.download_location = download.url.to_owned();
            described.checksums = vec![sha256(&download.sha256)];
            described.package_file_name = Some(download.file().to_owned());
        }
        let base = origins.base.filter(|base| pin.is_none() && base.has(control));
        if let Some(base) = base {
            described.source_info = Some(format!("the base `{}` has it", base.name));
            contents.relate(BASE, Related::Contains, &described.id);
        }
        contents.put(described);
        let source = package.source();
        let source_id = id("source", &format!("{}-{}", source.0, source.1));
        contents.relate(&package.id(), Related::GeneratedFrom, &source_id);
        sources.insert(source_id, source);
    }
    for (id, (name, version)) in sources {
        let qualifiers = [("arch", "source".to_owned()), ("distro", distribution.qualifier())];
        let purl = Purl {
            kind: "deb",
            namespace: &distribution.id,
            name: &name,
            version: &version,
            qualifiers: &qualifiers,
        };
        contents.mention(Package {
            id,
            external_refs: vec![purl.reference()],
            primary_package_purpose: Some("SOURCE".to_owned()),
            ..super::package(&name, Some(&version))
        });
    }
    depend(&installed, contents);
    Ok(())
}

fn installed(status: &str) -> Vec<Installed<'_>> {
    let there =
        |stanza: &Stanza<'_>| stanza.get("Status").is_some_and(|status| status.ends_with(" installed"));
    let found = stanzas(status).filter(there);
    found.filter_map(|stanza| Some(Installed { control: Control::parse(&stanza).ok()?, stanza })).collect()
}

fn describe(
    package: &Installed<'_>,
    distribution: &Distribution,
    pin: Option<&Pin>,
    licences: Option<Declared>,
) -> Package {
    let Installed { control, stanza } = package;
    let version = control.version.to_string();
    let (source, source_version) = package.source();
    let upstream = match (source == control.name, source_version == version) {
        (true, true) => String::new(),
        (_, true) => source.clone(),
        (_, false) => format!("{source}@{source_version}"),
    };
    let qualifiers = [
        ("arch", control.architecture.clone()),
        ("distro", distribution.qualifier()),
        ("upstream", upstream),
    ];
    let purl = Purl {
        kind: "deb",
        namespace: &distribution.id,
        name: &control.name,
        version: &version,
        qualifiers: &qualifiers,
    };
    // A distribution's archive forgets a version when the next one comes; its snapshots keep it.
    let location = pin.and_then(|pin| pin.urls.last()).map_or(NOT_KNOWN, String::as_str);
    let (expression, comment) =
        licences.map_or((NOT_KNOWN.to_owned(), None), |found| (found.expression, found.comment));
    let first = |field: &str| stanza.get(field)?.lines().next().map(str::to_owned);
    Package {
        id: package.id(),
        package_file_name: pin.and_then(|pin| pin.filename.rsplit('/').next().map(str::to_owned)),
        supplier: stanza.get("Maintainer").map(supplier),
        download_location: location.to_owned(),
        checksums: pin.map(|pin| sha256(&pin.sha256)).into_iter().collect(),
        homepage: first("Homepage").filter(|address| address.starts_with("http")),
        source_info: Some(match pin {
            Some(pin) => format!("the archive `{}` has it as {}", pin.archive, pin.urls[0]),
            None => "installed by a step of the build".to_owned(),
        }),
        license_declared: expression,
        license_comments: comment,
        summary: first("Description"),
        external_refs: vec![purl.reference()],
        ..super::package(&control.name, Some(&version))
    }
}

/// Writes a maintainer as SPDX does: teams are organisations.
fn supplier(maintainer: &str) -> String {
    let (name, mail) = maintainer.split_once('<').unwrap_or((maintainer, ""));
    let (name, mail) =
        (name.trim().trim_matches('"').replace(['(', ')'], " "), mail.trim_end_matches('>').trim());
    let lower = name.to_ascii_lowercase();
    let many = ["team", "maintainers", "developers", "group", "project", "inc", "debian "];
    let kind = if many.iter().any(|word| lower.contains(word)) { "Organization" } else { "Person" };
    if mail.is_empty() {
        format!("{kind}: {}", name.trim())
    } else {
        format!("{kind}: {} ({mail})", name.trim())
    }
}

/// Adds what each installed package needs of the others; of alternatives, those that are there.
fn depend(installed: &[Installed<'_>], contents: &mut Contents) {
    let mut providers: HashMap<&str, Vec<&Installed<'_>>> = HashMap::new();
    for package in installed {
        let provides = package.control.relations.provides.split(',');
        let provided = provides.filter_map(|part| part.split_whitespace().next());
        let names: BTreeSet<&str> = provided.chain([package.control.name.as_str()]).collect();
        for name in names {
            providers.entry(name).or_default().push(package);
        }
    }
    for package in installed {
        let needs = package.control.dependencies(ARCHITECTURE).unwrap_or_default();
        for relation in needs.iter().flatten() {
            for provider in providers.get(relation.name.as_str()).into_iter().flatten() {
                let (this, other) = (package.id(), provider.id());
                if this != other {
                    contents.relate(&this, Related::DependsOn, &other);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_are_organisations_and_people_are_not() {
        let expected = [
            ("Debian GCC Maintainers <a@b>", "Organization: Debian GCC Maintainers (a@b)"),
            ("\"Adam D.\" <a@b>", "Person: Adam D. (a@b)"),
            ("Nobody", "Person: Nobody"),
        ];
        for (maintainer, written) in expected {
            assert_eq!(supplier(maintainer), written);
        }
    }

    #[test]
    fn a_source_is_named_where_it_differs() {
        let status = "Package: a\nStatus: install ok installed\nVersion: 2+b1\nArchitecture: amd64\nSource: s (2)\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n";
        let found = installed(status);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].source(), ("s".to_owned(), "2".to_owned()));
        let distribution = Distribution::parse("PRETTY_NAME=\"D\"\nID=debian\nVERSION_ID=\"12\"\n");
        let described = describe(&found[0], &distribution, None, None);
        assert_eq!(
            described.external_refs[0].reference_locator,
            "pkg:deb/debian/a@2%2Bb1?arch=amd64&distro=debian-12&upstream=s%402"
        );
    }
}
