//! What comes of one and of many downloads.

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use casque_fetch::{
    FetchError, FetchSummary, Network, NetworkSettings, Progress, Proxies, Silent, Store, Wanted, fetch_all,
};
use casque_format::digest::Digest;

use crate::server::{Answer, Server};

pub struct Set {
    directory: tempfile::TempDir,
    pub store: Store,
    pub network: Network,
    pub server: Server,
}

pub fn set() -> Set {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let settings = NetworkSettings { timeout: Duration::from_secs(20), ..NetworkSettings::default() };
    Set { directory, store, network: Network::new(&settings).unwrap(), server: Server::start() }
}

pub fn wanted(content: &[u8], urls: &[String]) -> Wanted {
    Wanted {
        label: "thing 1.0".to_owned(),
        urls: urls.to_vec(),
        digest: Digest::of(content),
        size: Some(content.len() as u64),
        moving: false,
    }
}

impl Set {
    pub fn fetch(&self, files: &[Wanted]) -> Result<FetchSummary, FetchError> {
        fetch_all(&self.network, &self.store, files, 4, &Silent)
    }

    pub fn refusal(&self, file: Wanted) -> FetchError {
        let FetchError::File { label, source } = self.fetch(std::slice::from_ref(&file)).unwrap_err() else {
            panic!("the error does not name the file")
        };
        assert_eq!(label, "thing 1.0");
        assert!(!self.store.contains(&file.digest));
        assert!(self.left_over().is_empty(), "{:?}", self.left_over());
        *source
    }

