//! What is recorded is what is replayed, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use casque_replay::Fetch;

use crate::internet::{Internet, Place, answer};

fn urls(fetches: &[Fetch], internet: &Internet) -> Vec<String> {
    let base = internet.url("");
    fetches.iter().map(|fetch| format!("{} {}", fetch.method, fetch.url.replace(&base, ""))).collect()
}

#[test]
fn a_replay_needs_no_network_and_answers_as_the_recording_did() {
    let internet = Internet::start(|request, _| match request.split(' ').nth(1).unwrap() {
        "/file" => answer("200 OK", "Set-Cookie: a=1\r\nETag: \"7\"\r\nDate: today\r\n", "content"),
        "/moved" => answer("302 Found", "Location: /file\r\n", "see there"),
        _ => answer("404 Not Found", "", "nothing"),
    });
    let place = Place::new();
    let ask = |client: &crate::internet::Client| {
        ["/file", "/moved", "/none", "/file"].map(|path| client.get(&internet.url(path)))
    };
    let mut recorded = None;
    let told = place.record(&[], |client| recorded = Some(ask(client)));
    assert_eq!(internet.requests(), 3, "the same question gets the recorded answer");
    assert_eq!(urls(&told.fetches, &internet), ["GET /file", "GET /moved", "GET /none"]);
    let mut replayed = None;
    let again = place.replay(&told.fetches, |client| replayed = Some(ask(client)));
    assert_eq!(internet.requests(), 3, "a replay asks nobody");
    assert_eq!(replayed, recorded);
    assert_eq!(again, told);
    assert_eq!(
        recorded.unwrap().map(|answer| answer.replace("\r\n", "|")),
        [
            "HTTP/1.1 200 OK|etag: \"7\"|content-length: 7||content",
            "HTTP/1.1 302 Found|location: /file|content-length: 0||",
            "HTTP/1.1 404 Not Found|content-length: 0||",
            "HTTP/1.1 200 OK|etag: \"7\"|content-length: 7||content",
        ]
    );
}

