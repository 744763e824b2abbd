//! What packages made here become in a root directory.

use std::os::unix::fs::{MetadataExt, symlink};

use fs_err as fs;
use tar::{EntryType, Header};

use super::*;

/// A file to put into a package: kind, path, content or target, mode.
type File<'a> = (EntryType, &'a str, &'a str, u32);

fn tarball(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(vec![]);
    for (kind, path, content, mode) in files {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_mtime(1_000_000_000);
        // Owners are set, and an ordinary user may set them to himself only.
        header.set_uid(rustix::process::getuid().as_raw().into());
        header.set_gid(rustix::process::getgid().as_raw().into());
        let body = if *kind == EntryType::Regular { content.as_bytes() } else { b"" };
        if body.is_empty() {
            header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_size(body.len() as u64);
        header.set_cksum();
        builder.append(&header, body).unwrap();
    }
    builder.into_inner().unwrap()
}

fn ar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes(),
        );
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

struct Set {
    directory: tempfile::TempDir,
    root: PathBuf,
}

impl Set {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        let uid = rustix::process::getuid().as_raw();
        prepare_root(&root, "amd64").unwrap();
        assert_eq!(fs::metadata(&root).unwrap().uid(), uid);
        Self { directory, root }
    }

    fn deb(&self, control: &str, scripts: &[File<'_>], files: &[File<'_>]) -> Deb {
        let text = format!("Package: {control}\nDescription: a test\n of packages\n");
        let mut parts = vec![(EntryType::Regular, "./control", text.as_str(), 0o644)];
        parts.extend(scripts);
        let zstd = zstd::encode_all(&tarball(files)[..], 3).unwrap();
        let members =
            [("debian-binary", b"2.0\n".to_vec()), ("control.tar", tarball(&parts)), ("data.tar.zst", zstd)];
        let path = self.directory.path().join("test.deb");
        fs::write(&path, ar(&members)).unwrap();
        let deb = Deb::open(&path).unwrap();
        // Each package keeps its own file.
        let own = self.directory.path().join(format!("{}.deb", deb.control.name));
        fs::rename(&path, &own).unwrap();
        Deb::open(&own).unwrap()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }
}

const A: &str = "a\nVersion: 1\nArchitecture: amd64";
const B: &str = "b\nVersion: 2\nArchitecture: all";

#[test]
fn files_get_the_modes_times_and_links_of_the_package() {
    let set = Set::new();
    let files = [
        (EntryType::Directory, "./", "", 0o755),
        (EntryType::Directory, "./tmp/", "", 0o1777),
        (EntryType::Directory, "./bin/", "", 0o700),
        (EntryType::Regular, "./bin/su", "program", 0o4755),
        (EntryType::Link, "./usr/bin/other", "./bin/su", 0o4755),
        (EntryType::Symlink, "./etc/link", "/nowhere", 0o777),
    ];
    unpack(&set.root, &[set.deb(A, &[], &files)], 2).unwrap();
    let mode = |path: &str| fs::symlink_metadata(set.root.join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("tmp"), mode("usr/bin"), mode("usr/bin/su")), (0o1777, 0o755, 0o4755));
    for name in ["bin", "sbin", "lib", "lib64"] {
        assert_eq!(fs::read_link(set.root.join(name)).unwrap(), Path::new("usr").join(name));
    }
    assert_eq!(fs::metadata(set.root.join("usr/bin/other")).unwrap().nlink(), 2);
    for path in ["tmp", "usr/bin/su", "etc/link"] {
        assert_eq!(fs::symlink_metadata(set.root.join(path)).unwrap().mtime(), 1_000_000_000, "{path}");
    }
    assert_eq!(set.read("var/lib/dpkg/info/a.list"), "/.\n/tmp\n/bin\n/bin/su\n/usr/bin/other\n/etc/link\n");
}

