//! What a package index says about a project: its page in JSON, or in HTML where that is all there is.

use casque_fetch::{FetchError, Network};
use casque_format::digest::Digest;
use serde::Deserialize;
use url::Url;

use crate::PythonError;
use crate::html::{Anchor, anchors};

/// The page of a project with very many files has some megabytes.
const LARGEST_PAGE: u64 = 128 << 20;

/// JSON has sizes too; older indexes know HTML alone.
const FORMS: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) filename: String,
    pub(crate) url: String,
    pub(crate) sha256: Digest,
    pub(crate) size: Option<u64>,
    pub(crate) requires_python: Option<String>,
    /// Why nobody should use it any more, which may be empty.
    pub(crate) yanked: Option<String>,
}

/// A package index.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    address: Url,
}

#[derive(Deserialize)]
struct Page {
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Hashes,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    requires_python: Option<String>,
    #[serde(default)]
    yanked: serde_json::Value,
}

#[derive(Default, Deserialize)]
struct Hashes {
    #[serde(default)]
    sha256: Option<String>,
}

impl Index {
    /// Takes the address of an index, such as `https://pypi.org/simple`.
    pub(crate) fn new(address: &str) -> Result<Self, PythonError> {
        let refuse = || PythonError::IndexUrl { url: address.to_owned() };
        let mut url = Url::parse(&format!("{}/", address.trim_end_matches('/'))).map_err(|_| refuse())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refuse());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PythonError::IndexSecret { host: url.host_str().unwrap_or_default().to_owned() });
        }
        url.set_fragment(None);
        Ok(Self { address: url })
    }

    /// Asks for the files of a project.
    pub(crate) fn files(&self, network: &Network, project: &str) -> Result<Vec<File>, PythonError> {
        let page = self.page(project)?;
        match network.get_accepting(page.as_str(), Some(FORMS), LARGEST_PAGE) {
            Ok(bytes) => files(&page, &bytes),
            Err(FetchError::NotFound { .. }) => {
                Err(PythonError::NoProject { index: self.address.to_string(), project: project.to_owned() })
            }
            Err(source) => Err(PythonError::Index { project: project.to_owned(), source }),
        }
    }

    fn page(&self, project: &str) -> Result<Url, PythonError> {
        let refuse = |_| PythonError::IndexUrl { url: self.address.to_string() };
        self.address.join(&format!("{project}/")).map_err(refuse)
    }
}

/// Reads a page; files without a SHA-256 are left out, since nothing can be pinned to them.
fn files(page: &Url, bytes: &[u8]) -> Result<Vec<File>, PythonError> {
    let refuse = |source| PythonError::Page { url: page.to_string(), source };
    let text = std::str::from_utf8(bytes).map_err(|_| refuse(None))?;
    if text.trim_start().starts_with('{') {
        let parsed: Page = serde_json::from_str(text).map_err(|error| refuse(Some(error)))?;
        return Ok(parsed.files.into_iter().filter_map(|file| from_json(page, file)).collect());
    }
    if !text.trim_start().starts_with('<') {
        return Err(refuse(None));
    }
    Ok(anchors(text).into_iter().filter_map(|anchor| from_link(page, anchor)).collect())
}

fn from_json(page: &Url, file: PageFile) -> Option<File> {
    let mut url = page.join(&file.url).ok()?;
    url.set_fragment(None);
    Some(File {
        filename: file.filename,
        url: url.into(),
        sha256: file.hashes.sha256?.parse().ok()?,
        size: file.size,
        requires_python: file.requires_python,
        yanked: match file.yanked {
            serde_json::Value::String(reason) => Some(reason),
            serde_json::Value::Bool(true) => Some(String::new()),
            _ => None,
        },
    })
}

fn from_link(page: &Url, anchor: Anchor) -> Option<File> {
    let mut url = page.join(&anchor.href).ok()?;
    let sha256 = url.fragment()?.split('&').find_map(|part| part.strip_prefix("sha256="))?.parse().ok()?;
    url.set_fragment(None);
    let filename = unescaped(url.path_segments()?.next_back()?)?;
    let Anchor { requires_python, yanked, .. } = anchor;
    Some(File { filename, url: url.into(), sha256, size: None, requires_python, yanked })
}

/// Undoes `%2B` and its like.
pub(crate) fn unescaped(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111111111111111111111111111";

    fn page() -> Url {
        Index::new("https://index.example.com/simple").unwrap().page("a").unwrap()
    }

    #[test]
    fn a_page_says_the_same_in_both_forms() {
        let json = format!(
            r#"{{"meta": {{"api-version": "1.1"}}, "name": "a", "files": [
                {{"filename": "a-1+x-py3-none-any.whl", "url": "../../files/a-1%2Bx-py3-none-any.whl",
                  "hashes": {{"sha256": "{ONE}"}}, "size": 12, "requires-python": ">=3.9", "yanked": "broken & old"}},
                {{"filename": "a-1.zip", "url": "a-1.zip", "hashes": {{}}}}]}}"#
        );
        let html = format!(
            r#"<a href="../../files/a-1%2Bx-py3-none-any.whl#sha256={ONE}" data-requires-python="&gt;=3.9" data-yanked="broken &amp; old">a</a>
               <a href="a-1.zip">a-1.zip</a>"#
        );
        let expected = File {
            filename: "a-1+x-py3-none-any.whl".into(),
            url: "https://index.example.com/files/a-1%2Bx-py3-none-any.whl".into(),
            sha256: ONE.parse().unwrap(),
            size: Some(12),
            requires_python: Some(">=3.9".into()),
            yanked: Some("broken & old".into()),
        };
        assert_eq!(files(&page(), json.as_bytes()).unwrap(), std::slice::from_ref(&expected));
        assert_eq!(files(&page(), html.as_bytes()).unwrap(), [File { size: None, ..expected }]);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for bytes in [&b"{\"files\": 1}"[..], b"not found", b"\xff"] {
            let error = files(&page(), bytes).unwrap_err();
            assert_eq!(
                error.to_string(),
                "`https://index.example.com/simple/a/` is not a page of a package index"
            );
        }
    }

    #[test]
    fn an_address_must_be_one_and_hold_no_password() {
        for address in ["", "pypi.org/simple", "file:///srv"] {
            let expected = format!(
                "`{address}` is not the address of a package index, such as `https://pypi.org/simple`"
            );
            assert_eq!(Index::new(address).unwrap_err().to_string(), expected);
        }
        assert_eq!(
            Index::new("https://user:secret@index.example.com/simple").unwrap_err().to_string(),
            "the address of the package index at `index.example.com` holds a user name or a password"
        );
    }
}
