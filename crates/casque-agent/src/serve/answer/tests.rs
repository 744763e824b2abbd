//! The answers, without a socket.

use std::time::Duration;

use casque_format::control::{ServiceState, ServiceStatus, Snapshot};
use casque_format::image::Product;
use casque_format::status::{Certificate, Probes};
use hyper::Request;
use proptest::prelude::*;

use super::*;

const STATES: [Overall; 5] =
    [Overall::Starting, Overall::Ready, Overall::Degraded, Overall::Maintenance, Overall::Stopping];

pub fn config() -> AgentConfig {
    AgentConfig {
        product: Product {
            name: "vendor/backend".to_owned(),
            version: "43.4.4".to_owned(),
            command: "backend".to_owned(),
            counter: None,
        },
        status_path: "/status".to_owned(),
        status_agent: "monitor".to_owned(),
        status_token: "T0ken".to_owned(),
        warnings: vec!["data is not on a named volume".to_owned()],
        probes: Probes::default(),
        instance: "1a".to_owned(),
        configuration: "2b".to_owned(),
        certificates: vec![],
        tls: None,
        syslog: None,
    }
}

pub fn view(state: Overall) -> View {
    let web = ServiceStatus {
        name: "web".to_owned(),
        state: ServiceState::Ready,
        pid: Some(9),
        restarts: 0,
        since_ms: 100,
        last_exit: None,
        message: None,
        oom_kills: 0,
        dropped_lines: 0,
        unfiled_lines: 0,
        log_problem: None,
    };
    let snapshot = Snapshot { version: 1, state, uptime_ms: 1000, front_ready: false, services: vec![web] };
    View { snapshot: Some((snapshot, Instant::now())), connected: true }
}

fn ask(view: &View, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<String> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(&asked(&request.body(()).unwrap().into_parts().0), &config(), view)
}

fn asked(head: &Parts) -> Asked<'_> {
    let volume = Some(Volume { total_bytes: 100, free_bytes: 50 });
    let peer = Some([192, 0, 2, 1].into());
    Asked { head, peer, volume, syslog: None, now: Instant::now(), time: 1_800_000_000 }
}

fn status(response: &Response<String>) -> Status {
    serde_json::from_str(response.body()).unwrap()
}

#[test]
fn only_ready_is_200_and_the_token_changes_nothing_about_it() {
    for state in STATES {
        for headers in [&[][..], &[("user-agent", "monitor T0ken")], &[("user-agent", "monitor wrong")]] {
            let response = ask(&view(state), "GET", "/status?x=1", headers);
            assert_eq!(response.status() == 200, state == Overall::Ready);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), state != Overall::Ready);
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(status(&response).state, state);
        }
    }
}

#[test]
fn the_bare_state_is_all_that_strangers_see() {
    assert_eq!(
        ask(&view(Overall::Ready), "GET", "/status", &[]).body(),
        "{\"version\":1,\"state\":\"ready\"}\n"
    );
}

#[test]
fn details_need_the_token_in_its_place() {
    let seen = |headers: &[(&str, &str)]| {
        status(&ask(&view(Overall::Ready), "GET", "/status", headers)).details.is_some()
    };
    for (name, value) in [
        ("user-agent", "monitor T0ken"),
        ("user-agent", "monitor T0ken more words"),
        ("authorization", "Bearer T0ken"),
        ("authorization", "bearer T0ken"),
    ] {
        assert!(seen(&[(name, value)]), "{name}: {value}");
    }
    for (name, value) in [
        ("user-agent", "T0ken"),
        ("user-agent", "monitor"),
        ("user-agent", "monitor "),
        ("user-agent", "monitorT0ken"),
        ("user-agent", "monitor T0ken2"),
        ("user-agent", "monitor T0ke"),
        ("user-agent", "monitor  T0ken"),
        ("user-agent", "Monitor T0ken"),
        ("user-agent", "x monitor T0ken"),
        ("user-agent", "curl/8"),
        ("authorization", "T0ken"),
        ("authorization", "Bearer T0ken2"),
        ("authorization", "Bearer"),
        ("authorization", "Basic T0ken"),
        ("x-token", "T0ken"),
    ] {
        assert!(!seen(&[(name, value)]), "{name}: {value}");
    }
}

#[test]
fn no_token_is_no_way_in() {
    let config = AgentConfig { status_token: String::new(), ..config() };
    for (name, value) in [("user-agent", "monitor "), ("authorization", "Bearer ")] {
        let request = Request::builder().uri("/status").header(name, value).body(()).unwrap();
        let response = answer(&asked(&request.into_parts().0), &config, &view(Overall::Ready));
        assert_eq!(status(&response).details, None);
    }
}

