//! Archives written again behind other files.

use std::path::Path;

use casque_format::digest::Digest;
use casque_image::archive::Members;
use casque_image::read::{Archive, ReadError};
use fs_err as fs;

use crate::scratch::Scratch;

/// Writes an archive again behind these files.
fn behind(scratch: &Scratch, archive: &Path, name: &str, first: &[(&str, &[u8])]) -> std::path::PathBuf {
    let path = scratch.path(name);
    let names: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
    let members = Members::open(archive, &names).unwrap();
    let mut out = fs::File::create(&path).unwrap().into_parts().0;
    members.write_behind(first, &mut out, &path).unwrap();
    path
}

fn names(archive: &Path) -> Vec<String> {
    let mut tar = tar::Archive::new(fs::File::open(archive).unwrap());
    tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn an_archive_behind_other_files_is_the_same_image() {
    let scratch = Scratch::new();
    let layer = scratch.layer(&scratch.tree("root", &[("bin/tool", "tool"), ("etc/", "")]));
    let plain = scratch.archive(&[layer]);
    let first: [(&str, &[u8]); 2] = [("first.json", b"{}\n"), ("second", &[7; 600])];
    let again = behind(&scratch, &plain, "again.tar", &first);
    assert_eq!(names(&again), [&["first.json".to_owned(), "second".to_owned()], &names(&plain)[..]].concat());
    let [old, new] = [&plain, &again].map(|path| Archive::open(path).unwrap());
    assert_eq!((old.image_id(), old.names()), (new.image_id(), new.names()));
    new.verify().unwrap();
    // What comes behind is byte for byte what casque wrote.
    let (old, new) = (fs::read(&plain).unwrap(), fs::read(&again).unwrap());
    assert_eq!(new[new.len() - old.len()..], old[..]);
    // Files in front are exchanged, not piled up.
    let exchanged = behind(&scratch, &again, "exchanged.tar", &first);
    assert_eq!(fs::read(exchanged).unwrap(), new);
}

#[test]
fn every_file_is_listed_with_its_digest() {
    let scratch = Scratch::new();
    let plain = scratch.archive(&[scratch.layer(&scratch.tree("root", &[("a", "a")]))]);
    let listed = Members::open(&plain, &["index.json"]).unwrap().list().unwrap();
    let blobs: Vec<Digest> = Archive::open(&plain).unwrap().blobs().unwrap();
    let mut digests: Vec<Digest> = listed.iter().skip(2).map(|member| member.sha256).collect();
    digests.sort_unstable();
    assert_eq!(digests, blobs);
    assert_eq!(
        listed.iter().take(2).map(|member| member.name.as_str()).collect::<Vec<_>>(),
        ["oci-layout", "manifest.json"]
    );
    let size: u64 = listed.iter().map(|member| member.size).sum();
    assert!(size > 0 && size < fs::metadata(plain).unwrap().len());
}

#[test]
fn what_another_program_packed_is_written_as_casque_writes() {
    let scratch = Scratch::new();
    let path = scratch.path("foreign.tar");
    let mut tar = tar::Builder::new(fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o600);
    header.set_uid(1000);
    header.set_username("vendor").unwrap();
    header.set_mtime(5);
    tar.append_data(&mut header, "./manifest.json", &b"[]"[..]).unwrap();
    // Trailing zeros, as GNU's tar fills its last record.
    tar.into_inner().unwrap().set_len(10240).unwrap();
    let again = behind(&scratch, &path, "again.tar", &[]);
    let mut tar = tar::Archive::new(fs::File::open(&again).unwrap());
    let entry = tar.entries().unwrap().next().unwrap().unwrap();
    let header = entry.header();
    assert_eq!(
        (header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap(), header.username().unwrap()),
        (0o644, 0, 5, Some(""))
    );
    assert_eq!(entry.path().unwrap(), Path::new("manifest.json"));
    assert_eq!(fs::metadata(again).unwrap().len(), 512 + 512 + 1024);
}

#[test]
fn links_and_what_is_there_twice_or_cut_off_are_refused() {
    let scratch = Scratch::new();
    let path = scratch.path("odd.tar");
    let mut tar = tar::Builder::new(fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "layer.tar", "../a/layer.tar").unwrap();
    tar.finish().unwrap();
    let refused = Members::open(&path, &[]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "`layer.tar` in archive `{}` is a link or something special, or is there twice",
            path.display()
        )
    );
    let mut tar = tar::Builder::new(fs::File::create(&path).unwrap());
    for _ in 0..2 {
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        tar.append_data(&mut header, "a", &b"a"[..]).unwrap();
    }
    tar.finish().unwrap();
    assert!(matches!(Members::open(&path, &[]), Err(ReadError::OddMember { .. })));
    fs::File::options().write(true).open(&path).unwrap().set_len(512).unwrap();
    assert!(matches!(Members::open(&path, &[]), Err(ReadError::Truncated { .. })));
}
