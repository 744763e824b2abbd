//! Logins: they open what they are for, and are in nothing that casque prints or writes.

use insta::assert_snapshot;

use crate::bad_archive::Project;

const USER: &str = "canary-user";
const PASSWORD: &str = "canary-p@ss";
/// Both in the form of a header.
const BASIC: &str = "Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBAc3M=";

/// Asserts that nothing of the login is in what was said or written.
fn assert_silent(project: &Project, said: &str) {
    let secrets = [USER, PASSWORD, "canary-p%40ss", BASIC, "canary"];
    let shown = |text: &str| secrets.into_iter().find(|secret| text.contains(secret));
    assert_eq!(shown(said), None, "{said}");
    for file in project.environment.files("") {
        if file != "auth.conf" {
            let bytes = std::fs::read(project.environment.path(&file)).unwrap();
            assert_eq!(shown(&String::from_utf8_lossy(&bytes)), None, "{file}");
        }
    }
}

fn mirror_with_login(project: &Project) -> String {
    let mirror = project.archive.mirror();
    mirror.replace("http://", &format!("http://{USER}:{}@", PASSWORD.replace('@', "%40")))
}

#[test]
fn a_login_in_the_address_of_a_mirror_is_used_and_nowhere_to_be_seen() {
    let project = Project::with_nginx();
    project.archive.require_login(BASIC);
    let run = |arguments: &[&str]| {
        let mut casque = project.casque(arguments);
        project.environment.see(casque.env("CASQUE_MIRROR", mirror_with_login(&project)))
    };
    for arguments in [&["lock"][..], &["fetch"], &["fetch", "--into", "carried"]] {
        let seen = run(arguments);
        assert_eq!(seen.code, Some(0), "{seen}");
        assert_silent(&project, &seen.to_string());
    }
    let lock = std::fs::read_to_string(project.environment.path("casque.lock")).unwrap();
    assert!(lock.contains("url = \"http://deb.debian.org/debian\""), "{lock}");
    assert!(!lock.contains("127.0.0.1"), "{lock}");
    let seen = run(&["build", "--json"]);
    assert_eq!(seen.code, Some(3), "the packages are none");
    assert_silent(&project, &seen.to_string());
}

#[test]
fn a_file_of_logins_is_used_and_nothing_of_it_is_to_be_seen() {
    let project = Project::with_nginx();
    project.archive.require_login(BASIC);
    let line = format!("machine {} login {USER} password {PASSWORD}\n", project.archive.mirror());
    project.environment.write("auth.conf", line);
    let mut casque = project.casque(&["lock"]);
    let seen = project.environment.see(casque.env("CASQUE_AUTH", "auth.conf"));
    assert_eq!(seen.code, Some(0), "{seen}");
    assert_silent(&project, &seen.to_string());
}

#[test]
fn a_login_that_is_not_accepted_is_not_shown() {
    let project = Project::with_nginx();
    project.archive.require_login("another");
    let mut casque = project.casque(&["lock"]);
    let seen = project.environment.see(casque.env("CASQUE_MIRROR", mirror_with_login(&project)));
    assert_silent(&project, &seen.to_string());
    assert_snapshot!(seen.to_string().replace(&project.archive.mirror(), "http://mirror"), @r"
      reading the archives' metadata
    error: cannot lock `.`
      caused by: cannot use archive `bookworm`
      caused by: `http://mirror/debian/dists/bookworm/InRelease` was answered with status 401
    hint: a login is taken from the file that `CASQUE_AUTH` names, or from `CASQUE_MIRROR`
    exit code 4
    ");
}

#[test]
fn a_proxy_is_never_shown_with_its_login() {
    let project = Project::with_nginx();
    let mut casque = project.casque(&["lock"]);
    let seen = project.environment.see(casque.env("http_proxy", format!("http://{USER}:{PASSWORD}@:::")));
    assert_silent(&project, &seen.to_string());
    assert_snapshot!(seen, @r"
    error: cannot use the network as the environment says
      caused by: `http://:::` is not the address of a proxy, such as `http://proxy.example.com:3128`
    exit code 4
    ");
}

#[test]
fn a_file_of_logins_that_cannot_be_used_is_named_by_its_line_alone() {
    let project = Project::with_nginx();
    project.environment.write("auth.conf", format!("machine example.org\nlogin {USER} {PASSWORD}\n"));
    let run = |file: &str| project.environment.see(project.casque(&["lock"]).env("CASQUE_AUTH", file));
    let seen = run("auth.conf");
    assert_silent(&project, &seen.to_string());
    assert_snapshot!(seen, @r"
    error: cannot read the logins of `CASQUE_AUTH`
      caused by: `auth.conf` line 2: expected `machine`, `login` or `password`
    exit code 2
    ");
    assert_snapshot!(run("nowhere"), @r"
    error: cannot read the logins of `CASQUE_AUTH`
      caused by: failed to open file `nowhere`: No such file or directory (os error 2)
    exit code 2
    ");
}
