//! The vendor's own files in an image: what no package and no distribution brought.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use casque_debian::{Brought, PackageFiles};
use casque_format::digest::{Digest, Hasher};
use casque_format::paths;
use casque_format::spdx::{Checksum, File, NOT_KNOWN, VerificationCode};
use casque_python::InstalledDistribution;
use sha1::{Digest as _, Sha1};
use walkdir::WalkDir;

use crate::parallel;

/// State of package managers and caches, which are no product's.
const STATE: [&str; 8] =
    ["run", "tmp", "var/cache", "var/lib/apt", "var/lib/dpkg", "var/log", "var/tmp", "etc/ld.so.cache"];

/// What some stages wrote, by what it is.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Metadata of Python distributions.
    pub(super) metadata: BTreeSet<PathBuf>,
    /// Files of nobody but the vendor, each with the stage that wrote it last.
    pub(super) own: BTreeMap<PathBuf, usize>,
}

/// Looks through the stages' changes, lowest first; of those that are not a vendor's only Python counts.
pub(super) fn written(root: &Path, stages: &[(&Path, bool)]) -> io::Result<Written> {
    let packages = PackageFiles::read(root)?;
    let mut written = Written::default();
    let mut installed = HashSet::new();
    for (number, (tree, vendor)) in stages.iter().enumerate() {
        for entry in WalkDir::new(tree).sort_by_file_name() {
            let entry = entry?;
            let path = entry.path().strip_prefix(tree).expect("it was found there");
            if !entry.file_type().is_file() || !is_file(&root.join(path)) && !is_file(&template(root, path)) {
                continue;
            }
            let is_packaged = packages.source(path).is_some();
            if !is_packaged && is_metadata(path) {
                written.metadata.insert(path.to_owned());
                let record = path.with_file_name("RECORD");
                let found = is_file(&root.join(&record))
                    .then(|| InstalledDistribution::read(root, &record).map_err(io::Error::other));
                installed.extend(found.transpose()?.flatten().into_iter().flat_map(|found| found.files));
            }
            // Conffiles are what vendors change of packages; to look at all that packages brought would take long.
            let own = match is_packaged {
                true => path.starts_with("etc") && packages.brought(root, path)? == Brought::Changed,
                false => !is_state(path),
            };
            if *vendor && own {
                written.own.insert(path.to_owned(), number);
            }
        }
    }
    for (path, _) in installed {
        written.own.remove(&path);
    }
    Ok(written)
}

fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Where a marked file is kept whose place holds a link to its rendered form.
fn template(root: &Path, path: &Path) -> PathBuf {
    root.join(paths::TEMPLATES.trim_start_matches('/')).join(path)
}

fn is_metadata(path: &Path) -> bool {
    let directory = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    path.file_name().is_some_and(|name| name == "METADATA") && directory.ends_with(".dist-info")
}

fn is_state(path: &Path) -> bool {
    STATE.iter().any(|state| path.starts_with(state))
        || path.components().any(|part| part.as_os_str() == "__pycache__")
}

/// Describes files of the image, in their order.
pub(super) fn describe(root: &Path, files: &[PathBuf]) -> io::Result<Vec<File>> {
    let described = parallel::map(files, |path| {
        let at = if is_file(&root.join(path)) { root.join(path) } else { template(root, path) };
        let shown = at.strip_prefix(root).expect("it is below the root");
        let (sha1, sha256) = digests(&at)?;
        let name = Digest::of(shown.as_os_str().as_encoded_bytes()).to_string();
        Ok(File {
            id: format!("SPDXRef-File-{}", &name[..16]),
            file_name: format!("./{}", shown.display()),
            checksums: vec![
                Checksum { algorithm: "SHA1".to_owned(), checksum_value: sha1 },
                super::sha256(&sha256),
            ],
            license_concluded: NOT_KNOWN.to_owned(),
            license_info_in_files: vec![NOT_KNOWN.to_owned()],
            copyright_text: NOT_KNOWN.to_owned(),
        })
    });
    described.into_iter().collect()
}

