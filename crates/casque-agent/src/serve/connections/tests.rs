//! Bytes on a connection to the status page. Whatever they are, it is answered or closed, and tells nothing to strangers.

use std::cell::RefCell;

use casque_format::control::Overall;
use casque_fuzz::fuzz;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::*;
use crate::serve::Config;
use crate::serve::answer::tests::{config, view};

/// That of the product that is served.
const TOKEN: &str = "T0ken";
/// What only details have: the name of a service.
const DETAIL: &str = "\"web\"";

fn served(root: &std::path::Path) -> Rc<Served> {
    let config = RefCell::new(Rc::new(Config { agent: config(), tls: None }));
    Rc::new(Served { config, root: Root::new(root.to_owned()), clock: || 1_800_000_000 })
}

#[test]
fn whatever_comes_is_answered_or_closed_and_only_the_token_opens_details() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (served, (_state, seen)) = (served(directory.path()), watch::channel(view(Overall::Ready)));
    let answer = |request: &[u8]| {
        let (mut ours, theirs) = duplex(1 << 20);
        let peer = Some(IpAddr::from([192, 0, 2, 1]));
        let ask = async {
            ours.write_all(request).await.unwrap();
            ours.shutdown().await.unwrap();
            let _ = connection(theirs, peer, Rc::clone(&served), seen.clone()).await;
            let mut answer = Vec::new();
            ours.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        };
        LocalSet::new().block_on(&runtime, ask)
    };
    let seeds: [&[u8]; 6] = [
        b"GET /status HTTP/1.1\r\nHost: a\r\nUser-Agent: monitor T0ken\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: a\r\nUser-Agent: monitor t0ken\r\n\r\n",
        b"HEAD /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t0ken\r\nForwarded: for=127.0.0.1\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n",
        b"POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
        b"PUT / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    ];
    let seen = answer(seeds[0]);
    assert!(seen.contains(DETAIL), "{seen}");
    fuzz("status page", &seeds, |data| {
        let seen = answer(data);
        assert!(seen.is_empty() || seen.starts_with("HTTP/1."), "{seen}");
        let has_token = data.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes());
        assert!(has_token || !seen.contains(DETAIL), "{seen}");
        // One request, one answer, and then the line is closed.
        assert!(seen.matches("HTTP/1.").count() <= 2, "{seen}");
    });
}
