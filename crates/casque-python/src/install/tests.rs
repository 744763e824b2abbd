//! Wheels made here, installed into a root filesystem that has nothing but a link for Python.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use fs_err::os::unix::fs::symlink;
use tempfile::TempDir;
use walkdir::WalkDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::{Arrival, PinnedDistribution, PythonVersion, Target};

const TARGET: Target = Target { python: PythonVersion { major: 3, minor: 11, patch: 2 }, glibc_minor: 36 };
const VENV: &str = "/opt/x/venv";
const FORMAT: &str = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n";

struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("usr/bin")).unwrap();
        fs::write(directory.path().join("usr/bin/python3.11"), "").unwrap();
        symlink("python3.11", directory.path().join("usr/bin/python3")).unwrap();
        Self(directory)
    }

    fn venv(&self) -> Venv<'_> {
        Venv {
            root: self.0.path(),
            path: VENV,
            interpreter: "/usr/bin/python3",
            target: TARGET,
            epoch: 1_700_000_000,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join("opt/x/venv").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Returns every path of the environment with its mode, links with where they lead.
    fn listing(&self) -> String {
        let mut lines = Vec::new();
        for entry in WalkDir::new(self.path("")).min_depth(1).sort_by_file_name() {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(self.path("")).unwrap().display().to_string();
            let metadata = entry.path().symlink_metadata().unwrap();
            lines.push(if metadata.is_symlink() {
                format!("{path} -> {}\n", fs::read_link(entry.path()).unwrap().display())
            } else {
                format!("{path} {:o}\n", metadata.permissions().mode() & 0o7777)
            });
        }
        lines.concat()
    }

    fn install(&self, wheels: &[Made]) -> Result<(), PythonError> {
        let arrivals: Vec<_> = wheels.iter().map(Made::arrival).collect();
        self.venv().install(&arrivals, false)
    }
}

/// A wheel in a directory of its own, under a name that says nothing, as in a store.
struct Made {
    pin: PinnedDistribution,
    directory: TempDir,
}

impl Made {
    fn path(&self) -> PathBuf {
        self.directory.path().join("wheel")
    }

    fn arrival(&self) -> Arrival {
        Arrival {
            path: self.path(),
            filename: self.pin.filename.clone(),
            pinned: Some((self.pin.name.clone(), self.pin.version.clone())),
            extras: BTreeSet::new(),
            direct_url: None,
        }
    }
}

/// Makes a wheel of `name` 1.0 with `files` beside what every wheel has.
fn wheel(name: &str, metadata: &str, files: &[(&str, &str, u32)]) -> Made {
    let information = format!("{name}-1.0.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}");
    let mut all: Vec<(String, &str, u32)> =
        files.iter().map(|(path, content, mode)| ((*path).to_owned(), *content, *mode)).collect();
    all.push((format!("{information}/METADATA"), &metadata, 0o644));
    all.push((format!("{information}/WHEEL"), FORMAT, 0o644));
    all.push((format!("{information}/RECORD"), "to be replaced", 0o644));
    archive(name, &all)
}

