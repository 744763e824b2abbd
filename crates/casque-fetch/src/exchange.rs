//! One request as somebody else made it, passed on as it is: nothing is followed, tried again or judged.

use std::fmt;
use std::io::{self, Read};

use ureq::http::{Request, Response};
use ureq::{Agent, AsSendBody, Body, BodyReader};
use url::Url;

use crate::network::refused;
use crate::{FetchError, Network};

/// A request to pass on.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its whole address.
    pub url: &'a str,
    /// Header names and values.
    pub headers: &'a [(String, String)],
    /// What it sends.
    pub body: &'a [u8],
}

/// What came back; reading it reads the body.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names, in lower case, and values that are text.
    pub headers: Vec<(String, String)>,
    /// The length of the body, where it was announced.
    pub length: Option<u64>,
    body: BodyReader<'static>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl Network {
    /// Passes a request on and returns the answer, whatever its status.
    pub fn exchange(&self, exchange: &Exchange<'_>) -> Result<Answer, FetchError> {
        let not_one = || FetchError::Url { url: exchange.url.to_owned() };
        if self.is_offline() {
            return Err(FetchError::Offline { url: exchange.url.to_owned() });
        }
        let url = Url::parse(exchange.url).map_err(|_| not_one())?;
        let mut request = Request::builder().method(exchange.method).uri(exchange.url);
        for (name, value) in exchange.headers {
            request = request.header(name, value);
        }
        if exchange.headers.iter().all(|(name, _)| name != "authorization")
            && let Some(login) = self.login(&url)
        {
            request = request.header("authorization", login);
        }
        let agent = self.agent(&url);
        let response = if exchange.body.is_empty() {
            run(agent, request.body(()).map_err(|_| not_one())?)
        } else {
            run(agent, request.body(exchange.body).map_err(|_| not_one())?)
        };
        Ok(Answer::new(response.map_err(|error| refused(exchange.url, error))?))
    }
}

fn run(agent: &Agent, request: Request<impl AsSendBody>) -> Result<Response<Body>, ureq::Error> {
    agent.run(agent.configure_request(request).allow_non_standard_methods(true).build())
}

impl Answer {
    pub(crate) fn new(response: Response<Body>) -> Self {
        let headers = response.headers().iter();
        let headers = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        let headers: Vec<_> = headers.collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, value)| value.parse().ok());
        let status = response.status().as_u16();
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        Self { status, headers, length, body }
    }
}
