//! Every value that nobody may see, from all the places that have one: those that do not count have been in use once, or will be.
//!
//! Nothing is judged here: a product that does not start because of a wrong setting has secrets as well.

use std::io;

use casque_format::paths;
use casque_format::settings::{Kind, Setting};
use fs_err as fs;

use super::file::{self, FileValue};
use super::resolve::One;
use super::secrets::{self, Stored};
use super::{Problem, Sources, Text};

/// A value that a setting has somewhere.
pub struct Hidden {
    /// The setting.
    pub setting: String,
    /// A value, or bytes that are none.
    pub value: Vec<u8>,
    /// Where it is too short to be looked for, that is no harm: what is in every image of this version is known to all, and what
    /// is in a URL has the looks of a secret.
    pub may_be_short: bool,
}

/// Why it is not known what has to be hidden.
pub enum Unknown {
    /// A place cannot be read.
    Setting(Problem),
    /// Another user's file.
    Other(io::Error),
}

impl Sources<'_> {
    /// Returns the value of every secret, and of a URL that is none its password.
    ///
    /// # Errors
    /// A place that cannot be read: what it has cannot be hidden.
    pub fn hidden(&self) -> Result<Vec<Hidden>, Unknown> {
        let file = file::read(self.root).map_err(Unknown::Setting)?;
        let mut all = Vec::new();
        let may_hide = |setting: &Setting| setting.is_secret() || has_urls(setting);
        for (name, setting) in self.settings.iter().filter(|(_, setting)| may_hide(setting)) {
            let one = One { name, setting, sources: self };
            let mut values = one.given().map_err(Unknown::Setting)?;
            for value in one.names().filter_map(|name| file.get(name)) {
                values.extend(texts(value).map(|text| text.as_str().as_bytes().to_vec()));
            }
            let urls = has_urls(setting);
            let defaults = setting.default.iter().map(|text| (text.as_bytes().to_vec(), true));
            for (value, is_default) in values.into_iter().map(|value| (value, false)).chain(defaults) {
                let hide = |value, may_be_short| Hidden { setting: name.clone(), value, may_be_short };
                let of_url = if urls { passwords(&value) } else { Vec::new() };
                all.extend(of_url.into_iter().map(|password| hide(password, true)));
                all.extend(setting.is_secret().then(|| hide(value, is_default)));
            }
        }
        all.extend(self.stored()?);
        Ok(all)
    }

    /// Returns everything that was generated, for settings of earlier versions too.
    fn stored(&self) -> Result<Vec<Hidden>, Unknown> {
        let entries = match fs::read_dir(self.root.join(paths::SECRETS)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Unknown::Other(error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let setting = entry.map_err(Unknown::Other)?.file_name().to_string_lossy().into_owned();
            match secrets::read(self.root, &setting) {
                Ok(Stored::Secret(text)) => {
                    all.push(Hidden { setting, value: text.as_str().into(), may_be_short: false });
                }
                Ok(Stored::Missing) => {}
                Ok(Stored::Hidden) => {
                    let path = format!("`{}/{setting}` belongs to another user", paths::SECRETS);
                    return Err(Unknown::Other(io::Error::new(io::ErrorKind::PermissionDenied, path)));
                }
                Err(source) => return Err(Unknown::Setting(Problem::Stored { setting, source })),
            }
        }
        Ok(all)
    }
}

/// Says whether a value may be a URL, or several.
pub fn has_urls(setting: &Setting) -> bool {
    setting.kind == Kind::Url || setting.items == Some(Kind::Url)
}

fn texts(value: &FileValue) -> impl Iterator<Item = &Text> {
    let texts = match value {
        FileValue::Scalar(text) => std::slice::from_ref(text),
        FileValue::List(texts) => texts.as_slice(),
        FileValue::Other(_) => &[],
    };
    texts.iter()
}

/// Returns the password in each URL of a value, as it is written there and as it is meant.
pub fn passwords(value: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(value);
    let mut found = Vec::new();
    for url in text.split([',', ' ']).filter_map(|url| Some(url.split_once("://")?.1)) {
        let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        if let Some((_, password)) = user.and_then(|user| user.split_once(':')) {
            found.extend([password.as_bytes().to_vec(), decoded(password.as_bytes())]);
        }
    }
    found.dedup();
    found
}

/// Returns what a part of a URL means.
pub fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_url_is_a_secret_as_written_and_as_meant() {
        let found = |url: &str| -> Vec<String> {
            passwords(url.as_bytes()).into_iter().map(|one| String::from_utf8(one).unwrap()).collect()
        };
        assert_eq!(found("mongodb://app:p%40ss%2fx@db,db2/orders?a=b@c"), ["p%40ss%2fx", "p@ss/x"]);
        assert_eq!(found("redis://:geheim@cache:6379"), ["geheim"]);
        assert!(found("https://host/a:b@c").is_empty() && found("user:word@host").is_empty());
    }
}
