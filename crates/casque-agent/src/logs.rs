//! What the settings say about the log.

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::run::{LogFormat, LogLimit, Logs};
use casque_format::settings::{LOG_FILES, LOG_FORMAT, LOG_SIZE};

use crate::settings::Settings;
use crate::syslog;

/// Returns what becomes of what services write; settings that the image does not have, or has for a purpose of its own,
/// mean the usual.
pub fn logs(plan: &ImagePlan, settings: &Settings) -> Logs {
    let text = |name: &str| settings.get(name).and_then(|resolved| resolved.text());
    let number = |name: &str| text(name).and_then(|text| text.parse::<u32>().ok());
    let usual = LogLimit::default();
    let limit = LogLimit {
        size: number(LOG_SIZE)
            .filter(|size| *size > 0)
            .map_or(usual.size, |megabytes| u64::from(megabytes) << 20),
        files: number(LOG_FILES).unwrap_or(usual.files),
    };
    Logs {
        format: if text(LOG_FORMAT) == Some("json") { LogFormat::Json } else { LogFormat::Text },
        directory: (limit.files > 0).then(|| paths::LOGS.to_owned()),
        limit,
        services: plan.logs.clone(),
        syslog: syslog::room(settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Resolved, Text, Value};

    fn settings(given: &[(&str, &str)]) -> Settings {
        let built_in = casque_format::settings::built_in();
        let one = |(name, text): &(&str, &str)| {
            let (_, setting) = built_in.iter().find(|(known, _)| known == name).unwrap().clone();
            let value = Value::Known(Text::new((*text).to_owned()));
            ((*name).to_owned(), Resolved { setting, value, origin: Origin::Default, warnings: Vec::new() })
        };
        given.iter().map(one).collect()
    }

    fn logs(settings: &Settings) -> Logs {
        let mut plan = crate::plan::tests::plan();
        plan.logs.insert("web".to_owned(), LogLimit { size: 7, files: 7 });
        super::logs(&plan, settings)
    }

    #[test]
    fn the_settings_decide_what_lines_look_like_and_what_is_kept() {
        let made = logs(&settings(&[(LOG_FORMAT, "json"), (LOG_SIZE, "3"), (LOG_FILES, "2")]));
        assert_eq!((made.format, made.directory.as_deref()), (LogFormat::Json, Some("/data/logs")));
        assert_eq!(made.limit, LogLimit { size: 3 << 20, files: 2 });
        assert_eq!(made.services["web"], LogLimit { size: 7, files: 7 });
        let none = logs(&settings(&[(LOG_FILES, "0")]));
        assert_eq!(none.directory, None);
        let usual = logs(&settings(&[]));
        assert_eq!((usual.format, usual.limit), (LogFormat::Text, LogLimit::default()));
    }

    #[test]
    fn what_they_may_be_is_said_of_each_and_the_usual_is_their_default() {
        let built_in = casque_format::settings::built_in();
        let refused = |(name, text): (&str, &str)| {
            let (_, setting) = built_in.iter().find(|(known, _)| *known == name).unwrap();
            assert_eq!(casque_settings::check(setting, text), None);
            casque_settings::expected(setting)
        };
        assert_eq!(
            [(LOG_FORMAT, "xml"), (LOG_SIZE, "0"), (LOG_FILES, "-1")].map(refused),
            ["one of `text`, `json`", "a whole number from 1 to 1048576", "a whole number from 0 to 1000"]
        );
        let defaults = built_in.iter().filter(|(name, _)| name.starts_with("log-"));
        let defaults: Vec<_> = defaults.map(|(name, one)| (*name, one.default.as_deref().unwrap())).collect();
        assert_eq!(defaults.len(), 3);
        assert_eq!(logs(&settings(&defaults)).limit, logs(&settings(&[])).limit);
    }
}
