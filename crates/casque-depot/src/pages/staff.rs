//! What the vendor's staff sees: releases, customers, downloads over time, storage. Never a secret, and nothing can be changed here.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::customer::covers;
use super::plot::{self, Plot};
use super::{answer, words};
use crate::access::who::{self, Caller};
use crate::answer::Answer;
use crate::app::Depot;
use crate::choice::broken;
use crate::error::DepotError;
use crate::records::Accounts;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// The days that can be looked back; the first unless another is asked for.
const PERIODS: [i64; 3] = [30, 90, 365];

#[derive(Debug, Serialize)]
struct Overview {
    staff: String,
    plot: Plot,
    customers: usize,
    stored: Vec<Stored>,
    files: u64,
    used: String,
    free: String,
    newest: Vec<Release>,
}

#[derive(Debug, Serialize)]
struct Stored {
    product: String,
    files: u64,
    size: String,
}

#[derive(Debug, Serialize)]
struct Releases {
    staff: String,
    products: Vec<Product>,
}

#[derive(Debug, Serialize)]
struct Product {
    name: String,
    title: String,
    releases: Vec<Release>,
}

#[derive(Debug, Clone, Serialize)]
struct Release {
    product: String,
    release: String,
    channels: Vec<String>,
    published: String,
    size: String,
    withdrawn: Option<String>,
    downloads: u64,
}

#[derive(Debug, Serialize)]
struct Customers {
    staff: String,
    customers: Vec<Customer>,
}

#[derive(Debug, Serialize)]
struct Customer {
    name: String,
    created: String,
    disabled: bool,
    /// What they may have: a product, and how much of it.
    licence: Vec<(String, String)>,
    last: Option<String>,
    downloads: u64,
}

#[derive(Debug, Serialize)]
struct Downloads {
    staff: String,
    days: i64,
    periods: [i64; 3],
    plot: Plot,
    releases: Vec<OfRelease>,
}

#[derive(Debug, Serialize)]
struct OfRelease {
    product: String,
    release: String,
    downloads: u64,
    customers: u64,
    size: String,
}

async fn who(depot: &Arc<Depot>, caller: &Caller) -> Result<String, Answer> {
    who::account(depot, caller, Accounts::Staff).await
}

/// Leads to the pages of the staff.
pub(crate) async fn to_staff() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "/staff/")]).into_response()
}

/// Answers nothing, but only to staff.
pub(crate) async fn nothing(State(depot): State<Arc<Depot>>, request: Request) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    who(&depot, &caller).await?;
    Err(Answer::not_found())
}

/// Answers how things are.
pub(crate) async fn overview(State(depot): State<Arc<Depot>>, request: Request) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let staff = who(&depot, &caller).await?;
    let view = depot.blocking(move |depot| overview_of(depot, staff).map_err(broken)).await?;
    answer(request.headers(), "overview.html", &view)
}

fn overview_of(depot: &Depot, staff: String) -> Result<Overview, DepotError> {
    let stored = depot.records.stored()?;
    let mut newest = Vec::new();
    for product in products(depot)? {
        newest.extend(product.releases.into_iter().next());
    }
    Ok(Overview {
        staff,
        plot: plot_of(depot, PERIODS[0])?,
        customers: depot.records.customers()?.len(),
        files: stored.iter().map(|one| one.files).sum(),
        used: words::size(stored.iter().map(|one| one.bytes).sum()),
        free: words::size(depot.storage.free().map_err(DepotError::File)?),
        stored: stored
            .into_iter()
            .map(|one| Stored { product: one.product, files: one.files, size: words::size(one.bytes) })
            .collect(),
        newest,
    })
}

fn plot_of(depot: &Depot, days: i64) -> Result<Plot, DepotError> {
    let today = depot.now().div_euclid(DAY);
    // A week more, for the first of a year's weeks begins before the year does.
    let counted = depot.records.downloads_by_day((today - days - 7) * DAY)?;
    Ok(plot::plot(&counted, today, days))
}

fn products(depot: &Depot) -> Result<Vec<Product>, DepotError> {
    let counted = depot.records.downloads_by_release(0)?;
    let mut products = Vec::new();
    for product in depot.records.products()? {
        let releases = depot.records.releases(&product.name)?.into_iter();
        let releases = releases.map(|release| {
            let of = counted.iter().find(|one| one.product == product.name && one.release == release.release);
            Release {
                product: product.name.clone(),
                release: release.release,
                channels: release.channels,
                published: words::day(release.published),
                size: words::size(u64::try_from(release.bytes).unwrap_or(0)),
                withdrawn: release.withdrawn,
                downloads: of.map_or(0, |one| one.downloads),
            }
        });
        let releases = releases.collect();
        products.push(Product { name: product.name, title: product.title, releases });
    }
    Ok(products)
}

/// Answers which releases there are.
pub(crate) async fn releases(State(depot): State<Arc<Depot>>, request: Request) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let staff = who(&depot, &caller).await?;
    let products = depot.blocking(move |depot| products(depot).map_err(broken)).await?;
    answer(request.headers(), "releases.html", &Releases { staff, products })
}

/// Answers which customers there are, and what they may have.
pub(crate) async fn customers(State(depot): State<Arc<Depot>>, request: Request) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let staff = who(&depot, &caller).await?;
    let customers = depot.blocking(move |depot| customers_of(depot).map_err(broken)).await?;
    answer(request.headers(), "customers.html", &Customers { staff, customers })
}

fn customers_of(depot: &Depot) -> Result<Vec<Customer>, DepotError> {
    let fetched = depot.records.downloads_by_customer(0)?;
    let now = depot.now();
    let customers = depot.records.customers()?.into_iter().map(|customer| {
        let of = fetched.get(&customer.name);
        let licence = customer.entitlements.iter().map(|one| (one.product.clone(), covers(one, now)));
        Customer {
            licence: licence.collect(),
            created: words::day(customer.created),
            disabled: customer.disabled,
            last: of.map(|of| words::minute(of.last)),
            downloads: of.map_or(0, |of| of.downloads),
            name: customer.name,
        }
    });
    Ok(customers.collect())
}

/// Answers what was downloaded over time.
pub(crate) async fn downloads(State(depot): State<Arc<Depot>>, request: Request) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let staff = who(&depot, &caller).await?;
    let asked = request.uri().query().and_then(|query| query.strip_prefix("days=")?.parse().ok());
    let days = asked.filter(|days| PERIODS.contains(days)).unwrap_or(PERIODS[0]);
    let view = depot.blocking(move |depot| downloads_of(depot, staff, days).map_err(broken)).await?;
    answer(request.headers(), "downloads.html", &view)
}

fn downloads_of(depot: &Depot, staff: String, days: i64) -> Result<Downloads, DepotError> {
    let since = (depot.now().div_euclid(DAY) + 1 - days) * DAY;
    let releases = depot.records.downloads_by_release(since)?.into_iter().map(|one| OfRelease {
        product: one.product,
        release: one.release,
        downloads: one.downloads,
        customers: one.customers,
        size: words::size(one.bytes),
    });
    let releases = releases.collect();
    Ok(Downloads { staff, days, periods: PERIODS, plot: plot_of(depot, days)?, releases })
}
