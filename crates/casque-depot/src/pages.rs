//! Pages for people: rendered here, without a script, and with nothing from elsewhere.
//!
//! They only read. No page has a form and none changes anything, so a request that another site makes a browser send has no
//! effect.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use casque_format::digest::Digest;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::answer::{Answer, Said};
use crate::download::{condition, set};

pub(crate) mod customer;
mod plot;
pub(crate) mod staff;
mod steps;
mod words;

/// What a page may do: have the depot's own style and pictures, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const STYLE: &str = include_str!("pages/depot.css");
const ICON: &str = include_str!("pages/icon.svg");

const TEMPLATES: [(&str, &str); 10] = [
    ("base.html", include_str!("pages/base.html")),
    ("customers.html", include_str!("pages/customers.html")),
    ("downloads.html", include_str!("pages/downloads.html")),
    ("error.html", include_str!("pages/error.html")),
    ("overview.html", include_str!("pages/overview.html")),
    ("parts.html", include_str!("pages/parts.html")),
    ("product.html", include_str!("pages/product.html")),
    ("products.html", include_str!("pages/products.html")),
    ("release.html", include_str!("pages/release.html")),
    ("releases.html", include_str!("pages/releases.html")),
];

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    let lines_of_their_own = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    engine.set_syntax(lines_of_their_own.expect("its marks are the usual ones"));
    for (name, text) in TEMPLATES {
        engine.add_template(name, text).expect("a test renders every template");
    }
    engine
});

/// Returns a page; every value in it is escaped, for the templates are HTML by their names.
fn render(template: &str, view: &impl Serialize) -> Result<String, Answer> {
    let page = ENGINE.get_template(template).and_then(|page| page.render(Serde(view)));
    page.map_err(|error| {
        tracing::error!(template, %error, "cannot render a page");
        Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "the depot made a mistake; its log has more")
    })
}

/// Answers with a page, or says that the browser has it already.
fn answer(request: &HeaderMap, template: &str, view: &impl Serialize) -> Result<Response, Answer> {
    let page = render(template, view)?;
    Ok(tagged(request, "text/html; charset=utf-8", "private, no-cache", page))
}

fn tagged(request: &HeaderMap, kind: &str, cache: &str, text: String) -> Response {
    let etag = format!("\"{}\"", Digest::of(text.as_bytes()));
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    describe(headers, kind);
    set(headers, CACHE_CONTROL, cache);
    set(headers, ETAG, &etag);
    match condition(request, &etag) {
        Some(status) => *response.status_mut() = status,
        None => *response.body_mut() = Body::from(text),
    }
    response
}

fn describe(headers: &mut HeaderMap, kind: &str) {
    set(headers, CONTENT_TYPE, kind);
    set(headers, CONTENT_SECURITY_POLICY, POLICY);
    set(headers, REFERRER_POLICY, "no-referrer");
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
}

/// Answers with the style of all pages, to everybody: it says nothing of anybody.
pub(crate) async fn style(request: Request) -> Response {
    tagged(request.headers(), "text/css; charset=utf-8", "no-cache", STYLE.to_owned())
}

/// Answers with the picture of a browser's tab.
pub(crate) async fn icon(request: Request) -> Response {
    tagged(request.headers(), "image/svg+xml", "no-cache", ICON.to_owned())
}

/// What a page says when there is none.
#[derive(Debug, Serialize)]
struct Trouble<'a> {
    title: &'a str,
    text: &'a str,
    is_staff: bool,
}

/// Shows what an answer says as a page to those who read pages; programs get the sentence alone, as ever.
pub(crate) async fn for_people(request: Request, next: Next) -> Response {
    let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_page = accepts.into_iter().any(|value| value.contains("text/html"));
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let Some(Said(text)) = response.extensions_mut().remove::<Said>() else { return response };
    if path.starts_with("/api/") {
        return response;
    }
    set(response.headers_mut(), VARY, "Accept");
    if !is_page {
        return response;
    }
    let is_staff = path == "/staff" || path.starts_with("/staff/");
    let title = title(response.status());
    if let Ok(page) = render("error.html", &Trouble { title, text: &sentence(&text), is_staff }) {
        describe(response.headers_mut(), "text/html; charset=utf-8");
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(page);
    }
    response
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "Please log in",
        StatusCode::FORBIDDEN => "This is not open to you",
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::GONE => "This version was withdrawn",
        StatusCode::TOO_MANY_REQUESTS => "Please wait",
        _ => "This did not work",
    }
}

/// Makes a sentence of what is said in one line.
fn sentence(text: &str) -> String {
    let mut letters = text.trim_end().chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first + letters.as_str() + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_value_holds_is_shown_as_text() {
        let text = "<script>'\"&</script>";
        let page = render("error.html", &Trouble { title: text, text, is_staff: false }).unwrap();
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;&#x27;&quot;&amp;"), "{page}");
    }

    #[test]
    fn a_template_that_wants_what_nobody_gave_is_no_page() {
        let answer = render("error.html", &()).unwrap_err();
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn what_is_said_becomes_a_sentence() {
        assert_eq!(sentence("your licence ended"), "Your licence ended.");
        assert_eq!(
            sentence("release `v1` was withdrawn: it loses data!"),
            "Release `v1` was withdrawn: it loses data!"
        );
    }
}
