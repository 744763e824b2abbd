//! What the customer runs in place of something built in: whether it is there, and lets this product in.

#[cfg(test)]
mod fuzz;
mod mongodb;
mod redis;
mod scram;
mod stream;
mod target;

use std::time::Duration;

pub use stream::{Duplex, reach};
pub use target::Target;
use tokio::time::timeout;

use crate::command::masked;
use crate::tls::client::Trust;

/// For everything that one address is asked.
const LONGEST_TRY: Duration = Duration::from_secs(10);
/// Nobody reads more of what a server says.
const LONGEST_TEXT: usize = 300;

/// Why an external service is of no use.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was reached and what was refused.
    pub text: String,
    /// Waiting would not change it.
    pub lasting: bool,
}

impl Refusal {
    fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), lasting: false }
    }

    fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), lasting: true }
    }
}

/// Says whether it is known what speaks at a URL.
pub fn is_known(url: &str) -> bool {
    let scheme = url.split("://").next().unwrap_or_default();
    ["mongodb", "mongodb+srv", "redis", "rediss"].contains(&scheme)
}

/// Connects, logs in as the URL says and asks for a sign of life; needs no right beyond that. Returns what was reached.
///
/// # Errors
/// What could not be reached, or was refused.
pub async fn check(target: &Target, trust: &Trust) -> Result<String, Refusal> {
    let (hosts, target) = target.hosts().await?;
    let mut reasons: Vec<Refusal> = Vec::new();
    for (host, port) in &hosts {
        let place = match host {
            socket if socket.starts_with('/') => socket.clone(),
            address if address.contains(':') => format!("[{address}]:{port}"),
            name => format!("{name}:{port}"),
        };
        let asked = timeout(LONGEST_TRY, ask(&target, trust, host, *port)).await;
        let asked = asked.unwrap_or_else(|_| {
            Err(Refusal::passing(format!("no answer within {} s", LONGEST_TRY.as_secs())))
        });
        match asked {
            Ok(what) => return Ok(format!("{place} is {what}")),
            Err(refusal) => reasons.push(Refusal { text: format!("{place}: {}", refusal.text), ..refusal }),
        }
    }
    // One member of a set that is away may be the one that would have let us in.
    let lasting = reasons.iter().all(|refusal| refusal.lasting);
    let texts: Vec<String> = reasons.into_iter().map(|refusal| refusal.text).collect();
    Err(Refusal { text: texts.join("; "), lasting })
}

async fn ask(target: &Target, trust: &Trust, host: &str, port: u16) -> Result<String, Refusal> {
    let mut stream = stream::open(target, trust, host, port).await?;
    ask_as(&mut stream, target).await
}

/// Asks whoever is at the other end.
async fn ask_as(stream: &mut Box<dyn Duplex>, target: &Target) -> Result<String, Refusal> {
    match target.scheme.as_str() {
        "mongodb" | "mongodb+srv" => mongodb::ask(stream, target).await,
        "redis" | "rediss" => redis::ask(stream, target).await,
        _ => Ok("reached; what speaks there was not asked".to_owned()),
    }
}

/// Returns what a server says as it can be shown: it may repeat the password, or send what a terminal obeys.
fn shown(said: &str, target: &Target) -> String {
    let secrets = target.password.iter().filter(|password| !password.is_empty()).cloned().collect::<Vec<_>>();
    let text = masked(said.to_owned(), &secrets);
    let plain = text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    plain.take(LONGEST_TEXT).collect()
}
