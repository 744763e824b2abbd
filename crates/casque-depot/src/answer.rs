//! Answers: what the client reads, and what the log says of it.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::error::DepotError;
use crate::records::Accounts;

/// What an answer says, for whoever shows it in another form.
#[derive(Debug, Clone)]
pub(crate) struct Said(pub(crate) String);

/// A short answer in words.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    text: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// Answers with a sentence.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), headers: Vec::new() }
    }

    /// Adds a header, whose value is of visible characters.
    pub fn with(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.push((name, value));
        }
        self
    }

    /// Nothing that this asker may have has this address.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this address for you")
    }

    /// Asks for the credentials of an account. Each kind of accounts has a realm of its own, so that a browser asks for each.
    pub fn unauthorized(accounts: Accounts) -> Self {
        let realm = match accounts {
            Accounts::Customers => "downloads",
            Accounts::Staff => "staff",
        };
        Self::new(StatusCode::UNAUTHORIZED, "user or password is wrong or missing")
            .with(WWW_AUTHENTICATE, format!("Basic realm=\"{realm}\", charset=\"UTF-8\""))
    }

    /// Asks to wait.
    pub fn later(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let text = format!("too many attempts that did not succeed; try again in {seconds} seconds");
        Self::new(StatusCode::TOO_MANY_REQUESTS, text).with(RETRY_AFTER, seconds.to_string())
    }

    /// Something here does not work; what, only the log says.
    pub fn broken(what: &str, error: &DepotError) -> Self {
        tracing::error!(error = error.text(what).replace('\n', " "), "cannot answer a request");
        let full =
            matches!(error, DepotError::File(error) if error.kind() == std::io::ErrorKind::StorageFull);
        match full {
            true => Self::full(),
            false => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the depot cannot do this now; its operator finds why in its log",
            ),
        }
    }

    /// There is no room.
    pub fn full() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "the depot's disk is full")
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(format!("{}\n", self.text)));
        response.extensions_mut().insert(Said(self.text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}
