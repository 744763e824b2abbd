//! `casque-depot audit`.

use casque_depot::records::{Entry, Query};
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime};

use super::{Desk, Failed, print};
use crate::cli::{AuditArguments, Form};
use crate::ui;

pub(crate) fn run(desk: &Desk, arguments: &AuditArguments) -> Result<(), Failed> {
    let query = Query {
        actor: arguments.actor.clone(),
        product: arguments.product.as_ref().map(ToString::to_string),
        since: arguments.since.map(start),
        until: arguments.until.map(end),
    };
    let entries =
        desk.records.audit(&query).map_err(|error| ("cannot show what was done".to_owned(), error))?;
    if arguments.format == Form::Csv {
        ui::line("time,actor,address,action,product,release,file,status,bytes,complete");
    }
    for entry in &entries {
        match arguments.format {
            Form::Json => print(entry),
            Form::Csv => ui::line(&csv(entry)),
            Form::Text => ui::line(&text(entry)),
        }
    }
    Ok(())
}

/// Returns when a day begins, in seconds since 1970.
fn start(day: Date) -> i64 {
    day.midnight().assume_utc().unix_timestamp()
}

/// Returns when it has ended.
pub(super) fn end(day: Date) -> i64 {
    (day.midnight().assume_utc() + Duration::DAY).unix_timestamp()
}

fn clock(at: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(at).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| at.to_string())
}

fn text(entry: &Entry) -> String {
    let Entry { actor, address, action, product, release, file, status, bytes, .. } = entry;
    let how = if entry.complete { "" } else { ", not to its end" };
    format!(
        "{} {actor} {address} {action} {product} {release} {file}: {status}, {bytes} bytes{how}",
        clock(entry.at)
    )
}

fn csv(entry: &Entry) -> String {
    let fields = [
        clock(entry.at),
        entry.actor.clone(),
        entry.address.clone(),
        entry.action.clone(),
        entry.product.clone(),
        entry.release.clone(),
        entry.file.clone(),
        entry.status.to_string(),
        entry.bytes.to_string(),
        entry.complete.to_string(),
    ];
    fields.map(|field| quoted(&field)).join(",")
}

/// Quotes a field. What a spreadsheet would calculate is made a text: names come from whoever asked.
fn quoted(field: &str) -> String {
    let field = match field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{field}"),
        false => field.to_owned(),
    };
    match field.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stays_one_field_and_is_never_a_formula() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=HYPERLINK(1)"), "'=HYPERLINK(1)");
    }
}
