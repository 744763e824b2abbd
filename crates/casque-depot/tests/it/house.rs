//! A depot in a directory of its own, with a product, a key, a customer and a token.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casque_depot::access::passwords;
use casque_depot::app::Writer;
use casque_depot::app::{Depot, router};
use casque_depot::config::Config;
use casque_depot::records::{Accounts, Grant, ProductRecord};
use casque_format::digest::Digest;
use casque_format::release::{Artefact, Kind, Release, VERSION};
use casque_sign::{Passphrase, SecretKey};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// The time in these tests.
pub const NOW: u64 = 1_764_000_000;

/// The vendor's key.
pub static KEY: LazyLock<SecretKey> =
    LazyLock::new(|| SecretKey::generate(&Passphrase::new("vendor")).unwrap().0);

pub fn clock() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

pub struct House {
    pub directory: TempDir,
    pub depot: Arc<Depot>,
    pub writer: Writer,
    pub router: Router,
    /// The headers of the customer `acme` and of the token.
    pub acme: String,
    pub token: String,
}

/// An answer, read whole.
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Default for House {
    fn default() -> Self {
        Self::with("")
    }
}

impl House {
    /// Makes a depot with these lines in its configuration.
    pub fn with(lines: &str) -> Self {
        Self::at(lines, clock)
    }

    /// Makes one with this clock.
    pub fn at(lines: &str, clock: fn() -> SystemTime) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("depot.toml");
        let data = directory.path().join("data");
        std::fs::write(&file, format!("data = '{}'\nlisten = '127.0.0.1:0'\n{lines}\n", data.display()))
            .unwrap();
        let config = Config::read(Some(&file), &std::collections::BTreeMap::new()).unwrap();
        let (depot, writer) = Depot::open(config, clock).unwrap();
        let records = depot.records();
        for name in ["backend", "other"] {
            let (name, title, run) =
                (name.to_owned(), "The Backend".to_owned(), "docker run vendor/backend".to_owned());
            records.add_product(&ProductRecord { name: name.clone(), title, run }).unwrap();
            records.add_key(&name, &KEY.public(), 0).unwrap();
        }
        records.add_token("build", "token-of-backend", "backend", 0).unwrap();
        let router = router(Arc::clone(&depot));
        let mut house = Self {
            directory,
            depot,
            writer,
            router,
            acme: String::new(),
            token: "Bearer token-of-backend".to_owned(),
        };
        house.acme = house.customer("acme", Some(Grant::default()));
        house
    }

    /// Adds a customer and returns their header.
    pub fn customer(&self, name: &str, grant: Option<Grant>) -> String {
        let records = self.depot.records();
        records.add_account(Accounts::Customers, name, &passwords::hash("secret").unwrap(), 0).unwrap();
        if let Some(grant) = grant {
            records.grant(name, "backend", &grant).unwrap();
        }
        basic(name, "secret")
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Seen {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Seen { status: parts.status, headers: parts.headers, body }
    }

    /// Downloads as `acme`.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Seen {
        self.ask("GET", path, &[headers, &[("authorization", self.acme.as_str())]].concat(), "").await
    }

    /// Uploads a piece of a file.
    pub async fn patch(&self, digest: Digest, offset: usize, length: usize, piece: impl Into<Body>) -> Seen {
        let (offset, length) = (offset.to_string(), length.to_string());
        let headers = [
            ("authorization", self.token.as_str()),
            ("upload-offset", offset.as_str()),
            ("upload-length", length.as_str()),
        ];
        self.ask("PATCH", &format!("/api/v1/backend/blobs/{digest}"), &headers, piece).await
    }

    /// Uploads a file whole.
    pub async fn upload(&self, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let seen = self.patch(digest, 0, content.len(), content.to_vec()).await;
        assert!(seen.status.is_success(), "{}", seen.text());
        digest
    }

    /// Publishes a record as it is.
    pub async fn publish(&self, release: &Release) -> Seen {
        let record = release.canonical();
        let signature = KEY.sign(record.as_slice(), "release").unwrap();
        self.submit(&String::from_utf8(record).unwrap(), &signature).await
    }

    pub async fn submit(&self, record: &str, signature: &str) -> Seen {
        let quote = |text: &str| serde_json::to_string(text).unwrap();
        let body = format!("{{\"record\":{},\"signature\":{}}}", quote(record), quote(signature));
        self.ask("POST", "/api/v1/backend/releases", &[("authorization", self.token.as_str())], body).await
    }

    /// Uploads and publishes a release whose image is this text.
    pub async fn release(&self, version: &str, counter: u64, channel: &str, image: &str) {
        let release = self.prepared(version, counter, channel, image).await;
        let seen = self.publish(&release).await;
        assert_eq!(seen.status, StatusCode::CREATED, "{}", seen.text());
    }

    /// Uploads a release and returns its record.
    pub async fn prepared(&self, version: &str, counter: u64, channel: &str, image: &str) -> Release {
        let signature = KEY.sign(image.as_bytes(), "image").unwrap();
        let name = format!("docker_backend-{version}.tar");
        let mut artefacts = Vec::new();
        for (name, kind, content) in [
            (name.clone(), Kind::Image, image),
            (format!("{name}.minisig"), Kind::Signature, signature.as_str()),
        ] {
            let sha256 = self.upload(content.as_bytes()).await;
            let size = content.len() as u64;
            artefacts.push(Artefact { name: name.parse().unwrap(), kind, size, sha256, blobs: Vec::new() });
        }
        Release {
            version: VERSION,
            product: "backend".parse().unwrap(),
            channel: channel.parse().unwrap(),
            release: version.parse().unwrap(),
            counter,
            created: NOW,
            expires: None,
            commit: None,
            artefacts,
            notes: "faster & <better>".to_owned(),
        }
    }
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
