//! Pages: what people see, and that programs are answered as ever.

use axum::http::StatusCode;
use casque_depot::access::passwords;
use casque_depot::records::{Accounts, Entry, Grant};
use casque_format::digest::Digest;
use casque_format::release::{Artefact, Kind, Release};

use crate::house::{House, NOW, Seen, basic};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// Undoes the escapes, for whoever looks for a text with a slash in it.
fn plain(seen: &Seen) -> String {
    seen.text().replace("&#x2f;", "/").replace("&#x27;", "'")
}

fn staff(house: &House) -> String {
    let records = house.depot.records();
    records.add_account(Accounts::Staff, "anna", &passwords::hash("secret").unwrap(), 0).unwrap();
    basic("anna", "secret")
}

/// Adds a file to a release that is not published yet.
async fn with(house: &House, mut release: Release, name: &str, kind: Kind, content: &str) -> Release {
    let sha256 = house.upload(content.as_bytes()).await;
    let size = content.len() as u64;
    release.artefacts.push(Artefact { name: name.parse().unwrap(), kind, size, sha256, blobs: Vec::new() });
    release
}

fn bill(packages: &[(&str, &str)]) -> String {
    let packages: Vec<String> = packages
        .iter()
        .map(|(name, version)| {
            format!("{{\"SPDXID\":\"SPDXRef-{name}\",\"name\":\"{name}\",\"versionInfo\":\"{version}\"}}")
        })
        .collect();
    format!("{{\"packages\":[{}]}}", packages.join(","))
}

#[tokio::test]
async fn the_list_has_what_the_customer_may_have_and_nothing_as_markup() {
    let house = House::default();
    house.release("v1.0", 1, "stable", "one").await;
    let seen = house.get("/", &[BROWSER]).await;
    assert_eq!(seen.header("content-type"), "text/html; charset=utf-8");
    let page = plain(&seen);
    assert!(page.contains("<a href=\"/backend/\">The Backend</a>") && page.contains(">v1.0</a>"), "{page}");
    let seen = house.get("/backend/", &[]).await;
    let page = plain(&seen);
    assert!(page.contains("faster &amp; &lt;better&gt;") && !page.contains("<better>"), "{page}");
    let nothing = house.customer("nothing", None);
    let page = plain(&house.ask("GET", "/", &[("authorization", nothing.as_str())], "").await);
    assert!(page.contains("There is nothing here for you yet.") && !page.contains("Backend"), "{page}");
}

#[tokio::test]
async fn commands_have_the_host_the_user_and_the_version_of_whoever_reads_them() {
    let house = House::default();
    house.release("v1.0", 1, "stable", "one").await;
    let page = plain(&house.get("/backend/v1.0/", &[("host", "get.example:8443")]).await);
    let url = "http://get.example:8443/backend/docker_backend-v1.0.tar";
    let key = crate::house::KEY.public().line();
    for command in [
        &format!("<code>curl -f -u acme -C - -O {url}</code>"),
        &format!("<code>curl -f -u acme {url}.sha256 | sha256sum -c</code>"),
        &format!("minisign -V -P {key} -m docker_backend-v1.0.tar</code>"),
        "<code>docker load -i docker_backend-v1.0.tar</code>",
        "<code>docker run vendor/backend</code>",
        "<code>curl http://127.0.0.1/status</code>",
    ] {
        assert!(page.contains(command), "{command}\n{page}");
    }
    let strange = [("host", "evil\"><script>")];
    let page = plain(&house.get("/backend/v1.0/", &strange).await);
    assert!(page.contains("http://127.0.0.1:0/backend/") && !page.contains("evil"), "{page}");
}