#[test]
fn the_database_says_what_dpkg_would_say() {
    let set = Set::new();
    let scripts = [
        (EntryType::Regular, "./postinst", "#!/bin/sh\n", 0o755),
        (EntryType::Regular, "./conffiles", "/etc/a.conf\n", 0o644),
        (
            EntryType::Regular,
            "./triggers",
            "interest-noawait /usr/share/a\nactivate-noawait ldconfig\n",
            0o644,
        ),
    ];
    let files = [
        (EntryType::Regular, "./etc/a.conf", "setting", 0o644),
        (EntryType::Regular, "./usr/share/a/b", "data", 0o644),
    ];
    let control = format!("{A}\nMulti-Arch: same");
    unpack(&set.root, &[set.deb(&control, &scripts, &files)], 1).unwrap();
    assert_eq!(
        set.read("var/lib/dpkg/status"),
        "Package: a\nStatus: install ok unpacked\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n\
         Description: a test\n of packages\nConffiles:\n /etc/a.conf 1d16bf3e1c4e7f7f8b0a0c2a7c1d0c33\n\n"
            .replace("1d16bf3e1c4e7f7f8b0a0c2a7c1d0c33", &md5("setting"))
    );
    assert_eq!(set.read("etc/a.conf"), "setting");
    let postinst = fs::metadata(set.root.join("var/lib/dpkg/info/a:amd64.postinst")).unwrap();
    assert_eq!(postinst.mode() & 0o777, 0o755);
    assert_eq!(set.read("var/lib/dpkg/info/a:amd64.md5sums"), format!("{}  usr/share/a/b\n", md5("data")));
    assert_eq!(set.read("var/lib/dpkg/triggers/File"), "/usr/share/a a:amd64/noawait\n");
    assert_eq!(set.read("var/lib/dpkg/triggers/Unincorp"), "/usr/share/a -\nldconfig -\n");
    let installed = installed_packages(&set.root).unwrap();
    assert_eq!(installed.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a"]);
    let again = unpack(&set.root, &[set.deb(A, &[], &[])], 1).unwrap_err();
    assert_eq!(again.to_string(), "package `a` is installed already, in version 1");
}

#[test]
fn a_database_that_is_there_is_extended_and_what_it_says_of_others_stays() {
    let set = Set::new();
    let before = "Package: a\nStatus: hold ok installed\nVersion: 1\nArchitecture: all\n\n\
        Package: selected\nStatus: install ok not-installed\nPriority: optional\n\n";
    fs::write(set.root.join("var/lib/dpkg/status"), before).unwrap();
    unpack(&set.root, &[set.deb("b\nVersion: 1\nArchitecture: all", &[], &[])], 1).unwrap();
    let after = set.read("var/lib/dpkg/status");
    let (a, rest) = before.split_once("\n\n").unwrap();
    assert!(after.contains(a) && after.contains(rest.trim_end()), "{after}");
    assert!(after.contains("Package: b\nStatus: install ok unpacked\nVersion: 1\n"), "{after}");
}

fn md5(text: &str) -> String {
    use md5::{Digest as _, Md5};
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_configuration_file_that_is_there_is_left_for_dpkg_to_decide_about() {
    let set = Set::new();
    fs::create_dir(set.root.join("etc")).unwrap();
    fs::write(set.root.join("etc/a.conf"), "by hand").unwrap();
    let scripts = [(EntryType::Regular, "./conffiles", "/etc/a.conf\n", 0o644)];
    let deb = set.deb(A, &scripts, &[(EntryType::Regular, "./etc/a.conf", "setting", 0o644)]);
    unpack(&set.root, &[deb], 1).unwrap();
    assert_eq!(
        (set.read("etc/a.conf"), set.read("etc/a.conf.dpkg-new")),
        ("by hand".into(), "setting".into())
    );
    assert!(set.read("var/lib/dpkg/status").contains("Conffiles:\n /etc/a.conf newconffile\n"));
}

#[test]
fn links_are_followed_inside_the_root_only() {
    let set = Set::new();
    let outside = set.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, set.root.join("absolute")).unwrap();
    symlink("../../../../../outside", set.root.join("usr/relative")).unwrap();
    let files = [
        (EntryType::Regular, "./absolute/x", "x", 0o644),
        (EntryType::Regular, "./usr/relative/y", "y", 0o644),
    ];
    unpack(&set.root, &[set.deb(A, &[], &files)], 1).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(set.read("outside/y"), "y");
    let inside = set.root.join(outside.strip_prefix("/").unwrap()).join("x");
    assert_eq!(fs::read_to_string(inside).unwrap(), "x");
}

#[test]
fn entries_that_point_out_of_the_root_are_refused() {
    let set = Set::new();
    for path in ["../x", "./usr/../../x"] {
        let deb = set.deb(A, &[], &[(EntryType::Regular, path, "x", 0o644)]);
        let refused = unpack(&set.root, &[deb], 1).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("package `a` has an entry `{path}`, which is not inside the root")
        );
    }
    let deb = set.deb(A, &[], &[(EntryType::Link, "./x", "../../etc/passwd", 0o644)]);
    assert!(matches!(unpack(&set.root, &[deb], 1), Err(UnpackError::Escape { .. })));
    let deb = set.deb(A, &[], &[(EntryType::Char, "./x", "", 0o644)]);
    assert!(matches!(unpack(&set.root, &[deb], 1), Err(UnpackError::Kind { .. })));
    assert!(!set.directory.path().join("x").exists());
}

