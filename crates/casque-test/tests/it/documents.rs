//! What the documents say is what the programs do.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::Command;

use casque_build::manifest::Manifest;
use casque_format::control::{Overall, ServiceState, ServiceStatus};
use casque_format::marks::Filter;
use casque_format::status::{self, Certificate, Details, Status, Volume};
use serde_json::{Map, Value};

use crate::repository::{assert_none, files, read};

const MANIFEST: &str = "docs/manifest.md";
const CUSTOMER: &str = "docs/customer.md";
const HANDBOOK: &str = "crates/casque-handbook/src/handbook.md";

/// Headings of the manifest's page, and a manifest whose reader refuses `zzz` and lists what it knows there.
const TABLES: [(&str, &str); 30] = [
    ("## The tables", "zzz = 1"),
    ("## `[image]`", "[image]\nzzz = 1"),
    ("### `healthcheck`", "[image]\nhealthcheck = { zzz = 1 }"),
    ("## `[base]`", "[base]\nzzz = 1"),
    ("### The distribution", "[base]\ndistribution = 'zzz'"),
    ("### `[[base.archive]]`", "[base]\narchive = [{ zzz = 1 }]"),
    ("### `[[base.pin]]`", "[base]\npin = [{ zzz = 1 }]"),
    ("## `[[layer]]`", "[[layer]]\nzzz = 1"),
    ("### `secrets`", "[[layer]]\nsecrets = [{ zzz = 1 }]"),
    ("### `python`", "[[layer]]\npython = { zzz = 1 }"),
    ("### `copy` and `mount`", "[[layer]]\ncopy = [{ zzz = 1 }]"),
    ("## `[settings.NAME]`", "[settings.a]\nzzz = 1"),
    ("### Types", "[settings.a]\ntype = 'zzz'"),
    ("## `[service.NAME]`", "[service.a]\nzzz = 1"),
    ("### `ready`", "[service.a]\nready = { zzz = 1 }"),
    ("### `health`", "[service.a]\nhealth = { zzz = 1 }"),
    ("### `when-lost`", "[service.a]\nwhen-lost = { b = 'zzz' }"),
    ("### `once`", "[service.a]\nonce = 'zzz'"),
    ("### `replicas`", "[service.a]\nreplicas = { zzz = 1 }"),
    ("### `reload`", "[service.a]\nreload = { zzz = 1 }"),
    ("### `directories` of a service", "[service.a]\ndirectories = [{ zzz = 1 }]"),
    ("### `needs`", "[service.a]\nneeds = { zzz = 1 }"),
    ("### `cpu`", "[service.a]\nneeds = { cpu = ['zzz'] }"),
    ("### `stop`", "[service.a]\nstop = { zzz = 1 }"),
    ("### `front`", "[service.a]\nfront = { zzz = 1 }"),
    ("## `[users.NAME]`", "[users.a]\nzzz = 1"),
    ("## `[data]`", "[data]\nzzz = 1"),
    ("### `directories`", "[data]\ndirectories = [{ zzz = 1 }]"),
    ("## `[logs.NAME]`", "[logs.a]\nzzz = 1"),
    ("## `[preflight.NAME]`", "[preflight.a]\nzzz = 1"),
];

/// Reads a manifest; the files that the examples name are there.
fn read_manifest(text: &str) -> Result<Manifest, String> {
    let place = tempfile::tempdir().unwrap();
    for file in ["keys/mongodb.asc", "answers.preseed", "requirements.lock", "app/main.py"] {
        std::fs::create_dir_all(place.path().join(file).parent().unwrap()).unwrap();
        std::fs::write(place.path().join(file), "").unwrap();
    }
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    std::fs::write(place.path().join("keys/vendor.pub"), key).unwrap();
    std::fs::write(place.path().join("casque.toml"), text).unwrap();
    Manifest::read(place.path()).map_err(|error| {
        // The mistake in words, and then what the parser said of it.
        format!("{error}\n{}", error.source().map(ToString::to_string).unwrap_or_default())
    })
}

