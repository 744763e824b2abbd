//! What a customer sees: products, versions, what is new in them, how to get and run them, and their documentation.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use casque_format::release::Product;
use serde::Serialize;

use super::{answer, words};
use crate::access::entitlement::Entitlement;
use crate::access::who::{self, Caller};
use crate::answer::Answer;
use crate::app::Depot;
use crate::choice::broken;
use crate::download::{Delivery, deliver, host, set};
use crate::records::Accounts;

mod documentation;
mod release;
mod versions;

use versions::{Version, Which, mine};

/// A product as one of a list.
#[derive(Debug, Serialize)]
struct Shelved {
    name: String,
    title: String,
    newest: Option<Version>,
    versions: usize,
    licence: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Shelf {
    customer: String,
    products: Vec<Shelved>,
}

#[derive(Debug, Serialize)]
struct OfProduct {
    customer: String,
    name: String,
    title: String,
    licence: Vec<String>,
    newest: Option<Version>,
    versions: Vec<Version>,
}

async fn who(depot: &Arc<Depot>, caller: &Caller) -> Result<String, Answer> {
    who::account(depot, caller, Accounts::Customers).await
}

/// Answers which products the customer has.
pub(crate) async fn products(State(depot): State<Arc<Depot>>, request: Request) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let customer = who(&depot, &caller).await?;
    let view = depot.blocking(move |depot| shelf(depot, customer)).await?;
    answer(request.headers(), "products.html", &view)
}

fn shelf(depot: &Depot, customer: String) -> Result<Shelf, Answer> {
    let all = depot.records.entitlements(&customer, None).map_err(broken)?;
    let mut products = Vec::new();
    for product in depot.records.products().map_err(broken)? {
        let licence: Vec<Entitlement> =
            all.iter().filter(|one| one.product == product.name).cloned().collect();
        if licence.is_empty() {
            continue;
        }
        let versions = mine(depot, &product.name, &licence)?;
        products.push(Shelved {
            newest: versions::newest(&versions).cloned(),
            versions: versions.len(),
            licence: licence.iter().map(|one| covers(one, depot.now())).collect(),
            name: product.name,
            title: product.title,
        });
    }
    Ok(Shelf { customer, products })
}

/// Answers which versions of a product the customer has.
pub(crate) async fn product(
    State(depot): State<Arc<Depot>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let customer = who(&depot, &caller).await?;
    let view = depot.blocking(move |depot| of_product(depot, customer, &name)).await?;
    answer(request.headers(), "product.html", &view)
}

fn of_product(depot: &Depot, customer: String, name: &str) -> Result<OfProduct, Answer> {
    let licence = versions::licence(depot, &customer, name)?;
    let product = depot.records.product(name).map_err(broken)?.ok_or_else(Answer::not_found)?;
    let versions = mine(depot, name, &licence)?;
    Ok(OfProduct {
        customer,
        name: product.name,
        title: product.title,
        licence: licence.iter().map(|one| covers(one, depot.now())).collect(),
        newest: versions::newest(&versions).cloned(),
        versions,
    })
}

/// Leads from a product's name to its page.
pub(crate) async fn to_product(Path(name): Path<String>) -> Result<Response, Answer> {
    let name: Product = name.parse().map_err(|_| Answer::not_found())?;
    Ok((StatusCode::PERMANENT_REDIRECT, [(LOCATION, format!("/{name}/"))]).into_response())
}

/// Answers what a version is, and how to get it.
pub(crate) async fn release(
    State(depot): State<Arc<Depot>>,
    Path((product, release)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    of_version(depot, product, Which::of(release), request).await
}

/// Answers the same of the newest version in a channel.
pub(crate) async fn latest(
    State(depot): State<Arc<Depot>>,
    Path((product, channel)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    of_version(depot, product, Which::Latest { channel }, request).await
}

async fn of_version(
    depot: Arc<Depot>,
    product: String,
    version: Which,
    request: Request,
) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let customer = who(&depot, &caller).await?;
    let asked = release::Asked { customer, host: host(&request), product, version };
    let view = depot.blocking(move |depot| release::view(depot, asked)).await?;
    answer(request.headers(), "release.html", &view)
}

/// What the documentation may do. It is the vendor's and may hold anything, so it is shut in: no script, no request, no form, and an
/// origin that is nobody's.
const SHUT_IN: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; \
                       base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers with the documentation of a version.
pub(crate) async fn documentation(
    State(depot): State<Arc<Depot>>,
    Path((product, release)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    documentation_of(depot, product, Which::of(release), request).await
}

/// Answers with that of the newest version in a channel.
pub(crate) async fn latest_documentation(
    State(depot): State<Arc<Depot>>,
    Path((product, channel)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    documentation_of(depot, product, Which::Latest { channel }, request).await
}

async fn documentation_of(
    depot: Arc<Depot>,
    product: String,
    version: Which,
    request: Request,
) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let customer = who(&depot, &caller).await?;
    let (name, of) = (customer.clone(), product.clone());
    let chosen = depot.blocking(move |depot| documentation::choose(depot, &name, &of, &version)).await?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    set(headers, CONTENT_TYPE, "text/html; charset=utf-8");
    set(headers, CONTENT_SECURITY_POLICY, SHUT_IN);
    set(headers, REFERRER_POLICY, "no-referrer");
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, ACCEPT_RANGES, "bytes");
    set(headers, CACHE_CONTROL, "private, no-cache");
    set(headers, HeaderName::from_static("casque-release"), &chosen.release);
    deliver(&depot, &request, response, Delivery { actor: customer, caller, product, chosen })
}

/// Says in words what a line of a licence covers.
pub(super) fn covers(one: &Entitlement, now: i64) -> String {
    let mut words = match &one.channel {
        Some(channel) => format!("channel {channel}"),
        None => "every channel".to_owned(),
    };
    if let Some(from) = &one.from {
        words += &format!(", from version {from} on");
    }
    if let Some(below) = &one.below {
        words += &format!(", versions below {below}");
    }
    match one.until {
        // The last day is the one before the moment at which it ends.
        Some(until) if until <= now => words + &format!("; ended on {}", words::day(until - 1)),
        Some(until) => words + &format!("; until {}", words::day(until - 1)),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_said_in_words() {
        let text = |text: &str| Some(text.to_owned());
        let mut one = Entitlement {
            id: 1,
            customer: String::new(),
            product: String::new(),
            channel: None,
            from: None,
            below: None,
            until: None,
        };
        assert_eq!(covers(&one, 0), "every channel");
        one = Entitlement {
            channel: text("beta"),
            from: text("43"),
            below: text("44"),
            until: Some(86_400),
            ..one
        };
        assert_eq!(covers(&one, 0), "channel beta, from version 43 on, versions below 44; until 1970-01-01");
        assert_eq!(
            covers(&one, 86_400),
            "channel beta, from version 43 on, versions below 44; ended on 1970-01-01"
        );
    }
}