#[test]
fn links_in_a_circle_are_refused() {
    let set = Set::new();
    symlink("two", set.root.join("one")).unwrap();
    symlink("one", set.root.join("two")).unwrap();
    let deb = set.deb(A, &[], &[(EntryType::Regular, "./one/x", "x", 0o644)]);
    assert!(matches!(unpack(&set.root, &[deb], 1), Err(UnpackError::Circle { .. })));
}

#[test]
fn a_file_of_another_package_is_taken_over_only_by_who_says_so() {
    let both = |first: &str, second: &str| {
        let set = Set::new();
        let file = |content| [(EntryType::Regular, "./usr/x", content, 0o644)];
        let debs = [set.deb(first, &[], &file("of a")), set.deb(second, &[], &file("of b"))];
        unpack(&set.root, &debs, 2).map(|()| {
            let read = |name: &str| set.read(&format!("var/lib/dpkg/info/{name}.list"));
            (set.read("usr/x"), read("a"), read("b"))
        })
    };
    let replaced = both(A, &format!("{B}\nReplaces: a (<< 2)")).unwrap();
    assert_eq!(replaced, ("of b".to_owned(), String::new(), "/usr/x\n".to_owned()));
    let kept = both(&format!("{A}\nReplaces: b"), B).unwrap();
    assert_eq!(kept, ("of a".to_owned(), "/usr/x\n".to_owned(), String::new()));
    let refused = both(A, &format!("{B}\nReplaces: a (<< 1)")).unwrap_err();
    assert_eq!(refused.to_string(), "packages `b` and `a` both have `/usr/x`");
}

#[test]
fn a_diverted_file_goes_where_the_diversion_says() {
    let set = Set::new();
    fs::write(set.root.join("var/lib/dpkg/diversions"), "/bin/sh\n/bin/sh.distrib\nb\n").unwrap();
    let debs = [
        set.deb(A, &[], &[(EntryType::Regular, "./bin/sh", "of a", 0o755)]),
        set.deb(B, &[], &[(EntryType::Regular, "./bin/sh", "of b", 0o755)]),
    ];
    unpack(&set.root, &debs, 2).unwrap();
    assert_eq!((set.read("usr/bin/sh"), set.read("usr/bin/sh.distrib")), ("of b".into(), "of a".into()));
}

/// Packs a part of a package.
type Pack = fn(&[u8]) -> Vec<u8>;

#[test]
fn a_package_is_read_however_its_parts_are_packed() {
    use std::io::Write as _;

    let gzip = |plain: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    };
    let xz = |plain: &[u8]| {
        let mut packer = liblzma::write::XzEncoder::new(vec![], 6);
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    };
    let zstd = |plain: &[u8]| zstd::encode_all(plain, 3).unwrap();
    let plain = |plain: &[u8]| plain.to_vec();
    let forms = [("", plain as Pack), (".gz", gzip), (".xz", xz), (".zst", zstd)];
    for (suffix, pack) in forms {
        let set = Set::new();
        let control = format!("Package: {A}\nDescription: a test\n");
        let control = tarball(&[(EntryType::Regular, "./control", &control, 0o644)]);
        let data = tarball(&[(EntryType::Regular, "./usr/x", "content", 0o644)]);
        let path = set.directory.path().join("packed.deb");
        let members = [
            ("debian-binary", b"2.0\n".to_vec()),
            (&format!("control.tar{suffix}"), pack(&control)),
            (&format!("data.tar{suffix}"), pack(&data)),
        ];
        fs::write(&path, ar(&members)).unwrap();
        unpack(&set.root, &[Deb::open(&path).unwrap()], 1).unwrap();
        assert_eq!(set.read("usr/x"), "content", "{suffix}");
    }
}