/// Returns the words that a reader says it expected in the place of `zzz`.
fn known_words(manifest: &str) -> BTreeSet<String> {
    let error = read_manifest(manifest).unwrap_err();
    let (_, expected) = error.split_once("`zzz`, expected ").unwrap_or_else(|| panic!("{manifest}: {error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns what is below a heading, up to the next.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let begin = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}`"));
    let rest = &page[begin + heading.len() + 2..];
    let end = ["\n## ", "\n### "].iter().filter_map(|next| rest.find(next)).min();
    &rest[..end.unwrap_or(rest.len())]
}

/// Returns the first word in backticks of each row of a table.
fn rows(section: &str) -> BTreeSet<String> {
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    // Two keys that are each other's counterpart share a row.
    let words = cells.flat_map(|(cell, _)| cell.split("`, `"));
    words.map(|word| word.split('`').next().unwrap_or_default().to_owned()).collect()
}

/// Returns the blocks of a page that are marked as being in a language.
fn examples(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_key_of_the_manifest_is_described_and_no_other() {
    let page = read(MANIFEST);
    for (heading, manifest) in TABLES {
        assert_eq!(rows(section(&page, heading)), known_words(manifest), "{heading}");
    }
}

#[test]
fn every_filter_of_a_mark_is_described() {
    let filters: BTreeSet<String> = Filter::ALL.iter().map(|filter| filter.name().to_owned()).collect();
    assert_eq!(rows(section(&read(MANIFEST), "### Filters")), filters);
}

#[test]
fn every_setting_that_all_products_have_is_described() {
    let built_in = casque_format::settings::built_in();
    let names: BTreeSet<String> = built_in.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(rows(section(&read(CUSTOMER), "### Settings of every product")), names);
    let of_https = casque_format::settings::of_https();
    let names: BTreeSet<String> = of_https.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(rows(section(&read(CUSTOMER), "## HTTPS")), names);
}

#[test]
fn the_examples_of_a_page_are_together_a_manifest() {
    for page in [MANIFEST, "README.md"] {
        let manifest = read_manifest(&examples(&read(page), "toml").concat());
        assert!(manifest.is_ok(), "{page}: {}", manifest.unwrap_err());
    }
}

#[test]
fn every_format_with_a_version_has_its_section() {
    let page = read("docs/formats.md");
    let mut found = 0;
    for file in files("crates").into_iter().filter(|file| file.contains("/src/")) {
        let text = read(&file);
        let version = text
            .lines()
            .find_map(|line| line.trim_start_matches("pub ").strip_prefix("const VERSION: u32 = "));
        let Some(version) = version.map(|rest| rest.trim_end_matches(';')) else { continue };
        let module = module_path(&file);
        let described = page.split("\n## ").find(|section| section.contains(&format!("`{module}::")));
        let heading = described.unwrap_or_else(|| panic!("no section names `{module}`")).lines().next();
        assert!(heading.unwrap().ends_with(&format!(", version {version}")), "{module}: {heading:?}");
        found += 1;
    }
    assert!(found >= 8, "only {found} formats were found");
}

/// Returns the module that a file is, such as `casque_build::lock::file`.
fn module_path(file: &str) -> String {
    let path = file.trim_start_matches("crates/").trim_end_matches(".rs").trim_end_matches("/mod");
    let (name, inside) = path.split_once("/src/").unwrap();
    format!("{}::{}", name.replace('-', "_"), inside.replace('/', "::"))
}

#[test]
fn every_word_of_the_customers_command_is_described() {
    let agent = Path::new(env!("CARGO_BIN_EXE_fake-service")).with_file_name("casque-agent");
    assert!(agent.exists(), "`{}` is missing: build it with `cargo build -p casque-agent`", agent.display());
    let help = Command::new(agent).arg("--help").env_clear().output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let commands = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    // What is indented further continues the line before.
    let commands: BTreeSet<String> =
        commands.filter(|word| !word.is_empty() && *word != "help").map(str::to_owned).collect();
    let described = rows(section(&read(CUSTOMER), "## The command in the image"));
    let described: BTreeSet<String> =
        described.iter().map(|line| line.split(' ').nth(1).unwrap_or_default().to_owned()).collect();
    assert_eq!(described, commands);
}

#[test]
fn every_exit_code_in_the_image_is_described() {
    let page = read(CUSTOMER);
    let init = read("crates/casque-init/src/exit.rs");
    let codes: Vec<&str> =
        init.lines().filter_map(|line| line.split_once(": i32 = ")).map(|(_, code)| code).collect();
    assert_described(&page, "### Of the container", &codes);
    assert_described(&read(HANDBOOK), "### Of the container", &codes);
    let agent = read("crates/casque-agent/src/error.rs");
    let function = agent.split("pub fn code(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let codes: Vec<&str> =
        function.lines().filter_map(|line| line.split_once(" => ")).map(|(_, code)| code).collect();
    assert_described(&page, "### Of the command", &codes);
    assert_described(&read(HANDBOOK), "### Of the command", &codes);
}

fn assert_described(page: &str, heading: &str, codes: &[&str]) {
    assert!(codes.len() >= 3, "{heading}: {codes:?}");
    let table = section(page, heading);
    let missing = codes.iter().map(|code| code.trim_end_matches([';', ','])).filter(|code| {
        let number: u32 = code.parse().unwrap();
        !table.lines().any(|line| line.starts_with(&format!("| {number} |")))
    });
    assert_none(heading, &missing.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn the_schema_of_the_status_describes_what_is_written_and_nothing_else() {
    let service = ServiceStatus {
        name: "web".to_owned(),
        state: ServiceState::Ready,
        pid: Some(1),
        restarts: 0,
        since_ms: 0,
        last_exit: Some(String::new()),
        message: Some(String::new()),
        oom_kills: 1,
        dropped_lines: 1,
        unfiled_lines: 1,
        log_problem: Some("no space left on device".to_owned()),
    };
    let certificate = Certificate {
        setting: "tls".to_owned(),
        subject: "CN=a".to_owned(),
        not_after: 0,
        days_left: Some(0),
    };
    let details = Details {
        product: "vendor/backend".to_owned(),
        product_version: "1".to_owned(),
        instance: "a".to_owned(),
        configuration: "b".to_owned(),
        uptime_ms: 0,
        services: vec![service],
        warnings: vec![],
        volume: Some(Volume { total_bytes: 1, free_bytes: 1 }),
        certificates: vec![certificate],
        syslog: Some(status::Syslog {
            receiver: "tcp://a".to_owned(),
            connected: true,
            waiting_bytes: 0,
            lost_lines: 0,
            last_error: Some(String::new()),
        }),
    };
    let status = Status { version: status::VERSION, state: Overall::Ready, details: Some(details) };
    let schema: Value = serde_json::from_str(&read("docs/status.schema.json")).unwrap();
    assert_eq!(schema["properties"]["version"]["const"], status::VERSION);
    assert_same_shape("", &serde_json::to_value(&status).unwrap(), &schema);
}

/// Compares the keys of a value, in which nothing is left out, with those of its schema.
fn assert_same_shape(place: &str, value: &Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let described =
                schema["properties"].as_object().unwrap_or_else(|| panic!("{place} has no properties"));
            let keys = |map: &Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(fields), keys(described), "{place}");
            fields.iter().for_each(|(key, field)| {
                assert_same_shape(&format!("{place}.{key}"), field, &described[key])
            });
        }
        Value::Array(items) => items.iter().for_each(|item| assert_same_shape(place, item, &schema["items"])),
        _ => {}
    }
}
