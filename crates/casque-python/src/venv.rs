//! Virtual environments, made as `python3 -m venv` makes them and without running it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::files::InstalledDistribution;
use crate::install::{Coming, install, installed};
use crate::tree::{Tree, Written, digest_of, in_the_way};
use crate::wheel::Wheel;
use crate::{PythonError, PythonVersion, Target};
use casque_format::digest::Digest;

/// Where Debian's `python3-venv` keeps the wheels that a new environment begins with.
const SEEDS: &str = "usr/share/python-wheels";

/// As many links as Linux follows in one path.
const MOST_LINKS: usize = 40;

/// A virtual environment in a root filesystem.
#[derive(Debug, Clone, Copy)]
pub struct Venv<'a> {
    /// The root filesystem.
    pub root: &'a Path,
    /// Where it is in there, such as `/opt/backend/venv`.
    pub path: &'a str,
    /// The Python it belongs to, in there: `/usr/bin/python3`.
    pub interpreter: &'a str,
    /// What it and its libraries run on.
    pub target: Target,
    /// The time that its files get, in seconds since 1970.
    pub epoch: i64,
}

/// A wheel on its way into an environment.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its file, under any name.
    pub path: PathBuf,
    /// The name that says what it is.
    pub filename: String,
    /// The name and version that it must be of, when they are known.
    pub pinned: Option<(String, String)>,
    /// What the distribution is asked for with.
    pub extras: BTreeSet<String>,
    /// Where it came from, when that is not an index.
    pub direct_url: Option<DirectUrl>,
}

/// Where a distribution came from that is not from an index (PEP 610).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectUrl {
    /// A file with this address and digest.
    File(String, Digest),
    /// A source tree.
    Tree(String),
}

impl DirectUrl {
    /// Returns what pip writes into `direct_url.json`.
    pub(crate) fn json(&self) -> String {
        match self {
            Self::File(url, digest) => format!(
                r#"{{"archive_info": {{"hash": "sha256={digest}", "hashes": {{"sha256": "{digest}"}}}}, "url": {}}}"#,
                serde_json::Value::from(url.as_str())
            ),
            Self::Tree(url) => {
                format!(r#"{{"dir_info": {{}}, "url": {}}}"#, serde_json::Value::from(url.as_str()))
            }
        }
    }
}

impl Venv<'_> {
    /// Makes the environment without pip. One that is there already is completed.
    pub fn make(&self) -> Result<(), PythonError> {
        let inside = self.inside()?;
        let executable = self.executable()?;
        let PythonVersion { major, minor, .. } = self.target.python;
        let mut tree = Tree::new(self.root);
        let own = format!("python{major}.{minor}");
        tree.directory(&inside.join("bin"))?;
        tree.directory(&self.site_packages(&inside))?;
        tree.directory(&inside.join("include").join(&own))?;
        tree.link(&inside.join("lib64"), "lib")?;
        tree.link(&inside.join("bin/python3"), self.interpreter)?;
        tree.link(&inside.join("bin/python"), "python3")?;
        tree.link(&inside.join("bin").join(&own), "python3")?;
        let (home, _) = self.interpreter.rsplit_once('/').expect("an interpreter is checked to be absolute");
        let configuration = format!(
            "home = {home}\ninclude-system-site-packages = false\nversion = {}\nexecutable = {executable}\n\
             command = {} -m venv --without-pip {}\n",
            self.target.python, self.interpreter, self.path
        );
        let place = inside.join("pyvenv.cfg");
        if let Written::Occupied = tree.file(&place, &mut configuration.as_bytes(), 0o644)?
            && digest_of(&self.root.join(&place))? != Some(Digest::of(configuration.as_bytes()))
        {
            return Err(in_the_way(&place));
        }
        tree.settle(&inside, self.epoch)
    }

