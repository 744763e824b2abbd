//! What the vendor's description of settings must say, so that no customer meets a mistake in it.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::settings::{Kind, Setting};

use crate::value::{number_of, whole};
use crate::{check, expected};

/// A key that a setting cannot have as it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which setting.
    pub setting: String,
    /// Which of its keys.
    pub key: &'static str,
    /// What it says.
    pub value: String,
    /// What would do.
    pub expected: String,
}

/// Returns the first mistake in these settings.
///
/// # Errors
/// That mistake.
pub fn judge(settings: &BTreeMap<String, Setting>) -> Result<(), Mistake> {
    for (name, setting) in settings {
        let found = one(setting).or_else(|| names(name, settings)).or_else(|| condition(name, settings));
        if let Some((key, value, expected)) = found {
            return Err(Mistake { setting: name.clone(), key, value, expected });
        }
    }
    Ok(())
}

/// A key, its value, and what it should be.
type Found = Option<(&'static str, String, String)>;

fn one(setting: &Setting) -> Found {
    let found = |key, value: &str, expected: &str| Some((key, value.to_owned(), expected.to_owned()));
    if setting.description.trim().is_empty() {
        return found("description", &setting.description, "a sentence for the customer");
    }
    if setting.generate && !matches!(setting.kind, Kind::Password | Kind::String) {
        return found("generate", "true", "`generate` only with the types `password` and `string`");
    }
    keys_of_the_type(setting).or_else(|| default(setting))
}

/// Judges the keys that only some types have, and their values.
fn keys_of_the_type(setting: &Setting) -> Found {
    let is = |kinds: &[Kind]| kinds.contains(&setting.kind);
    let found = |key, value: &str, expected: String| Some((key, value.to_owned(), expected));
    let only = |kinds: &str| format!("this key only with {kinds}");
    for (key, bound) in [("min", &setting.min), ("max", &setting.max)] {
        let Some(bound) = bound else { continue };
        if !is(&[Kind::Integer, Kind::Port, Kind::Duration, Kind::Size]) {
            return found(key, bound, only("the types `integer`, `port`, `duration` and `size`"));
        }
        if number_of(setting.kind, bound).is_none() {
            let plain = Setting { kind: setting.kind, ..Setting::default() };
            return found(key, bound, expected(&plain));
        }
    }
    let number = |bound: &Option<String>| bound.as_ref().and_then(|bound| number_of(setting.kind, bound));
    if let (Some(min), Some(max)) = (number(&setting.min), number(&setting.max))
        && min > max
    {
        return found("max", &max.to_string(), format!("{min} or more, as `min` says"));
    }
    let texts = [Kind::String, Kind::Password, Kind::Host, Kind::Url];
    for (key, length) in [("min-length", setting.min_length), ("max-length", setting.max_length)] {
        if let Some(length) = length
            && !is(&texts)
            && !is(&[Kind::List])
        {
            let kinds = "the types `string`, `password`, `host`, `url` and `list`";
            return found(key, &length.to_string(), only(kinds));
        }
    }
    if let (Some(min), Some(max)) = (setting.min_length, setting.max_length)
        && min > max
    {
        return found("max-length", &max.to_string(), format!("{min} or more, as `min-length` says"));
    }
    if let Some(pattern) = &setting.pattern {
        if !is(&texts) && !is(&[Kind::List]) {
            return found(
                "pattern",
                pattern,
                only("the types `string`, `password`, `host`, `url` and `list`"),
            );
        }
        if let Err(error) = whole(pattern) {
            return found("pattern", pattern, format!("a regular expression: {error}"));
        }
    }
    if is(&[Kind::Choice]) && setting.choices.is_empty() {
        return found("choices", "", "the values there are to choose from".to_owned());
    }
    if !is(&[Kind::Choice]) && !setting.choices.is_empty() {
        return found("choices", &setting.choices.join(", "), only("the type `choice`"));
    }
    if !is(&[Kind::Url]) && setting.items != Some(Kind::Url) && !setting.schemes.is_empty() {
        return found("schemes", &setting.schemes.join(", "), only("the type `url`"));
    }
    match setting.items {
        Some(items) if !is(&[Kind::List]) => found("items", items.name(), only("the type `list`")),
        Some(Kind::List | Kind::Choice | Kind::Password | Kind::Certificate) => {
            let items = setting.items.unwrap_or_default();
            found("items", items.name(), "a type whose values have no commas and are no secrets".to_owned())
        }
        _ => None,
    }
}

fn default(setting: &Setting) -> Found {
    let default = setting.default.as_ref()?;
    if setting.generate || setting.kind == Kind::Password {
        let expected =
            "no default of a password, which would be the same for every customer: `generate = true`";
        return Some(("default", "(secret)".to_owned(), expected.to_owned()));
    }
    if check(setting, default).is_some() {
        return None;
    }
    Some(("default", default.clone(), expected(setting)))
}

/// Judges earlier names: each means one setting, and none of today's.
fn names(name: &str, settings: &BTreeMap<String, Setting>) -> Found {
    for old in &settings[name].renamed_from {
        if settings.contains_key(old) {
            return Some(("renamed-from", old.clone(), "a name that no setting has any more".to_owned()));
        }
        let others = settings.iter().filter(|(other, _)| *other != name);
        let also = others.clone().find(|(_, setting)| setting.renamed_from.contains(old));
        if let Some((other, _)) = also {
            return Some((
                "renamed-from",
                old.clone(),
                format!("one setting for it, and `{other}` says the same"),
            ));
        }
    }
    None
}

fn condition(name: &str, settings: &BTreeMap<String, Setting>) -> Found {
    let condition = settings[name].required_when.as_ref()?;
    let found =
        |expected: &str| Some(("required-when", String::from(condition.clone()), expected.to_owned()));
    let Some(other) = settings.get(&condition.setting) else {
        return found("a setting of this manifest");
    };
    if settings[name].required {
        return found("`required` or `required-when`, not both");
    }
    if let Some(value) = &condition.is
        && check(other, value).is_none()
    {
        return found(&format!("a value that `{}` can have: {}", condition.setting, expected(other)));
    }
    let mut seen = BTreeSet::from([name]);
    let mut chain = vec![name];
    let mut next = Some(condition.setting.as_str());
    while let Some(setting) = next {
        chain.push(setting);
        if !seen.insert(setting) {
            let circle = chain.join("` -> `");
            return found(&format!("no circle, in which nothing is ever required: `{circle}`"));
        }
        next = settings
            .get(setting)
            .and_then(|setting| setting.required_when.as_ref())
            .map(|when| when.setting.as_str());
    }
    None
}

#[cfg(test)]
mod tests {
    use casque_format::settings::built_in;

    use super::*;

    /// Returns what is said of a setting `a` beside the settings `b` and `c`.
    fn mistake(change: impl FnOnce(&mut BTreeMap<String, Setting>)) -> String {
        let plain = || Setting { description: "A test.".to_owned(), ..Setting::default() };
        let mut settings: BTreeMap<_, _> = ["a", "b", "c"].map(|name| (name.to_owned(), plain())).into();
        change(&mut settings);
        judge(&settings).map_or_else(
            |found| {
                format!("{}.{} is `{}`, expected {}", found.setting, found.key, found.value, found.expected)
            },
            |()| "nothing".to_owned(),
        )
    }

    fn of_a(change: impl FnOnce(&mut Setting)) -> String {
        mistake(|settings| change(settings.get_mut("a").unwrap()))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn when(text: &str) -> Option<casque_format::settings::Condition> {
        Some(text.to_owned().try_into().unwrap())
    }

    #[test]
    fn what_every_product_has_is_described_without_a_mistake() {
        let settings = built_in().into_iter().map(|(name, setting)| (name.to_owned(), setting)).collect();
        assert_eq!(judge(&settings), Ok(()));
    }

    #[test]
    fn a_setting_has_a_description_and_a_default_that_is_one() {
        assert_eq!(
            of_a(|a| a.description = " ".to_owned()),
            "a.description is ` `, expected a sentence for the customer"
        );
        let default = of_a(|a| (a.kind, a.default, a.max) = (Kind::Integer, some("65"), some("64")));
        assert_eq!(default, "a.default is `65`, expected a whole number of 64 or less");
        let secret = of_a(|a| (a.kind, a.default) = (Kind::Password, some("hunter2")));
        assert!(secret.starts_with("a.default is `(secret)`, expected no default of a password"), "{secret}");
    }

    #[test]
    fn keys_are_where_they_mean_something() {
        let only = "expected this key only with";
        assert_eq!(
            of_a(|a| a.min = some("1")),
            format!("a.min is `1`, {only} the types `integer`, `port`, `duration` and `size`")
        );
        assert_eq!(
            of_a(|a| a.choices = vec!["x".to_owned()]),
            format!("a.choices is `x`, {only} the type `choice`")
        );
        assert_eq!(
            of_a(|a| a.schemes = vec!["http".to_owned()]),
            format!("a.schemes is `http`, {only} the type `url`")
        );
        assert_eq!(
            of_a(|a| a.items = Some(Kind::Host)),
            format!("a.items is `host`, {only} the type `list`")
        );
        assert!(of_a(|a| (a.kind, a.pattern) = (Kind::Bool, some("x"))).contains(only));
        assert!(of_a(|a| (a.kind, a.min_length) = (Kind::Bool, Some(1))).contains(only));
        assert_eq!(
            of_a(|a| a.kind = Kind::Choice),
            "a.choices is ``, expected the values there are to choose from"
        );
        let bounds = of_a(|a| (a.kind, a.min, a.max) = (Kind::Duration, some("1h"), some("1m")));
        assert_eq!(bounds, "a.max is `60`, expected 3600 or more, as `min` says");
        assert!(
            of_a(|a| a.pattern = some("(")).starts_with("a.pattern is `(`, expected a regular expression: ")
        );
        assert!(
            of_a(|a| (a.kind, a.items) = (Kind::List, Some(Kind::Certificate)))
                .starts_with("a.items is `certificate`")
        );
    }

    #[test]
    fn an_old_name_means_one_setting() {
        let old = |name: &str| vec![name.to_owned()];
        assert_eq!(
            of_a(|a| a.renamed_from = old("b")),
            "a.renamed-from is `b`, expected a name that no setting has any more"
        );
        let twice = mistake(|all| {
            ["a", "c"].iter().for_each(|name| all.get_mut(*name).unwrap().renamed_from = old("z"))
        });
        assert_eq!(twice, "a.renamed-from is `z`, expected one setting for it, and `c` says the same");
        assert_eq!(of_a(|a| a.renamed_from = old("z")), "nothing");
    }

    #[test]
    fn a_condition_names_another_setting_and_a_value_of_it_and_makes_no_circle() {
        assert_eq!(of_a(|a| a.required_when = when("b")), "nothing");
        assert_eq!(
            of_a(|a| a.required_when = when("z")),
            "a.required-when is `z`, expected a setting of this manifest"
        );
        let circle = mistake(|all| {
            for (name, other) in [("a", "b"), ("b", "c = x"), ("c", "a")] {
                all.get_mut(name).unwrap().required_when = when(other);
            }
        });
        assert_eq!(
            circle,
            "a.required-when is `b`, expected no circle, in which nothing is ever required: `a` -> `b` -> `c` -> `a`"
        );
        let value = mistake(|all| {
            all.get_mut("a").unwrap().required_when = when("b = 0");
            all.get_mut("b").unwrap().kind = Kind::Port;
        });
        assert_eq!(
            value,
            "a.required-when is `b = 0`, expected a value that `b` can have: a port number from 1 to 65535"
        );
    }
}
