//! A small Debian archive, signed with a key of its own, on a web server of the test.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use casque_format::digest::Digest;
use casque_test::TestEnv;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, Password, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// 2025-01-01; the archive's `Date` too.
const SIGNED: u32 = 1_735_689_600;
const SUITE: &str = "bookworm";

/// A package of the archive. Its file is no real one: only what is installed has to be.
pub struct Package {
    name: String,
    version: String,
    fields: String,
    content: Vec<u8>,
}

impl Package {
    pub fn new(name: &str, version: &str) -> Self {
        let content = format!("the file of {name} {version}").into_bytes();
        Self { name: name.to_owned(), version: version.to_owned(), fields: String::new(), content }
    }

    /// Adds a field such as `Depends`.
    pub fn with(mut self, field: &str, value: &str) -> Self {
        self.fields += &format!("{field}: {value}\n");
        self
    }

    /// Makes its file this.
    pub fn holding(mut self, content: Vec<u8>) -> Self {
        self.content = content;
        self
    }

    fn path(&self) -> String {
        format!("pool/{}_{}_amd64.deb", self.name, self.version)
    }

    fn stanza(&self) -> String {
        let Self { name, version, fields, content } = self;
        let (path, size, digest) = (self.path(), content.len(), Digest::of(content));
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Test <test@example.org>\n\
             {fields}Filename: {path}\nSize: {size}\nSHA256: {digest}\n\n"
        )
    }
}

type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// The archive. Its server's threads end with the test's process.
pub struct Archive {
    address: SocketAddr,
    files: Files,
    key: SignedSecretKey,
    /// The `Release` of each directory, without its signature.
    releases: Mutex<HashMap<String, String>>,
    /// Without this `Authorization`, everything is answered with 401.
    login: Login,
    /// The paths that were asked for, in their order.
    asked: Asked,
}

type Login = Arc<Mutex<Option<String>>>;
type Asked = Arc<Mutex<Vec<String>>>;

impl Archive {
    /// Publishes `packages` beside the two that every base asks for.
    pub fn new(packages: Vec<Package>) -> Self {
        let files = Files::default();
        let (login, asked) = (Login::default(), Asked::default());
        let address = serve(&files, &login, &asked);
        let archive = Self { address, files, key: key(1), releases: Mutex::default(), login, asked };
        archive.publish(packages, "");
        archive
    }

    pub fn publish(&self, mut packages: Vec<Package>, more: &str) {
        packages.extend([Package::new("apt", "2.6.1"), Package::new("usr-is-merged", "37")]);
        self.suite("debian", SUITE, &[("main", &packages)], more);
        self.suite("debian", &format!("{SUITE}-updates"), &[("main", &[])], "");
        self.suite("debian-security", &format!("{SUITE}-security"), &[("main", &[])], "");
    }

    /// Publishes packages as Ubuntu does.
    pub fn publish_ubuntu(&self, suite: &str, main: &[Package], universe: &[Package]) {
        self.suite("ubuntu", suite, &[("main", main), ("universe", &[])], "");
        self.suite("ubuntu", &format!("{suite}-updates"), &[("main", &[]), ("universe", &[])], "");
        self.suite("ubuntu", &format!("{suite}-security"), &[("main", &[]), ("universe", universe)], "");
    }

    /// Publishes packages beside the main archive, signed by somebody else; returns the address.
    pub fn publish_beside(&self, archive: &str, suite: &str, packages: &[Package]) -> String {
        self.suite(archive, suite, &[("main", packages)], "");
        let directory = format!("/{archive}/dists/{suite}");
        let release = self.releases.lock().unwrap()[&directory].clone();
        self.put(&format!("{directory}/InRelease"), sign(&release, &key(2)).into_bytes());
        format!("{}/{archive}", self.mirror())
    }

    fn suite(&self, archive: &str, suite: &str, components: &[(&str, &[Package])], more: &str) {
        let directory = format!("/{archive}/dists/{suite}");
        let mut list = String::new();
        for (component, packages) in components {
            for package in *packages {
                self.put(&format!("/{archive}/{}", package.path()), package.content.clone());
            }
            let index: String = packages.iter().map(Package::stanza).collect();
            let path = format!("{component}/binary-amd64/Packages");
            list += &format!(" {} {} {path}\n", Digest::of(index.as_bytes()), index.len());
            self.put(&format!("{directory}/{path}"), index.into_bytes());
        }
        let names: Vec<&str> = components.iter().map(|(component, _)| *component).collect();
        let release = format!(
            "Origin: Test\nLabel: Test\nSuite: {suite}\nCodename: {suite}\nDate: Wed, 01 Jan 2025 00:00:00 UTC\n\
             {more}Architectures: amd64\nComponents: {}\nSHA256:\n{list}",
            names.join(" ")
        );
        self.put_release(&directory, &release);
    }

    /// Signs a `Release` and puts it into its directory.
    pub fn put_release(&self, directory: &str, release: &str) {
        self.releases.lock().unwrap().insert(directory.to_owned(), release.to_owned());
        self.put(&format!("{directory}/InRelease"), sign(release, &self.key).into_bytes());
    }

