//! Index pages of Python packages (PEP 503, 691): they change with every release of anybody, so what is kept of one is
//! what was taken from it.

use std::collections::BTreeSet;

/// A page of this type is cut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Json,
    Html,
}

impl Page {
    /// Tells whether an answer is an index page: by its type, or by its address where the type is any page's.
    pub(crate) fn of(url: &str, content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind {
            "application/vnd.pypi.simple.v1+json" => Some(Self::Json),
            "application/vnd.pypi.simple.v1+html" => Some(Self::Html),
            "text/html" if url.contains("/simple/") => Some(Self::Html),
            _ => None,
        }
    }

    /// Returns the page with the files alone whose names are in `taken`; none when the page is not as it should be.
    pub(crate) fn reduced(self, text: &str, taken: &BTreeSet<String>) -> Option<String> {
        match self {
            Self::Json => reduced_json(text, taken),
            Self::Html => reduced_html(text, taken),
        }
    }
}

/// Returns the last part of an address, which is how a file is called wherever it is.
pub(crate) fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

fn reduced_json(text: &str, taken: &BTreeSet<String>) -> Option<String> {
    let mut whole: serde_json::Value = serde_json::from_str(text).ok()?;
    let page = whole.as_object_mut()?;
    // It lists the versions of the files that go.
    page.remove("versions");
    // It counts the changes of the whole index.
    page.get_mut("meta")?.as_object_mut()?.retain(|key, _| key == "api-version");
    let files = page.get_mut("files")?.as_array_mut()?;
    files.retain(|file| {
        file.get("url").and_then(|url| url.as_str()).is_some_and(|url| taken.contains(file_name(url)))
    });
    // Whether objects keep their order depends on what else is compiled in.
    whole.sort_all_objects();
    serde_json::to_string(&whole).ok()
}

/// Keeps everything but the anchors of files that were not taken, each with the break behind it.
fn reduced_html(text: &str, taken: &BTreeSet<String>) -> Option<String> {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("<a ") {
        let length = rest[start..].find("</a>")? + "</a>".len();
        let anchor = &rest[start..start + length];
        let after = &rest[start + length..];
        let end =
            after.trim_start().strip_prefix("<br />").or_else(|| after.trim_start().strip_prefix("<br/>"));
        let end = end.unwrap_or(after);
        let href = anchor.split("href=").nth(1)?;
        let quote = href.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let href = href[1..].split(quote).next()?;
        if taken.contains(file_name(href)) {
            kept += &rest[..rest.len() - end.len()];
        } else {
            kept += rest[..start].trim_end();
        }
        rest = end;
    }
    // Only a comment of the serial number follows.
    kept += rest.split("<!--").next().unwrap_or_default();
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> BTreeSet<String> {
        BTreeSet::from(["demo-1.0-py3-none-any.whl".to_owned()])
    }

    #[test]
    fn a_json_page_keeps_what_was_taken_as_it_was() {
        let page = r#"{"files":[
            {"filename":"demo-0.9.tar.gz","url":"https://files.example.org/a/demo-0.9.tar.gz","hashes":{}},
            {"filename":"demo-1.0-py3-none-any.whl","url":"../b/demo-1.0-py3-none-any.whl#sha256=1","size":3,"yanked":false}
        ],"meta":{"_last-serial":77,"api-version":"1.1"},"name":"demo","versions":["0.9","1.0"]}"#;
        assert_eq!(
            Page::of("https://pypi.org/simple/demo/", "application/vnd.pypi.simple.v1+json")
                .unwrap()
                .reduced(page, &taken())
                .unwrap(),
            r#"{"files":[{"filename":"demo-1.0-py3-none-any.whl","size":3,"url":"../b/demo-1.0-py3-none-any.whl#sha256=1","yanked":false}],"meta":{"api-version":"1.1"},"name":"demo"}"#
        );
    }

    #[test]
    fn an_html_page_keeps_what_was_taken_as_it_was() {
        let page = "<!DOCTYPE html>\n<html>\n  <body>\n    <h1>Links for demo</h1>\n\
            <a href=\"https://files.example.org/a/demo-0.9.tar.gz#sha256=0\" >demo-0.9.tar.gz</a><br />\n\
            <a data-requires-python=\"&gt;=3\" href=\"../b/demo-1.0-py3-none-any.whl#sha256=1\" >demo-1.0-py3-none-any.whl</a><br />\n\
            </body>\n</html>\n<!--SERIAL 77-->";
        let kept = Page::of("https://pypi.org/simple/demo/", "text/html; charset=UTF-8")
            .unwrap()
            .reduced(page, &taken())
            .unwrap();
        assert_eq!(
            kept,
            "<!DOCTYPE html>\n<html>\n  <body>\n    <h1>Links for demo</h1>\n\
            <a data-requires-python=\"&gt;=3\" href=\"../b/demo-1.0-py3-none-any.whl#sha256=1\" >demo-1.0-py3-none-any.whl</a><br />\n\
            </body>\n</html>\n"
        );
    }

    #[test]
    fn other_pages_stay_whole() {
        assert_eq!(Page::of("https://example.org/simple.html", "text/html"), None);
        assert_eq!(Page::of("https://pypi.org/simple/demo/", "application/json"), None);
        assert_eq!(Page::Json.reduced("[]", &taken()), None);
        assert_eq!(Page::Json.reduced("{\"files\":[]}", &taken()), None);
        assert_eq!(Page::Html.reduced("<a href=\"x\">", &taken()), None);
    }
}
