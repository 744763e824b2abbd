//! Which package a file of a root filesystem came with, by dpkg's own records, and whether it still is what came.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;
use md5::{Digest as _, Md5};

use crate::control::Control;
use crate::stanza::{Stanza, stanzas};

const DATABASE: &str = "var/lib/dpkg";
const INFO: &str = "var/lib/dpkg/info";

/// The files of every installed package.
#[derive(Debug, Default)]
pub struct PackageFiles {
    /// Source packages, as often as they have binary ones.
    sources: Vec<String>,
    files: HashMap<PathBuf, File>,
}

#[derive(Debug)]
struct File {
    /// Index into the source packages.
    source: usize,
    came_as: CameAs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum CameAs {
    /// A file with this MD5 sum: what packages themselves say of their files.
    Content(String),
    /// A link, or a file of which nothing is known but its name.
    Listed,
    /// One of dpkg's own records of the package.
    Record,
}

/// What a file is to its package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// It is exactly what the package brought, its time included.
    Plain,
    /// It is one of dpkg's records of the package, written when that was installed.
    Record,
    /// Something changed it.
    Changed,
}

impl PackageFiles {
    /// Reads the records in `root`; a root without dpkg has no packages.
    ///
    /// # Errors
    /// A record that is there and cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        let mut places = Places::new(root)?;
        let overridden = overridden(root)?;
        for stanza in stanzas(&text(&root.join(DATABASE).join("status"))?) {
            let installed = stanza.get("Status").is_some_and(|status| status.ends_with(" installed"));
            let Ok(control) = Control::parse(&stanza) else { continue };
            if installed {
                found.add(root, &mut places, &overridden, &stanza, &control)?;
            }
        }
        Ok(found)
    }

    fn add(
        &mut self,
        root: &Path,
        places: &mut Places,
        overridden: &HashSet<String>,
        stanza: &Stanza<'_>,
        control: &Control,
    ) -> io::Result<()> {
        let source = self.sources.len();
        self.sources.push(control.source.clone().unwrap_or_else(|| control.name.clone()));
        let name = control.database_name();
        let sums = text(&root.join(INFO).join(format!("{name}.md5sums")))?;
        let mut contents: BTreeMap<String, &str> = BTreeMap::new();
        for (sum, path) in sums.lines().filter_map(|line| line.split_once(char::is_whitespace)) {
            contents.insert(format!("/{}", path.trim_start().trim_start_matches("./")), sum);
        }
        for line in stanza.get("Conffiles").unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            if let (Some(path), Some(sum), None) = (words.next(), words.next(), words.next()) {
                contents.insert(path.to_owned(), sum);
            }
        }
        for listed in text(&root.join(INFO).join(format!("{name}.list")))?.lines() {
            let Some(place) = places.place(listed)? else { continue };
            if overridden.contains(listed) {
                continue;
            }
            let came_as =
                contents.get(listed).map_or(CameAs::Listed, |sum| CameAs::Content((*sum).to_owned()));
            self.files.insert(place, File { source, came_as });
        }
        for suffix in RECORDS {
            let record = Path::new(INFO).join(format!("{name}.{suffix}"));
            self.files.insert(record, File { source, came_as: CameAs::Record });
        }
        Ok(())
    }

    /// Returns the source package that `path`, relative to the root, came with, whatever became of it since.
    pub fn source(&self, path: &Path) -> Option<&str> {
        self.files.get(path).map(|file| self.sources[file.source].as_str())
    }

    /// Tells what the file at `path`, which has a source package, is to it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn brought(&self, root: &Path, path: &Path) -> io::Result<Brought> {
        let Some(file) = self.files.get(path) else { return Ok(Brought::Changed) };
        let metadata = fs::symlink_metadata(root.join(path))?;
        Ok(match &file.came_as {
            CameAs::Record if metadata.is_file() => Brought::Record,
            CameAs::Listed if metadata.is_symlink() => Brought::Plain,
            CameAs::Content(sum) if metadata.is_file() && *sum == md5(&root.join(path))? => Brought::Plain,
            _ => Brought::Changed,
        })
    }
}