#[test]
fn control_files_can_come_before_the_files() {
    let set = Set::new();
    let scripts = [(EntryType::Regular, "./preinst", "#!/bin/sh\n", 0o755)];
    let deb = set.deb(A, &scripts, &[(EntryType::Regular, "./usr/x", "x", 0o644)]);
    add_control(&set.root, std::slice::from_ref(&deb)).unwrap();
    assert!(set.root.join("var/lib/dpkg/info/a.preinst").exists() && !set.root.join("usr/x").exists());
    unpack(&set.root, &[deb], 1).unwrap();
    assert_eq!(set.read("usr/x"), "x");
}

#[test]
fn what_is_not_a_package_is_refused_with_a_reason() {
    let set = Set::new();
    let path = set.directory.path().join("x.deb");
    let control = tarball(&[(EntryType::Regular, "./control", "Package: a\n", 0o644)]);
    let cases = [
        (b"".to_vec(), "is not a Debian package: it is too short"),
        (b"PK\x03\x04 and so on".to_vec(), "is not a Debian package: it is not an ar archive"),
        (ar(&[("control.tar", control.clone())]), "is not a Debian package: it ends before its data part"),
        (
            ar(&[("control.tar.lzma", control.clone())]),
            "is not a Debian package: a part is packed in an unknown way",
        ),
        (
            ar(&[("control.tar", tarball(&[])), ("data.tar", vec![])]),
            "is not a Debian package: it has no control file",
        ),
    ];
    for (bytes, reason) in cases {
        fs::write(&path, bytes).unwrap();
        assert_eq!(Deb::open(&path).unwrap_err().to_string(), format!("`{}` {reason}", path.display()));
    }
    fs::write(&path, ar(&[("control.tar", control), ("data.tar", vec![])])).unwrap();
    assert!(matches!(Deb::open(&path), Err(DebError::Control { .. })));
}

#[test]
fn the_result_does_not_depend_on_the_order_of_the_packages_or_the_number_of_threads() {
    let listing = |reversed: bool, threads| {
        let set = Set::new();
        let files = |mode, content| {
            [(EntryType::Directory, "./opt/", "", mode), (EntryType::Regular, content, content, 0o644)]
        };
        let base = "base-files\nVersion: 1\nArchitecture: amd64";
        let mut debs = vec![
            set.deb(A, &[], &files(0o700, "./opt/of-a")),
            set.deb(B, &[], &files(0o755, "./opt/of-b")),
            set.deb(base, &[], &files(0o2775, "./opt/of-base")),
        ];
        if reversed {
            debs.reverse();
        }
        unpack(&set.root, &debs, threads).unwrap();
        let opt = fs::metadata(set.root.join("opt")).unwrap();
        (opt.mode() & 0o7777, opt.mtime(), set.read("var/lib/dpkg/status"), set.read("opt/of-a"))
    };
    let once = listing(false, 1);
    assert_eq!((once.0, once.1), (0o2775, 1_000_000_000));
    assert_eq!(once, listing(true, 1));
    assert_eq!(once, listing(true, 4));
}

