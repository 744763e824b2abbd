//! Choosing among files, and asking an index that runs in the test.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use casque_fetch::NetworkSettings;

use super::*;
use crate::{Place, PythonVersion};

const BOOKWORM: Target = Target { python: PythonVersion { major: 3, minor: 11, patch: 2 }, glibc_minor: 36 };

fn file(filename: &str) -> File {
    File {
        filename: filename.to_owned(),
        url: format!("https://files.example.com/{filename}"),
        sha256: Digest::of(filename.as_bytes()),
        size: None,
        requires_python: None,
        yanked: None,
    }
}

fn requirement(name: &str, version: &str, files: &[&str]) -> Requirement {
    Requirement {
        name: name.to_owned(),
        extras: BTreeSet::new(),
        version: version.to_owned(),
        url: None,
        hashes: files.iter().map(|filename| Digest::of(filename.as_bytes())).collect(),
        marker: None,
        place: Place { path: PathBuf::from("requirements.lock"), line: 1 },
    }
}

fn chosen(requirement: &Requirement, files: &[File]) -> Result<String, String> {
    chosen_with(requirement, files, &Formats::default()).map_err(|error| error.to_string())
}

fn chosen_with(requirement: &Requirement, files: &[File], formats: &Formats) -> Result<String, PythonError> {
    choose(requirement, files, BOOKWORM, &supported(BOOKWORM), formats).map(|file| file.filename.clone())
}

#[test]
fn the_best_wheel_with_a_pinned_hash_is_chosen() {
    let names = [
        "a_b-1.0.tar.gz",
        "a_b-1.0-py3-none-any.whl",
        "a_b-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "a_b-1.0-2-cp311-cp311-manylinux_2_17_x86_64.whl",
        "a_b-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    ];
    let files = names.map(file);
    assert_eq!(chosen(&requirement("a-b", "1.0", &names), &files), Ok(names[4].to_owned()));
    assert_eq!(chosen(&requirement("a-b", "1.0.0", &names[..4]), &files), Ok(names[3].to_owned()));
    assert_eq!(chosen(&requirement("a-b", "1.0", &names[..2]), &files), Ok(names[1].to_owned()));
}

#[test]
fn sources_are_taken_where_no_wheel_fits_or_none_is_wanted() {
    let names = ["a-1.zip", "a-1.tar.gz", "a-1-cp312-cp312-win32.whl"];
    let files = names.map(file);
    assert_eq!(chosen(&requirement("a", "1", &names), &files), Ok("a-1.tar.gz".to_owned()));
    assert_eq!(chosen(&requirement("a", "1", &names[..1]), &files), Ok("a-1.zip".to_owned()));
    let names = ["a-1-py3-none-any.whl", "a-1.tar.gz"];
    let files = names.map(file);
    let formats = Formats { no_binary: ["a".to_owned()].into(), ..Formats::default() };
    assert_eq!(chosen_with(&requirement("a", "1", &names), &files, &formats).unwrap(), "a-1.tar.gz");
    let formats = Formats { only_binary: [":all:".to_owned()].into(), ..Formats::default() };
    let error = chosen_with(&requirement("a", "1", &names[1..]), &files, &formats).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a==1` has no wheel for CPython 3.11 on Linux x86_64 with glibc 2.36 among its hashes, only `a-1.tar.gz`"
    );
}

#[test]
fn a_requirement_without_a_file_names_what_there_is_and_what_would_fit() {
    let names = [
        "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
        "a-1-cp312-cp312-win32.whl",
        "a-1-cp313-cp313-win32.whl",
        "a-1-cp314-cp314-win32.whl",
        "a-1-py3-none-any.whl",
        "a-2.tar.gz",
    ];
    let files = names.map(file);
    let error = chosen_with(&requirement("a", "1", &names[..4]), &files, &Formats::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a==1` has no wheel for CPython 3.11 on Linux x86_64 with glibc 2.36 among its hashes, only \
         `a-1-cp311-cp311-musllinux_1_2_x86_64.whl`, `a-1-cp312-cp312-win32.whl`, `a-1-cp313-cp313-win32.whl` and \
         1 more"
    );
    let fitting = format!("a-1-py3-none-any.whl --hash=sha256:{}", Digest::of(names[4].as_bytes()));
    assert_eq!(error.hint(), Some(format!("`{fitting}` would fit: is it the file you mean?")));
    let error = chosen_with(&requirement("a", "2", &["elsewhere"]), &files, &Formats::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the package index has no file of `a==2` with one of its hashes, only `a-2.tar.gz`"
    );
    assert_eq!(
        chosen(&requirement("a", "3", &names), &files).unwrap_err(),
        "the package index has no `a==3`, the newest is 2"
    );
}

