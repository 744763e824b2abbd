//! What a customer may have, as a page: products, versions, and commands to copy.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use crate::access::entitlement::allowed;
use crate::access::who::{self, Caller};
use crate::answer::Answer;
use crate::app::Depot;
use crate::error::DepotError;
use crate::install;

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>Downloads</title><style>
body { font: 1rem/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #f3f3f3; padding: .8rem; overflow-x: auto } td, th { text-align: left; padding-right: 1.5rem }
</style></head><body><main><h1>Downloads</h1>
";

/// Answers the page of whoever asks.
pub(crate) async fn products(State(depot): State<Arc<Depot>>, request: Request) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let customer = who::customer(&depot, &caller).await?;
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).map(str::to_owned);
    let page = depot
        .blocking(move |depot| {
            page(depot, &customer, host.as_deref())
                .map_err(|error| Answer::broken("cannot show products", &error))
        })
        .await?;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    Ok((headers, page).into_response())
}

fn page(depot: &Depot, customer: &str, host: Option<&str>) -> Result<String, DepotError> {
    let mut page = HEAD.to_owned();
    let mine = depot.records.entitlements(customer, None)?;
    let address = install::address(depot, host);
    let now = depot.now();
    for product in depot.records.products()? {
        let mine: Vec<_> = mine.iter().filter(|one| one.product == product.name).cloned().collect();
        let mut rows = String::new();
        let mut commands = String::new();
        for release in depot.records.releases(&product.name)? {
            let may = |channel: &&String| allowed(&mine, channel, &release.release, now).is_ok();
            let channels: Vec<String> = release.channels.iter().filter(may).cloned().collect();
            let Some(first) = channels.first().filter(|_| release.withdrawn.is_none()) else { continue };
            let images = depot.records.find_images(&product.name, first)?;
            if let Some((image, _)) = images.iter().find(|(image, _)| image.release == release.release)
                && commands.is_empty()
            {
                let (name, file) = (&product.name, &image.name);
                commands = format!(
                    "<pre>curl -u {} {} -o {file}\ndocker load &lt; {file}\n{}</pre>\n",
                    escape(customer),
                    escape(&format!("{address}/{name}/{file}")),
                    escape(&product.run)
                );
            }
            rows += &format!(
                "<tr><td>{}</td><td>{}</td><td>{:.1} MB</td><td>{}</td></tr>\n",
                escape(&release.release),
                escape(&channels.join(", ")),
                release.bytes as f64 / 1e6,
                escape(&release.notes)
            );
        }
        if !mine.is_empty() {
            page += &format!(
                "<h2>{}</h2>\n{commands}<table><tr><th scope=\"col\">Version</th><th scope=\"col\">Channels</th>\
                 <th scope=\"col\">Size</th><th scope=\"col\">Notes</th></tr>\n{rows}</table>\n",
                escape(&product.title)
            );
        }
    }
    if mine.is_empty() {
        page += "<p>There is nothing here for you yet.</p>\n";
    }
    Ok(page + "</main></body></html>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