fn archive(name: &str, files: &[(String, &str, u32)]) -> Made {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = ZipWriter::new(fs::File::create(directory.path().join("wheel")).unwrap());
    for (path, content, mode) in files {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        writer.start_file(path.as_str(), options).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let filename = format!("{name}-1.0-py3-none-any.whl");
    let pin = PinnedDistribution {
        name: normalised(name),
        version: "1.0".to_owned(),
        url: format!("https://files.example.com/{filename}"),
        filename,
        size: None,
        sha256: Digest::of(name.as_bytes()),
        direct: false,
        build: Vec::new(),
    };
    Made { pin, directory }
}

const EMPTY: &str = "\
bin 755
bin/python -> python3
bin/python3 -> /usr/bin/python3
bin/python3.11 -> python3
include 755
include/python3.11 755
lib 755
lib/python3.11 755
lib/python3.11/site-packages 755
lib64 -> lib
pyvenv.cfg 644
";

#[test]
fn an_environment_is_made_as_python_makes_it_and_may_be_made_again() {
    let root = Root::new();
    for _ in 0..2 {
        root.venv().make().unwrap();
        assert_eq!(root.listing(), EMPTY);
    }
    assert_eq!(
        root.read("pyvenv.cfg"),
        "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\nexecutable = /usr/bin/python3.11\n\
         command = /usr/bin/python3 -m venv --without-pip /opt/x/venv\n"
    );
}

#[test]
fn every_kind_of_file_lands_in_its_place() {
    let root = Root::new();
    root.venv().make().unwrap();
    let made = wheel(
        "A_b",
        "",
        &[
            ("a_b/__init__.py", "", 0o644),
            ("a_b/program", "binary", 0o755),
            ("A_b-1.0.dist-info/entry_points.txt", "[console_scripts]\nab = a_b:main\n", 0o644),
            ("A_b-1.0.data/scripts/old", "#!python\nprint()\n", 0o644),
            ("A_b-1.0.data/data/share/a_b/text", "text", 0o600),
            ("A_b-1.0.data/headers/a.h", "", 0o644),
            ("A_b-1.0.data/platlib/a_b/native.so", "", 0o644),
        ],
    );
    root.install(&[made]).unwrap();
    let site = "lib/python3.11/site-packages";
    let expected = format!(
        "bin 755\nbin/ab 755\nbin/old 755\nbin/python -> python3\nbin/python3 -> /usr/bin/python3\n\
         bin/python3.11 -> python3\ninclude 755\ninclude/python3.11 755\ninclude/site 755\n\
         include/site/python3.11 755\ninclude/site/python3.11/a-b 755\ninclude/site/python3.11/a-b/a.h 644\n\
         lib 755\nlib/python3.11 755\n{site} 755\n{site}/A_b-1.0.dist-info 755\n\
         {site}/A_b-1.0.dist-info/INSTALLER 644\n{site}/A_b-1.0.dist-info/METADATA 644\n\
         {site}/A_b-1.0.dist-info/RECORD 644\n{site}/A_b-1.0.dist-info/REQUESTED 644\n\
         {site}/A_b-1.0.dist-info/WHEEL 644\n{site}/A_b-1.0.dist-info/entry_points.txt 644\n{site}/a_b 755\n\
         {site}/a_b/__init__.py 644\n{site}/a_b/native.so 644\n{site}/a_b/program 755\nlib64 -> lib\n\
         pyvenv.cfg 644\nshare 755\nshare/a_b 755\nshare/a_b/text 644\n"
    );
    assert_eq!(root.listing(), expected);
    assert_eq!(root.read("bin/old"), "#!/opt/x/venv/bin/python3\nprint()\n");
    assert!(
        root.read("bin/ab").starts_with("#!/opt/x/venv/bin/python3\nimport sys\n\nfrom a_b import main\n")
    );
    let record = root.read(&format!("{site}/A_b-1.0.dist-info/RECORD"));
    let paths: Vec<&str> = record.lines().filter_map(|line| line.split(',').next()).collect();
    assert_eq!(
        paths,
        [
            "../../../bin/ab",
            "../../../bin/old",
            "../../../include/site/python3.11/a-b/a.h",
            "../../../share/a_b/text",
            "A_b-1.0.dist-info/INSTALLER",
            "A_b-1.0.dist-info/METADATA",
            "A_b-1.0.dist-info/RECORD",
            "A_b-1.0.dist-info/REQUESTED",
            "A_b-1.0.dist-info/WHEEL",
            "A_b-1.0.dist-info/entry_points.txt",
            "a_b/__init__.py",
            "a_b/native.so",
            "a_b/program",
        ]
    );
    assert!(record.contains("\nA_b-1.0.dist-info/RECORD,,\n"));
    assert!(record.contains("\na_b/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"));
}

#[test]
fn everything_has_the_time_of_the_epoch() {
    let root = Root::new();
    root.venv().make().unwrap();
    root.install(&[wheel("a", "", &[("a/b.py", "x", 0o644)])]).unwrap();
    for entry in WalkDir::new(root.0.path().join("opt")) {
        let entry = entry.unwrap();
        let metadata = entry.path().symlink_metadata().unwrap();
        assert_eq!(
            std::os::unix::fs::MetadataExt::mtime(&metadata),
            1_700_000_000,
            "{}",
            entry.path().display()
        );
    }
}

#[test]
fn the_wheels_of_python3_venv_seed_an_environment() {
    let root = Root::new();
    root.venv().make().unwrap();
    assert!(!root.venv().seed().unwrap());
    assert_eq!(root.listing(), EMPTY);
    let seeds = root.0.path().join("usr/share/python-wheels");
    fs::create_dir_all(&seeds).unwrap();
    let pip = wheel(
        "pip",
        "",
        &[("pip-1.0.dist-info/entry_points.txt", "[console_scripts]\npip = pip:main", 0o644)],
    );
    fs::copy(pip.path(), seeds.join("pip-1.0-py3-none-any.whl")).unwrap();
    fs::write(seeds.join("other-1.0-py3-none-any.whl"), "not read").unwrap();
    for _ in 0..2 {
        assert!(root.venv().seed().unwrap());
    }
    assert!(root.path("bin/pip").is_file());
    assert!(root.read("bin/activate").contains("\nVIRTUAL_ENV=\"/opt/x/venv\"\n"));
}

#[test]
fn the_same_file_of_two_distributions_is_shared_and_another_is_a_conflict() {
    let root = Root::new();
    root.venv().make().unwrap();
    let shared =
        |name: &str, content: &'static str| wheel(name, "", &[("shared/__init__.py", content, 0o644)]);
    root.install(&[shared("a", "same"), shared("b", "same")]).unwrap();
    let message = root.install(&[shared("c", "other")]).unwrap_err().to_string();
    let path = "lib/python3.11/site-packages/shared/__init__.py";
    assert_eq!(message, format!("`c` and the environment both have `{path}`, and not the same"));
    let root = Root::new();
    root.venv().make().unwrap();
    let message = root.install(&[shared("a", "same"), shared("b", "other")]).unwrap_err().to_string();
    assert_eq!(message, format!("`b` and `a` both have `{path}`, and not the same"));
}

#[test]
fn a_distribution_is_installed_once_and_with_all_it_needs() {
    let root = Root::new();
    root.venv().make().unwrap();
    let needs = "Requires-Dist: Needed_Thing>=1\nRequires-Dist: never ; sys_platform == 'win32'\n";
    let message = root.install(&[wheel("a", needs, &[])]).unwrap_err().to_string();
    assert_eq!(message, "`a 1.0` needs `Needed_Thing>=1`, which is not among the requirements");
    assert_eq!(root.listing(), EMPTY);
    root.install(&[wheel("a", needs, &[]), wheel("needed_thing", "", &[])]).unwrap();
    let message = root.install(&[wheel("needed_thing", "", &[])]).unwrap_err().to_string();
    assert_eq!(
        message,
        "`needed-thing` is installed in the environment already, as `needed_thing-1.0.dist-info`"
    );
}

#[test]
fn wheels_that_lead_elsewhere_are_refused() {
    for path in ["../escape", "/escape", "a/../../escape", "a-1.0.data/scripts/../../escape", "a\\b"] {
        let root = Root::new();
        root.venv().make().unwrap();
        let message = root.install(&[wheel("a", "", &[(path, "x", 0o644)])]).unwrap_err().to_string();
        let shown = path.escape_debug();
        assert_eq!(message, format!("wheel `a-1.0-py3-none-any.whl` has `{shown}`, which leads elsewhere"));
    }
}

#[test]
fn links_are_never_written_through() {
    let root = Root::new();
    root.venv().make().unwrap();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), root.path("share")).unwrap();
    let made = wheel("a", "", &[("a-1.0.data/data/share/x", "x", 0o644)]);
    assert_eq!(
        root.install(&[made]).unwrap_err().to_string(),
        "cannot make `/opt/x/venv/share`: something else is there already"
    );
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());

    // The name itself may be a link too, such as the interpreter's.
    let made = wheel("b", "", &[("b-1.0.data/scripts/python3", "x", 0o644)]);
    assert_eq!(
        root.install(&[made]).unwrap_err().to_string(),
        "`b` and the environment both have `bin/python3`, and not the same"
    );
}

