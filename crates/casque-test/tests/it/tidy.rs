//! The rules of this repository that no compiler knows.

use std::collections::BTreeSet;

use crate::repository::{assert_none, crates, entries, files, read};

/// Lints that may be silenced in files of this name alone; everywhere else they hold.
const SILENCED: [(&str, &[&str]); 5] = [
    ("unsafe_code", &["sys.rs"]),
    ("clippy::print_stdout", &["ui.rs", "fake-service.rs"]),
    ("clippy::print_stderr", &["ui.rs"]),
    ("clippy::exit", &["main.rs"]),
    ("clippy::dbg_macro", &[]),
];

/// Words that only files of this name may hold, tests apart.
const CONFINED: [(&str, &[&str], &str); 8] = [
    ("unsafe {", &["sys.rs"], "system calls have one file for each crate"),
    ("env::var", &["env.rs", "fake-service.rs"], "the environment is read in one place"),
    ("SystemTime::now", &["main.rs"], "the time of day comes from `main`"),
    ("OffsetDateTime::now", &["main.rs"], "the time of day comes from `main`"),
    ("stdout().lock()", &["ui.rs"], "one file prints"),
    ("#[ignore", &[], "a test that does not run is no test"),
    ("#[should_panic", &[], "a test says what it expects"),
    ("#[allow", &[], "`#[expect(lint, reason = ...)]` says why, and when it is no longer needed"),
];

/// Files with a reason of their own to hold such a word.
const EXCEPTIONS: [(&str, &str); 1] = [
    // PID 1 hands the whole environment of the container on, and looks at none of it.
    ("crates/casque-init/src/run.rs", "env::var"),
];

/// What crates may not do, as words that their product code does not hold.
const FORBIDDEN: [(&str, &[&str]); 13] = [
    ("casque-depot", &["process::Command", "casque_image", "casque_build"]),
    ("casque-secrets", &["std::fs", "fs_err", "std::net", "std::process", "std::env"]),
    ("casque-sign", &["std::fs", "fs_err", "std::net", "std::process", "std::env"]),
    ("casque-format", &["std::fs", "fs_err", "std::io", "std::net", "std::process", "std::env"]),
    ("casque-units", &["std::fs", "fs_err", "std::net", "std::process", "std::env"]),
    ("casque-debian", &["std::process", "std::env", "casque_image", "casque_build"]),
    ("casque-image", &["std::process", "std::env", "std::net", "casque_debian", "casque_build"]),
    ("casque-python", &["std::process", "std::env", "casque_image", "casque_build"]),
    ("casque-fetch", &["std::process", "std::env"]),
    ("casque-replay", &["std::process", "std::env", "casque_sandbox", "casque_build"]),
    ("casque-build", &["std::process", "std::env", "std::net"]),
    ("casque-sandbox", &["casque_format", "casque_image", "casque_build"]),
    ("casque-init", &["async ", "casque_build", "casque_units"]),
];

fn rust_files() -> Vec<String> {
    files("crates").into_iter().filter(|file| file.ends_with(".rs")).collect()
}

fn name_of(file: &str) -> &str {
    file.rsplit('/').next().unwrap()
}

/// Returns a file's text without its tests, or nothing when the whole file is one.
fn product_code(file: &str) -> String {
    if file.contains("/tests/") || name_of(file) == "tests.rs" || file.ends_with("tests/properties.rs") {
        return String::new();
    }
    let text = read(file);
    text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
}

/// Returns the lines that are no comment, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn every_source_file_begins_by_saying_what_it_is_for() {
    let silent = rust_files().into_iter().filter(|file| !read(file).starts_with("//! "));
    assert_none("without `//!` on the first line", &silent.collect::<Vec<_>>());
}

#[test]
fn lints_are_silenced_only_where_the_rule_has_its_one_place() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        for (number, line) in code_lines(&read(&file)) {
            let attribute = line.trim_start().starts_with("#![") || line.trim_start().starts_with("#[");
            for (lint, places) in SILENCED {
                if attribute && line.contains(lint) && !places.contains(&name_of(&file)) {
                    wrong.push(format!("{file}:{number}: `{lint}`"));
                }
            }
        }
    }
    assert_none("silences a lint", &wrong);
}

#[test]
fn words_with_one_place_are_nowhere_else() {
    let mut wrong = Vec::new();
    for file in rust_files().iter().filter(|file| !file.ends_with("/tidy.rs")) {
        for (number, line) in code_lines(&product_code(file)) {
            for (word, places, why) in CONFINED {
                let excepted = EXCEPTIONS.contains(&(file, word));
                if line.contains(word) && !places.contains(&name_of(file)) && !excepted {
                    wrong.push(format!("{file}:{number}: `{word}`, but {why}"));
                }
            }
        }
    }
    assert_none("holds a word that has another place", &wrong);
    for (file, word) in EXCEPTIONS {
        assert!(product_code(file).contains(word), "`{file}` needs no exception for `{word}`");
    }
}

#[test]
fn crates_do_not_do_what_they_may_not() {
    let mut wrong = Vec::new();
    for (name, words) in FORBIDDEN {
        let sources = files(&format!("crates/{name}/src"));
        assert!(!sources.is_empty(), "`{name}` has no sources");
        for file in sources {
            for (number, line) in code_lines(&product_code(&file)) {
                let found = words.iter().filter(|word| line.contains(**word));
                wrong.extend(found.map(|word| format!("{file}:{number}: `{word}`")));
            }
        }
    }
    assert_none("does what its crate may not", &wrong);
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut wrong = Vec::new();
    for file in rust_files().iter().filter(|file| name_of(file) == "sys.rs") {
        let text = read(file);
        let lines: Vec<&str> = text.lines().collect();
        for (number, _) in code_lines(&text).filter(|(_, line)| line.contains("unsafe {")) {
            // The statement may begin some lines above its block.
            let before = lines[..number].iter().rev().take(12);
            let reason = before.clone().position(|line| line.contains("SAFETY: "));
            let other = before.skip(1).position(|line| line.contains("unsafe {")).map(|place| place + 1);
            if reason.is_none() || other.is_some_and(|other| reason > Some(other)) {
                wrong.push(format!("{file}:{number}"));
            }
        }
    }
    assert_none("an unsafe block without `SAFETY:`", &wrong);
}