    fn left_over(&self) -> Vec<std::path::PathBuf> {
        let files = self.directory.path().join("tmp");
        fs_err::read_dir(files).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

/// A port that nobody listens on any more.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/thing", listener.local_addr().unwrap())
}

#[test]
fn files_arrive_whole_and_only_once() {
    let set = set();
    let contents: Vec<Vec<u8>> = (0..20).map(|n| vec![n; 70_000 + usize::from(n)]).collect();
    let files: Vec<_> = contents
        .iter()
        .enumerate()
        .map(|(n, content)| {
            wanted(content, &[set.server.answer(&format!("/{n}"), &[Answer::File(content.clone())])])
        })
        .collect();
    let bytes = contents.iter().map(|content| content.len() as u64).sum();
    assert_eq!(set.fetch(&files).unwrap(), FetchSummary { fetched: 20, bytes, present: 0 });
    for (file, content) in files.iter().zip(&contents) {
        assert_eq!(&set.store.read(&file.digest).unwrap(), content);
    }
    assert_eq!(set.fetch(&files).unwrap(), FetchSummary { fetched: 0, bytes: 0, present: 20 });
    assert_eq!(set.server.asked().len(), 20);
}

#[test]
fn progress_adds_up_to_what_was_announced() {
    #[derive(Default)]
    struct Counter([AtomicU64; 4]);
    impl Progress for Counter {
        fn expect(&self, files: usize, bytes: u64) {
            self.0[0].store(files as u64, Ordering::Relaxed);
            self.0[1].store(bytes, Ordering::Relaxed);
        }
        fn advance(&self, bytes: u64) {
            self.0[2].fetch_add(bytes, Ordering::Relaxed);
        }
        fn discard(&self, bytes: u64) {
            self.0[2].fetch_sub(bytes, Ordering::Relaxed);
        }
        fn done(&self, _label: &str) {
            self.0[3].fetch_add(1, Ordering::Relaxed);
        }
    }
    let set = set();
    let content = vec![7; 200_000];
    let answers = [Answer::Broken(content.clone(), 150_000), Answer::File(content.clone())];
    let file = wanted(&content, &[set.server.answer("/thing", &answers)]);
    let counter = Counter::default();
    fetch_all(&set.network, &set.store, &[file], 1, &counter).unwrap();
    assert_eq!(counter.0.map(AtomicU64::into_inner), [1, 200_000, 200_000, 1]);
}

#[test]
fn a_file_that_is_nowhere_is_named() {
    let set = set();
    let url = set.server.answer("/thing", &[Answer::Status(404)]);
    let refused = set.refusal(wanted(b"x", std::slice::from_ref(&url)));
    assert!(matches!(refused, FetchError::NotFound { .. }));
    assert_eq!(refused.to_string(), format!("`{url}` does not exist"));
    assert_eq!(set.server.asked().len(), 1, "a missing file is not asked for again");
}

#[test]
fn the_next_address_helps_where_the_first_does_not() {
    let set = set();
    let missing = set.server.answer("/a", &[Answer::Status(404)]);
    let replaced = set.server.answer("/b", &[Answer::File(b"thinG".to_vec())]);
    let good = set.server.answer("/c", &[Answer::File(b"thing".to_vec())]);
    assert_eq!(set.fetch(&[wanted(b"thing", &[missing, replaced, good])]).unwrap().fetched, 1);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let set = set();
    let url = set.server.answer("/thing", &[Answer::Status(503), Answer::File(b"thing".to_vec())]);
    assert_eq!(set.fetch(&[wanted(b"thing", &[url])]).unwrap().fetched, 1);
    let url = set.server.answer("/forbidden", &[Answer::Status(403)]);
    let refused = set.refusal(wanted(b"x", std::slice::from_ref(&url)));
    assert_eq!(refused.to_string(), format!("`{url}` was answered with status 403"));
}

#[test]
fn a_redirection_is_followed() {
    let set = set();
    let good = set.server.answer("/there", &[Answer::File(b"thing".to_vec())]);
    let url = set.server.answer("/here", &[Answer::Moved(good)]);
    assert_eq!(set.network.get(&url, 5).unwrap(), b"thing");
}

#[test]
fn a_file_that_breaks_off_is_not_kept() {
    let set = set();
    let content = vec![1; 100_000];
    let url = set.server.answer("/thing", &[Answer::Broken(content.clone(), 70_000)]);
    let refused = set.refusal(wanted(&content, std::slice::from_ref(&url)));
    assert_eq!(refused.to_string(), format!("`{url}` broke off after 70000 bytes"));
    assert_eq!(set.server.asked().len(), 3);
}

#[test]
fn another_file_than_the_one_wanted_is_not_kept() {
    let set = set();
    let url = set.server.answer("/thing", &[Answer::File(b"thinG".to_vec())]);
    let refused = set.refusal(wanted(b"thing", std::slice::from_ref(&url)));
    let (expected, received) = (Digest::of(b"thing"), Digest::of(b"thinG"));
    assert_eq!(refused.to_string(), format!("`{url}` has SHA-256 {received} instead of {expected}"));
}

#[test]
fn a_newer_file_at_an_address_that_moves_is_told_as_that_and_one_at_a_fixed_address_is_not() {
    let set = set();
    let moving = set.server.answer("/latest", &[Answer::File(b"thinG".to_vec())]);
    let file = |urls: &[String]| Wanted { moving: true, ..wanted(b"thing", urls) };
    let refused = set.refusal(file(&[moving.clone(), nowhere()]));
    assert_eq!(refused.to_string(), format!("`{moving}` has been replaced since"));
    let fixed = set.server.answer("/20260711", &[Answer::File(b"thinG".to_vec())]);
    let refused = set.refusal(file(&[moving.clone(), fixed]));
    assert!(matches!(refused, FetchError::HashMismatch { .. }), "{refused}");
    let fixed = set.server.answer("/20260712", &[Answer::File(b"thing".to_vec())]);
    assert_eq!(set.fetch(&[file(&[moving, fixed])]).unwrap().fetched, 1);
}

#[test]
fn a_file_of_another_size_is_not_kept() {
    let set = set();
    let url = set.server.answer("/short", &[Answer::File(b"thin".to_vec())]);
    let refused = set.refusal(wanted(b"thing", std::slice::from_ref(&url)));
    assert_eq!(refused.to_string(), format!("`{url}` has 4 bytes instead of 5"));
    let url = set.server.answer("/long", &[Answer::File(b"things".to_vec())]);
    let refused = set.refusal(wanted(b"thing", std::slice::from_ref(&url)));
    assert_eq!(refused.to_string(), format!("`{url}` is larger than the 5 bytes that were expected at most"));
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    let set = set();
    let url = nowhere();
    let refused = set.refusal(wanted(b"x", std::slice::from_ref(&url)));
    assert!(matches!(refused, FetchError::Connect { .. }));
    assert_eq!(refused.to_string(), format!("cannot reach `{url}`"));
}

#[test]
fn the_most_telling_of_several_failures_is_reported() {
    let set = set();
    let missing = set.server.answer("/a", &[Answer::Status(404)]);
    let other = set.server.answer("/b", &[Answer::File(b"thinG".to_vec())]);
    let refused = set.refusal(wanted(b"thing", &[missing, other, nowhere()]));
    assert!(matches!(refused, FetchError::HashMismatch { .. }), "{refused}");
    assert_eq!(set.refusal(wanted(b"thing", &[])).to_string(), "no address is known");
}

#[test]
fn what_cannot_be_an_address_is_refused() {
    let set = set();
    let refused = set.network.get("not an address", 1).unwrap_err();
    assert_eq!(refused.to_string(), "`not an address` is not an http or https address");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("bundle.pem");
    let with = |ca_bundle: &Path| {
        let settings =
            NetworkSettings { ca_bundle: Some(ca_bundle.to_owned()), ..NetworkSettings::default() };
        Network::new(&settings).unwrap_err()
    };
    assert!(matches!(with(&bundle), FetchError::CaBundle(_)));
    fs_err::write(&bundle, "nothing").unwrap();
    let expected = format!("`{}` holds no certificate in PEM form", bundle.display());
    assert_eq!(with(&bundle).to_string(), expected);
    let proxies = Proxies { http: Some("http://user:secret@:::".to_owned()), ..Proxies::default() };
    let refused = Network::new(&NetworkSettings { proxies, ..NetworkSettings::default() }).unwrap_err();
    let expected = "`http://:::` is not the address of a proxy, such as `http://proxy.example.com:3128`";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn a_missing_file_says_more_than_another_server_that_cannot_be_reached() {
    let set = set();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let missing = set.server.answer("/thing", &[Answer::Status(404)]);
    let unreachable = format!("http://{nobody}/thing");
    for urls in [[missing.clone(), unreachable.clone()], [unreachable, missing]] {
        let refused = set.refusal(wanted(b"x", &urls));
        assert!(matches!(refused, FetchError::NotFound { .. }), "{refused}");
    }
}

#[test]
fn one_file_that_cannot_be_had_ends_the_others() {
    let set = set();
    let missing = set.server.answer("/missing", &[Answer::Status(404)]);
    let mut files = vec![wanted(b"missing", &[missing])];
    for n in 0..50_u8 {
        let url = set.server.answer(&format!("/{n}"), &[Answer::File(vec![n; 10])]);
        files.push(wanted(&[n; 10], &[url]));
    }
    let refused = fetch_all(&set.network, &set.store, &files, 1, &Silent).unwrap_err();
    assert!(matches!(refused.root(), FetchError::NotFound { .. }));
    assert_eq!(set.server.asked(), ["/missing"]);
    assert!(set.left_over().is_empty());
}
