//! Splitting a command line as a POSIX shell does, without any expansion; supervisor's rule.

/// Returns the words of `text`, or why a shell would refuse it.
pub(crate) fn split_posix(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(other) => word.push(other),
                        None => return Err("a quote is not closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => match characters.next() {
                            Some(escaped @ ('"' | '\\')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => return Err("a quote is not closed"),
                        },
                        Some(other) => word.push(other),
                        None => return Err("a quote is not closed"),
                    }
                }
            }
            '\\' => match characters.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("a backslash escapes nothing"),
            },
            space if space.is_ascii_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        let text = r#"sh -c 'echo "$A"' "a \"b\" \n" c\ d """#;
        let words = split_posix(text).unwrap();
        assert_eq!(words, ["sh", "-c", r#"echo "$A""#, r#"a "b" \n"#, "c d", ""]);
    }

    #[test]
    fn an_open_quote_is_refused() {
        assert_eq!(split_posix("sh -c 'x"), Err("a quote is not closed"));
        assert_eq!(split_posix("x\\"), Err("a backslash escapes nothing"));
    }
}
