//! `casque init` as its user meets it.

use casque_test::TestEnv;
use insta::assert_snapshot;

/// An environment with a project of one program.
fn project() -> TestEnv {
    let environment = TestEnv::default();
    environment.write("shop/VERSION", "1.4.0\n");
    environment.write(
        "shop/web.conf",
        "[program:web]\ncommand=/opt/shop/bin/web --port 9000\ndirectory=/opt/shop\n",
    );
    environment
}

#[test]
fn it_writes_the_manifest_and_says_what_it_found_and_what_is_next() {
    let environment = project();
    assert_snapshot!(environment.run(&["init", "shop"]), @r"
    stdout: shop/casque.toml
    found:
      the directory's name: name `shop`
      `VERSION`: version `1.4.0`
      `web.conf`: service `web` (a program of the product)
    to decide:
      nothing is known to answer requests, so no port is exposed: `[image] expose` and a `[service]` with `front` do that
    next:
      read the manifest: names, descriptions and order are proposals
      `casque check`, then `casque lock`, then `casque build`
    exit code 0
    ");
    assert_snapshot!(environment.run(&["check", "shop"]), @r"
    stdout: vendor/shop:v1.4.0: 1 services, 14 settings
    exit code 0
    ");
}

#[test]
fn a_manifest_that_is_there_stays_unless_it_is_to_be_replaced() {
    let environment = project();
    environment.write("shop/casque.toml", "mine");
    assert_snapshot!(environment.run(&["init", "shop"]), @r"
    error: cannot propose a manifest for `shop`
      caused by: `shop/casque.toml` is there already
    hint: `--stdout` prints the proposal, `--force` replaces the file
    exit code 2
    ");
    let read = || std::fs::read_to_string(environment.path("shop/casque.toml")).unwrap();
    assert_eq!(read(), "mine");
    let printed = environment.run(&["init", "--stdout", "shop"]);
    assert_eq!((printed.code, read().as_str()), (Some(0), "mine"));
    assert_eq!(environment.run(&["init", "--force", "shop"]).code, Some(0));
    assert_eq!(read().trim_end(), printed.stdout.trim_end());
}

#[test]
fn as_json_it_is_one_document_with_the_same_manifest() {
    let environment = project();
    let seen = environment.run(&["init", "--json", "shop"]);
    assert_eq!(seen.stderr, "");
    let document: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(document["version"], 1);
    let printed = environment.run(&["init", "--stdout", "shop"]).stdout;
    assert_eq!(document["manifest"].as_str().unwrap().trim_end(), printed.trim_end());
    assert!(!environment.path("shop/casque.toml").exists());
}

#[test]
fn what_is_no_directory_is_refused() {
    assert_snapshot!(project().run(&["init", "shop/VERSION"]), @r"
    error: cannot propose a manifest for `shop/VERSION`
      caused by: `shop/VERSION` is no directory
    exit code 2
    ");
}

#[test]
fn a_mark_that_no_manifest_cures_is_said() {
    let environment = project();
    environment.write("shop/app.ini", "key = @casque{secret-key|quoted}\n");
    let seen = environment.run(&["init", "shop"]);
    let told: Vec<&str> = seen.stderr.lines().filter(|line| line.contains("will refuse")).collect();
    assert_snapshot!(told.join("\n"), @"  `casque check` will refuse this: `shop/./app.ini`: line 1: mark `@casque{secret-key|quoted}` has the unknown filter `quoted`; filters are json, yaml, ini, shell, nginx and url");
}
