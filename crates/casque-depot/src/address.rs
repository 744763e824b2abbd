//! What an address asks for: `/PRODUCT/FILE` or `/PRODUCT/CHANNEL/FILE`.

use casque_format::release::{ArtefactName, Channel, Product};

/// The channel of `latest` when none is named.
pub const STABLE: &str = "stable";

/// First parts of addresses that no product may have as its name.
pub const RESERVED: [&str; 5] = ["api", "healthz", "metrics", "staff", "static"];

/// What is asked for. Every name in it is a part of a path that leads nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Of which product.
    pub product: Product,
    /// From which channel; without one `latest` is of [`STABLE`], and a version of any.
    pub channel: Option<Channel>,
    /// What.
    pub file: File,
}

/// The kinds of files that a depot has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// A file of a release, by its name or with `latest` in the version's place.
    Artefact(ArtefactName),
    /// Its digest, in the form of `sha256sum`.
    Sum(ArtefactName),
    /// The record of a release, or of the latest.
    Record(String),
    /// The signature of that.
    RecordSignature(String),
    /// The script that installs the newest image.
    Install,
    /// The public keys.
    Keys,
}

/// The name of the script.
const INSTALL: &str = "install.sh";
/// The name of the file of keys.
const KEYS: &str = "keys.pub";

/// Reads the parts of a path, which were decoded before.
pub fn wanted(product: &str, channel: Option<&str>, file: &str) -> Option<Wanted> {
    if RESERVED.contains(&product) {
        return None;
    }
    let product = product.parse().ok()?;
    let channel = channel.map(str::parse).transpose().ok()?;
    let name: ArtefactName = file.parse().ok()?;
    let file = match file {
        INSTALL => File::Install,
        KEYS => File::Keys,
        _ => record(file).or_else(|| sum(file)).unwrap_or(File::Artefact(name)),
    };
    Some(Wanted { product, channel, file })
}

/// Whether a release may not have a file of this name, for the depot makes one itself.
pub fn is_own(file: &ArtefactName) -> bool {
    let file = file.as_str();
    file == INSTALL || file == KEYS || record(file).is_some() || sum(file).is_some()
}

fn record(file: &str) -> Option<File> {
    let rest = file.strip_prefix("release-")?;
    if let Some(release) = rest.strip_suffix(".json") {
        return Some(File::Record(release.to_owned()));
    }
    rest.strip_suffix(".json.minisig").map(|release| File::RecordSignature(release.to_owned()))
}

fn sum(file: &str) -> Option<File> {
    file.strip_suffix(".sha256")?.parse().ok().map(File::Sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_known_by_their_names() {
        let of = |file| wanted("backend", None, file).unwrap().file;
        let name = |text: &str| text.parse::<ArtefactName>().unwrap();
        assert_eq!(of("docker_backend-latest.tar"), File::Artefact(name("docker_backend-latest.tar")));
        assert_eq!(
            of("docker_backend-v1.tar.minisig"),
            File::Artefact(name("docker_backend-v1.tar.minisig"))
        );
        assert_eq!(of("docker_backend-v1.tar.sha256"), File::Sum(name("docker_backend-v1.tar")));
        assert_eq!(of("release-v1.json"), File::Record("v1".to_owned()));
        assert_eq!(of("release-latest.json.minisig"), File::RecordSignature("latest".to_owned()));
        assert_eq!([of("install.sh"), of("keys.pub")], [File::Install, File::Keys]);
        assert_eq!(wanted("backend", Some("beta"), "a").unwrap().channel, Some("beta".parse().unwrap()));
    }

    #[test]
    fn an_address_leads_nowhere_else() {
        for file in ["..", "../depot.db", "a/../../b", "%2e%2e", ".hidden", "a\0b", "", "a\\b", "~root"] {
            assert_eq!(wanted("backend", None, file), None, "{file}");
            assert_eq!(wanted(file, None, "a"), None, "{file}");
            assert_eq!(wanted("backend", Some(file), "a"), None, "{file}");
        }
        assert_eq!(wanted("api", None, "a"), None);
    }

    proptest! {
        #[test]
        fn every_name_that_is_taken_is_one_part_of_a_path(product in "\\PC{0,20}", file in "\\PC{0,40}") {
            if let Some(wanted) = wanted(&product, None, &file) {
                prop_assert!(!file.contains('/') && !file.starts_with('.') && file.is_ascii());
                prop_assert_eq!(wanted.product.as_str(), product);
            }
        }
    }
}