    /// Installs pip and what comes with it, when the root filesystem has the wheels for it, and says whether it has.
    ///
    /// `bin/activate` is written with it or not at all: Ansible takes it for the sign of a complete environment, makes
    /// one anew where it is missing, and gives up where it is there without pip.
    pub fn seed(&self) -> Result<bool, PythonError> {
        let inside = self.inside()?;
        if installed(&self.root.join(self.site_packages(&inside)))?.contains_key("pip") {
            return Ok(true);
        }
        let directory = self.root.join(SEEDS);
        let mut wheels = Vec::new();
        if directory.is_dir() {
            for entry in fs::read_dir(&directory).map_err(PythonError::Disk)? {
                let path = entry.map_err(PythonError::Disk)?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if (name.starts_with("pip-") || name.starts_with("setuptools-")) && name.ends_with(".whl") {
                    wheels.push(path);
                }
            }
        }
        wheels.sort();
        if !wheels
            .iter()
            .any(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"pip-")))
        {
            return Ok(false);
        }
        let plain = |wheel| Coming { wheel, extras: BTreeSet::new(), direct_url: None };
        let wheels = wheels.iter().map(|path| Wheel::open(path).map(plain)).collect::<Result<Vec<_>, _>>()?;
        install(self, &inside, wheels, false)?;
        let mut tree = Tree::new(self.root);
        let place = inside.join("bin/activate");
        let activate = activate(self.path);
        if let Written::Occupied = tree.file(&place, &mut activate.as_bytes(), 0o644)? {
            return Err(in_the_way(&place));
        }
        tree.settle(&inside, self.epoch)?;
        Ok(true)
    }

    /// Unpacks wheels into the environment, which [`Venv::make`] made.
    ///
    /// What a wheel says it needs must be there afterwards, in a version that fits, unless `unchecked`.
    pub fn install(&self, arrivals: &[Arrival], unchecked: bool) -> Result<(), PythonError> {
        let inside = self.inside()?;
        let open = |arrival: &Arrival| {
            let wheel = match &arrival.pinned {
                Some((name, version)) => Wheel::open_pinned(&arrival.filename, name, version, &arrival.path)?,
                None => Wheel::open_named(&arrival.filename, &arrival.path)?,
            };
            let (extras, direct_url) = (arrival.extras.clone(), arrival.direct_url.clone());
            Ok(Coming { wheel, extras, direct_url })
        };
        let coming = arrivals.iter().map(open).collect::<Result<Vec<_>, PythonError>>()?;
        install(self, &inside, coming, unchecked)?;
        Tree::new(self.root).settle(&inside, self.epoch)
    }

    /// Returns the command that compiles sources, to be run in the root filesystem. The file at `list` there names them,
    /// one absolute path in a line, with an empty line after those of each distribution.
    ///
    /// The compiled files name their sources by content, never by time, and are not judged at each start. Files that do
    /// not compile are left alone, as pip does: libraries ship templates and sources for other versions. Each
    /// distribution has a process of its own: what the interpreter did before shows in the bits of what it writes.
    pub fn compile_command(&self, list: &str) -> Vec<String> {
        const PROGRAM: &str = "import compileall, os, py_compile, sys\n\
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH\n\
            text = open(sys.argv[1], encoding='utf-8', errors='surrogateescape').read()\n\
            free = len(os.sched_getaffinity(0))\n\
            failed = False\n\
            def wait():\n\
            \u{20}   global free, failed\n\
            \u{20}   failed = os.wait()[1] != 0 or failed\n\
            \u{20}   free += 1\n\
            groups = text.strip('\\n').split('\\n\\n')\n\
            for group in groups:\n\
            \u{20}   if free == 0: wait()\n\
            \u{20}   free -= 1\n\
            \u{20}   if os.fork() == 0:\n\
            \u{20}       try:\n\
            \u{20}           for path in group.splitlines():\n\
            \u{20}               compileall.compile_file(path, quiet=2, force=True, invalidation_mode=mode)\n\
            \u{20}           os._exit(0)\n\
            \u{20}       finally: os._exit(1)\n\
            count = len(os.sched_getaffinity(0))\n\
            while free < count: wait()\n\
            sys.exit(failed)\n";
        let python = format!("{}/bin/python3", self.path);
        [&python, "-I", "-c", PROGRAM, list].map(str::to_owned).to_vec()
    }

    /// Returns the distributions that are installed in the environment.
    pub fn installed(&self) -> Result<Vec<InstalledDistribution>, PythonError> {
        let site = self.site_packages(&self.inside()?);
        let mut found = Vec::new();
        for information in installed(&self.root.join(&site))?.into_values() {
            let record = site.join(information).join("RECORD");
            if self.root.join(&record).is_file() {
                found.extend(InstalledDistribution::read(self.root, &record)?);
            }
        }
        Ok(found)
    }

    /// Returns the directory of libraries, relative to the root.
    pub(crate) fn site_packages(&self, inside: &Path) -> PathBuf {
        let PythonVersion { major, minor, .. } = self.target.python;
        inside.join(format!("lib/python{major}.{minor}/site-packages"))
    }

    /// Returns the environment's place relative to the root.
    fn inside(&self) -> Result<PathBuf, PythonError> {
        let refuse = || PythonError::Place { path: self.path.to_owned() };
        let inside = self.path.strip_prefix('/').ok_or_else(refuse)?;
        let is_plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && !part.contains(|symbol: char| symbol.is_control() || "\"'\\$`:".contains(symbol))
        };
        if inside.split('/').all(is_plain) { Ok(inside.into()) } else { Err(refuse()) }
    }

    /// Returns what the interpreter is when links are followed as in the root filesystem.
    fn executable(&self) -> Result<String, PythonError> {
        let missing = || PythonError::NoInterpreter { path: self.interpreter.to_owned() };
        let mut path = PathBuf::from(self.interpreter.strip_prefix('/').ok_or_else(missing)?);
        for _ in 0..MOST_LINKS {
            let located = self.root.join(&path);
            let metadata = fs::symlink_metadata(&located).map_err(|_| missing())?;
            if metadata.is_file() {
                return Ok(format!("/{}", path.display()));
            }
            if !metadata.is_symlink() {
                return Err(missing());
            }
            let target = fs::read_link(&located).map_err(PythonError::Disk)?;
            path = match target.strip_prefix("/") {
                Ok(absolute) => absolute.to_owned(),
                Err(_) => path.with_file_name(target),
            };
        }
        Err(missing())
    }
}

