//! Uploads: a file goes on where the server has got to, however often the line breaks.
//!
//! The server is asked with `HEAD` and says in `Upload-Offset` what it has, and in `Upload-Length` that it has everything;
//! `PATCH` appends. `docs/depot.md` describes it.

use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::thread;
use std::time::Duration;

use fs_err::File;
use ureq::http::Request;
use ureq::{Agent, AsSendBody, SendBody};
use url::Url;

use crate::credentials::plain;
use crate::network::refused;
use crate::retry::Tries;
use crate::{Answer, Exchange, FetchError, Network, Progress};

/// How long a server may look at what it was given: it reads large files once more.
const PATIENCE: Duration = Duration::from_secs(900);
/// More than what a depot says of all its releases.
const LARGEST_ANSWER: u64 = 64 << 20;
/// More than any reason has.
const LONGEST: u64 = 64 << 10;

/// A file to upload.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// The address that it has as an upload.
    pub url: &'a str,
    /// The file, which does not change.
    pub file: &'a Path,
    /// Its size.
    pub size: u64,
}

impl Network {
    /// Uploads what the server does not have yet, and returns how many bytes that were. What breaks off goes on; it
    /// counts as a failure only when nothing was gained.
    ///
    /// # Errors
    /// The server cannot be reached or refuses the file.
    pub fn upload(&self, upload: &Upload<'_>, progress: &dyn Progress) -> Result<u64, FetchError> {
        let mut tries = Tries::default();
        let mut shown = Shown { position: 0, progress };
        let (mut reached, mut sent, mut sent_whole) = (None, 0, false);
        loop {
            let attempt = self.offset(upload).and_then(|offset| {
                let Some(offset) = offset else {
                    shown.move_to(upload.size);
                    return Ok(true);
                };
                if reached.is_some_and(|before| offset > before) {
                    tries = Tries::default();
                } else if sent_whole {
                    return Err(FetchError::Truncated {
                        url: plain(upload.url),
                        received: offset,
                        source: None,
                    });
                }
                reached = Some(offset);
                shown.move_to(offset);
                self.append(upload, offset, &mut shown)?;
                sent += upload.size - offset;
                sent_whole = true;
                Ok(false)
            });
            match attempt {
                Ok(true) => return Ok(sent),
                Ok(false) => {}
                Err(error) => thread::sleep(tries.wait_after(error)?),
            }
        }
    }

    /// Sends a request with a body, and returns what a server said that did as it was asked.
    ///
    /// # Errors
    /// The server cannot be reached, or says why not.
    pub fn post(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Vec<u8>, FetchError> {
        let headers = [("content-type", content_type.to_owned())];
        self.send("POST", url, &headers, body).and_then(|answer| said(url, answer))
    }

    /// Returns what is at an address, or why the server does not give it; none when there is nothing.
    ///
    /// # Errors
    /// The server cannot be reached, or says why not.
    pub fn look_up(&self, url: &str) -> Result<Option<Vec<u8>>, FetchError> {
        let answer = self.exchange(&Exchange { method: "GET", url, headers: &[], body: &[] })?;
        match answer.status {
            404 => Ok(None),
            _ => said(url, answer).map(Some),
        }
    }

    /// Asks how far an upload is; none when it is complete.
    fn offset(&self, upload: &Upload<'_>) -> Result<Option<u64>, FetchError> {
        let url = upload.url;
        let answer = self.exchange(&Exchange { method: "HEAD", url, headers: &[], body: &[] })?;
        let number = |name: &str| {
            let value = answer.headers.iter().find(|(header, _)| header == name);
            value.and_then(|(_, value)| value.parse::<u64>().ok())
        };
        let (offset, length) = (number("upload-offset"), number("upload-length"));
        let (status, text) = (answer.status, "it says not how much of a file it has".to_owned());
        match offset {
            _ if length == Some(upload.size) && offset == length => Ok(None),
            Some(offset) if status == 200 && length.is_none() => Ok(Some(offset.min(upload.size))),
            _ => said(url, answer).and(Err(FetchError::Refused {
                url: plain(url),
                status,
                text,
                retry_after: None,
            })),
        }
    }

    /// Sends the rest of a file.
    fn append(&self, upload: &Upload<'_>, offset: u64, shown: &mut Shown<'_>) -> Result<(), FetchError> {
        let mut file = File::open(upload.file).map_err(FetchError::Source)?;
        file.seek(SeekFrom::Start(offset)).map_err(FetchError::Source)?;
        let length = upload.size - offset;
        let headers = [
            // Whoever refuses says so before the body, which then stays here.
            ("expect", "100-continue".to_owned()),
            ("content-length", length.to_string()),
            ("upload-offset", offset.to_string()),
            ("upload-length", upload.size.to_string()),
        ];
        let mut rest = Counted { file: file.take(length), shown };
        let answer = self.send("PATCH", upload.url, &headers, SendBody::from_reader(&mut rest))?;
        said(upload.url, answer).map(drop)
    }

    fn send(
        &self,
        method: &str,
        address: &str,
        headers: &[(&str, String)],
        body: impl AsSendBody,
    ) -> Result<Answer, FetchError> {
        let not_one = || FetchError::Url { url: plain(address) };
        if self.is_offline() {
            return Err(FetchError::Offline { url: plain(address) });
        }
        let url = Url::parse(address).map_err(|_| not_one())?;
        let mut request = Request::builder().method(method).uri(address);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(login) = self.login(&url) {
            request = request.header("authorization", login);
        }
        let request = request.body(body).map_err(|_| not_one())?;
        let agent: &Agent = self.agent(&url);
        let request = agent.configure_request(request).timeout_recv_response(Some(PATIENCE)).build();
        Ok(Answer::new(agent.run(request).map_err(|error| refused(&plain(address), error))?))
    }
}

/// How far an upload is, as whoever watches knows it.
struct Shown<'a> {
    position: u64,
    progress: &'a dyn Progress,
}

impl Shown<'_> {
    fn move_to(&mut self, position: u64) {
        match position.checked_sub(self.position) {
            Some(more) => self.progress.advance(more),
            None => self.progress.discard(self.position - position),
        }
        self.position = position;
    }
}

/// A file that shows how much of it was read.
struct Counted<'a, 'b> {
    file: io::Take<File>,
    shown: &'a mut Shown<'b>,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.shown.move_to(self.shown.position + count as u64);
        Ok(count)
    }
}

/// Returns what a server said that did as it was asked, and of another why not.
fn said(url: &str, mut answer: Answer) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    let url = plain(url);
    let done = (200..=299).contains(&answer.status);
    let limit = if done { LARGEST_ANSWER } else { LONGEST };
    let too_large = || FetchError::TooLarge { url: url.clone(), limit };
    if done && answer.length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let read = answer.by_ref().take(limit + 1).read_to_end(&mut body);
    let broken =
        |source: io::Error| FetchError::Truncated { url: url.clone(), received: 0, source: Some(source) };
    read.map_err(broken)?;
    if done {
        return if body.len() as u64 > limit { Err(too_large()) } else { Ok(body) };
    }
    let text = String::from_utf8_lossy(&body);
    let text: String = text.trim().chars().filter(|c| !c.is_control() || *c == '\n').collect();
    let text = if text.is_empty() { "it says not why".to_owned() } else { text };
    let after = answer.headers.iter().find(|(name, _)| name == "retry-after");
    let retry_after = after.and_then(|(_, value)| value.parse().ok()).map(Duration::from_secs);
    Err(FetchError::Refused { url, status: answer.status, text, retry_after })
}