#[test]
fn damaged_wheels_are_named() {
    let root = Root::new();
    root.venv().make().unwrap();
    let message = |made: Made| root.install(&[made]).unwrap_err().to_string();
    let said = |text: &str| format!("wheel `a-1.0-py3-none-any.whl` {text}");

    let cut = wheel("a", "", &[]);
    fs::write(cut.path(), "PK").unwrap();
    assert_eq!(message(cut), "cannot read wheel `a-1.0-py3-none-any.whl`");

    assert_eq!(message(archive("a", &[])), said("must have exactly one `.dist-info` directory of its own"));
    let metadata = "a-1.0.dist-info/METADATA".to_owned();
    assert_eq!(message(archive("a", &[(metadata, "", 0o644)])), said("has no `WHEEL` file"));
    let format = "a-1.0.dist-info/WHEEL".to_owned();
    assert_eq!(message(archive("a", &[(format.clone(), FORMAT, 0o644)])), said("has no `METADATA` file"));
    let newer = archive("a", &[(format, "Wheel-Version: 2.0\n", 0o644)]);
    assert_eq!(message(newer), said("has a format version other than 1"));
    let strange = wheel("a", "", &[("a-1.0.data/elsewhere/x", "", 0o644)]);
    assert_eq!(message(strange), said("has `a-1.0.data/elsewhere/x`, for which there is no place"));
    let code =
        wheel("a", "", &[("a-1.0.dist-info/entry_points.txt", "[console_scripts]\na = b:c()\n", 0o644)]);
    assert_eq!(message(code), said("has a command that is not `name = module:function`"));

    let mut other = wheel("a", "", &[]);
    other.pin.version = "2.0".to_owned();
    assert_eq!(message(other), said("is not of `a` 2.0"));
    assert_eq!(root.listing(), EMPTY);
}