    /// Changes the `Release` of a directory and signs it again.
    pub fn change_release(&self, directory: &str, from: &str, to: &str) {
        let release = self.releases.lock().unwrap()[directory].clone();
        assert!(release.contains(from), "{release}");
        self.put_release(directory, &release.replace(from, to));
    }

    /// Has the signatures of all directories beside their `Release`, made by the archive's key and a stranger's.
    pub fn detach(&self) {
        for (directory, release) in self.releases.lock().unwrap().iter() {
            self.remove(&format!("{directory}/InRelease"));
            let signatures = [detached(release, &key(2)), detached(release, &self.key)].concat();
            self.put(&format!("{directory}/Release"), release.clone().into_bytes());
            self.put(&format!("{directory}/Release.gpg"), signatures);
        }
    }

    /// Replaces the index of the main archive by one in another form; the `Release` lists it, and `more`.
    pub fn repack(&self, suffix: &str, pack: impl Fn(&[u8]) -> Vec<u8>, more: &str) -> String {
        let directory = format!("/debian/dists/{SUITE}");
        let plain = self.files.lock().unwrap()[&format!("{directory}/main/binary-amd64/Packages")].clone();
        let packed = pack(&plain);
        let (digest, size) = (Digest::of(&packed), packed.len());
        let line = format!(" {digest} {size} main/binary-amd64/Packages{suffix}\n");
        self.put(&format!("{directory}/main/binary-amd64/Packages{suffix}"), packed);
        self.change_release(&directory, "SHA256:\n", &format!("{more}SHA256:\n{line}"));
        digest.to_string()
    }

    /// Answers nobody any more who does not have this login.
    pub fn require_login(&self, basic: &str) {
        *self.login.lock().unwrap() = Some(format!("Basic {basic}"));
    }

    /// Returns the paths that were asked for, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns what a path is answered with.
    pub fn get(&self, path: &str) -> Vec<u8> {
        self.files.lock().unwrap()[path].clone()
    }

    /// Replaces what a path is answered with.
    pub fn put(&self, path: &str, content: Vec<u8>) {
        self.files.lock().unwrap().insert(path.to_owned(), content);
    }

    /// Changes a text file.
    pub fn change(&self, path: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.files.lock().unwrap()[path].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        self.put(path, text.replace(from, to).into_bytes());
    }

    /// Answers a path with 404 from now on.
    pub fn remove(&self, path: &str) {
        self.files.lock().unwrap().remove(path).unwrap();
    }

    /// What `CASQUE_MIRROR` is set to.
    pub fn mirror(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes the archive's key where a manifest names it.
    pub fn write_key(&self, environment: &TestEnv, name: &str) {
        environment.write(name, armoured(&self.key));
    }

    /// Writes the key of somebody else there.
    pub fn write_other_key(environment: &TestEnv, name: &str) {
        environment.write(name, armoured(&key(2)));
    }
}

fn key(seed: u64) -> SignedSecretKey {
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_certify(true)
        .created_at(Timestamp::from_secs(SIGNED - 3600))
        .primary_user_id("Archive <archive@example.org>".to_owned())
        .build()
        .unwrap()
        .generate(StdRng::seed_from_u64(seed))
        .unwrap()
}

fn armoured(key: &SignedSecretKey) -> String {
    SignedPublicKey::from(key.clone()).to_armored_string(ArmorOptions::default()).unwrap()
}

fn sign(text: &str, key: &SignedSecretKey) -> String {
    let key = &key.primary_key;
    let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), HashAlgorithm::Sha256);
    let facts = [
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(SIGNED)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ];
    config.hashed_subpackets = facts.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect();
    CleartextSignedMessage::new(text, config, key, &Password::empty())
        .unwrap()
        .to_armored_string(ArmorOptions::default())
        .unwrap()
}

/// Signs a file apart from it, in the binary form.
fn detached(text: &str, key: &SignedSecretKey) -> Vec<u8> {
    let key = &key.primary_key;
    let mut config = SignatureConfig::v4(SignatureType::Binary, key.algorithm(), HashAlgorithm::Sha256);
    let facts = [
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(SIGNED)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ];
    config.hashed_subpackets = facts.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect();
    let signature = config.sign(key, &Password::empty(), text.as_bytes()).unwrap();
    DetachedSignature::new(signature).to_bytes().unwrap()
}

fn serve(files: &Files, login: &Login, asked: &Asked) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (files, login, asked) = (Arc::clone(files), Arc::clone(login), Arc::clone(asked));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (files, login, asked) = (Arc::clone(&files), Arc::clone(&login), Arc::clone(&asked));
            // A client that hangs up early is its own affair.
            thread::spawn(move || answer(&client, &files, &login, &asked));
        }
    });
    address
}

fn answer(mut client: &TcpStream, files: &Files, login: &Login, asked: &Asked) -> std::io::Result<()> {
    let mut lines = BufReader::new(client).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default();
    asked.lock().unwrap().push(path.to_owned());
    let mut given = None;
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        let header = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        given = header.map(|(_, value)| value.to_owned()).or(given);
    }
    let wanted = login.lock().unwrap().clone();
    if wanted.is_some() && wanted != given {
        return client
            .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let file = files.lock().unwrap().get(path).cloned();
    let status = if file.is_some() { "200 OK" } else { "404 Not Found" };
    let body = file.unwrap_or_default();
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    client.write_all(&body)
}
