//! Redis, asked over RESP2: log in, choose the database, PING.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::stream::Duplex;
use super::{Refusal, Target, shown};

/// Longer first lines are none of a Redis.
const LONGEST_LINE: u64 = 4096;

/// Returns what answers.
///
/// # Errors
/// What it refuses.
pub async fn ask(stream: &mut Box<dyn Duplex>, target: &Target) -> Result<String, Refusal> {
    let mut stream = BufReader::new(stream);
    if let Some(password) = &target.password {
        let log_in: &[&str] = match target.user.as_str() {
            "" => &["AUTH", password],
            user => &["AUTH", user, password],
        };
        if let Err(reason) = command(&mut stream, target, log_in).await? {
            let who = if target.user.is_empty() {
                "the password".to_owned()
            } else {
                format!("user `{}`", target.user)
            };
            return Err(refused(&format!("reached, but {who} is refused"), &reason));
        }
    }
    let database = target.path.trim_matches('/');
    if !database.is_empty()
        && let Err(reason) = command(&mut stream, target, &["SELECT", database]).await?
    {
        return Err(refused(&format!("reached, but not database `{database}`"), &reason));
    }
    match command(&mut stream, target, &["PING"]).await? {
        Ok(()) => Ok("a Redis that answers".to_owned()),
        // Who may do little else may not even ask this, and is known nevertheless.
        Err(reason) if reason.starts_with("NOPERM") => Ok("a Redis that knows the user".to_owned()),
        Err(reason) if reason.starts_with("NOAUTH") => {
            Err(Refusal::lasting(format!("reached, but it wants a password and the URL has none: {reason}")))
        }
        Err(reason) => Err(refused("reached, but it does not serve", &reason)),
    }
}

fn refused(what: &str, reason: &str) -> Refusal {
    // These go by.
    let passing = ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"];
    Refusal {
        text: format!("{what}: {reason}"),
        lasting: !passing.iter().any(|word| reason.starts_with(word)),
    }
}

/// Returns whether a command was done, or the server's own words.
async fn command(
    stream: &mut BufReader<&mut Box<dyn Duplex>>,
    target: &Target,
    words: &[&str],
) -> Result<Result<(), String>, Refusal> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    let broken =
        |error: std::io::Error| Refusal::passing(format!("reached, but the connection broke: {error}"));
    stream.write_all(&request).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut line = Vec::new();
    (&mut *stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await.map_err(broken)?;
    let line = String::from_utf8_lossy(&line);
    match line.trim_end().split_at_checked(1) {
        Some(("+", _)) => Ok(Ok(())),
        Some(("-", reason)) => Ok(Err(shown(reason.strip_prefix("ERR ").unwrap_or(reason), target))),
        None if line.is_empty() => Err(Refusal::passing("reached, but it hung up")),
        _ => Err(Refusal::lasting("reached, but what answers is no Redis")),
    }
}
