//! The Markdown, and the commands in it.

use std::collections::BTreeSet;
use std::process::Command;

use casque_format::image::ImagePlan;
use casque_handbook::{blocks, markdown, run_line};

use crate::product::{least, whole};

fn names(plan: &ImagePlan) -> Vec<String> {
    blocks(plan).into_iter().map(|block| block.name).collect()
}

fn commands(plan: &ImagePlan, name: &str) -> String {
    blocks(plan).into_iter().find(|block| block.name == name).unwrap().commands
}

/// Returns the row of a table that begins with this cell.
fn row(text: &str, first: &str) -> String {
    let begin = format!("| {first} |");
    text.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no row {first}")).to_owned()
}

#[test]
fn the_whole_text_is_what_a_customer_reads() {
    insta::assert_snapshot!("whole", markdown(&whole()));
}

#[test]
fn a_product_with_little_has_a_short_text_and_no_empty_section() {
    insta::assert_snapshot!("least", markdown(&least()));
}

#[test]
fn every_block_has_a_name_of_its_own_and_is_one_a_shell_understands() {
    for plan in [whole(), least()] {
        let all = blocks(&plan);
        let names: BTreeSet<_> = all.iter().map(|block| block.name.clone()).collect();
        assert_eq!(names.len(), all.len(), "{:?}", self::names(&plan));
        assert!(!names.contains(""));
        for block in all {
            assert!(!block.section.is_empty(), "{}", block.name);
            let read = Command::new("sh").args(["-n", "-c", &block.commands]).status().unwrap();
            assert!(read.success(), "{}: {}", block.name, block.commands);
        }
    }
}

#[test]
fn every_block_in_the_text_is_told_in_its_order() {
    let text = markdown(&whole());
    let fences: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("```sh ")).collect();
    assert_eq!(names(&whole()), fences);
    // Whatever is no command of a shell would have another language, and there is none.
    assert_eq!(text.matches("```").count(), 2 * fences.len());
}

#[test]
fn the_production_line_is_the_one_that_the_image_prints() {
    let plan = whole();
    assert_eq!(commands(&plan, "run"), run_line(&plan));
    let next = run_line(&plan).replace(":v43.4.4", ":NEXT");
    assert_eq!(commands(&plan, "switch"), format!("docker stop backend\ndocker rm backend\n{next}"));
}

#[test]
fn another_port_is_in_every_command() {
    let mut plan = whole();
    (plan.expose, plan.https_port) = (vec![8443, 8080], Some(8443));
    assert_eq!(
        commands(&plan, "try"),
        "docker run -d --rm --name backend-trial -p 8080:8080 vendor/backend:v43.4.4\n"
    );
    for name in ["try-status", "ready", "details", "next-ready"] {
        assert!(commands(&plan, name).contains("http://127.0.0.1:8080/status"), "{name}");
    }
    let text = markdown(&plan);
    assert_eq!(row(&text, "8443"), "| 8443 | HTTPS over TCP |");
    assert_eq!(row(&text, "8080"), "| 8080 | HTTP over TCP |");
}

#[test]
fn a_row_says_all_that_the_manifest_does() {
    let text = markdown(&whole());
    assert_eq!(
        row(&text, "`web-workers`"),
        "| `web-workers` | `WEB_WORKERS` | integer | a whole number from 1 to 64 | `2` | yes | no | Processes. Deprecated: Say less. |"
    );
    assert_eq!(
        row(&text, "`mail-to`"),
        "| `mail-to` | `MAIL_TO` | string | text | none | when `smtp-url` | no | Recipient. Earlier name: `mail`. |"
    );
    assert!(row(&text, "`admin-password`").contains("| generated | no | yes | First password of `admin`. |"));
    assert!(row(&text, "`time-zone`").contains("| `TIME_ZONE`, `TZ` |"));
}

#[test]
fn the_prefix_is_before_every_variable() {
    let mut plan = whole();
    plan.env_prefix = "BACKEND_".to_owned();
    assert!(row(&markdown(&plan), "`web-workers`").contains("`BACKEND_WEB_WORKERS`"));
}

#[test]
fn a_secret_that_the_vendor_has_set_is_not_told() {
    let text = markdown(&whole());
    assert!(!text.contains("hunter2"));
    assert!(row(&text, "`fixed`").contains("| hidden | no | yes |"));
}

#[test]
fn settings_are_in_one_section_each() {
    let text = markdown(&whole());
    let section = |heading: &str| {
        text.split(&format!("{heading}\n")).nth(1).unwrap().split("\n##").next().unwrap().to_owned()
    };
    for (name, heading) in
        [("web-workers", "### Of this product"), ("base-url", "### Of every product"), ("hsts", "## HTTPS")]
    {
        assert_eq!(text.matches(&format!("\n| `{name}` |")).count(), 1, "{name}");
        assert!(section(heading).contains(&format!("\n| `{name}` |")), "{name} is not in {heading}");
    }
}

#[test]
fn numbers_of_users_and_directories_are_those_of_the_plan() {
    let text = markdown(&whole());
    assert_eq!(row(&text, "`mongodb`"), "| `mongodb` | 900 | 901 | 4 | mongodb |");
    assert_eq!(row(&text, "`root`"), "| `root` | 0 | 0 | none | PID 1, web |");
    assert_eq!(
        row(&text, "`/data/mongodb`"),
        "| `/data/mongodb` | mongodb | 900 | 901 | `0750` | data of the product |"
    );
    assert!(row(&text, "`/data/persist/var/lib/x`").ends_with("| what software finds at `/var/lib/x` |"));
}