/// What dpkg keeps of a package under its name.
const RECORDS: [&str; 12] = [
    "conffiles",
    "config",
    "list",
    "md5sums",
    "postinst",
    "postrm",
    "preinst",
    "prerm",
    "shlibs",
    "symbols",
    "templates",
    "triggers",
];

/// Where listed paths really are, links among their directories followed: `/lib` may be `usr/lib`.
struct Places {
    root: PathBuf,
    directories: HashMap<String, Option<PathBuf>>,
}

impl Places {
    fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: fs::canonicalize(root)?, directories: HashMap::new() })
    }

    /// Returns the place relative to the root; nothing for the root itself and for what leads out of it.
    fn place(&mut self, listed: &str) -> io::Result<Option<PathBuf>> {
        let Some((directory, name)) = listed.trim_end_matches('/').rsplit_once('/') else { return Ok(None) };
        if matches!(name, "" | "." | "..") {
            return Ok(None);
        }
        if !self.directories.contains_key(directory) {
            let real = match fs::canonicalize(self.root.join(directory.trim_start_matches('/'))) {
                Ok(path) => path.strip_prefix(&self.root).ok().map(Path::to_owned),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
                {
                    None
                }
                Err(error) => return Err(error),
            };
            self.directories.insert(directory.to_owned(), real);
        }
        Ok(self.directories[directory].as_ref().map(|directory| directory.join(name)))
    }
}

/// Returns the paths whose owner and mode somebody decided about (dpkg-statoverride(1)).
fn overridden(root: &Path) -> io::Result<HashSet<String>> {
    let text = text(&root.join(DATABASE).join("statoverride"))?;
    Ok(text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).map(str::to_owned).collect())
}

fn text(path: &Path) -> io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn md5(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_file_is_its_packages_until_something_changes_it() {
        let root = TempDir::new().unwrap();
        let put = |path: &str, content: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        put(
            "var/lib/dpkg/status",
            "Package: a\nStatus: install ok installed\nMaintainer: m\nVersion: 1\nSource: src (2)\n\
             Architecture: amd64\nMulti-Arch: same\nConffiles:\n /etc/a fea4b32aa1abc3ba1c4e2b0e5e5ac18c\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n",
        );
        put(
            "var/lib/dpkg/info/a:amd64.list",
            "/.\n/lib\n/lib/same\n/lib/other\n/etc/a\n/lib/link\n/lib/su\n",
        );
        put("var/lib/dpkg/info/gone.list", "/etc/gone\n");
        // echo -n x | md5sum
        let x = "9dd4e461268c8034f5c8564e155c67a6";
        put(
            "var/lib/dpkg/info/a:amd64.md5sums",
            &format!("{x}  lib/same\n{x}  lib/other\n{x}  lib/link\n{x}  lib/su\n"),
        );
        put("var/lib/dpkg/statoverride", "root crontab 2755 /lib/su\n");
        for (path, content) in
            [("usr/lib/same", "x"), ("usr/lib/other", "y"), ("usr/lib/su", "x"), ("etc/a", "edited")]
        {
            put(path, content);
        }
        fs::os::unix::fs::symlink("usr/lib", root.path().join("lib")).unwrap();
        fs::os::unix::fs::symlink("same", root.path().join("usr/lib/link")).unwrap();
        let files = PackageFiles::read(root.path()).unwrap();
        let state = |path: &str| {
            let path = Path::new(path);
            files.source(path).map(|source| (source, files.brought(root.path(), path).unwrap()))
        };
        assert_eq!(state("usr/lib/same"), Some(("src", Brought::Plain)));
        assert_eq!(state("usr/lib/other"), Some(("src", Brought::Changed)));
        assert_eq!(state("usr/lib/su"), None);
        assert_eq!(state("etc/a"), Some(("src", Brought::Changed)));
        assert_eq!(state("etc/gone"), None);
        assert_eq!(state("var/lib/dpkg/info/a:amd64.list"), Some(("src", Brought::Record)));
        // A link takes the place of a file that the package had.
        assert_eq!(state("usr/lib/link"), Some(("src", Brought::Changed)));
    }
}
