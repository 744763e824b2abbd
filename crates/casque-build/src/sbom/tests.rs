//! A whole bill of materials of a small root filesystem.

use super::*;

const STATUS: &str = "Package: libx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2-1+b1\n\
    Source: x (1:2-1)\nMaintainer: X Team <x@example.org>\nDepends: base | other\n\n\
    Package: base\nStatus: install ok installed\nArchitecture: all\nVersion: 3\n";
const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
    Files: *\nCopyright: X\nLicense: LGPL-2.1+\n";
const METADATA: &str = "Metadata-Version: 2.1\nName: Small_One\nVersion: 1.0\nLicense: MIT\n";

fn small(work: &Path, init: &str) -> Document {
    let put = |tree: &str, path: &str, text: &str| {
        for tree in [tree, "root"] {
            let path = work.join(tree).join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
    };
    put("base", "etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    put("base", "var/lib/dpkg/status", STATUS);
    put("base", "usr/share/doc/libx/copyright", COPYRIGHT);
    put("base", "usr/lib/casque/init", init);
    put("base", "usr/lib/casque/agent", "agent");
    put("python", "opt/v/lib/python3.11/site-packages/small_one-1.0.dist-info/METADATA", METADATA);
    put("deploy", "srv/app", "app");
    let pin = Pin {
        name: "libx".to_owned(),
        version: "1:2-1+b1".into(),
        architecture: "amd64".to_owned(),
        source: Some("x".to_owned()),
        archive: "bookworm".to_owned(),
        filename: "pool/x/libx_2-1+b1_amd64.deb".to_owned(),
        urls: vec!["http://a.example/x.deb".to_owned(), "https://snapshot.example/x.deb".to_owned()],
        size: 1,
        sha256: Digest::of(b"x"),
    };
    let stage = |name, vendor| Written {
        name,
        tree: Box::leak(work.join(name).into_boxed_path()),
        vendor,
        comment: format!("made by {name}"),
        downloads: match vendor {
            true => vec![Download {
                url: "http://a.example/pool/base_3_all.deb?x=1",
                size: 7,
                sha256: Digest::of(b"base"),
            }],
            false => Vec::new(),
        },
    };
    document(&Facts {
        base: None,
        reference: "vendor/product:v1",
        version: "1",
        epoch: 1_700_000_000,
        root: &work.join("root"),
        pins: &[pin],
        distributions: Vec::new(),
        stages: vec![stage("base", false), stage("python", false), stage("deploy", true)],
    })
    .unwrap()
}

#[test]
fn everything_is_listed_with_what_is_known_of_it() {
    let work = tempfile::tempdir().unwrap();
    let document = small(work.path(), "init");
    let lines = document.packages.iter().map(|package| {
        let purl = package.external_refs.first().map_or("", |found| found.reference_locator.as_str());
        let version = package.version_info.as_deref().unwrap_or_default();
        let from = &package.download_location;
        format!("{} {version}: {}; {from} {purl}", package.name, package.license_declared)
            .trim_end()
            .to_owned()
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    vendor/product 1: NOASSERTION; NOASSERTION
    debian 12: NOASSERTION; NOASSERTION
    casque 0.1.0: Apache-2.0 OR MIT; NOASSERTION pkg:generic/casque@0.1.0
    base 3: NOASSERTION; http://a.example/pool/base_3_all.deb?x=1 pkg:deb/debian/base@3?arch=all&distro=debian-12
    libx 1:2-1+b1: LGPL-2.1-or-later; https://snapshot.example/x.deb pkg:deb/debian/libx@1:2-1%2Bb1?arch=amd64&distro=debian-12&upstream=x%401:2-1
    base_3_all.deb : NOASSERTION; http://a.example/pool/base_3_all.deb?x=1
    vendor/product/deploy 1: NOASSERTION; NOASSERTION
    small-one 1.0: MIT; NOASSERTION pkg:pypi/small-one@1.0
    base 3: NOASSERTION; NOASSERTION pkg:deb/debian/base@3?arch=source&distro=debian-12
    x 1:2-1: NOASSERTION; NOASSERTION pkg:deb/debian/x@1:2-1?arch=source&distro=debian-12
    ");
    let related = document.relationships.iter().filter(|one| one.relationship_type != "CONTAINS");
    let related = related
        .map(|one| format!("{} {} {}", one.spdx_element_id, one.relationship_type, one.related_spdx_element));
    insta::assert_snapshot!(related.collect::<Vec<_>>().join("\n"), @r"
    SPDXRef-DOCUMENT DESCRIBES SPDXRef-Image
    SPDXRef-deb-base-all GENERATED_FROM SPDXRef-source-base-3
    SPDXRef-deb-libx-amd64 DEPENDS_ON SPDXRef-deb-base-all
    SPDXRef-deb-libx-amd64 GENERATED_FROM SPDXRef-source-x-1-2-1-347b5cd0
    SPDXRef-layer-deploy GENERATED_FROM SPDXRef-download-0f0e492a2eff80ce
    ");
    assert_eq!(document.creation_info.created, "2023-11-14T22:13:20Z");
    let libx = document.packages.iter().find(|package| package.name == "libx").unwrap();
    assert_eq!(libx.checksums, [sha256(&Digest::of(b"x"))]);
    assert_eq!(libx.supplier.as_deref(), Some("Organization: X Team (x@example.org)"));
    let files: Vec<_> = document.files.iter().map(|file| file.file_name.as_str()).collect();
    assert!(files.contains(&"./srv/app") && files.contains(&"./usr/lib/casque/init"), "{files:?}");
    assert_eq!(files.len(), 3);
}

#[test]
fn the_same_facts_make_the_same_document_and_others_another_namespace() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = small(one.path(), "init");
    assert_eq!(first, small(two.path(), "init"));
    let other = small(two.path(), "another");
    assert_ne!(first.document_namespace, other.document_namespace);
}

#[test]
fn what_identifiers_cannot_hold_does_not_make_two_names_one() {
    assert_eq!(id("deb", "a-1"), "SPDXRef-deb-a-1");
    assert_ne!(id("deb", "a+1"), id("deb", "a_1"));
    assert!(id("deb", "a+1").starts_with("SPDXRef-deb-a-1-"));
}
