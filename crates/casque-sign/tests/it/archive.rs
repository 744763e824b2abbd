//! A signed archive, and everything that can be wrong with one.

use std::io::{self, Read};
use std::sync::LazyLock;

use casque_format::archive::{
    ArchiveRecord, Expected, Installed, KEYS, Member, Order, RECORD, SIGNATURE, VERSION,
};
use casque_format::digest::Digest;
use casque_fuzz::fuzz;
use casque_sign::archive::{Link, VerifiedArchive, keys_member, sign, verify};
use casque_sign::{KeyRing, Passphrase, SecretKey, rotate};

const NOW: u64 = 1_800_000_000;

/// Making one takes as long as a passphrase is to protect it.
static KEY: LazyLock<SecretKey> = LazyLock::new(key);

fn key() -> SecretKey {
    SecretKey::generate(&Passphrase::new("secret")).unwrap().0
}

/// A tar like casque's, put together by hand.
#[derive(Clone, Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn entry(mut self, name: &str, content: &[u8]) -> Self {
        let mut header = [0_u8; 512];
        let directory = name.ends_with('/');
        let mode = if directory { "0000755" } else { "0000644" };
        for (place, text) in [
            (0, name.to_owned()),
            (100, mode.to_owned()),
            (108, "0000000".to_owned()),
            (116, "0000000".to_owned()),
            (124, format!("{:011o}", content.len())),
            (136, format!("{:011o}", 1_700_000_000)),
            (156, if directory { "5" } else { "0" }.to_owned()),
            (257, "ustar\x0000".to_owned()),
            (329, "0000000".to_owned()),
            (337, "0000000".to_owned()),
        ] {
            header[place..place + text.len()].copy_from_slice(text.as_bytes());
        }
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ');
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn entries(self, entries: &[(&str, &[u8])]) -> Self {
        entries.iter().fold(self, |archive, (name, content)| archive.entry(name, content))
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

const MEMBERS: [(&str, &[u8]); 5] = [
    ("oci-layout", b"{}"),
    ("manifest.json", b"[]"),
    ("blobs/", b""),
    ("blobs/sha256/", b""),
    ("blobs/sha256/aa", b"a layer of some bytes"),
];

fn record(members: &[(&str, &[u8])]) -> ArchiveRecord {
    let files = members.iter().filter(|(name, _)| !name.ends_with('/'));
    let member = |(name, content): &(&str, &[u8])| Member {
        name: (*name).to_owned(),
        size: content.len() as u64,
        sha256: Digest::of(content),
    };
    ArchiveRecord {
        version: VERSION,
        image: "vendor/backend".to_owned(),
        tag: "v2".to_owned(),
        product_version: "2".to_owned(),
        channel: None,
        counter: Some(7),
        created: NOW - 100,
        expires: Some(NOW + 100),
        members: files.map(member).collect(),
    }
}

/// The record and its signature as the beginning of an archive.
fn signed(record: &ArchiveRecord, key: &SecretKey) -> Archive {
    let [record, signature] = sign(record, key).unwrap();
    Archive::default().entry(RECORD, &record).entry(SIGNATURE, &signature)
}

fn good() -> Vec<u8> {
    signed(&record(&MEMBERS), &KEY).entries(&MEMBERS).end()
}

fn installed(counter: u64) -> Expected<'static> {
    let installed = Installed { tag: Some("v1"), version: Some("1"), counter: Some(counter) };
    Expected { now: NOW, image: Some("vendor/backend"), installed }
}

/// Verifies as an image with counter 6 does; an error is what it says, its causes included.
fn outcome(archive: impl Read) -> Result<VerifiedArchive, String> {
    outcome_of(archive, &KeyRing::new([KEY.public()]), &installed(6))
}

fn outcome_of(
    archive: impl Read,
    ring: &KeyRing,
    expected: &Expected<'_>,
) -> Result<VerifiedArchive, String> {
    verify(archive, ring, expected).map_err(|error| {
        let mut text = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            text += &format!(": {cause}");
            next = cause.source();
        }
        assert!(!error.remedy().is_empty());
        text
    })
}

