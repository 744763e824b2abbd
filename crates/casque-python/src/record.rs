//! `RECORD`: the list of what a distribution installed.

use casque_format::digest::Digest;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// A file of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// Its path from the directory of libraries, such as `../../../bin/flask`.
    pub(crate) path: String,
    /// Its digest and size; of `RECORD` itself there is neither.
    pub(crate) content: Option<(Digest, u64)>,
}

/// Writes rows, sorted.
pub(crate) fn written(mut rows: Vec<Row>) -> String {
    rows.sort();
    rows.iter().map(line).collect()
}

/// Returns the path and the hash, as they are written, of each line of a `RECORD`.
pub(crate) fn rows(text: &str) -> impl Iterator<Item = (String, &str)> + '_ {
    text.lines().filter_map(|line| {
        let Some(quoted) = line.strip_prefix('"') else {
            let mut fields = line.split(',');
            return Some((fields.next()?.to_owned(), fields.next()?));
        };
        // A quote inside is doubled, so the first lonely one ends the path.
        let mut end = 0;
        loop {
            end += quoted[end..].find('"')?;
            match quoted[end + 1..].starts_with('"') {
                true => end += 2,
                false => break,
            }
        }
        let mut rest = quoted[end + 1..].split(',').skip(1);
        Some((quoted[..end].replace("\"\"", "\""), rest.next()?))
    })
}

fn line(row: &Row) -> String {
    let path = quoted(&row.path);
    match &row.content {
        Some((digest, size)) => {
            format!("{path},sha256={},{size}\n", BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes()))
        }
        None => format!("{path},,\n"),
    }
}

fn quoted(path: &str) -> String {
    if path.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", path.replace('"', "\"\""))
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let row = |path: &str| Row { path: path.to_owned(), content: Some((Digest::of(b""), 0)) };
        let text = written(vec![row("a/b.py"), row("c,\"d\".py"), row("\"")]);
        let paths: Vec<String> = rows(&text).map(|(path, _)| path).collect();
        assert_eq!(paths, ["\"", "a/b.py", "c,\"d\".py"]);
        assert!(rows(&text).all(|(_, hash)| hash == "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"));
    }

    #[test]
    fn rows_are_sorted_quoted_and_hashed() {
        let rows = vec![
            Row { path: "b,\"c\".py".into(), content: Some((Digest::of(b""), 0)) },
            Row { path: "a.dist-info/RECORD".into(), content: None },
        ];
        assert_eq!(
            written(rows),
            "a.dist-info/RECORD,,\n\"b,\"\"c\"\".py\",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
        );
    }
}
