//! The page: what a browser gets.

use casque_handbook::html;

use crate::product::{least, whole};

/// Elements that have no content, and so no end.
const EMPTY: [&str; 3] = ["meta", "br", "hr"];

/// Returns the tags of a page, each without its angle brackets.
fn tags(page: &str) -> Vec<&str> {
    page.split('<')
        .skip(1)
        .map(|rest| rest.split_once('>').unwrap_or_else(|| panic!("`<{rest}` has no end")).0)
        .collect()
}

/// Follows each element to its end, and returns the names of all.
fn elements(page: &str) -> Vec<String> {
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    for tag in tags(page).into_iter().filter(|tag| !tag.starts_with('!')) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        assert_eq!(tag.matches('"').count() % 2, 0, "`{tag}`");
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_ref(), Some(&name), "`{tag}` ends another element");
        } else if !tag.ends_with('/') {
            assert!(!EMPTY.contains(&name.as_str()), "`{tag}` would never end");
            open.push(name.clone());
        }
        seen.push(name);
    }
    assert_eq!(open, Vec::<String>::new());
    seen
}

#[test]
fn a_page_is_well_formed_and_has_nothing_from_elsewhere() {
    for plan in [whole(), least()] {
        let page = html(&plan);
        let seen = elements(&page);
        for forbidden in ["script", "link", "img", "iframe", "form", "object"] {
            assert!(!seen.iter().any(|name| name == forbidden), "{forbidden}");
        }
        assert!(tags(&page).iter().all(|tag| !tag.contains("src=") && !tag.contains("href=\"http")));
        assert!(!page.contains("url(") && !page.contains("@import"));
        assert!(page.contains("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />"));
    }
}

#[test]
fn what_a_vendor_writes_is_text_and_never_markup() {
    let evil = "<script>alert(\"1\")</script> & 'x' [a](javascript:b) | ``` <!-- `<i>|` \n\n<b>\n# no";
    let mut plan = whole();
    plan.product.version = "<script>\"".to_owned();
    plan.product.command = "a'`<script>\n```\n<script>".to_owned();
    plan.reference = "v/b:<script>\n```\n<script>".to_owned();
    plan.services.insert("<script>".to_owned(), plan.services["web"].clone());
    let workers = plan.settings.get_mut("web-workers").unwrap();
    workers.description = evil.to_owned();
    workers.deprecated = Some(evil.to_owned());
    workers.default = Some("<script>|`".to_owned());
    let seen = elements(&html(&plan));
    let usual = elements(&html(&whole()));
    for name in &seen {
        assert!(usual.contains(name), "an element `{name}` came out of a value");
    }
    let page = html(&plan);
    let row = page.lines().find(|line| line.contains("web-workers")).unwrap();
    let sentence = row.split("data-title=\"What it is\">").nth(1).unwrap();
    assert_eq!(
        sentence.split(" Deprecated: ").next().unwrap(),
        "&lt;script&gt;alert(\"1\")&lt;/script&gt; &amp; 'x' [a](javascript:b) | ``<code>&lt;!--</code>&lt;i&gt;|`  \
         &lt;b&gt; # no"
    );
    let links = tags(&page).into_iter().filter(|tag| tag.starts_with("a "));
    assert!(links.clone().count() > 5);
    assert!(links.clone().all(|tag| tag.starts_with("a href=\"#")), "{:?}", links.collect::<Vec<_>>());
}

#[test]
fn every_link_leads_to_a_heading() {
    let page = html(&whole());
    let targets: Vec<&str> =
        page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(targets.contains(&"exit-codes") && targets.contains(&"settings"));
    for target in targets {
        assert_eq!(page.matches(&format!(" id=\"{target}\"")).count(), 1, "{target}");
    }
}

#[test]
fn each_cell_says_its_column_to_a_narrow_screen() {
    let page = html(&whole());
    assert!(page.contains("<td data-title=\"Setting\"><code>web-workers</code></td><td data-title=\"Variable\"><code>WEB_WORKERS</code></td>"));
    let cells = tags(&page).into_iter().filter(|tag| tag.starts_with("td")).count();
    assert!(cells > 100);
    assert_eq!(page.matches("<td data-title=\"").count(), cells);
    assert!(!page.contains("data-title=\"\""));
}
