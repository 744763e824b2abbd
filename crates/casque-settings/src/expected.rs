//! What to tell a customer who gave something else.

use casque_format::settings::{Kind, Setting};

/// Returns what a value of `setting` looks like, its bounds included.
pub fn expected(setting: &Setting) -> String {
    let mut text = match setting.kind {
        Kind::Choice => format!("one of `{}`", setting.choices.join("`, `")),
        Kind::Url if !setting.schemes.is_empty() => {
            let schemes: Vec<String> =
                setting.schemes.iter().map(|scheme| format!("`{scheme}://`")).collect();
            format!("a URL that begins with {}", schemes.join(" or "))
        }
        Kind::List => format!("a list such as `{0},{0}`", example(setting.items.unwrap_or_default())),
        Kind::Password if setting.min_length.or(setting.max_length).is_some() => "a password".to_owned(),
        kind => plain(kind).to_owned(),
    };
    match (&setting.min, &setting.max) {
        (Some(min), Some(max)) => text = format!("{} from {min} to {max}", without_example(setting.kind)),
        (Some(min), None) => text = format!("{} of {min} or more", without_example(setting.kind)),
        (None, Some(max)) => text = format!("{} of {max} or less", without_example(setting.kind)),
        (None, None) => {}
    }
    let unit = if setting.kind == Kind::List { "items" } else { "characters" };
    match (setting.min_length, setting.max_length) {
        (Some(min), Some(max)) => text += &format!(" of {min} to {max} {unit}"),
        (Some(min), None) => text += &format!(" of {min} {unit} or more"),
        (None, Some(max)) => text += &format!(" of at most {max} {unit}"),
        (None, None) => {}
    }
    if let Some(pattern) = &setting.pattern {
        text += &format!(" that matches `{pattern}`");
    }
    text
}

fn plain(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "text",
        Kind::Integer => "a whole number such as 42",
        Kind::Bool => "`true` or `false`",
        Kind::Choice => "one of its choices",
        Kind::Port => "a port number from 1 to 65535",
        Kind::Host => "a host name or an address such as `mail.example.com`",
        Kind::Network => "an address or a network such as `10.0.0.0/8`",
        Kind::Url => "a URL such as `smtp://user:password@host:25`",
        Kind::Duration => "a time such as `90s`, `15m` or `12h`",
        Kind::Size => "an amount such as `512M` or `2G`",
        Kind::Password => "a password that is not empty",
        Kind::Certificate => "certificates in PEM and nothing else",
        Kind::List => "a list",
    }
}

fn without_example(kind: Kind) -> &'static str {
    match kind {
        Kind::Port => "a port number",
        Kind::Duration => "a time",
        Kind::Size => "an amount",
        _ => "a whole number",
    }
}

fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "42",
        Kind::Bool => "true",
        Kind::Port => "8080",
        Kind::Host => "mail.example.com",
        Kind::Network => "10.0.0.0/8",
        Kind::Url => "https://host",
        Kind::Duration => "90s",
        Kind::Size => "512M",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_gave_something_else_is_told_every_bound() {
        let setting = |kind| Setting { kind, ..Setting::default() };
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let some = |text: &str| Some(text.to_owned());
        let all = [
            setting(Kind::Port),
            Setting { min: some("1"), max: some("64"), ..setting(Kind::Integer) },
            Setting { min: some("1m"), ..setting(Kind::Duration) },
            Setting { max: some("2G"), ..setting(Kind::Size) },
            Setting { min_length: Some(12), ..setting(Kind::Password) },
            Setting {
                min_length: Some(2),
                max_length: Some(8),
                pattern: some("[a-z]+"),
                ..setting(Kind::String)
            },
            Setting { choices: texts(&["a", "b"]), ..setting(Kind::Choice) },
            Setting { schemes: texts(&["smtp", "smtps"]), ..setting(Kind::Url) },
            Setting { items: Some(Kind::Network), max_length: Some(3), ..setting(Kind::List) },
        ];
        assert_eq!(
            all.iter().map(expected).collect::<Vec<_>>(),
            [
                "a port number from 1 to 65535",
                "a whole number from 1 to 64",
                "a time of 1m or more",
                "an amount of 2G or less",
                "a password of 12 characters or more",
                "text of 2 to 8 characters that matches `[a-z]+`",
                "one of `a`, `b`",
                "a URL that begins with `smtp://` or `smtps://`",
                "a list such as `10.0.0.0/8,10.0.0.0/8` of at most 3 items",
            ]
        );
    }
}
