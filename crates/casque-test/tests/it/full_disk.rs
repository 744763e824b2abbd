//! A full disk, wherever casque writes: said once, with the code for it, and nothing half-written. These need root.

use casque_test::{TestEnv, program};
use insta::assert_snapshot;

use crate::signed_archive::{Archive, Package};

/// Length of the largest package.
const LARGE: usize = 1 << 20;
const MANIFEST: &str = r#"[image]
name = "vendor/notes"
version = "1.4.0"
command = "notes"

[base]
distribution = "debian"
suite = "bookworm"
signed-by = "keys.asc"
packages = ["large"]
"#;

/// The file system ends with the shell, whose stdout lists what casque left in it beside whole files of the cache.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o "size=$1,mode=755" none full
shift
if [ -d seed ]; then cp -r seed/. full; fi
"$@"
code=$?
find full -type f ! -path 'full/store/sha256/*' ! -path full/work.lock ! -path full/use.lock ! -path full/numbers
exit $code
"#;

struct Project {
    environment: TestEnv,
    archive: Archive,
}

impl Project {
    fn new() -> Self {
        let names: Vec<String> = (0..40).map(|number| format!("part-{number}")).collect();
        let mut packages: Vec<_> = names.iter().map(|name| Package::new(name, "1")).collect();
        let large = Package::new("large", "1").with("Depends", &names.join(", "));
        packages.push(large.holding(vec![b'.'; LARGE]));
        let project = Self { environment: TestEnv::default(), archive: Archive::new(packages) };
        project.environment.write("casque.toml", MANIFEST);
        project.environment.write("full/below", "");
        project.archive.write_key(&project.environment, "keys.asc");
        project
    }

    /// Makes a lock, and a cache that lacks the large package alone.
    fn with_all_but_the_large_package(self) -> Self {
        for command in ["lock", "fetch"] {
            let mut casque = self.environment.casque(&["--cache", "seed", command]);
            let seen = self.environment.see(casque.env("CASQUE_MIRROR", self.archive.mirror()));
            assert_eq!(seen.code, Some(0), "{seen}");
        }
        for file in self.environment.files("seed") {
            let path = self.environment.path("seed").join(file);
            if path.metadata().unwrap().len() == LARGE as u64 {
                std::fs::remove_file(path).unwrap();
            }
        }
        self
    }

    /// Returns what `casque` says when the directory `full` has so much room.
    fn with_room(&self, size: &str, arguments: &[&str]) -> String {
        let visible = || {
            let files = self.environment.files("").into_iter();
            files.filter(|file| !file.starts_with("cache/")).collect::<Vec<_>>()
        };
        let before = visible();
        let mut shell = self.environment.command("unshare".as_ref());
        shell
            .args(["--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", size])
            .arg(program("casque"))
            .args(arguments);
        shell.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("CASQUE_MIRROR", self.archive.mirror());
        let seen = self.environment.see(&mut shell).to_string();
        assert_eq!(visible(), before);
        without_temporary_names(&seen)
    }
}

/// Temporary files have random names.
fn without_temporary_names(text: &str) -> String {
    let mut parts = text.split("/.tmp");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "/.tmp......" + &part[6..])
}

#[test]
fn a_full_cache_is_told_when_metadata_arrives() {
    assert_snapshot!(Project::new().with_room("4k", &["--cache", "full", "lock"]), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookworm`
      caused by: cannot use the store of downloads
      caused by: cannot write `/env/full/store/tmp/.tmp......`: No space left on device (os error 28)
    hint: free some space there, or have it written elsewhere: see `--cache`, `--output` and `--lockfile`
    exit code 7
    ");
}

#[test]
fn a_full_cache_is_told_when_packages_arrive() {
    let project = Project::new().with_all_but_the_large_package();
    assert_snapshot!(project.with_room("1m", &["--cache", "full", "build"]), @r"
      downloading 1 file, 1.0 MB
    error: cannot build `vendor/notes` 1.4.0
      caused by: cannot fetch `large 1`
      caused by: cannot use the store of downloads
      caused by: cannot write `/env/full/store/tmp/.tmp......`: No space left on device (os error 28)
    hint: free some space there, or have it written elsewhere: see `--cache`, `--output` and `--lockfile`
    exit code 7
    ");
}

#[test]
fn a_lock_that_does_not_fit_on_its_disk_is_not_there() {
    assert_snapshot!(Project::new().with_room("4k", &["lock", "--lockfile", "full/casque.lock"]), @r#"
      reading the archives' metadata
      resolving, 43 packages to choose from
    error: cannot lock `.`
      caused by: cannot write lock `full/casque.lock`
      caused by: No space left on device (os error 28) at path "/env/full/.tmp......"
    hint: free some space there, or have it written elsewhere: see `--cache`, `--output` and `--lockfile`
    exit code 7
    "#);
}