#[test]
fn what_was_not_recorded_is_refused_by_name() {
    let internet = Internet::start(|_, _| answer("200 OK", "", "content"));
    let place = Place::new();
    let told = place.replay(&[], |client| {
        let refused = client.get(&internet.url("/new"));
        assert!(refused.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{refused}");
    });
    assert_eq!(told.missing, [format!("GET {}", internet.url("/new"))]);
    assert_eq!(internet.requests(), 0);
}

#[test]
fn parts_conditions_and_encodings_are_not_asked_for() {
    let internet = Internet::start(|_, _| answer("200 OK", "", "whole"));
    let place = Place::new();
    let headers = "Range: bytes=2-\r\nIf-None-Match: \"1\"\r\nAccept-Encoding: gzip\r\nX-Own: yes\r\n";
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n{headers}\r\n", internet.url("/file"));
    place.record(&[], |client| assert!(client.raw(&request).ends_with("\r\n\r\nwhole")));
    let head = internet.asked.lock().unwrap()[0].to_lowercase();
    assert!(head.contains("x-own: yes\r\n") && head.contains("accept-encoding: identity\r\n"), "{head}");
    assert!(!head.contains("range") && !head.contains("if-none-match") && !head.contains("gzip"), "{head}");
}

#[test]
fn requests_differ_by_what_they_send_accept_and_do() {
    let internet = Internet::start(|request, number| {
        let body = if request.starts_with("HEAD") { String::new() } else { format!("answer {number}") };
        match request.starts_with("HEAD") {
            true => b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\nConnection: close\r\n\r\n".to_vec(),
            false => answer("200 OK", "", &body),
        }
    });
    let url = internet.url("/api");
    let post = |text: &str| {
        format!("POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{text}", text.len())
    };
    let accepting = |kind: &str| format!("GET {url} HTTP/1.1\r\nHost: x\r\nAccept: {kind}\r\n\r\n");
    let head = format!("HEAD {url} HTTP/1.1\r\nHost: x\r\n\r\n");
    let requests = [post("one"), post("two"), accepting("text/html"), accepting("*/*"), head];
    let place = Place::new();
    let ask = |client: &crate::internet::Client| requests.iter().map(|request| client.raw(request)).collect();
    let mut recorded: Vec<String> = Vec::new();
    let told = place.record(&[], |client| recorded = ask(client));
    assert_eq!(internet.requests(), 5);
    let ends: Vec<&str> = recorded.iter().map(|answer| answer.split("\r\n\r\n").nth(1).unwrap()).collect();
    assert_eq!(ends, ["answer 0", "answer 1", "answer 2", "answer 3", ""]);
    assert!(recorded[4].contains("content-length: 77\r\n"), "{}", recorded[4]);
    let mut replayed: Vec<String> = Vec::new();
    place.replay(&told.fetches, |client| replayed = ask(client));
    assert_eq!(replayed, recorded);
    let texts: Vec<_> = told.fetches.iter().filter_map(|fetch| fetch.text.as_deref()).collect();
    assert_eq!(
        texts.len(),
        2,
        "an answer to what was sent cannot be had again, so the record has it: {texts:?}"
    );
}

#[test]
fn a_failure_that_passes_is_not_what_is_recorded() {
    let internet = Internet::start(|_, number| match number {
        0 => answer("503 Service Unavailable", "", ""),
        _ => answer("200 OK", "", "content"),
    });
    let place = Place::new();
    let told = place.record(&[], |client| {
        assert!(client.get(&internet.url("/file")).starts_with("HTTP/1.1 503 "));
        assert!(client.get(&internet.url("/file")).ends_with("content"));
    });
    let statuses: Vec<u16> = told.fetches.iter().map(|fetch| fetch.status).collect();
    assert_eq!(statuses, [200]);
}

#[test]
fn clients_that_ask_for_the_same_at_once_get_the_same() {
    let internet = Internet::start(|_, number| answer("200 OK", "", &format!("answer {number}")));
    let place = Place::new();
    let different = AtomicUsize::new(0);
    let told = place.record(&[], |client| {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    if !client.get(&internet.url("/file")).ends_with("answer 0") {
                        different.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    });
    assert_eq!((different.into_inner(), internet.requests(), told.fetches.len()), (0, 1, 1));
}

#[test]
fn an_answer_that_breaks_off_is_not_recorded() {
    let internet = Internet::start(|_, _| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort".to_vec()
    });
    let place = Place::new();
    let told = place.record(&[], |client| {
        client.get(&internet.url("/file"));
    });
    assert_eq!(told.fetches, []);
}

#[test]
fn recording_again_adds_what_is_new_and_keeps_what_is_known() {
    let internet = Internet::start(|_, number| answer("200 OK", "", &format!("answer {number}")));
    let place = Place::new();
    let first = place.record(&[], |client| drop(client.get(&internet.url("/old"))));
    let second = place.record(&first.fetches, |client| {
        assert!(client.get(&internet.url("/old")).ends_with("answer 0"));
        assert!(client.get(&internet.url("/new")).ends_with("answer 1"));
    });
    assert_eq!(urls(&second.fetches, &internet), ["GET /new", "GET /old"]);
    let third = place.record(&second.fetches, |client| drop(client.get(&internet.url("/new"))));
    assert_eq!(urls(&third.fetches, &internet), ["GET /new"], "what nobody asks for any more goes");
}

#[test]
fn a_host_that_is_not_there_is_recorded_as_that() {
    let place = Place::new();
    let url = "http://127.0.0.1:1/file";
    let told = place.record(&[], |client| {
        assert!(client.get(url).starts_with("HTTP/1.1 502 "));
    });
    assert_eq!(told.unreachable.len(), 1);
    assert!(told.unreachable[0].starts_with("http://127.0.0.1:1/file: "), "{:?}", told.unreachable);
    place.replay(&told.fetches, |client| assert!(client.get(url).starts_with("HTTP/1.1 502 ")));
}

#[test]
fn credentials_in_an_address_are_not_recorded() {
    let internet = Internet::start(|_, _| answer("200 OK", "", "content"));
    let place = Place::new();
    let url = internet.url("/file").replace("http://", "http://user:secret@");
    let told = place.record(&[], |client| drop(client.get(&url)));
    assert!(!format!("{told:?}").contains("secret"), "{told:?}");
}

#[test]
fn neither_a_login_nor_an_address_with_one_that_an_answer_leads_to_is_recorded() {
    let internet = Internet::start(|request, number| match (request.split(' ').nth(1).unwrap(), number) {
        ("/moved", _) => {
            let headers = "Location: https://user:secret@h.example/x\r\nLink: <https://secret@h.example/y>; rel=next\r\n";
            answer("302 Found", headers, "")
        }
        ("/simple/demo/", _) => {
            let page = "<a href=\"https://user:secret@h.example/demo-1.whl\">demo</a>";
            answer("200 OK", "Content-Type: text/html\r\n", page)
        }
        (_, 0) => answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", ""),
        _ => answer("200 OK", "", "content"),
    });
    let place = Place::new();
    let url = internet.url("/file");
    let with_login = format!("GET {url} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c2VjcmV0\r\n\r\n");
    let told = place.record(&[], |client| {
        assert!(client.get(&url).starts_with("HTTP/1.1 401 "));
        assert!(client.raw(&with_login).ends_with("content"), "a login that was asked for is passed on");
        let moved = client.get(&internet.url("/moved"));
        assert!(
            moved.contains("location: https://user:secret@h.example/x\r\n"),
            "the step itself gets it: {moved}"
        );
        client.get(&internet.url("/simple/demo/"));
        client.get(&internet.url("/demo-1.whl"));
    });
    assert!(internet.asked.lock().unwrap()[1].contains("Basic c2VjcmV0"));
    let recorded = format!("{:?}", told.fetches);
    assert!(!recorded.contains("secret") && !recorded.contains("c2VjcmV0"), "{recorded}");
    assert!(recorded.contains("https://h.example/x") && recorded.contains("https://h.example/demo-1.whl"));
    place.replay(&told.fetches, |client| {
        assert!(client.get(&url).ends_with("content"), "a replay needs no login");
        assert!(client.get(&internet.url("/moved")).contains("location: https://h.example/x\r\n"));
    });
}

#[test]
fn an_index_page_is_kept_as_what_was_taken_from_it_and_asked_for_again_when_recording_again() {
    let page = r#"{"meta":{"api-version":"1.1"},"name":"demo","files":[{"url":"/demo-1.whl"},{"url":"/demo-2.whl"}]}"#;
    let kind = "Content-Type: application/vnd.pypi.simple.v1+json\r\nETag: \"9\"\r\n";
    let internet = Internet::start(move |request, _| match request.contains("/simple/") {
        true => answer("200 OK", kind, page),
        false => answer("200 OK", "", "wheel"),
    });
    let place = Place::new();
    let take = |client: &crate::internet::Client, file: &str| {
        let page = client.get(&internet.url("/simple/demo/"));
        assert!(page.contains(file), "{file} is not in {page}");
        client.get(&internet.url(file));
    };
    let first = place.record(&[], |client| take(client, "/demo-1.whl"));
    let text = |fetches: &[Fetch]| fetches.iter().find_map(|fetch| fetch.text.clone()).unwrap();
    let cut = r#"{"files":[{"url":"/demo-1.whl"}],"meta":{"api-version":"1.1"},"name":"demo"}"#;
    assert_eq!(text(&first.fetches), cut);
    place.replay(&first.fetches, |client| {
        assert!(client.get(&internet.url("/simple/demo/")).ends_with(cut));
    });
    let second = place.record(&first.fetches, |client| take(client, "/demo-2.whl"));
    assert_eq!(text(&second.fetches), cut.replace("demo-1", "demo-2"));
}
