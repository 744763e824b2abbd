//! Judges the credentials of a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::attempts::Who;
use super::authorization::Credentials;
use crate::answer::Answer;
use crate::app::Depot;
use crate::records::{Accounts, Entry, Lock};

/// Longest name of an account that is worth a look.
const LONGEST: usize = 64;
/// Longest path that is written down.
const LONGEST_PATH: usize = 300;

/// What a request says of who asks.
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    shown: Option<Credentials>,
    path: String,
}

impl Caller {
    pub(crate) fn of(depot: &Depot, request: &Request) -> Self {
        let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
        Self {
            address: depot.address(request),
            shown: header.and_then(Credentials::parse),
            path: request.uri().path().chars().take(LONGEST_PATH).collect(),
        }
    }
}

/// Returns the name of the account that asks: of a customer, or of the vendor's staff.
pub(crate) async fn account(
    depot: &Arc<Depot>,
    caller: &Caller,
    accounts: Accounts,
) -> Result<String, Answer> {
    let Some(Credentials::Basic { user, password }) = caller.shown.clone() else {
        return Err(Answer::unauthorized(accounts));
    };
    let (now, name) = (Instant::now(), user.clone());
    let lock = depot
        .blocking(move |depot| {
            let lock = depot.records.lock(accounts, &name);
            lock.map_err(|error| Answer::broken("cannot look for an account", &error))
        })
        .await?;
    let hash = lock.as_ref().map(|lock| lock.hash.as_str());
    if !depot.passwords.is_remembered(hash, &password, now) {
        // What is shown to an operator later holds nothing that a terminal obeys.
        let user: String = user.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let actor = actor(accounts, &user);
        let who = [Who::at(caller.address), Who::Account(actor.clone())];
        limit(depot, &who, now)?;
        if !depot.passwords.fits(hash, &password, now).await {
            refused(depot, caller, &actor);
            return Err(Answer::unauthorized(accounts));
        }
        depot.attempts.succeeded(&who);
    }
    match lock {
        Some(Lock { disabled: false, .. }) => Ok(user),
        _ => Err(Answer::new(StatusCode::FORBIDDEN, "this account is disabled; ask the vendor")),
    }
}

/// Returns what an account is called where both kinds are; no user of theirs has a colon.
fn actor(accounts: Accounts, user: &str) -> String {
    match accounts {
        Accounts::Customers => user.to_owned(),
        Accounts::Staff => format!("staff:{user}"),
    }
}

/// Returns the name of the token that may upload for `product`.
pub(crate) async fn uploader(depot: &Arc<Depot>, caller: &Caller, product: &str) -> Result<String, Answer> {
    let wrong = || {
        Answer::new(StatusCode::UNAUTHORIZED, "the token is wrong or missing")
            .with(WWW_AUTHENTICATE, "Bearer realm=\"uploads\"")
    };
    let Some(Credentials::Token(secret)) = caller.shown.clone() else { return Err(wrong()) };
    let who = [Who::at(caller.address)];
    limit(depot, &who, Instant::now())?;
    let found = depot
        .blocking(move |depot| {
            depot.records.token(&secret).map_err(|error| Answer::broken("cannot look for a token", &error))
        })
        .await?;
    let Some(token) = found.filter(|token| !token.revoked) else {
        refused(depot, caller, "token");
        return Err(wrong());
    };
    depot.attempts.succeeded(&who);
    match token.product == product {
        true => Ok(format!("token:{}", token.id)),
        false => {
            let text = format!("this token uploads for product `{}` alone", token.product);
            Err(Answer::new(StatusCode::FORBIDDEN, text))
        }
    }
}

fn limit(depot: &Depot, who: &[Who], now: Instant) -> Result<(), Answer> {
    depot.attempts.begin(who, now).map_err(|wait| {
        depot.metrics.limited.fetch_add(1, Ordering::Relaxed);
        Answer::later(wait)
    })
}

fn refused(depot: &Depot, caller: &Caller, actor: &str) {
    depot.metrics.wrong_credentials.fetch_add(1, Ordering::Relaxed);
    depot.audit.note(Entry {
        at: depot.now(),
        actor: actor.to_owned(),
        address: caller.address.to_string(),
        action: "refused".to_owned(),
        product: String::new(),
        release: String::new(),
        file: caller.path.clone(),
        status: 401,
        bytes: 0,
        complete: true,
    });
}
