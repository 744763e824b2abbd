//! The file itself: a gzipped tar, searched once more before anybody gets it.

use std::io::{self, Read};

use casque_format::bundle::{DIRECTORY, Manifest, Member};
use casque_format::digest::Digest;
use casque_format::forms::Form;
use casque_secrets::{Search, Secret};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, Header};

/// A bundle that grows, compressed in memory.
pub struct Growing {
    tar: Builder<GzEncoder<Vec<u8>>>,
    made: u64,
}

/// A secret that is there, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// Its name.
    pub name: String,
    /// How it is written.
    pub form: Form,
    /// The member that has it, unless it is between them or in a name.
    pub member: Option<String>,
}

impl Growing {
    /// Begins one at `made`, in seconds since 1970.
    pub fn new(made: i64) -> Self {
        let tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        Self { tar, made: u64::try_from(made).unwrap_or(0) }
    }

    /// Puts a file into it, and returns its size and digest.
    ///
    /// # Errors
    /// A name that no tar can have.
    pub fn add(&mut self, name: &str, content: &[u8]) -> io::Result<(u64, String)> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(self.made);
        let size = u64::try_from(content.len()).map_err(io::Error::other)?;
        header.set_size(size);
        self.tar.append_data(&mut header, format!("{DIRECTORY}/{name}"), content)?;
        let digest = Digest::of(content).to_string();
        Ok((size, digest.rsplit(':').next().unwrap_or_default().to_owned()))
    }

    /// Returns the whole file.
    ///
    /// # Errors
    /// Those of compressing.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()?.finish()
    }
}

/// Returns the first secret that a bundle has, in whatever form, wherever it is cut: what was written is read again.
///
/// # Errors
/// A file that is no bundle.
pub fn left(bundle: &[u8], secrets: &[Secret]) -> io::Result<Option<Left>> {
    let search = Search::new(secrets);
    let Some((name, form)) = search.in_stream(|| Ok(GzDecoder::new(bundle)))? else { return Ok(None) };
    let mut member = None;
    for entry in Archive::new(GzDecoder::new(bundle)).entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if search.in_bytes(&content).is_some() {
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            // A name with one is not said.
            member = search.in_bytes(path.as_bytes()).is_none().then_some(path);
            break;
        }
    }
    Ok(Some(Left { name: name.to_owned(), form, member }))
}

/// Returns the text of a manifest.
pub fn text(manifest: &Manifest) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(manifest).expect("a manifest is plain data");
    text.push(b'\n');
    text
}

/// Returns how much there is, and how many secrets were replaced.
pub fn sums(members: &[Member]) -> (u64, u64) {
    members.iter().fold((0, 0), |(size, replaced), member| (size + member.size, replaced + member.replaced))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Vec<Secret> {
        vec![Secret { name: "token".to_owned(), value: b"opensesame1".to_vec() }]
    }

    fn bundle(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut growing = Growing::new(1_000_000_000);
        for (name, content) in files {
            growing.add(name, content).unwrap();
        }
        growing.finish().unwrap()
    }

    #[test]
    fn a_secret_that_is_left_is_found_wherever_it_is() {
        let found = |files: &[(&str, &[u8])]| left(&bundle(files), &secrets()).unwrap();
        let hit = |form, member: Option<&str>| {
            Some(Left { name: "token".to_owned(), form, member: member.map(str::to_owned) })
        };
        assert_eq!(found(&[("a", b"nothing"), ("b", b"open\nsesame1")]), None);
        let far = [vec![b'.'; 3 << 20], b"opensesame1".to_vec()].concat();
        assert_eq!(found(&[("a", b"x"), ("b", &far)]), hit(Form::Plain, Some("support-bundle/b")));
        assert_eq!(found(&[("a", b"=b3BlbnNlc2FtZTE=")]), hit(Form::Base64, Some("support-bundle/a")));
        assert_eq!(found(&[("logs/opensesame1.log", b"x")]), hit(Form::Plain, None));
        let long = format!("{}opensesame1", "n".repeat(200));
        assert_eq!(found(&[(&long, b"opensesame1")]), hit(Form::Plain, None));
        assert!(left(b"no bundle", &secrets()).is_err());
    }

    #[test]
    fn what_was_added_is_in_the_file_with_its_digest() {
        let mut growing = Growing::new(1_000_000_000);
        let (size, sha256) = growing.add("logs/web.log", b"a line\n").unwrap();
        assert_eq!((size, sha256.len()), (7, 64));
        let file = growing.finish().unwrap();
        let mut archive = Archive::new(GzDecoder::new(file.as_slice()));
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(entry.path_bytes().as_ref(), b"support-bundle/logs/web.log");
        assert_eq!((content.as_slice(), entry.header().mtime().unwrap()), (&b"a line\n"[..], 1_000_000_000));
    }
}
