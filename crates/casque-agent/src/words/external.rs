//! `external`: stands in for a service that the customer has elsewhere, until that lets this product in.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use crate::env::Environment;
use crate::error::Error;
use crate::external::{Target, check, is_known};
use crate::plan::EXTERNAL_URL;
use crate::tls::authorities;
use crate::tls::client::Trust;
use crate::ui;

const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A reason that stays the same is said again after so long.
const REMINDER: Duration = Duration::from_secs(600);

/// Returns when what the setting names has let this product in.
///
/// # Errors
/// What was refused, and with `once` whatever was not reached, too.
pub fn run(setting: &str, environment: &Environment, once: bool) -> Result<String, Error> {
    let refused = |reason: String| Error::External { setting: setting.to_owned(), reason };
    let text = |name: &str| environment.get(name).and_then(|value| value.to_str());
    let url = text(EXTERNAL_URL).ok_or_else(|| refused(format!("`{EXTERNAL_URL}` is not set")))?;
    let target = match Target::parse(url) {
        Ok(target) => target,
        Err(reason) if is_known(url) => return Err(refused(reason)),
        Err(reason) => return Ok(format!("{setting}: {reason}, so that nothing was asked\n")),
    };
    let authorities = text("SSL_CERT_FILE").unwrap_or(authorities::OF_THE_IMAGE);
    let trust = Trust::File(authorities.into());
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| refused(error.to_string()))?;
    runtime.block_on(wait(setting, &target, &trust, text("NOTIFY_SOCKET"), once))
}

async fn wait(
    setting: &str,
    target: &Target,
    trust: &Trust,
    supervisor: Option<&str>,
    once: bool,
) -> Result<String, Error> {
    let mut pause = SHORTEST_PAUSE;
    let mut said: Option<(String, Instant)> = None;
    loop {
        let refusal = match check(target, trust).await {
            Ok(what) => return Ok(format!("{setting}: {what}\n")),
            Err(refusal) => refusal,
        };
        if refusal.lasting || once {
            return Err(Error::External { setting: setting.to_owned(), reason: refusal.text });
        }
        let known = said.as_ref().is_some_and(|(text, at)| *text == refusal.text && at.elapsed() < REMINDER);
        if !known {
            ui::warning(&format!("waiting for what `{setting}` names: {}", refusal.text));
            if let Some(supervisor) = supervisor {
                notify(supervisor, &format!("STATUS=waiting for {}", refusal.text));
            }
            said = Some((refusal.text, Instant::now()));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Tells PID 1, as sd_notify(3) does; the log has it anyway.
fn notify(supervisor: &str, text: &str) {
    let address = match supervisor.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(supervisor),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address));
    if let Err(error) = sent {
        ui::warning(&format!("cannot tell PID 1: {error}"));
    }
}
