//! Answers to the questions that packages ask while they are configured: `[base] preseed`.

use std::io;

use crate::builder::Builder;

/// debconf's types of questions, but for `password`: what is answered here is in the image.
const TYPES: [&str; 8] = ["boolean", "error", "multiselect", "note", "seen", "select", "string", "text"];

/// Returns the first line that debconf would not understand, with its number, counted from 1.
pub(crate) fn mistake(text: &str) -> Option<(usize, &str)> {
    let mut continued = false;
    for (index, line) in text.lines().enumerate() {
        let starts = !continued;
        continued = line.ends_with('\\');
        if !starts || line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let kind = words.nth(2);
        if !kind.is_some_and(|kind| TYPES.contains(&kind)) {
            return Some((index + 1, line));
        }
    }
    None
}

impl Builder<'_> {
    /// Returns the manifest's answers.
    pub(crate) fn preseed(&self) -> io::Result<Option<String>> {
        let path = self.manifest.content.base.preseed.as_ref();
        path.map(|path| fs_err::read_to_string(self.manifest.directory.join(path.get_ref()))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_debconf_would_not_understand_is_found() {
        let good = "# answers\n\ntzdata tzdata/Areas select Europe\npostfix postfix/note note\n\
                    a a/b multiselect one, \\\n two\nd-i d-i/x string\n";
        assert_eq!(mistake(good), None);
        assert_eq!(mistake("a a/b string x\na a/b sting x\n"), Some((2, "a a/b sting x")));
        assert_eq!(mistake("tzdata tzdata/Areas\n"), Some((1, "tzdata tzdata/Areas")));
    }

    #[test]
    fn a_password_is_no_answer_because_the_image_would_hold_it() {
        assert_eq!(mistake("a a/root-pw password secret\n"), Some((1, "a a/root-pw password secret")));
    }
}