#[test]
fn a_hash_of_another_version_or_another_python_does_not_count() {
    let other = file("a-2-py3-none-any.whl");
    assert!(chosen(&requirement("a", "1", &["a-2-py3-none-any.whl"]), &[other]).is_err());
    let newer = File { requires_python: Some(">=3.12".to_owned()), ..file("a-1-py3-none-any.whl") };
    assert!(chosen(&requirement("a", "1", &["a-1-py3-none-any.whl"]), &[newer]).is_err());
}

fn pin(
    network: &Network,
    index: &str,
    requirements: &[Requirement],
) -> Result<Vec<PinnedDistribution>, PythonError> {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let requirements = Requirements { pinned: requirements.to_vec(), ..Requirements::default() };
    let locker = Locker::new(network, &store, index, &requirements, BOOKWORM)?;
    Ok(locker.pin(&requirements, &[])?.distributions)
}

#[test]
fn an_index_is_asked_and_pins_are_sorted() {
    let pages = ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"];
    let index = index(pages.to_vec());
    let network = Network::new(&NetworkSettings::default()).unwrap();
    let requirements = [requirement("b", "1", &pages), requirement("a", "1", &pages)];
    let pinned = pin(&network, &index, &requirements).unwrap();
    assert_eq!(
        pinned[0],
        PinnedDistribution {
            name: "a".to_owned(),
            version: "1".to_owned(),
            filename: pages[0].to_owned(),
            url: format!("{index}/a/{}", pages[0]),
            size: None,
            sha256: Digest::of(pages[0].as_bytes()),
            direct: false,
            build: vec![],
        }
    );
    assert_eq!(pinned[1].name, "b");
    assert_eq!(pinned[0].wanted()[0].label, "a 1");

    // Whichever is asked first, the first by name is the one that is reported.
    let unknown = [requirement("d", "1", &pages), requirement("c", "1", &pages)];
    let error = pin(&network, &index, &unknown).unwrap_err();
    assert_eq!(error.to_string(), format!("the package index `{index}/` has no project `c`"));
}

#[test]
fn an_index_that_knows_sizes_is_asked_for_them() {
    const WHEEL: &str = "sized-1-py3-none-any.whl";
    let pinned = pin(
        &Network::new(&NetworkSettings::default()).unwrap(),
        &index(vec![WHEEL]),
        &[requirement("sized", "1", &[WHEEL])],
    );
    assert_eq!(pinned.unwrap()[0].size, Some(12));
}

/// Serves an index page for each wheel under the first letter of its name, until the test ends.
fn index(wheels: Vec<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            reader.read_line(&mut request).unwrap();
            let mut line = String::new();
            let mut json = false;
            while reader.read_line(&mut line).unwrap() > 2 {
                json |= line.to_lowercase().starts_with("accept: application/vnd.pypi.simple.v1+json");
                line.clear();
            }
            let project = request.split(['/', ' ']).nth(3).unwrap_or_default();
            let (status, body) = match wheels.iter().find(|wheel| wheel.split('-').next() == Some(project)) {
                // As an index of today does, this one has both forms, but for a few projects.
                Some(wheel) if json && project == "sized" => {
                    let digest = Digest::of(wheel.as_bytes());
                    let file = format!(
                        r#"{{"filename":"{wheel}","url":"{wheel}","size":12,"hashes":{{"sha256":"{digest}"}}}}"#
                    );
                    ("200 OK", format!(r#"{{"files":[{file}]}}"#))
                }
                Some(wheel) => {
                    let digest = Digest::of(wheel.as_bytes());
                    ("200 OK", format!("<a href=\"{wheel}#sha256={digest}\">{wheel}</a>"))
                }
                None => ("404 Not Found", String::new()),
            };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    format!("http://{address}/simple")
}
