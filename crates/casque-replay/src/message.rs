//! Requests read and answers written, HTTP/1.1 (RFC 9112).

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

/// What the head of a request may have at most.
const LARGEST_HEAD: usize = 128 << 10;
const MOST_HEADERS: usize = 128;
/// What a request may send at most: it is kept in memory.
const LARGEST_BODY: u64 = 64 << 20;

/// A request without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The client can keep the connection and read chunks.
    pub(crate) modern: bool,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

/// How long an answer's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Known.
    Known(u64),
    /// Told piece by piece.
    Chunked,
    /// Until the connection is closed.
    UntilClosed,
    /// There is none, whatever the headers say.
    None,
}

impl Head {
    /// Returns the value of a header, `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.header(name)
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    }

    /// Tells whether the client may ask again over the same connection.
    pub(crate) fn keeps_connection(&self) -> bool {
        let close = self.says("connection", "close") || self.says("proxy-connection", "close");
        self.modern && !close
    }
}

/// Reads the next request; none when the client has no more.
pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut text = Vec::new();
    loop {
        let before = text.len();
        from.by_ref().take((LARGEST_HEAD - before) as u64).read_until(b'\n', &mut text)?;
        let line = &text[before..];
        match line {
            [] if before == 0 => return Ok(None),
            // Between requests an empty line may stand (RFC 9112, 2.2).
            b"\r\n" | b"\n" if before == 0 => text.clear(),
            b"\r\n" | b"\n" => break,
            _ if !line.ends_with(b"\n") => return Err(malformed("a head that does not end")),
            _ => {}
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(&text).map_err(|error| malformed(&error.to_string()))?;
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
        return Err(malformed("no method"));
    };
    let headers = parsed.headers.iter().map(|header| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
    });
    Ok(Some(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        modern: parsed.version == Some(1),
        headers: headers.collect(),
    }))
}

/// Reads what a request sends.
pub(crate) fn read_body(head: &Head, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    if head.says("transfer-encoding", "chunked") {
        return read_chunks(from);
    }
    let length: u64 = match head.header("content-length") {
        Some(text) => text.parse().map_err(|_| malformed("a length that is no number"))?,
        None => 0,
    };
    let mut body = Vec::new();
    read_exactly(from, length, &mut body)?;
    Ok(body)
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk without a size"))?;
        if size == 0 {
            break;
        }
        read_exactly(from, size, &mut body)?;
        if !read_line(from)?.is_empty() {
            return Err(malformed("a chunk that does not end"));
        }
    }
    while !read_line(from)?.is_empty() {}
    Ok(body)
}

fn read_exactly(from: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if length > LARGEST_BODY - body.len() as u64 {
        return Err(malformed("a request that sends too much"));
    }
    match from.by_ref().take(length).read_to_end(body)? as u64 == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.by_ref().take(4096).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes the head of an answer.
pub(crate) fn write_head(
    to: &mut dyn Write,
    status: u16,
    headers: &BTreeMap<String, String>,
    length: Length,
    keep: bool,
) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", phrase(status));
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    match length {
        Length::Known(length) => text += &format!("content-length: {length}\r\n"),
        Length::Chunked => text += "transfer-encoding: chunked\r\n",
        Length::UntilClosed | Length::None => {}
    }
    if !keep {
        text += "connection: close\r\n";
    }
    text += "\r\n";
    to.write_all(text.as_bytes())
}

/// Writes a part of a body, which is not empty.
pub(crate) fn write_part(to: &mut dyn Write, length: Length, part: &[u8]) -> io::Result<()> {
    match length {
        Length::Chunked => {
            write!(to, "{:x}\r\n", part.len())?;
            to.write_all(part)?;
            to.write_all(b"\r\n")
        }
        Length::Known(_) | Length::UntilClosed => to.write_all(part),
        Length::None => Ok(()),
    }
}

/// Writes the end of a body.
pub(crate) fn write_end(to: &mut dyn Write, length: Length) -> io::Result<()> {
    if length == Length::Chunked {
        to.write_all(b"0\r\n\r\n")?;
    }
    to.flush()
}

/// What programs show beside the number.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => match status / 100 {
            1 => "Continue",
            2 => "Success",
            3 => "Redirection",
            4 => "Client Error",
            _ => "Server Error",
        },
    }
}

pub(crate) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_come_at_once_are_read_one_by_one() {
        let text = b"\r\nGET http://a/1 HTTP/1.1\r\nHost: a\r\nAccept:  text/*\r\n\r\nPOST /2 HTTP/1.0\nContent-Length: 3\n\nabcGET";
        let mut from = &text[..];
        let first = read_head(&mut from).unwrap().unwrap();
        assert_eq!((first.method.as_str(), first.target.as_str()), ("GET", "http://a/1"));
        assert_eq!((first.header("accept"), first.keeps_connection()), (Some("text/*"), true));
        let second = read_head(&mut from).unwrap().unwrap();
        assert_eq!((second.target.as_str(), second.keeps_connection()), ("/2", false));
        assert_eq!(read_body(&second, &mut from).unwrap(), b"abc");
        assert_eq!(read_head(&mut from).unwrap_err().to_string(), "a head that does not end");
        assert_eq!(read_head(&mut &b""[..]).unwrap(), None);
    }

    #[test]
    fn a_body_in_chunks_is_put_together() {
        let head = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = "4;name=x\r\nWiki\r\n6\r\npedia \r\n0\r\nTrailer: x\r\n\r\nrest";
        let text = format!("{head}{body}");
        let mut from = text.as_bytes();
        let head = read_head(&mut from).unwrap().unwrap();
        assert_eq!(read_body(&head, &mut from).unwrap(), b"Wikipedia ");
        assert_eq!(from, b"rest");
        for broken in ["x\r\n", "4\r\nWikipedia", "4\r\nWi", "1\r\na\r\nffffffffffffffff\r\n"] {
            assert!(read_body(&head, &mut broken.as_bytes()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn an_answer_says_how_long_it_is_in_the_way_that_is_known() {
        let headers = BTreeMap::from([("etag".to_owned(), "\"1\"".to_owned())]);
        let write = |length, keep| {
            let mut text = Vec::new();
            write_head(&mut text, 200, &headers, length, keep).unwrap();
            write_part(&mut text, length, b"abc").unwrap();
            write_end(&mut text, length).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            write(Length::Known(3), true),
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 3\r\n\r\nabc"
        );
        assert_eq!(
            write(Length::Chunked, true),
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        assert_eq!(
            write(Length::UntilClosed, false),
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\nconnection: close\r\n\r\nabc"
        );
    }
}