fn refusal(archive: &[u8]) -> String {
    outcome(archive).unwrap_err()
}

#[test]
fn an_archive_that_a_trusted_key_signed_is_good() {
    let verified = outcome(good().as_slice()).unwrap();
    assert_eq!((verified.key, verified.record.canonical()), (KEY.id(), record(&MEMBERS).canonical()));
    assert_eq!((verified.verdict.order, verified.followed), (Order::LaterByCounter, vec![]));
    // A thin one lists what it has, and directories may be left out.
    let thin = [MEMBERS[0], MEMBERS[1]];
    assert!(outcome(signed(&record(&thin), &KEY).entries(&thin).end().as_slice()).is_ok());
}

#[test]
fn a_single_bit_anywhere_is_seen() {
    let good = good();
    for bit in (0..good.len() * 8).step_by(61) {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let outcome = outcome(changed.as_slice());
        // A member's time is the one thing that nobody signed, and a changed one has another sum.
        let harmless = outcome.is_ok() && is_comment(&good, bit / 8);
        assert!(outcome.is_err() || harmless, "bit {} of byte {}", bit % 8, bit / 8);
    }
}

/// Whether a byte is of the first line of a signature, which minisign calls an untrusted comment.
fn is_comment(archive: &[u8], at: usize) -> bool {
    let begin = archive.windows(9).position(|bytes| bytes == b"untrusted").unwrap();
    let line = archive[begin..].iter().position(|byte| *byte == b'\n').unwrap();
    (begin..begin + line).contains(&at)
}

#[test]
fn what_was_tampered_with_is_named() {
    let [layout, manifest, blobs, sha256, layer] = MEMBERS;
    let of = |members: &[(&str, &[u8])]| refusal(&signed(&record(&MEMBERS), &KEY).entries(members).end());
    let other_layer = (layer.0, b"a layer of same bytes".as_slice());
    assert_eq!(
        of(&[layout, manifest, blobs, sha256, other_layer]),
        "`blobs/sha256/aa` is not what was signed: its SHA-256 differs"
    );
    assert_eq!(
        of(&[layout, ("manifest.json", b"[ ]"), layer]),
        "`manifest.json` has 3 bytes, and 2 were signed"
    );
    assert_eq!(of(&[layout, manifest]), "`blobs/sha256/aa` was signed and is not in the archive");
    assert_eq!(of(&[layout, manifest, manifest]), "`manifest.json` is in the archive twice");
    assert_eq!(of(&[("index.json", b"{}")]), "`index.json` is in the archive and was not signed");
    assert_eq!(of(&[("etc/", b"")]), "`etc/` is in the archive and was not signed");
    assert_eq!(of(&[blobs, blobs]), "`blobs/` is in the archive twice");
    assert_eq!(of(&[(RECORD, b"{}")]), "`release.json` is in the archive twice");
}

#[test]
fn the_record_cannot_be_changed_or_exchanged() {
    let [bytes, signature] = sign(&record(&MEMBERS), &KEY).unwrap();
    let with = |record: &[u8], signature: &[u8]| {
        refusal(&Archive::default().entry(RECORD, record).entry(SIGNATURE, signature).entries(&MEMBERS).end())
    };
    let changed = String::from_utf8(bytes.clone()).unwrap().replace("\"counter\":7", "\"counter\":8");
    assert_eq!(
        with(changed.as_bytes(), &signature),
        format!(
            "the signature of the archive, `release.json.minisig`, does not hold: the signature by key {} does not fit: \
             the content, its trusted comment or the signature was changed",
            KEY.id()
        )
    );
    // The same key signs other things, and none of them is a record.
    let other = KEY.sign(bytes.as_slice(), "a file of the release").unwrap();
    assert_eq!(
        with(&bytes, other.as_bytes()),
        "`release.json.minisig` was not made for this archive, but for `a file of the release`"
    );
    assert!(with(&bytes, b"nothing").ends_with(
        "this is no signature: expected four lines: comment, signature, trusted comment, its signature"
    ));
    assert_eq!(
        with(&bytes, &[0xff]),
        "the archive is damaged at byte 1536: a signature or a key is not text"
    );
}

