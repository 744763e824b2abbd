//! What a program in the sandbox sends to the proxy, and pages of an index. Whatever it is, it is read within bounds or
//! refused.

use std::collections::BTreeSet;

use casque_fuzz::fuzz;

use crate::message::{read_body, read_head};
use crate::names::question;
use crate::pages::Page;

#[test]
fn requests_are_read_one_after_the_other_or_refused() {
    let seeds: [&[u8]; 4] = [
        b"GET http://a/1 HTTP/1.1\r\nHost: a\r\nAccept:  text/*\r\n\r\nPOST /2 HTTP/1.0\nContent-Length: 3\n\nabc",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4;name=x\r\nWiki\r\n6\r\npedia \r\n0\r\nTrailer: x\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nProxy-Connection: close\r\n\r\n",
        b"\r\n\r\nPOST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\nffffffffffffffff\r\n",
    ];
    fuzz("requests to the proxy", &seeds, |data| {
        let (mut from, mut taken) = (data, 0);
        while let Ok(Some(head)) = read_head(&mut from) {
            assert!(!head.method.is_empty() && !head.target.contains(['\r', '\n', ' ']), "{head:?}");
            for (name, value) in &head.headers {
                // They are sent on, each in a line of its own.
                assert!(
                    !name.contains(['\r', '\n', ' ', ':']) && !value.contains(['\r', '\n']),
                    "{name}: {value}"
                );
            }
            let Ok(body) = read_body(&head, &mut from) else { break };
            taken += body.len();
            assert!(taken <= data.len() - from.len(), "a body has what came");
        }
    });
}

#[test]
fn an_answer_to_a_question_for_a_name_is_no_longer_than_the_question() {
    let mut datagram = vec![0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    datagram.extend_from_slice(b"\x03Git\x07example\x03org\x00\x00\x01\x00\x01");
    fuzz("questions for names", &[&datagram], |data| {
        let Some(question) = question(data) else { return };
        assert!(question.answer.len() <= data.len() && question.answer[..2] == data[..2]);
    });
}

#[test]
fn a_page_is_cut_down_once_or_is_none() {
    let json = br#"{"meta":{"api-version":"1.1","_last-serial":7},"name":"a","versions":["1"],"files":[
        {"url":"https://files.example/a-1.whl#x","size":1},{"url":"../a-2.whl?y","hashes":{}}]}"#;
    let html = b"<html><body>\n<a href=\"../a-1.whl#sha256=1\" data-x='&gt;'>a</a><br />\n<a href='a-2.whl'>b</a>\n</body></html><!--7-->";
    let taken = BTreeSet::from(["a-2.whl".to_owned()]);
    fuzz("pages in JSON", &[json], |data| {
        let text = String::from_utf8_lossy(data);
        let Some(page) = Page::Json.reduced(&text, &taken) else { return };
        assert_eq!(Page::Json.reduced(&page, &taken).as_ref(), Some(&page));
    });
    fuzz("pages in HTML", &[html], |data| {
        let text = String::from_utf8_lossy(data);
        let Some(page) = Page::Html.reduced(&text, &taken) else { return };
        assert!(page.len() <= text.len() && page.matches("<a ").count() <= text.matches("<a ").count());
    });
}
