//! `events`: every change of state, as it happens.

use casque_format::control::{Event, Reply, Request};

use super::status::{notes, overall, state};
use crate::control::listen;
use crate::error::Error;
use crate::root::Root;
use crate::ui;

/// Prints them, for people or one JSON document a line, until the container ends.
pub fn run(root: &Root, as_json: bool) -> Result<(), Error> {
    listen(root, &Request::Events, |reply| {
        let Reply::Event { event } = reply else {
            return Err(Error::Protocol);
        };
        let text = match as_json {
            true => serde_json::to_string(&event).map_err(|_| Error::Protocol)?,
            false => line(&event),
        };
        Ok(ui::stream(&(text + "\n")))
    })
}

fn line(event: &Event) -> String {
    let Some(service) = &event.service else {
        return format!("{} everything: {}", event.time, event.container.map_or("", overall));
    };
    let mut text = format!("{} {}: {}", event.time, service.name, state(service.state));
    if service.restarts > 0 {
        text += &format!(", restarts: {}", service.restarts);
    }
    let notes = notes(service);
    if !notes.is_empty() {
        text += &format!(" ({notes})");
    }
    text
}

#[cfg(test)]
mod tests {
    use casque_format::control::Overall;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_one_line() {
        let event = |event| line(&serde_json::from_value(event).unwrap());
        assert_eq!(
            event(json!({ "time": "T", "service": {
                "name": "web", "state": "backoff", "restarts": 2, "since_ms": 0, "last_exit": "exited with 3",
            } })),
            "T web: backoff, restarts: 2 (exited with 3)"
        );
        let whole = Event { time: "T".to_owned(), container: Some(Overall::Degraded), service: None };
        assert_eq!(line(&whole), "T everything: degraded");
    }
}