#[test]
fn an_archive_that_is_not_signed_or_is_none_is_refused() {
    assert_eq!(
        refusal(&Archive::default().entries(&MEMBERS).end()),
        "the archive is not signed: it begins with `oci-layout`, and a signed one with `release.json`"
    );
    let [record, _] = sign(&record(&MEMBERS), &KEY).unwrap();
    assert_eq!(
        refusal(&Archive::default().entry(RECORD, &record).entries(&MEMBERS).end()),
        "the archive is not signed: `release.json.minisig` does not follow `release.json`"
    );
    assert_eq!(refusal(b""), "there is no archive: nothing came");
    assert_eq!(refusal(&[0; 1024]), "there is no archive: nothing came");
    let no_tar =
        "this is no image archive that casque signed: it does not begin with the header of a tar".to_owned();
    assert_eq!([refusal(b"\x1f\x8b"), refusal(&[b'y'; 600])], [no_tar.clone(), no_tar]);
}

#[test]
fn a_document_beyond_all_measure_is_not_read() {
    let mut large = Archive::default().entry(RECORD, &vec![b' '; (1 << 20) + 1]).0;
    large.truncate(512);
    assert_eq!(refusal(&large), "`release.json` has 1048577 bytes, more than 1048576");
}

#[test]
fn an_archive_that_was_cut_off_says_where() {
    let good = good();
    let cut = |length: usize| refusal(&good[..length]);
    for length in 1..good.len() {
        assert!(outcome(&good[..length]).is_err(), "{length} bytes");
    }
    let end = good.len();
    assert_eq!(
        cut(end - 1024 - 500),
        format!("the archive is cut off after {} bytes, in the middle of `blobs/sha256/aa`", end - 1524)
    );
    assert_eq!(
        cut(end - 1024 - 1),
        format!("the archive is cut off after {} bytes, behind `blobs/sha256/aa`", end - 1025)
    );
    assert_eq!(
        cut(end - 1024),
        format!("the archive is cut off after {} bytes, before its end mark", end - 1024)
    );
    assert_eq!(cut(end - 512), format!("the archive is cut off after {} bytes, in its end mark", end - 512));
}

#[test]
fn nothing_may_come_behind_the_end_or_between_members() {
    let mut archive = good();
    let end = archive.len();
    archive.push(0);
    assert_eq!(refusal(&archive), format!("something comes after the end of the archive, at byte {end}"));
    let mut archive = signed(&record(&MEMBERS), &KEY).entries(&MEMBERS[..2]);
    let at = archive.0.len() - 510;
    archive.0[at] = 1;
    let said = refusal(&archive.entries(&MEMBERS[2..]).end());
    assert_eq!(said, format!("the archive is damaged at byte {at}: something is between two members"));
    let mut archive = signed(&record(&MEMBERS), &KEY);
    let at = archive.0.len();
    archive.0.resize(at + 512, 0);
    assert_eq!(
        refusal(&archive.entries(&MEMBERS).end()),
        format!("the archive is damaged at byte {at}: half an end mark is between two members")
    );
}

#[test]
fn a_link_is_no_member() {
    let mut archive = signed(&record(&MEMBERS), &KEY).entries(&MEMBERS[..1]);
    let at = archive.0.len();
    archive = archive.entry("manifest.json", b"");
    archive.0[at + 156] = b'2';
    let said = refusal(&archive.end());
    assert_eq!(said, format!("the archive is damaged at byte {at}: this is no header of a tar"));
}