#[test]
fn details_go_on_in_time_and_carry_the_warnings() {
    let view = view(Overall::Ready);
    let head = Request::new(()).into_parts().0;
    let now = view.snapshot.as_ref().unwrap().1 + Duration::from_millis(500);
    let volume = Some(Volume { total_bytes: 100, free_bytes: 4 });
    let certificate = Certificate {
        setting: "tls".to_owned(),
        subject: "CN=a".to_owned(),
        not_after: 1_800_000_000,
        days_left: None,
    };
    let config = AgentConfig { certificates: vec![certificate], ..config() };
    let syslog = Some(Syslog {
        receiver: "tcp://logs".to_owned(),
        connected: false,
        waiting_bytes: 7,
        lost_lines: 0,
        last_error: Some("nobody answers".to_owned()),
    });
    let details = details(&Asked { now, volume, syslog: syslog.clone(), ..asked(&head) }, &config, &view);
    assert_eq!(details.syslog, syslog);
    assert_eq!(details.certificates[0].days_left, Some(0));
    assert_eq!((details.uptime_ms, details.services[0].since_ms), (1500, 600));
    assert_eq!((details.product.as_str(), details.product_version.as_str()), ("vendor/backend", "43.4.4"));
    assert_eq!((details.instance.as_str(), details.configuration.as_str()), ("1a", "2b"));
    assert_eq!(
        details.warnings,
        [
            "data is not on a named volume",
            "the certificate of setting `tls` (`CN=a`) ends in 0 days",
            "the data volume is almost full: 4 % or 0 MiB are free",
            "logs do not get to `tcp://logs`: nobody answers; 7 bytes wait",
        ]
    );
}

#[test]
fn alive_is_not_ready() {
    for state in STATES {
        let live = ask(&view(state), "GET", "/livez", &[]);
        assert_eq!((live.status().as_u16(), live.body().as_str()), (200, "alive\n"));
        let ready = ask(&view(state), "GET", "/readyz", &[]);
        assert_eq!(ready.status() == 200, state == Overall::Ready);
        assert_eq!(ready.body(), &format!("{}\n", overall(state)));
    }
    assert_eq!(ask(&View::default(), "GET", "/livez", &[]).status(), 200);
    let off = AgentConfig { probes: Probes { live: String::new(), ..Probes::default() }, ..config() };
    let request = Request::get("/livez").body(()).unwrap().into_parts().0;
    assert_eq!(answer(&asked(&request), &off, &view(Overall::Starting)).status(), 503);
}

#[test]
fn metrics_are_for_the_token_and_for_the_container_itself() {
    let code = |peer: Option<&str>, headers: &[(&str, &str)]| {
        let mut request = Request::get("/metrics");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        let peer = peer.map(|peer| peer.parse().unwrap());
        let response = answer(&Asked { peer, ..asked(&head) }, &config(), &view(Overall::Degraded));
        let seen = response.body().contains("casque_state{state=\"degraded\"} 1\n");
        assert_eq!(seen, response.status() == 200);
        response.status().as_u16()
    };
    let far = Some("192.0.2.1");
    assert_eq!(code(far, &[]), 401);
    assert_eq!(code(far, &[("x-casque-peer", "127.0.0.1")]), 401);
    assert_eq!(code(far, &[("authorization", "Bearer wrong")]), 401);
    assert_eq!(code(far, &[("authorization", "Bearer T0ken")]), 200);
    assert_eq!(code(Some("::1"), &[]), 200);
    assert_eq!(code(None, &[]), 401);
    assert_eq!(code(None, &[("x-casque-peer", "192.0.2.1")]), 401);
    assert_eq!(code(None, &[("x-casque-peer", "127.0.0.1")]), 200);
    for header in ["x-forwarded-for", "forwarded", "via"] {
        assert_eq!(code(Some("127.0.0.1"), &[(header, "192.0.2.1")]), 401, "{header}");
    }
}

#[test]
fn without_pid_1_nothing_is_called_ready() {
    let lost = View { connected: false, ..view(Overall::Ready) };
    let response = ask(&lost, "GET", "/status", &[("user-agent", "monitor T0ken")]);
    assert_eq!((response.status().as_u16(), status(&response).state), (503, Overall::Degraded));
    assert!(status(&response).details.unwrap().warnings[1].starts_with("PID 1 does not answer"));
    assert_eq!(status(&ask(&View::default(), "GET", "/status", &[])).state, Overall::Starting);
}

#[test]
fn other_methods_are_refused_only_at_the_status() {
    let response = ask(&view(Overall::Ready), "POST", "/status", &[]);
    assert_eq!((response.status().as_u16(), response.headers()[ALLOW].to_str().unwrap()), (405, "GET, HEAD"));
    assert_eq!(ask(&view(Overall::Starting), "POST", "/upload", &[]).status(), 503);
}

#[test]
fn other_paths_get_a_page_or_the_state() {
    let accept = ("accept", "text/html,application/xhtml+xml;q=0.9");
    let response = ask(&view(Overall::Starting), "GET", "/", &[accept]);
    assert_eq!(
        (response.status().as_u16(), &response.headers()[CONTENT_TYPE]),
        (503, &HTML.parse().unwrap())
    );
    assert_eq!(response.headers()[RETRY_AFTER], RETRY_SECONDS);
    assert!(response.body().contains("<h1>vendor/backend is starting</h1>"));
    let response = ask(&view(Overall::Starting), "GET", "/status/", &[("accept", "*/*")]);
    assert_eq!((response.status().as_u16(), response.body().as_str()), (503, "{\"state\":\"starting\"}\n"));
}

proptest! {
    #[test]
    fn tokens_are_the_same_when_every_byte_is(a: Vec<u8>, b: Vec<u8>) {
        prop_assert_eq!(same(&a, &b), a == b);
        prop_assert!(same(&a, &a));
    }
}