/// SPDX 2.3 asks for a SHA-1 of each file.
fn digests(path: &Path) -> io::Result<(String, Digest)> {
    let mut file = fs_err::File::open(path)?;
    let (mut sha1, mut sha256) = (Sha1::new(), Hasher::default());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok((hexadecimal(&sha1.finalize()), sha256.finish()));
        }
        sha1.update(&buffer[..length]);
        sha256.update(&buffer[..length]);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the code of a package with these files (SPDX 2.3, 7.9).
pub(super) fn verification_code(files: &[File]) -> VerificationCode {
    let mut sums: Vec<&str> = files.iter().map(|file| file.checksums[0].checksum_value.as_str()).collect();
    sums.sort_unstable();
    let package_verification_code_value = hexadecimal(&Sha1::digest(sums.concat().as_bytes()));
    VerificationCode { package_verification_code_value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_vendors_own_files_are_found_and_the_last_stage_has_them() {
        let work = tempfile::tempdir().unwrap();
        let (root, below, above) = (work.path().join("r"), work.path().join("a"), work.path().join("b"));
        let put = |tree: &Path, path: &str, text: &str| {
            for tree in [tree, &root] {
                fs_err::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
                fs_err::write(tree.join(path), text).unwrap();
            }
        };
        let site = "srv/lib/python3.11/site-packages";
        let status = "Package: p\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\
            Conffiles:\n /etc/p 0\n /etc/q d41d8cd98f00b204e9800998ecf8427e\n";
        put(&below, "var/lib/dpkg/status", status);
        put(&below, "var/lib/dpkg/info/p.list", "/etc/p\n/etc/q\n/usr/bin/p\n");
        put(&below, "usr/bin/p", "p");
        put(&below, "etc/p", "changed");
        put(&below, "etc/q", "");
        put(&below, "srv/app.py", "1");
        put(&below, "srv/gone", "1");
        put(&above, "srv/app.py", "2");
        put(&above, "srv/__pycache__/app.pyc", "");
        put(&above, &format!("{site}/six-1.dist-info/METADATA"), "Name: six\n");
        put(
            &above,
            &format!("{site}/six-1.dist-info/RECORD"),
            "six.py,,\nsix-1.dist-info/METADATA,,\nsix-1.dist-info/RECORD,,\n",
        );
        put(&above, &format!("{site}/six.py"), "");
        put(&above, "etc/marked", "@@x@@");
        fs_err::remove_file(root.join("srv/gone")).unwrap();
        fs_err::create_dir_all(root.join("usr/lib/casque/templates/etc")).unwrap();
        fs_err::rename(root.join("etc/marked"), template(&root, Path::new("etc/marked"))).unwrap();

        let found = written(&root, &[(&below, true), (&above, true)]).unwrap();

        let own: Vec<_> = found.own.iter().map(|(path, stage)| (path.to_str().unwrap(), *stage)).collect();
        assert_eq!(own, [("etc/marked", 1), ("etc/p", 0), ("srv/app.py", 1)]);
        assert_eq!(found.metadata.len(), 1);
        let files: Vec<PathBuf> = found.own.into_keys().collect();
        let described = describe(&root, &files).unwrap();
        let names: Vec<_> = described.iter().map(|file| file.file_name.as_str()).collect();
        assert_eq!(names, ["./usr/lib/casque/templates/etc/marked", "./etc/p", "./srv/app.py"]);
        assert_eq!(described[2].checksums[0].checksum_value, "da4b9237bacccdf19c0760cab7aec4a8359010b0");
        assert_eq!(
            verification_code(&described[2..]).package_verification_code_value,
            hexadecimal(&Sha1::digest(b"da4b9237bacccdf19c0760cab7aec4a8359010b0"))
        );
        assert_eq!(written(&root, &[(&below, false)]).unwrap().own.len(), 0);
    }
}
