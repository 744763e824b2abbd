//! Which archives packages come from: those beside the main one, Ubuntu's, and what every base has of them.

use insta::assert_snapshot;

use crate::bad_archive::{MANIFEST, Project};
use crate::signed_archive::{Archive, Package};

impl Project {
    /// Returns what `casque lock --update` takes, one package in a line.
    fn taken(&self) -> String {
        let seen = self.environment.see(&mut self.casque(&["lock", "--update", "--dry-run"]));
        assert_eq!(seen.code, Some(0), "{seen}");
        let seen = seen.to_string();
        let taken = seen.lines().filter_map(|line| line.strip_prefix("stdout: + "));
        taken.collect::<Vec<_>>().join("\n")
    }

    /// Writes a manifest with the archive `vendor`, and these lines of it and after it.
    fn name_beside(&self, url: &str, key: &str, more: &str) {
        let beside = format!(
            "[[base.archive]]\nname = \"vendor\"\nurl = \"{url}\"\nsuite = \"stable\"\ncomponents = [\"main\"]\n\
             signed-by = \"{key}\"\n{more}\n[[layer]]"
        );
        self.environment.write("casque.toml", MANIFEST.replace("[[layer]]", &beside));
    }
}

#[test]
fn an_archive_beside_the_main_one_has_a_key_of_its_own() {
    let project = Project::with_nginx();
    let url = project.archive.publish_beside("vendor", "stable", &[Package::new("nginx-light", "2")]);
    Archive::write_other_key(&project.environment, "vendor.asc");
    project.name_beside(&url, "vendor.asc", "");
    assert_snapshot!(project.taken(), @r"
    apt 2.6.1 (bookworm)
    nginx-light 2 (vendor)
    usr-is-merged 37 (bookworm)
    ");
    // Nor does the key of the one vouch for the other.
    project.name_beside(&url, "keys.asc", "");
    let said = project.refused(&["lock"]);
    assert!(said.contains("caused by: cannot use archive `vendor`\n  caused by: cannot trust"), "{said}");
    assert!(said.ends_with("exit code 3"), "{said}");
}

#[test]
fn priorities_of_archives_and_packages_decide_before_versions() {
    let project = Project::new(vec![Package::new("nginx-light", "1"), Package::new("redis", "1")]);
    let newer = [Package::new("nginx-light", "2"), Package::new("redis", "2")];
    let url = project.archive.publish_beside("vendor", "stable", &newer);
    Archive::write_other_key(&project.environment, "vendor.asc");
    let taken = |more: &str| {
        project.name_beside(&url, "vendor.asc", more);
        let manifest = std::fs::read_to_string(project.environment.path("casque.toml")).unwrap();
        project
            .environment
            .write("casque.toml", manifest.replace("[\"nginx-light\"]", "[\"nginx-light\", \"redis\"]"));
        let taken = project.taken();
        taken
            .lines()
            .filter(|line| !line.contains("apt") && !line.contains("usr-"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(taken(""), "nginx-light 2 (vendor), redis 2 (vendor)");
    assert_eq!(taken("priority = 100"), "nginx-light 1 (bookworm), redis 1 (bookworm)");
    let pin = "[[base.pin]]\npackages = [\"redis*\"]\narchive = \"bookworm\"\npriority = 990\n";
    assert_eq!(taken(pin), "nginx-light 2 (vendor), redis 1 (bookworm)");
}

#[test]
fn ubuntus_three_suites_are_in_one_archive_with_two_components() {
    let project = Project::with_nginx();
    let main =
        [Package::new("apt", "2.7"), Package::new("usr-is-merged", "38"), Package::new("nginx-light", "1")];
    project.archive.publish_ubuntu("noble", &main, &[Package::new("nginx-light", "1.1")]);
    let manifest = MANIFEST.replace("debian", "ubuntu").replace("bookworm", "noble");
    project.environment.write("casque.toml", manifest);
    assert_snapshot!(project.taken(), @r"
    apt 2.7 (noble)
    nginx-light 1.1 (noble-security)
    usr-is-merged 38 (noble)
    ");
    project.lock();
    let lock = std::fs::read_to_string(project.environment.path("casque.lock")).unwrap();
    assert_eq!(lock.matches("url = \"http://archive.ubuntu.com/ubuntu\"").count(), 3, "{lock}");
}

#[test]
fn a_base_has_what_is_essential_and_what_is_required() {
    let project = Project::new(vec![
        Package::new("bash", "1").with("Essential", "yes"),
        Package::new("mount", "1").with("Priority", "required"),
        Package::new("nano", "1").with("Priority", "important"),
        Package::new("nginx-light", "1"),
        Package::new("usrmerge", "1").with("Essential", "yes"),
    ]);
    assert_snapshot!(project.taken(), @r"
    apt 2.6.1 (bookworm)
    bash 1 (bookworm)
    mount 1 (bookworm)
    nginx-light 1 (bookworm)
    usr-is-merged 37 (bookworm)
    ");
}