#[test]
fn what_the_configuration_of_the_root_leaves_out_is_neither_there_nor_in_the_records() {
    let set = Set::new();
    fs::create_dir_all(set.root.join("etc/dpkg/dpkg.cfg.d")).unwrap();
    let rules = "path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\npath-exclude=/usr/share/man/*/*\n";
    fs::write(set.root.join("etc/dpkg/dpkg.cfg.d/rules"), rules).unwrap();
    fs::write(set.root.join("etc/dpkg/dpkg.cfg.d/rules.dpkg-old"), "path-exclude=*\n").unwrap();
    let digests = "1  usr/share/doc/a/README\n2  usr/share/doc/a/copyright\n";
    let scripts = [(EntryType::Regular, "./md5sums", digests, 0o644)];
    let files = [
        (EntryType::Directory, "./usr/share/doc/a/", "", 0o755),
        (EntryType::Regular, "./usr/share/doc/a/README", "long", 0o644),
        (EntryType::Regular, "./usr/share/doc/a/copyright", "ours", 0o644),
        (EntryType::Symlink, "./usr/share/doc/b", "a", 0o777),
        (EntryType::Directory, "./usr/share/man/man1/", "", 0o755),
        (EntryType::Regular, "./usr/share/man/man1/a.1", "manual", 0o644),
    ];
    unpack(&set.root, &[set.deb(A, &scripts, &files)], 1).unwrap();
    let there = |(_, path, ..): &&File<'_>| set.root.join(path).symlink_metadata().is_ok();
    let there: Vec<_> = files.iter().filter(there).map(|(_, path, ..)| *path).collect();
    assert_eq!(
        there,
        ["./usr/share/doc/a/", "./usr/share/doc/a/copyright", "./usr/share/doc/b", "./usr/share/man/man1/"]
    );
    let list = "/usr/share/doc/a\n/usr/share/doc/a/copyright\n/usr/share/doc/b\n/usr/share/man/man1\n";
    assert_eq!(set.read("var/lib/dpkg/info/a.list"), list);
    assert_eq!(set.read("var/lib/dpkg/info/a.md5sums"), "2  usr/share/doc/a/copyright\n");

    // dpkg itself records all of them; a file that is there although it would be left out keeps its own.
    fs::write(set.root.join("usr/share/man/man1/kept.1"), "").unwrap();
    let digests = format!("{digests}3  usr/share/man/man1/a.1\n4  usr/share/man/man1/kept.1\n");
    fs::write(set.root.join("var/lib/dpkg/info/a.md5sums"), digests).unwrap();
    let whole = format!("{list}/usr/share/doc/a/README\n/usr/share/man/man1/kept.1\n");
    fs::write(set.root.join("var/lib/dpkg/info/a.list"), whole).unwrap();
    forget_left_out(&set.root).unwrap();
    assert_eq!(set.read("var/lib/dpkg/info/a.list"), format!("{list}/usr/share/man/man1/kept.1\n"));
    assert_eq!(
        set.read("var/lib/dpkg/info/a.md5sums"),
        "2  usr/share/doc/a/copyright\n4  usr/share/man/man1/kept.1\n"
    );
}

#[test]
fn an_administrators_owner_and_mode_come_before_the_packages() {
    let set = Set::new();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    fs::create_dir_all(set.root.join("etc")).unwrap();
    fs::write(set.root.join("etc/passwd"), format!("operator:x:{uid}:{gid}::/:/bin/sh\n")).unwrap();
    let lines = format!("operator #{gid} 4754 /usr/bin/a\n#{uid} #{gid} 2770 /var/a\n");
    fs::write(set.root.join("var/lib/dpkg/statoverride"), lines).unwrap();
    let files = [
        (EntryType::Regular, "./usr/bin/a", "program", 0o755),
        (EntryType::Regular, "./usr/bin/b", "program", 0o755),
        (EntryType::Directory, "./var/a/", "", 0o755),
    ];
    unpack(&set.root, &[set.deb(A, &[], &files)], 1).unwrap();
    let modes = files.map(|(_, path, ..)| fs::metadata(set.root.join(path)).unwrap().mode() & 0o7777);
    assert_eq!(modes, [0o4754, 0o755, 0o2770]);

    fs::write(set.root.join("var/lib/dpkg/statoverride"), "stranger root 755 /usr/bin/b\n").unwrap();
    let error = unpack(&set.root, &[set.deb(B, &[], &[])], 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "dpkg's `statoverride` has the line `stranger root 755 /usr/bin/b`, whose user, group or mode is not known"
    );
}