#[test]
fn a_link_in_a_wheel_is_refused() {
    let root = Root::new();
    root.venv().make().unwrap();
    let made = wheel("a", "", &[]);
    let file = fs::OpenOptions::new().read(true).write(true).open(made.path()).unwrap();
    let mut writer = ZipWriter::new_append(file).unwrap();
    writer.add_symlink("a/link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap();
    let message = root.install(&[made]).unwrap_err().to_string();
    assert_eq!(message, "wheel `a-1.0-py3-none-any.whl` has `a/link`, which is not a file");
}

#[test]
fn places_that_are_none_are_refused() {
    let root = Root::new();
    for path in
        ["opt/x", "/", "/opt/../x", "/opt//x", "/opt/x/", "/opt/a\nb", "/opt/\"x", "/opt/$x", "/opt/a:b"]
    {
        let error = Venv { path, ..root.venv() }.make().unwrap_err();
        let shown = path.escape_debug();
        let expected =
            format!("`{shown}` is not a place for a virtual environment, such as `/opt/backend/venv`");
        assert_eq!(error.to_string(), expected);
    }
    let error = Venv { interpreter: "/usr/bin/python4", ..root.venv() }.make().unwrap_err();
    assert_eq!(error.to_string(), "the root filesystem has no `/usr/bin/python4`");
    fs::create_dir_all(root.path("lib64")).unwrap();
    let error = root.venv().make().unwrap_err();
    assert_eq!(error.to_string(), "cannot make `/opt/x/venv/lib64`: something else is there already");
}

#[test]
fn compiling_is_told_by_content_and_never_by_time() {
    let root = Root::new();
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    for (name, source) in [("a.py", "x = 1\n"), ("b.py", "y = 2\n"), ("broken.py", "def\n")] {
        fs::write(path(name), source).unwrap();
    }
    let [a, b, broken] = ["a.py", "b.py", "broken.py"].map(|name| path(name).display().to_string());
    fs::write(path("list"), format!("{a}\n{broken}\n\n{b}\n\n")).unwrap();
    let mut command = root.venv().compile_command(path("list").to_str().unwrap());
    assert_eq!(command[0], "/opt/x/venv/bin/python3");
    command[0] = "python3".to_owned();
    let compiled = || {
        let status = std::process::Command::new(&command[0]).args(&command[1..]).status().unwrap();
        assert!(status.success());
        let files = fs::read_dir(path("__pycache__")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<(PathBuf, Vec<u8>)> =
            files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let first = compiled();
    assert_eq!(first.len(), 2);
    // The second word of a file says how it is judged: 1 is by a hash that nobody checks.
    assert!(first.iter().all(|(_, bytes)| bytes[4..8] == [1, 0, 0, 0]));
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::open(path("a.py")).unwrap().file().set_modified(old).unwrap();
    assert_eq!(compiled(), first);
}

#[test]
fn a_version_that_does_not_fit_is_named_with_whom_it_is_for() {
    let root = Root::new();
    root.venv().make().unwrap();
    let wheels = [
        wheel("app", "Requires-Dist: queue[fast]\n", &[]),
        wheel("queue", "Requires-Dist: vine>=5; extra == 'fast'\n", &[]),
        wheel("vine", "", &[]),
    ];
    let message = root.install(&wheels).unwrap_err().to_string();
    assert_eq!(
        message,
        "`queue 1.0` needs `vine>=5`, and the requirements have `vine 1.0`, by way of `app` -> `queue`"
    );
    let message = root.install(&wheels[..2]).unwrap_err().to_string();
    assert_eq!(
        message,
        "`queue 1.0` needs `vine>=5`, which is not among the requirements, by way of `app` -> `queue`"
    );
    assert_eq!(root.listing(), EMPTY);
    let arrivals: Vec<_> = wheels.iter().map(Made::arrival).collect();
    root.venv().install(&arrivals, true).unwrap();
}

#[test]
fn what_is_not_from_an_index_says_where_it_came_from() {
    let root = Root::new();
    root.venv().make().unwrap();
    let made = [wheel("a", "", &[]), wheel("b", "", &[])];
    let [mut a, mut b] = made.each_ref().map(Made::arrival);
    a.direct_url = Some(DirectUrl::File("https://example.com/a.whl".to_owned(), Digest::of(b"")));
    b.direct_url = Some(DirectUrl::Tree("file:///lib".to_owned()));
    root.venv().install(&[a, b], false).unwrap();
    let site = "lib/python3.11/site-packages";
    let digest = Digest::of(b"");
    assert_eq!(
        root.read(&format!("{site}/a-1.0.dist-info/direct_url.json")),
        format!(
            r#"{{"archive_info": {{"hash": "sha256={digest}", "hashes": {{"sha256": "{digest}"}}}}, "url": "https://example.com/a.whl"}}"#
        )
    );
    assert_eq!(
        root.read(&format!("{site}/b-1.0.dist-info/direct_url.json")),
        r#"{"dir_info": {}, "url": "file:///lib"}"#
    );
    assert!(root.read(&format!("{site}/b-1.0.dist-info/RECORD")).contains("direct_url.json,sha256="));
}
