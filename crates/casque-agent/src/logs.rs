//! What the settings say about the log, judged before anything starts.

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::run::{LogFormat, LogLimit, Logs};

use crate::settings::{Problem, Resolved, Settings};

/// Returns what becomes of what services write; settings that the image does not have mean the usual.
pub fn logs(plan: &ImagePlan, settings: &Settings) -> Result<Logs, Vec<Problem>> {
    let mut problems = Vec::new();
    let format = read(settings, "log-format", "`text` or `json`", &mut problems, |text| match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    let megabytes = |text: &str| text.parse::<u64>().ok().filter(|number| (1..=1 << 20).contains(number));
    let size = read(settings, "log-size", "a whole number of MiB from 1 on", &mut problems, megabytes);
    let count = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= 1000);
    let files = read(settings, "log-files", "a whole number from 0 to 1000", &mut problems, count);
    if !problems.is_empty() {
        return Err(problems);
    }
    let usual = LogLimit::default();
    let limit =
        LogLimit { size: size.map_or(usual.size, |size| size << 20), files: files.unwrap_or(usual.files) };
    Ok(Logs {
        format: format.unwrap_or_default(),
        directory: (limit.files > 0).then(|| paths::LOGS.to_owned()),
        limit,
        services: plan.logs.clone(),
    })
}

fn read<T>(
    settings: &Settings,
    name: &str,
    expected: &'static str,
    problems: &mut Vec<Problem>,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let resolved: &Resolved = settings.get(name)?;
    let text = resolved.text()?;
    let value = parse(text);
    if value.is_none() {
        problems.push(Problem::Wrong {
            setting: name.to_owned(),
            given: format!("`{text}`"),
            expected,
            origin: resolved.origin.clone(),
        });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Text, Value};

    fn settings(given: &[(&str, &str)]) -> Settings {
        let built_in = casque_format::settings::built_in();
        let one = |(name, text): &(&str, &str)| {
            let (_, setting) = built_in.iter().find(|(known, _)| known == name).unwrap().clone();
            let value = Value::Known(Text::new((*text).to_owned()));
            ((*name).to_owned(), Resolved { setting, value, origin: Origin::Default })
        };
        given.iter().map(one).collect()
    }

    fn logs(settings: &Settings) -> Result<Logs, Vec<Problem>> {
        let mut plan = crate::plan::tests::plan();
        plan.logs.insert("web".to_owned(), LogLimit { size: 7, files: 7 });
        super::logs(&plan, settings)
    }

    #[test]
    fn the_settings_decide_what_lines_look_like_and_what_is_kept() {
        let made = logs(&settings(&[("log-format", "json"), ("log-size", "3"), ("log-files", "2")])).unwrap();
        assert_eq!((made.format, made.directory.as_deref()), (LogFormat::Json, Some("/data/logs")));
        assert_eq!(made.limit, LogLimit { size: 3 << 20, files: 2 });
        assert_eq!(made.services["web"], LogLimit { size: 7, files: 7 });
        let none = logs(&settings(&[("log-files", "0")])).unwrap();
        assert_eq!(none.directory, None);
        let usual = logs(&settings(&[])).unwrap();
        assert_eq!((usual.format, usual.limit), (LogFormat::Text, LogLimit::default()));
    }

    #[test]
    fn what_is_wrong_is_said_for_each() {
        let problems =
            logs(&settings(&[("log-format", "xml"), ("log-size", "0"), ("log-files", "-1")])).unwrap_err();
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 3);
        assert!(
            text[0].starts_with("setting `log-format`: given `xml`, expected `text` or `json` (from "),
            "{text:?}"
        );
    }
}
