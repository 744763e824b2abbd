//! What the customer has elsewhere, asked by the programs that ask it later: databases, syslog, proxy, mail.

use std::collections::BTreeSet;

use casque_format::image::ImagePlan;
use casque_format::preflight::Check;
use casque_format::settings::{Kind, OUTGOING_PROXY, SYSLOG_URL};
use casque_format::syslog::Transport;
use tokio::runtime::Builder;

use crate::external::{self, Target};
use crate::root::Root;
use crate::settings::Settings;
use crate::smtp;
use crate::syslog;
use crate::tls::authorities;
use crate::tls::client::Trust;

/// Asks each in turn.
pub fn checks(root: &Root, plan: &ImagePlan, settings: &Settings) -> Vec<Check> {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        return vec![Check::not_checked("external", "this process may not wait for others")];
    };
    runtime.block_on(async {
        // What is wrong with them is said elsewhere.
        let trust = authorities::trust(root, &mut Vec::new());
        let mut checks = Vec::new();
        for (name, url) in databases(plan, settings) {
            checks.push(database(name, url, &trust).await);
        }
        checks.extend(receiver(root, settings, &trust).await);
        checks.extend(proxy(settings, &trust).await);
        for server in smtp::servers(settings) {
            checks.push(mail(server, &trust).await);
        }
        checks
    })
}

/// Returns the URLs that stand for built-in services, each once.
fn databases<'a>(plan: &'a ImagePlan, settings: &'a Settings) -> BTreeSet<(&'a str, &'a str)> {
    let names = plan.services.values().filter_map(|service| service.unless.as_deref());
    let url = |name| {
        let setting = settings.get(name).filter(|one| one.setting.kind == Kind::Url)?;
        Some((name, setting.text()?))
    };
    names.filter_map(url).collect()
}

async fn database(name: &str, url: &str, trust: &Trust) -> Check {
    let target = match Target::parse(url) {
        Ok(target) => target,
        Err(reason) if external::is_known(url) => return refused(name, &reason),
        Err(reason) => return Check::not_checked(name, reason),
    };
    match external::check(&target, trust).await {
        Ok(what) => Check::ok(name, what),
        Err(refusal) if refusal.lasting => refused(name, &refusal.text),
        Err(refusal) => Check::failed(name, refusal.text)
            .so("the product waits for it, and serves nobody until it is there")
            .remedy("start it, and let this host reach it: its name, its port, and firewalls on the way"),
    }
}

fn refused(name: &str, reason: &str) -> Check {
    Check::failed(name, reason)
        .so("a start ends with 100")
        .remedy(format!("another `{name}`, or a user there that is let in"))
}

async fn receiver(root: &Root, settings: &Settings, trust: &Trust) -> Option<Check> {
    let mut receiver = syslog::receiver(settings, None)?;
    if let (None, Trust::Text { pem, .. }) = (&receiver.authority, trust) {
        receiver.authority = Some(pem.clone());
    }
    if receiver.transport == Transport::Udp {
        return Some(Check::not_checked(SYSLOG_URL, "over UDP nobody says what arrives"));
    }
    Some(match syslog::reach(root, &receiver).await {
        Ok(()) => Check::ok(SYSLOG_URL, format!("`{}` is reached", receiver.url)),
        Err(error) => Check::warning(SYSLOG_URL, error.to_string())
            .so("lines wait in the volume as long as `syslog-buffer` has room")
            .remedy("start the receiver, and let this host reach it; the log says when it is there"),
    })
}

async fn proxy(settings: &Settings, trust: &Trust) -> Option<Check> {
    let url = settings.get(OUTGOING_PROXY)?.text()?;
    let asked = match Target::parse(url) {
        Ok(target) => external::check(&target, trust).await.map_err(|refusal| refusal.text),
        Err(reason) => Err(reason),
    };
    Some(match asked {
        Ok(what) => Check::ok(OUTGOING_PROXY, what),
        Err(reason) => Check::warning(OUTGOING_PROXY, reason)
            .so("services do not reach what is outside")
            .remedy("start the proxy, and let this host reach it"),
    })
}

async fn mail(server: smtp::Server<'_>, trust: &Trust) -> Check {
    match smtp::talk(&server, trust, None, &mut |_| {}).await {
        Ok(what) => Check::ok(server.setting, what),
        Err(failure) => Check::warning(server.setting, failure.to_string())
            .so("no mail is sent")
            .remedy(failure.remedy(&server)),
    }
}