#[test]
fn a_key_that_nobody_trusts_is_refused_and_one_that_follows_is_not() {
    let (second, third) = (key(), key());
    let link = |old: &SecretKey, new: &SecretKey| Link {
        key: new.public().file(),
        signature: rotate(old, &new.public()).unwrap(),
    };
    let chain = [link(&KEY, &second), link(&second, &third)];
    let keys = keys_member(&chain).unwrap().unwrap();
    let members = [&[(KEYS, keys.as_slice())], &MEMBERS[..]].concat();
    let archive = signed(&record(&members), &third).entries(&members).end();
    let verified = outcome(archive.as_slice()).unwrap();
    assert_eq!((verified.key, verified.followed), (third.id(), vec![second.id()]));
    // Whoever has the last key already takes it as well: the chain says nothing against it.
    let ring = KeyRing::new([KEY.public(), third.public()]);
    assert!(outcome_of(archive.as_slice(), &ring, &installed(6)).is_ok());

    let unknown = |said: String, by: &SecretKey| {
        assert!(
            said.ends_with(&format!(
                ": the signature is by key {}, which is not among those trusted: {}",
                by.id(),
                KEY.id()
            )),
            "{said}"
        );
    };
    let archive = signed(&record(&MEMBERS), &second).entries(&MEMBERS).end();
    unknown(refusal(&archive), &second);
    // A chain that begins with somebody else.
    let keys = keys_member(&chain[1..]).unwrap().unwrap();
    let members = [&[(KEYS, keys.as_slice())], &MEMBERS[..]].concat();
    unknown(refusal(&signed(&record(&members), &third).entries(&members).end()), &second);
    let members = [&[(KEYS, b"no keys".as_slice())], &MEMBERS[..]].concat();
    let archive = signed(&record(&members), &KEY).entries(&members).end();
    assert_eq!(refusal(&archive), "`release.keys` is no list of keys and their signatures");
}

#[test]
fn keys_that_the_record_does_not_name_are_an_unsigned_member() {
    let second = key();
    let link = Link { key: second.public().file(), signature: rotate(&KEY, &second.public()).unwrap() };
    let keys = keys_member(&[link]).unwrap().unwrap();
    let archive = signed(&record(&MEMBERS), &second).entry(KEYS, &keys).entries(&MEMBERS).end();
    assert_eq!(refusal(&archive), "`release.keys` is in the archive and was not signed");
}

#[test]
fn what_is_expired_older_or_of_another_product_is_refused_before_its_content_comes() {
    /// Ends the test when somebody reads on.
    struct NoMore;
    impl Read for NoMore {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("the content was read")
        }
    }
    // Whether keys follow is known when the next header is there.
    let beginning = signed(&record(&MEMBERS), &KEY).entries(&MEMBERS[..1]).0;
    let said = |expected: &Expected<'_>| {
        let archive = beginning[..beginning.len() - 512].chain(NoMore);
        outcome_of(archive, &KeyRing::new([KEY.public()]), expected).unwrap_err()
    };
    assert_eq!(
        said(&installed(8)),
        "release `v2` has counter 7, and what is installed has 8: it was released before"
    );
    assert_eq!(
        said(&Expected { image: Some("vendor/frontend"), ..installed(6) }),
        "the archive is of image `vendor/backend`, expected `vendor/frontend`"
    );
    assert_eq!(said(&Expected { now: NOW + 150, ..installed(6) }), "release `v2` expired 50 seconds ago");
}

#[test]
fn a_stream_that_breaks_is_no_verdict() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let good = good();
    assert_eq!(outcome(good[..1000].chain(Broken)).unwrap_err(), "cannot read the archive: gone");
}

#[test]
fn an_archive_is_read_in_whatever_pieces_it_comes() {
    struct Trickle<'a>(&'a [u8]);
    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.0.len()).min(7);
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }
    assert!(outcome(Trickle(&good())).is_ok());
}

#[test]
fn a_file_of_keys_may_have_several() {
    let second = key().public();
    let both = format!("{}\n{}\n", KEY.public().file(), second.line());
    assert_eq!(KeyRing::parse(&both).unwrap().ids(), [KEY.id(), second.id()]);
    let refused = |text: &str| KeyRing::parse(text).unwrap_err().to_string();
    assert_eq!(refused("untrusted comment: x\n"), "this is no public key: there is no key in it");
    assert!(refused("RWx\n").starts_with("this is no public key: "));
}

#[test]
fn whatever_comes_is_judged_and_only_the_good_archive_is_believed() {
    let good = good();
    fuzz("signed archive", &[&good], |data| {
        if data != good {
            assert!(outcome(data).is_err());
        }
    });
}
