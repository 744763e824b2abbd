//! Lines to a server and back, each told on its way, without secrets.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::failure::{Failure, Stage};
use crate::command::masked;
use crate::external::Duplex;
use crate::tls::client::{self, Trust};

/// For each answer.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// RFC 5321 has 512 octets.
const LONGEST_LINE: u64 = 4096;
/// An answer has a line for each thing that is offered.
const MOST_LINES: usize = 100;

/// A connection on which one line is said after the other.
pub struct Dialogue<'a> {
    stream: BufReader<Box<dyn Duplex>>,
    place: &'a str,
    secrets: Vec<String>,
    tell: &'a mut dyn FnMut(&str),
}

/// What a server answered.
pub struct Reply {
    stage: Stage,
    place: String,
    code: u16,
    /// Without secrets and control characters, code included.
    lines: Vec<String>,
}

impl Reply {
    /// Returns the reply when it has one of these codes.
    ///
    /// # Errors
    /// Any other code.
    pub fn expect(self, codes: &[u16]) -> Result<Self, Failure> {
        if codes.contains(&self.code) {
            return Ok(self);
        }
        Err(Failure::new(self.stage, &self.place, self.text()).with(self.code))
    }

    /// Returns it in one line.
    pub fn text(&self) -> String {
        let mut text = self.lines.first().cloned().unwrap_or_default();
        for line in self.lines.iter().skip(1) {
            // The code is there already.
            text += &format!(" {}", line.get(4..).unwrap_or_default());
        }
        text
    }

    /// Says whether something is offered (RFC 5321, section 4.1.1.1).
    pub fn has(&self, keyword: &str) -> bool {
        self.keyword(keyword).is_some()
    }

    /// Returns what is said of something that is offered.
    pub fn after(&self, keyword: &str) -> &str {
        self.keyword(keyword).unwrap_or_default()
    }

    fn keyword(&self, keyword: &str) -> Option<&str> {
        let words = self.lines.iter().skip(1).filter_map(|line| line.get(4..));
        let mut offers = words.map(|words| words.split_at(words.find([' ', '=']).unwrap_or(words.len())));
        offers.find(|(word, _)| word.eq_ignore_ascii_case(keyword)).map(|(_, rest)| rest)
    }
}

impl<'a> Dialogue<'a> {
    /// Begins on a connection.
    pub fn new(
        stream: Box<dyn Duplex>,
        place: &'a str,
        secrets: Vec<String>,
        tell: &'a mut dyn FnMut(&str),
    ) -> Self {
        Self { stream: BufReader::new(stream), place, secrets, tell }
    }

    /// Goes on encrypted.
    ///
    /// # Errors
    /// A server that does not prove who it is, or that has gone on already.
    pub async fn secured(self, trust: &Trust, host: &str) -> Result<Self, Failure> {
        let Self { stream, place, secrets, tell } = self;
        let failed = |text: String| Failure::new(Stage::Tls, place, text);
        // Whatever is there before the encryption, anybody on the way may have put there.
        if !stream.buffer().is_empty() {
            return Err(failed("it says more than it was asked for before TLS begins".to_owned()));
        }
        let broken = |error: std::io::Error| failed(error.to_string());
        let name = client::name(host).map_err(broken)?;
        let connector =
            client::connector(trust).map_err(|error| Failure::new(Stage::Trust, place, error.to_string()))?;
        let connected = timeout(PATIENCE, connector.connect(name, stream.into_inner())).await;
        let stream = connected.map_err(|_| failed(slow()))?.map_err(broken)?;
        let mut dialogue = Self::new(Box::new(stream), place, secrets, tell);
        dialogue.note("TLS: the certificate is for this host, and signed by an authority that is trusted");
        Ok(dialogue)
    }

    /// Says a line and returns the answer.
    ///
    /// # Errors
    /// A connection that breaks, or no answer.
    pub async fn ask(&mut self, stage: Stage, line: &str) -> Result<Reply, Failure> {
        self.say(stage, line).await?;
        self.reply(stage).await
    }

    /// Says a line.
    ///
    /// # Errors
    /// A connection that breaks.
    pub async fn say(&mut self, stage: Stage, line: &str) -> Result<(), Failure> {
        let shown = self.shown(line);
        (self.tell)(format!("> {shown}").trim_end());
        let written = async {
            self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
            self.stream.flush().await
        };
        let written = timeout(PATIENCE, written).await;
        let written = written.map_err(|_| self.lost(stage, slow()))?;
        written.map_err(|error| self.lost(stage, format!("the connection broke: {error}")))
    }

    /// Returns the next answer.
    ///
    /// # Errors
    /// A connection that breaks, no answer, or what is none.
    pub async fn reply(&mut self, stage: Stage) -> Result<Reply, Failure> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut self.stream).take(LONGEST_LINE);
            let read = timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await;
            let read = read.map_err(|_| self.lost(stage, slow()))?;
            let read = read.map_err(|error| self.lost(stage, format!("the connection broke: {error}")))?;
            if read == 0 {
                return Err(self.lost(stage, "it hung up".to_owned()));
            }
            let line = self.shown(String::from_utf8_lossy(&line).trim_end());
            (self.tell)(&format!("< {line}"));
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let Some(code) = code.filter(|_| lines.len() < MOST_LINES) else {
                return Err(self.failed(stage, format!("what answers is no mail server: `{line}`")));
            };
            let goes_on = line.get(3..4) == Some("-");
            lines.push(line);
            if !goes_on {
                return Ok(Reply { stage, place: self.place.to_owned(), code, lines });
            }
        }
    }

    /// Tells something that does not pass the wire.
    pub fn note(&mut self, text: &str) {
        (self.tell)(&format!("* {text}"));
    }

    /// Returns that it ended here.
    pub fn failed(&self, stage: Stage, text: String) -> Failure {
        Failure::new(stage, self.place, text)
    }

    /// Who says nothing when greeting may wait for TLS; later it has refused nothing.
    fn lost(&self, stage: Stage, text: String) -> Failure {
        self.failed(if stage == Stage::Greeting { stage } else { Stage::Lost }, text)
    }

    /// A server may repeat what it was told, or send what a terminal obeys.
    fn shown(&self, line: &str) -> String {
        let plain = line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
        masked(plain.collect(), &self.secrets)
    }
}

fn slow() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}