/// Returns a script that, read by a shell, puts the environment first; `deactivate` undoes it.
fn activate(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    format!(
        r#"# Read this file with ". bin/activate"; do not run it.
deactivate () {{
    if [ -n "${{CASQUE_OLD_PATH+set}}" ]; then PATH=$CASQUE_OLD_PATH; export PATH; fi
    if [ -n "${{CASQUE_OLD_PS1+set}}" ]; then PS1=$CASQUE_OLD_PS1; fi
    if [ -n "${{CASQUE_OLD_PYTHONHOME+set}}" ]; then PYTHONHOME=$CASQUE_OLD_PYTHONHOME; export PYTHONHOME; fi
    unset CASQUE_OLD_PATH CASQUE_OLD_PS1 CASQUE_OLD_PYTHONHOME VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    hash -r 2>/dev/null || true
    if [ "${{1:-}}" != again ]; then unset -f deactivate; fi
}}
deactivate again
VIRTUAL_ENV="{path}"
VIRTUAL_ENV_PROMPT="({name}) "
export VIRTUAL_ENV VIRTUAL_ENV_PROMPT
CASQUE_OLD_PATH=$PATH
PATH="$VIRTUAL_ENV/bin:$PATH"
export PATH
if [ -n "${{PYTHONHOME:-}}" ]; then CASQUE_OLD_PYTHONHOME=$PYTHONHOME; unset PYTHONHOME; fi
if [ -z "${{VIRTUAL_ENV_DISABLE_PROMPT:-}}" ] && [ -n "${{PS1:-}}" ]; then
    CASQUE_OLD_PS1=$PS1
    PS1="$VIRTUAL_ENV_PROMPT$PS1"
fi
hash -r 2>/dev/null || true
"#
    )
}