#[tokio::test]
async fn every_page_is_shut_in_by_its_headers() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    let staff = staff(&house);
    let paths =
        ["/", "/backend/", "/backend/v1/", "/backend/latest/", "/nowhere/", "/staff/", "/staff/releases/"];
    for path in paths.into_iter().chain(["/staff/customers/", "/staff/downloads/", "/static/depot.css"]) {
        let login = if path.starts_with("/staff") { &staff } else { &house.acme };
        let seen = house.ask("GET", path, &[("authorization", login), BROWSER], "").await;
        let policy = seen.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(seen.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(seen.header("referrer-policy"), "no-referrer", "{path}");
        let page = seen.text();
        for forbidden in ["<script", "style=\"", "onclick", "http://www", "https://", "<form"] {
            assert!(!page.contains(forbidden), "{path} has {forbidden}: {page}");
        }
    }
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    for path in ["/", "/backend/", "/backend/v1/", "/static/depot.css"] {
        let seen = house.get(path, &[]).await;
        let etag = seen.header("etag").to_owned();
        let again = house.get(path, &[("if-none-match", etag.as_str())]).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        let head = house.ask("HEAD", path, &[("authorization", house.acme.as_str())], "").await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        assert_eq!(head.header("etag"), etag, "{path}");
    }
    let etag = house.get("/backend/", &[]).await.header("etag").to_owned();
    house.release("v2", 2, "stable", "two").await;
    assert_eq!(house.get("/backend/", &[("if-none-match", etag.as_str())]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_withdrawn_version_shows_why_and_no_way_to_get_it() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    house.release("v2", 2, "stable", "two").await;
    house.depot.records().withdraw("backend", "v2", Some("loses <data>")).unwrap();
    for path in ["/backend/", "/backend/v2/"] {
        let page = plain(&house.get(path, &[]).await);
        assert!(page.contains("loses &lt;data&gt;"), "{path}: {page}");
        assert!(!page.contains("docker_backend-v2.tar"), "{path}: {page}");
    }
    let page = plain(&house.get("/backend/latest/", &[]).await);
    assert!(page.contains("<h1>The Backend v1</h1>"), "{page}");
    let seen = house.get("/backend/docker_backend-v2.tar", &[BROWSER]).await;
    assert_eq!(seen.status, StatusCode::GONE);
    assert!(seen.text().contains("Release `v2` was withdrawn: loses &lt;data&gt;."), "{}", seen.text());
    assert_eq!(house.get("/backend/v2/docs/", &[]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn what_differs_from_the_version_before_is_shown() {
    let house = House::default();
    for (version, counter, channel, packages) in [
        ("v1", 1, "stable", [("kept", "1"), ("changed", "1.0"), ("gone", "1")]),
        ("v2-beta1", 2, "beta", [("kept", "1"), ("beta", "1"), ("only", "1")]),
        ("v2", 3, "stable", [("kept", "1"), ("changed", "1.1"), ("come", "7")]),
    ] {
        let release = house.prepared(version, counter, channel, version).await;
        let name = format!("docker_backend-{version}.spdx.json");
        let release = with(&house, release, &name, Kind::Sbom, &bill(&packages)).await;
        assert_eq!(house.publish(&release).await.status, StatusCode::CREATED);
    }
    let page = plain(&house.get("/backend/v2/", &[]).await);
    assert!(page.contains("Compared with v1: 1 changed, 1 added, 1 removed, 1 the same."), "{page}");
    let row = |name: &str, what: &str, old: &str, new: &str| {
        format!(
            "<tr><th scope=\"row\">{name}</th><td>other</td><td><span class=\"change {what}\">{what}</span></td>\
             <td>{old}</td><td>{new}</td></tr>"
        )
    };
    for row in [
        row("changed", "changed", "1.0", "1.1"),
        row("come", "added", "none", "7"),
        row("gone", "removed", "1", "none"),
    ] {
        assert!(page.contains(&row), "{row}\n{page}");
    }
    let page = plain(&house.get("/backend/v1/", &[]).await);
    assert!(page.contains("There is no version before this one"), "{page}");
    house.release("v3", 4, "stable", "three").await;
    let page = plain(&house.get("/backend/v3/", &[]).await);
    assert!(page.contains("This version has no bill of materials."), "{page}");
}

#[tokio::test]
async fn a_bill_that_is_none_spoils_no_page() {
    let house = House::default();
    for (version, counter) in [("v1", 1), ("v2", 2)] {
        let release = house.prepared(version, counter, "stable", version).await;
        let name = format!("docker_backend-{version}.spdx.json");
        let release = with(&house, release, &name, Kind::Sbom, "not JSON").await;
        assert_eq!(house.publish(&release).await.status, StatusCode::CREATED);
    }
    let page = plain(&house.get("/backend/v2/", &[]).await);
    assert!(page.contains("A bill of materials cannot be read"), "{page}");
}

#[tokio::test]
async fn documentation_has_an_address_of_its_own_and_may_do_nothing() {
    let house = House::default();
    let html = "<h1>How to</h1><script>alert(1)</script>";
    let release = house.prepared("v1", 1, "stable", "one").await;
    let release = with(&house, release, "backend-v1.html", Kind::Docs, html).await;
    assert_eq!(house.publish(&release).await.status, StatusCode::CREATED);
    for path in ["/backend/v1/docs/", "/backend/latest/docs/"] {
        let seen = house.get(path, &[]).await;
        assert_eq!((seen.status, seen.text().as_str()), (StatusCode::OK, html));
        assert_eq!(seen.header("content-type"), "text/html; charset=utf-8");
        assert!(seen.header("content-disposition").is_empty());
        let policy = seen.header("content-security-policy");
        assert!(
            policy.starts_with("sandbox; default-src 'none'; ") && !policy.contains("script"),
            "{policy}"
        );
        let etag = seen.header("etag");
        assert_eq!(house.get(path, &[("if-none-match", etag)]).await.status, StatusCode::NOT_MODIFIED);
    }
    assert!(plain(&house.get("/backend/v1/", &[]).await).contains("<a href=\"/backend/v1/docs/\">"));
    house.release("v2", 2, "stable", "two").await;
    let seen = house.get("/backend/v2/docs/", &[]).await;
    assert_eq!(
        (seen.status, seen.text().as_str()),
        (StatusCode::NOT_FOUND, "the vendor has published no documentation with release `v2`\n")
    );
    assert!(plain(&house.get("/backend/v2/", &[]).await).contains("no documentation with this version"));
}

#[tokio::test]
async fn each_channel_has_its_own_latest() {
    let house = House::default();
    for (version, counter, channel) in
        [("v1", 1, "stable"), ("v2", 2, "beta"), ("v3", 3, "beta"), ("v4", 4, "stable")]
    {
        let release = house.prepared(version, counter, channel, version).await;
        let html = format!("<h1>{version}</h1>");
        let release = with(&house, release, "backend.html", Kind::Docs, &html).await;
        assert_eq!(house.publish(&release).await.status, StatusCode::CREATED);
    }
    for (path, version) in [("latest", "v4"), ("stable/latest", "v4"), ("beta/latest", "v3")] {
        let page = house.get(&format!("/backend/{path}/"), &[]).await;
        assert!(plain(&page).contains(&format!("docker_backend-{version}.tar")), "{path}");
        let docs = house.get(&format!("/backend/{path}/docs/"), &[]).await;
        assert_eq!(docs.text(), format!("<h1>{version}</h1>"), "{path}");
    }
    house.depot.records().withdraw("backend", "v3", Some("loses data")).unwrap();
    assert_eq!(house.get("/backend/beta/latest/docs/", &[]).await.text(), "<h1>v2</h1>");
    assert_eq!(house.get("/backend/monthly/latest/", &[]).await.status, StatusCode::NOT_FOUND);
    let stable = Grant { channel: Some("stable".to_owned()), ..Grant::default() };
    let other = house.customer("other", Some(stable));
    for path in ["/backend/beta/latest/", "/backend/beta/latest/docs/"] {
        let seen = house.ask("GET", path, &[("authorization", other.as_str())], "").await;
        let text = "your licence does not cover channel `beta`\n";
        assert_eq!((seen.status, seen.text().as_str()), (StatusCode::FORBIDDEN, text));
    }
}

#[tokio::test]
async fn a_page_tells_no_more_than_a_download_does() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    house.release("v2", 2, "beta", "two").await;
    let channel = Some("stable".to_owned());
    let stable = house.customer("stable-only", Some(Grant { channel, ..Grant::default() }));
    let until = Some(i64::try_from(NOW).unwrap());
    let ended = house.customer("ended", Some(Grant { until, ..Grant::default() }));
    let nothing = house.customer("nothing", None);
    let ask = async |login: &str, path: &str| house.ask("GET", path, &[("authorization", login)], "").await;
    assert!(!plain(&ask(&stable, "/backend/").await).contains("v2"));
    let seen = ask(&stable, "/backend/v2/").await;
    assert_eq!(
        (seen.status, seen.text().as_str()),
        (StatusCode::FORBIDDEN, "your licence does not cover channel `beta`\n")
    );
    let page = plain(&ask(&ended, "/backend/").await);
    assert!(
        page.contains("ended on 2025-11-24") && page.contains("no version that your licence covers"),
        "{page}"
    );
    assert_eq!(ask(&ended, "/backend/latest/").await.status, StatusCode::FORBIDDEN);
    for path in ["/backend/", "/backend/v1/", "/backend/v1/docs/", "/other/", "/backend/v9/", "/no-such/"] {
        let seen = ask(&nothing, path).await;
        assert_eq!(
            (seen.status, seen.text().as_str()),
            (StatusCode::NOT_FOUND, "there is nothing at this address for you\n")
        );
        assert_eq!(house.ask("GET", path, &[], "").await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/Backend", "/..%2f..", "/%2e%2e/", "/backend/..%2f/docs/"] {
        let status = ask(&house.acme, path).await.status;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn people_read_a_page_where_programs_read_a_sentence() {
    let house = House::default();
    let path = "/backend/docker_backend-v9.tar";
    let sentence = "there is nothing at this address for you";
    let seen = house.get(path, &[("accept", "*/*")]).await;
    assert_eq!(
        (seen.text(), seen.header("content-type")),
        (format!("{sentence}\n"), "text/plain; charset=utf-8")
    );
    let seen = house.get(path, &[BROWSER]).await;
    assert_eq!((seen.status, seen.header("vary")), (StatusCode::NOT_FOUND, "Accept"));
    assert!(seen.text().starts_with("<!doctype html>") && seen.text().contains("There is nothing at this"));
    let seen = house.ask("GET", "/", &[BROWSER], "").await;
    assert_eq!(seen.header("www-authenticate"), "Basic realm=\"downloads\", charset=\"UTF-8\"");
    assert!(seen.text().contains("<h1>Please log in</h1>"), "{}", seen.text());
    let seen = house.ask("GET", "/api/v1/backend/releases", &[BROWSER], "").await;
    assert_eq!(seen.text(), "the token is wrong or missing\n");
}

#[tokio::test]
async fn an_address_without_its_slash_leads_to_the_page() {
    let house = House::default();
    for (path, to) in [("/backend", "/backend/"), ("/staff", "/staff/")] {
        let seen = house.ask("GET", path, &[], "").await;
        assert_eq!((seen.status, seen.header("location")), (StatusCode::PERMANENT_REDIRECT, to));
    }
}

#[tokio::test]
async fn customers_and_staff_do_not_get_into_each_others_pages() {
    let house = House::default();
    let staff = staff(&house);
    for path in
        ["/staff/", "/staff/releases/", "/staff/customers/", "/staff/downloads/", "/staff/x", "/staff/x/y"]
    {
        for login in [&house.acme, &basic("anna", "wrong"), &house.token] {
            let seen = house.ask("GET", path, &[("authorization", login)], "").await;
            assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(seen.header("www-authenticate"), "Basic realm=\"staff\", charset=\"UTF-8\"");
        }
    }
    for path in ["/", "/backend/", "/backend/keys.pub"] {
        let seen = house.ask("GET", path, &[("authorization", staff.as_str())], "").await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let ask = async || house.ask("GET", "/staff/", &[("authorization", staff.as_str())], "").await.status;
    assert_eq!(ask().await, StatusCode::OK);
    house.depot.records().set_disabled(Accounts::Staff, "anna", true).unwrap();
    assert_eq!(ask().await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn whoever_guesses_a_password_of_staff_is_asked_to_wait() {
    let house = House::default();
    let staff = staff(&house);
    let guess = basic("anna", "guess");
    let ask = async |login: &str| {
        house.ask("GET", "/staff/", &[("authorization", login)], "").await.status.as_u16()
    };
    assert_eq!(ask(&staff).await, 200);
    let mut answers = Vec::new();
    for _ in 0..61 {
        answers.push(ask(&guess).await);
    }
    assert_eq!((answers[59], answers[60]), (401, 429));
    assert_eq!(ask(&staff).await, 200, "who is known to be right is not held up");
}

#[tokio::test]
async fn a_wrong_user_costs_what_a_wrong_password_does_on_every_kind_of_page() {
    let house = House::default();
    staff(&house);
    house.release("v1", 1, "stable", "one").await;
    let paths =
        ["/", "/backend/", "/backend/v1/", "/backend/v1/docs/", "/backend/docker_backend-v1.tar", "/staff/"];
    for path in paths {
        for user in ["acme", "anna", "nobody", ""] {
            let before = house.depot.judged();
            let login = basic(user, "wrong");
            let seen = house.ask("GET", path, &[("authorization", login.as_str())], "").await;
            assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{path} {user}");
            assert_eq!(house.depot.judged() - before, 1, "hashes for {user} at {path}");
        }
    }
}

#[tokio::test]
async fn staff_see_releases_customers_and_downloads_and_no_secret() {
    let house = House::default();
    let staff = staff(&house);
    house.release("v1", 1, "stable", "one").await;
    house.customer("gone", None);
    house.depot.records().set_disabled(Accounts::Customers, "gone", true).unwrap();
    let day = 86_400;
    let now = i64::try_from(NOW).unwrap();
    let file = "docker_backend-v1.tar";
    for (at, actor, file, status, bytes, complete) in [
        (now - day, "acme", file, 200, 2_000_000, true),
        (now - 2 * day, "acme", file, 206, 500_000, true),
        (now - 2 * day, "acme", file, 200, 100_000, false),
        (now - day, "acme", "docker_backend-v1.tar.sha256", 200, 90, true),
        (now - day, "token:build", file, 200, 90, true),
        (now - 60 * day, "acme", file, 200, 1_000_000, true),
    ] {
        let entry = Entry {
            at,
            actor: actor.to_owned(),
            address: String::new(),
            action: "download".to_owned(),
            product: "backend".to_owned(),
            release: "v1".to_owned(),
            file: file.to_owned(),
            status,
            bytes,
            complete,
        };
        house.depot.records().note(entry).unwrap();
    }
    let ask =
        async |path: &str| plain(&house.ask("GET", path, &[("authorization", staff.as_str())], "").await);
    let page = ask("/staff/").await;
    assert!(page.contains("<strong>2 downloads</strong>, 2.6 MB."), "{page}");
    assert!(page.contains("<tr><th scope=\"row\">backend</th><td class=\"number\">2</td>"), "{page}");
    assert_eq!(page.matches("<rect class=\"bar\"").count(), 2, "{page}");
    let page = ask("/staff/downloads/?days=90").await;
    assert!(
        page.contains("<h1>Downloads in 90 days</h1>") && page.contains("<strong>3 downloads</strong>"),
        "{page}"
    );
    let row =
        "<td>v1</td><td class=\"number\">3</td><td class=\"number\">1</td><td class=\"number\">3.6 MB</td>";
    assert!(page.contains(row), "{page}");
    assert!(ask("/staff/downloads/?days=-1").await.contains("Downloads in 30 days"));
    let page = ask("/staff/releases/").await;
    assert!(
        page.contains("<th scope=\"row\">v1</th>") && page.contains("<td class=\"number\">3</td>"),
        "{page}"
    );
    let page = ask("/staff/customers/").await;
    assert!(page.contains("<li>backend: every channel</li>") && page.contains(">disabled</span>"), "{page}");
    assert!(page.contains("<td class=\"number\">3</td><td>2025-11-23 16:00 UTC</td>"), "{page}");
    for path in ["/staff/", "/staff/releases/", "/staff/customers/", "/staff/downloads/"] {
        let page = ask(path).await;
        assert!(!page.contains("argon2") && !page.contains("token-of-backend"), "{path}");
        assert!(!page.contains(&Digest::of(b"token-of-backend").to_string()), "{path}");
    }
}