#[test]
fn a_crate_holds_rust_and_nothing_else() {
    // What pages are made of is easier to read, and to write, in its own language.
    let is_page = |file: &str| {
        (file.starts_with("crates/casque-depot/src/pages/") && !file.ends_with(".js"))
            || file.starts_with("crates/casque-handbook/tests/it/snapshots/")
            || ["handbook.md", "page.css"]
                .iter()
                .any(|name| file == format!("crates/casque-handbook/src/{name}"))
    };
    let known = |file: &String| file.ends_with(".rs") || name_of(file) == "Cargo.toml" || is_page(file);
    let strange: Vec<String> = files("crates").into_iter().filter(|file| !known(file)).collect();
    assert_none("neither Rust nor a manifest", &strange);
    // `utils` and the like are not things.
    let vague = ["util", "utils", "common", "helpers", "misc"];
    let stem = |file: &str| name_of(file).trim_end_matches(".rs").to_owned();
    let vague: Vec<String> =
        rust_files().into_iter().filter(|file| vague.contains(&stem(file).as_str())).collect();
    assert_none("a name that says nothing", &vague);
}

#[test]
fn no_test_file_is_forgotten() {
    let mut forgotten = Vec::new();
    for name in crates() {
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        let directory = format!("crates/{name}/tests/it");
        let tests = format!("crates/{name}/tests/");
        for file in rust_files().into_iter().filter(|file| file.starts_with(&tests)) {
            let inside = file.trim_start_matches(&format!("crates/{name}/"));
            let stem = name_of(&file).trim_end_matches(".rs");
            let named = stem == "main"
                || manifest.contains(&format!("path = \"{inside}\""))
                || (file.starts_with(&directory)
                    && read(&format!("{directory}/main.rs")).contains(&format!("mod {stem};\n")));
            if !named {
                forgotten.push(file);
            }
        }
    }
    assert_none("a test that never runs", &forgotten);
}

#[test]
fn every_script_of_the_tests_is_run_by_one_of_them() {
    let is_script = |file: &String| file.ends_with(".sh") || file.ends_with(".py");
    let scripts = ["tests", "demo", "bench"].into_iter().flat_map(files).filter(is_script);
    // Below tests/scripts there is a vendor's project, whose playbook has its scripts.
    let is_ours = |file: &String| file != "tests/all.sh" && !file.starts_with("tests/scripts/");
    let scripts: Vec<String> = scripts.filter(is_ours).collect();
    let callers: Vec<(String, String)> = ["Makefile", "tests/all.sh"]
        .into_iter()
        .map(str::to_owned)
        .chain(scripts.iter().cloned())
        .map(|file| (file.clone(), read(&file)))
        .collect();
    let called = |script: &&String| {
        let module = script.strip_suffix(".py").and_then(|path| path.rsplit_once('/'));
        let imported = module.map(|(directory, name)| (directory, format!("from {name} import ")));
        callers.iter().filter(|(caller, _)| caller != *script).any(|(caller, text)| {
            let imports = |(directory, words): &(&str, String)| {
                caller.starts_with(*directory) && caller.ends_with(".py") && text.contains(words)
            };
            text.contains(script.as_str()) || imported.as_ref().is_some_and(imports)
        })
    };
    let forgotten: Vec<String> = scripts.iter().filter(|file| !called(file)).cloned().collect();
    assert_none("a script that nothing runs", &forgotten);
}

#[test]
fn every_example_is_built_by_a_test() {
    let scripts: String = ["tests", "demo"].into_iter().flat_map(files).map(|file| read(&file)).collect();
    for name in entries("examples") {
        for file in entries(&format!("examples/{name}")) {
            // A directory stands for its casque.toml.
            let word = match file.as_str() {
                "casque.toml" => format!("examples/{name}"),
                _ if file.starts_with("casque.") && file.ends_with(".toml") => {
                    format!("examples/{name}/{file}")
                }
                _ => continue,
            };
            let built = scripts.lines().any(|line| line.split([' ', '"', '=']).any(|part| part == word));
            assert!(built, "no test builds `examples/{name}/{file}`");
        }
    }
}

#[test]
fn both_licences_are_here_and_every_crate_is_under_them() {
    assert!(read("LICENSE-APACHE").contains("Apache License"));
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted, free of charge"));
    assert!(read("Cargo.toml").contains("license = \"Apache-2.0 OR MIT\"\n"));
    for name in crates() {
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        for line in
            ["license.workspace = true\n", "publish.workspace = true\n", "[lints]\nworkspace = true\n"]
        {
            assert!(manifest.contains(line), "`crates/{name}/Cargo.toml` has no `{}`", line.trim_end());
        }
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "`crates/{name}` is named otherwise");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = BTreeSet::new();
    for file in files(".").into_iter().filter(|file| file.ends_with(".md")) {
        let directory = file.rsplit_once('/').map_or(".", |(directory, _)| directory);
        for link in read(&file).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            let outside = target.is_empty() || target.contains("://");
            if !outside && !crate::repository::root().join(directory).join(target).exists() {
                broken.insert(format!("{file}: {link}"));
            }
        }
    }
    assert_none("a link to nothing", &broken.into_iter().collect::<Vec<_>>());
}
