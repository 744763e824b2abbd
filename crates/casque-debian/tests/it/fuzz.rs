//! What an archive may send: indices, packages and what they say of each other. Whatever it is, it is read or refused.

use casque_debian::{Control, Deb, Stanza, parse_relations, stanzas};
use casque_fuzz::fuzz;

const PACKAGES: &[u8] = b"\
Package: redis-server
Source: redis (5:7.0.15-1)
Version: 5:7.0.15-1~deb12u5
Architecture: amd64
Multi-Arch: foreign
Essential: yes
Priority: optional
Installed-Size: 123
Depends: libc6 (>= 2.34), redis-tools (= 5:7.0.15-1~deb12u5), python3:any | python3.11 [amd64 !arm64] <!nocheck>
Pre-Depends: init-system-helpers (>= 1.54~)
Provides: redis (= 5:7.0.15)
Conflicts: redis-sentinel (<< 5:6)
Filename: pool/main/r/redis/redis-server_7.0.15_amd64.deb
Size: 72744
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
Description: a store
 of structures
 .
 in memory

Package: other
Version: 1.0-1
Architecture: all
";

const RELATIONS: [&[u8]; 2] = [
    b"libc6 (>= 2.34), a | b:any (<< 1:2~rc1-3+b1) [amd64 !i386] <!nocheck>",
    b"x (= 0), y (>> 9), z:native",
];

fn relations(data: &[u8]) {
    let _ = parse_relations(&String::from_utf8_lossy(data), "amd64");
}

fn packages(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for stanza in stanzas(&text) {
        let Ok(control) = Control::parse(&stanza) else { continue };
        let _ = (control.database_name(), control.built_from());
        let _ = (control.dependencies("amd64"), control.pre_dependencies("amd64"), control.provides("amd64"));
        let _ = (control.conflicts("amd64"), control.replaces("amd64"));
    }
    let _ = Stanza::first(&text).map(|stanza| stanza.get("Package"));
}

#[test]
fn an_index_of_packages_is_read_or_refused() {
    fuzz("packages", &[PACKAGES], packages);
}

#[test]
fn what_packages_say_of_each_other_is_read_or_refused() {
    fuzz("relations", &RELATIONS.map(|seed| seed), relations);
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn ar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut ar = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let length = content.len();
        ar.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{length:<10}`\n", 0, 0, 0, "100644").bytes());
        ar.extend(*content);
        ar.extend((length % 2 == 1).then_some(b'\n'));
    }
    ar
}

/// A package whose parts are compressed by nothing, so that changes reach what reads them.
fn package() -> Vec<u8> {
    let control = tar_of(&[
        ("./control", b"Package: a\nVersion: 1\nArchitecture: all\n"),
        ("./postinst", b"#!/bin/sh\n"),
    ]);
    let data = tar_of(&[("./usr/bin/a", b"text")]);
    ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &data)])
}

#[test]
fn a_package_is_opened_or_refused() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.deb");
    let open = |data: &[u8]| {
        std::fs::write(&file, data).unwrap();
        Deb::open(&file)
    };
    assert!(open(&package()).is_ok());
    fuzz("package", &[&package()], |data| drop(open(data)));
}
