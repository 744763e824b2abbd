//! What `release.toml` may say.

use super::*;

const GOOD: &str = r#"
[depot]
address = "https://download.example.com"

[sign]
key = "vendor.key"

[[project]]
name = "backend"
git = "https://git.example.com/backend.git"
commands = ["make package"]

[[project.file]]
path = "dist/backend-latest.tar"
name = "docker_backend-{tag}.tar"
kind = "image"
"#;

fn read(text: &str) -> Result<Config, String> {
    Config::of_text(Path::new("/etc/release.toml"), text)
        .map_err(|error| error.failure("cannot release").to_string())
}

#[test]
fn what_is_not_said_is_as_usual() {
    let config = read(GOOD).unwrap();
    assert_eq!(config.sign.key, Path::new("/etc/vendor.key"));
    assert_eq!((config.watch.every.as_secs(), config.watch.retries), (60, 3));
    let project = config.project(None).unwrap();
    assert_eq!((project.timeout.as_secs(), project.expires_after, project.compare), (7200, None, true));
    assert_eq!((project.channel[0].name.as_str(), project.channel[0].tags.as_str()), ("stable", "v*"));
}

#[test]
fn a_tag_is_filled_in_with_and_without_its_v() {
    let release = "v43.4.4".parse().unwrap();
    assert_eq!(filled("a-{tag}_{version}.tar", &release), "a-v43.4.4_43.4.4.tar");
    assert_eq!(filled("{tag}_{version}", &"43.4.4".parse().unwrap()), "43.4.4_43.4.4");
}

#[test]
fn mistakes_are_named_with_their_line() {
    let again = GOOD[GOOD.find("[[project]]").unwrap()..].to_owned();
    for (text, expected) in [
        (GOOD.to_owned() + &again, "`/etc/release.toml` line 18: project `backend` is there twice"),
        (
            GOOD.replace("\"make package\"", ""),
            "`/etc/release.toml` line 9: project `backend` has no command",
        ),
        (
            GOOD.replace("git =", "directory = '../other'\ngit ="),
            "`/etc/release.toml` line 9: project `backend` has the directory `../other`, which is not in its repository",
        ),
        (
            GOOD.replace("-{tag}", ""),
            "`/etc/release.toml` line 15: `docker_backend.tar` has neither `{tag}` nor `{version}`, so each release would have a file of that name",
        ),
        (
            GOOD.replace("docker_backend-{tag}.tar", "a/{tag}"),
            "`/etc/release.toml` line 15: `a/v1` is no name of a file: expected at most 200 letters, digits and `.-_+~`, beginning with a letter or digit",
        ),
        (
            GOOD.replace("{tag}.tar", "{tag}.minisig"),
            "`/etc/release.toml` line 15: `docker_backend-{tag}.minisig` would be a signature, and casque makes these itself",
        ),
    ] {
        assert_eq!(
            read(&text).unwrap_err(),
            format!("error: cannot release\n  caused by: {expected}"),
            "{text}"
        );
    }
    let error = read(&GOOD.replace("commands =", "command =")).unwrap_err();
    assert!(error.contains("unknown field `command`") && error.contains("line 11"), "{error}");
    let error = read(&GOOD.replace("commands =", "timeout = '2 hours'\ncommands =")).unwrap_err();
    assert!(error.contains("expected a number and d, h, m or s, such as 30d"), "{error}");
}

#[test]
fn a_project_is_named_unless_there_is_only_one() {
    let again = GOOD[GOOD.find("[[project]]").unwrap()..].replace("\"backend\"", "\"other\"");
    let config = read(&(GOOD.to_owned() + &again)).unwrap();
    let error = |name| config.project(name).unwrap_err().failure("cannot release").to_string();
    assert_eq!(
        error(None),
        "error: cannot release\n  caused by: there are several projects: backend, other\nhint: name one with `--project`"
    );
    assert_eq!(
        error(Some("frontend")),
        "error: cannot release\n  caused by: there is no project `frontend`, only backend, other"
    );
    assert_eq!(config.project(Some("other")).unwrap().name.get_ref().as_str(), "other");
}

#[test]
fn every_key_is_described_and_no_other() {
    let page = include_str!("../../../../../docs/release.md");
    let known = |text: &str| {
        let error = read(text).unwrap_err();
        let (_, known) = error.split_once("`zzz`, expected ").unwrap_or_else(|| panic!("{error}"));
        known.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    for (heading, text) in [
        ("### `[depot]`", "[depot]\nzzz = 1"),
        ("### `[sign]`", "[sign]\nzzz = 1"),
        ("### `[watch]`", "[watch]\nzzz = 1"),
        ("### `[[project]]`", "[[project]]\nzzz = 1"),
        ("### `[[project.channel]]`", "[[project]]\n[[project.channel]]\nzzz = 1"),
        ("### `[[project.file]]`", "[[project]]\n[[project.file]]\nzzz = 1"),
    ] {
        let section = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
        let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
        let keys = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        assert_eq!(keys.map(|(key, _)| key.to_owned()).collect::<BTreeSet<_>>(), known(text), "{heading}");
    }
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(read(example).map(|config| config.project[0].file.len()), Ok(3));
}
