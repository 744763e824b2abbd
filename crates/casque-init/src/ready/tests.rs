//! What each readiness check says and accepts.

use super::*;

fn tcp_check(address: &str, dialog: Dialog) -> Check {
    Check::Socket(Target::Tcp(address.parse().unwrap()), dialog)
}

#[test]
fn addresses_are_numeric_or_localhost() {
    let parse = |address: &str| Check::parse(&Ready::Tcp(address.to_owned()));
    assert_eq!(parse("127.0.0.1:80"), Ok(tcp_check("127.0.0.1:80", Dialog::Connect)));
    assert_eq!(parse("[::1]:80"), Ok(tcp_check("[::1]:80", Dialog::Connect)));
    assert_eq!(parse("localhost:80"), Ok(tcp_check("127.0.0.1:80", Dialog::Connect)));
    assert_eq!(
        parse("db.example:80"),
        Err("`db.example:80` is not a numeric address and a port, such as 127.0.0.1:80".to_owned())
    );
    parse("127.0.0.1").unwrap_err();
    parse("localhost:http").unwrap_err();
}

#[test]
fn http_goes_to_an_address_or_a_socket() {
    let parse = |url: &str| Check::parse(&Ready::Http(url.to_owned()));
    let Ok(Check::Socket(target, Dialog::Http(request))) = parse("http://127.0.0.1:8000/health?a=b") else {
        panic!("a plain URL was refused");
    };
    assert_eq!(target, Target::Tcp("127.0.0.1:8000".parse().unwrap()));
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("GET /health?a=b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n"), "{request}");

    let Ok(Check::Socket(target, Dialog::Http(request))) = parse("unix:/run/web.sock:/health") else {
        panic!("a socket URL was refused");
    };
    assert_eq!(target, Target::Unix("/run/web.sock".into()));
    assert!(request.starts_with(b"GET /health HTTP/1.1\r\nHost: localhost\r\n"));

    assert!(parse("http://[::1]").is_ok());
    assert!(parse("http://127.0.0.1").is_ok());
    for wrong in ["https://127.0.0.1/", "unix:/run/web.sock", "http://127.0.0.1:80/a b", "http://"] {
        parse(wrong).unwrap_err();
    }
}

#[test]
fn http_is_ready_from_200_to_399() {
    let dialog = Dialog::Http(Vec::new());
    let judge = |answer: &str| dialog.judge(answer.as_bytes(), false);
    assert_eq!(judge(""), Verdict::Incomplete);
    assert_eq!(judge("HTTP/1.1 20"), Verdict::Incomplete);
    assert_eq!(judge("HTTP/1.1 200 OK"), Verdict::Ready);
    assert_eq!(judge("HTTP/1.0 302 Found"), Verdict::Ready);
    assert_eq!(judge("HTTP/1.1 503 No"), Verdict::NotReady("it answered HTTP 503".to_owned()));
    assert_eq!(judge("SSH-2.0"), Verdict::NotReady("its answer is not HTTP".to_owned()));
    assert_eq!(
        dialog.judge(b"HTTP", true),
        Verdict::NotReady("it closed the connection without an answer".to_owned())
    );
}

#[test]
fn redis_is_ready_with_anything_but_loading() {
    let judge = |answer: &str| Dialog::Redis.judge(answer.as_bytes(), false);
    assert_eq!(judge("+PON"), Verdict::Incomplete);
    assert_eq!(judge("+PONG\r\n"), Verdict::Ready);
    assert_eq!(judge("-NOAUTH Authentication required.\r\n"), Verdict::Ready);
    assert_eq!(
        judge("-LOADING Redis is loading the dataset in memory\r\n"),
        Verdict::NotReady("it is loading its data".to_owned())
    );
    assert_eq!(judge("HTTP/1.1 400\r\n"), Verdict::NotReady("its answer is not that of a Redis".to_owned()));
}

#[test]
fn an_empty_command_and_a_long_path_are_refused() {
    Check::parse(&Ready::Exec(vec![])).unwrap_err();
    Check::parse(&Ready::Unix(format!("/{}", "a".repeat(107)))).unwrap_err();
    Check::parse(&Ready::Unix("run/web.sock".to_owned())).unwrap_err();
}
