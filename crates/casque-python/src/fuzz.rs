//! What distributions say of themselves, and files that come from an index. Whatever it is, it is read or refused, and leads
//! nowhere else.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Component, PathBuf};

use casque_fuzz::fuzz;
use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use rustix::fs::{MemfdFlags, memfd_create};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::entry_points::commands;
use crate::metadata::{needs, values};
use crate::native::needed_libraries;
use crate::record::rows;
use crate::requirements::normalised;
use crate::sdist::BuildSystem;
use crate::specification::name_and_version;
use crate::tags::{WheelName, supported};
use crate::version::{asks_for_previews, satisfies_all};
use crate::wheel::{Destination, Wheel};
use crate::{PythonError, PythonVersion, Target};

const TARGET: Target = Target { python: PythonVersion { major: 3, minor: 11, patch: 2 }, glibc_minor: 36 };

const METADATA: &str = "Metadata-Version: 2.1\nName: celery\nVersion: 5.3.4\nRequires-Python: >=3.8,!=3.9.1\n\
    Requires-Dist: Kombu[redis,Yaml] (<6,>=5)\n\
    Requires-Dist: vine >=5.1 ; (python_version >= '3.8' and os_name == \"posix\") or extra == 'a'\n\
    Requires-Dist: x @ https://files.example/x-1.zip ; python_full_version not in '2.7'\n\
    Requires-Dist: y~=1.0rc1;'3.9'<=python_version\n\nRequires-Dist: text\n";

#[test]
fn needs_of_a_distribution_are_names_that_an_index_can_be_asked_for() {
    let extras: BTreeSet<String> = ["a".to_owned()].into();
    assert_eq!(needs(METADATA, TARGET, &extras).len(), 4);
    fuzz("metadata", &[METADATA.as_bytes()], |data| {
        let text = String::from_utf8_lossy(data);
        for need in needs(&text, TARGET, &extras) {
            assert_eq!(normalised(&need.name), need.name);
            assert!(!need.name.is_empty() && !need.name.contains(['/', '?', '#', ' ']), "{need:?}");
            let _ = asks_for_previews(&need.versions);
        }
        for list in values(&text, "Requires-Python") {
            let _ = satisfies_all(&TARGET.python.full(), list);
        }
    });
}

#[test]
fn a_marker_of_parentheses_without_end_is_refused() {
    let depth = 200_000;
    let marker = format!("{}os_name == 'posix'{}", "(".repeat(depth), ")".repeat(depth));
    assert!(needs(&format!("Requires-Dist: x ; {marker}\n"), TARGET, &BTreeSet::new()).is_empty());
}

#[test]
fn a_file_name_says_which_release_it_is_of_or_nothing() {
    let seeds: [&[u8]; 4] = [
        b"charset_normalizer-3.3.2-1local-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        b"a-1-py2.py3-none-any.whl",
        b"some.Name-2.0.post1.tar.gz",
        b"a-1-py3-none-any./../../a.whl",
    ];
    let tags = supported(TARGET);
    fuzz("file names", &seeds, |data| {
        let text = String::from_utf8_lossy(data);
        if let Some((name, version)) = name_and_version(&text) {
            assert_eq!(normalised(&name), name);
            assert!(text.contains(&version));
            // It becomes the name of a file, and a word in messages.
            assert!(!text.contains('/') && !text.contains(char::is_control), "{text:?}");
        }
        if let Some(wheel) = WheelName::parse(&text) {
            assert!(wheel.rank(&tags).is_none_or(|rank| rank < tags.len()));
        }
    });
}

#[test]
fn a_command_becomes_a_script_of_names_alone() {
    let seeds: [&[u8]; 2] = [
        b"[console_scripts]\na = b.c:d.e [x]\n[gui_scripts]\nw=a:B\n",
        b"[other]\n;\n[ console_scripts ]\nx=y:z",
    ];
    fuzz("entry points", &seeds, |data| {
        for command in commands(&String::from_utf8_lossy(data)).unwrap_or_default() {
            let script = command.script("/venv/bin/python3");
            assert_eq!(script.lines().count(), 7, "{script}");
            let is_name = |symbol: char| symbol.is_alphanumeric() || "_. ()".contains(symbol);
            let own = script.lines().filter(|line| line.starts_with("from ") || line.starts_with("    sys"));
            assert!(own.flat_map(str::chars).all(is_name), "{script}");
        }
    });
    fuzz("installed files", &[b"a/b.py,sha256=x,0\n\"c,\"\"d\"\".py\",,\n"], |data| {
        let text = String::from_utf8_lossy(data);
        assert!(rows(&text).count() <= text.lines().count());
    });
}

/// A file that no disk has to keep, and where it is as long as it is open.
fn in_memory(content: &[u8]) -> (File, PathBuf) {
    let mut file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(content).unwrap();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    (file, path.into())
}

/// A wheel with nothing compressed, so that changes reach what reads them.
fn wheel(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file(*name, options.unix_permissions(0o755)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn no_file_of_a_wheel_leads_elsewhere() {
    let good = wheel(&[
        ("a/b.py", b"x"),
        ("a-1.data/scripts/run", b"#!python\n"),
        ("a-1.data/data/share/../x", b"x"),
        ("a-1.dist-info/WHEEL", b"Wheel-Version: 1.0\n"),
        ("a-1.dist-info/METADATA", b"Name: a\nVersion: 1\n"),
    ]);
    let plain = wheel(&[
        ("a-1.dist-info/WHEEL", b"Wheel-Version: 1.0\n"),
        ("a-1.dist-info/METADATA", b"Name: a\nVersion: 1\n"),
        ("a/c.py", b""),
    ]);
    let open = |data: &[u8]| {
        let (_file, path) = in_memory(data);
        Wheel::open_named("a-1-py3-none-any.whl", &path)
    };
    assert!(open(&plain).unwrap().entries().unwrap().len() == 3);
    fuzz("wheel", &[&good, &plain], |data| {
        let Ok(mut wheel) = open(data) else { return };
        let _ = wheel.entry_points();
        for entry in wheel.entries().unwrap_or_default() {
            let place = match &entry.destination {
                Destination::Library(path) | Destination::Script(path) => path,
                Destination::Data(path) | Destination::Header(path) => path,
            };
            assert!(place.components().all(|part| matches!(part, Component::Normal(_))), "{place:?}");
            if let Ok(content) = wheel.content(&entry) {
                let _ = content.take(1 << 16).read_to_end(&mut Vec::new());
            }
        }
    });
}

/// A program with a table of what it needs and nothing to run.
fn program() -> Vec<u8> {
    let strings = b"\0libc.so.6\0libm.so.6\0\0\0\0";
    let dynamic = [(1_u64, 1_u64), (1, 11), (5, 0), (0, 0)];
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    let (of_dynamic, of_strings) = (64_u64, 64 + 16 * dynamic.len() as u64);
    let sections = of_strings + strings.len() as u64;
    for number in [0, 0, sections] {
        file.extend(number.to_le_bytes());
    }
    file.extend(b"\0\0\0\0\x40\0\x38\0\0\0\x40\0\x03\0\x02\0");
    file.extend(dynamic.iter().flat_map(|(tag, value)| [*tag, *value]).flat_map(u64::to_le_bytes));
    file.extend(strings);
    // Nothing, the table, and its strings.
    for (kind, offset, size, link) in
        [(0, 0, 0, 0), (6_u32, of_dynamic, 64, 2_u32), (3, of_strings, strings.len() as u64, 0)]
    {
        file.extend([&[0; 4][..], &kind.to_le_bytes(), &[0; 16]].concat());
        file.extend([offset, size].map(u64::to_le_bytes).concat());
        file.extend([&link.to_le_bytes()[..], &[0; 20]].concat());
    }
    file
}

#[test]
fn programs_in_a_wheel_need_libraries_or_are_none() {
    let needed = |program: &[u8]| {
        let (_file, path) = in_memory(&wheel(&[("a/b.so", program)]));
        needed_libraries(&path).unwrap()
    };
    assert_eq!(needed(&program()), ["libc.so.6", "libm.so.6"]);
    fuzz("programs of a wheel", &[&program()], |data| drop(needed(data)));
}

const PROJECT: &[u8] =
    b"[build-system]\nrequires = [\"flit_core>=3\"]\nbuild-backend = \"b\"\nbackend-path = [\"_b\"]\n";

/// Reads how the sources in an archive are built.
fn build_system(filename: &str, archive: &[u8]) -> Result<BuildSystem, PythonError> {
    let (_file, path) = in_memory(archive);
    BuildSystem::of_archive(filename, &path)
}

#[test]
fn an_archive_of_sources_says_how_it_is_built_or_is_refused() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(PROJECT.len() as u64);
    tar.append_data(&mut header, "a-1/pyproject.toml", PROJECT).unwrap();
    let tar = tar.into_inner().unwrap();
    let compressed = |tar: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(tar).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(build_system("a-1.tar.gz", &compressed(&tar)).unwrap().backend, "b");
    fuzz("tar of sources", &[&tar], |data| drop(build_system("a-1.tar.gz", &compressed(data))));
}

#[test]
fn a_zip_of_sources_says_how_it_is_built_or_is_refused() {
    let zip = wheel(&[("a-1/pyproject.toml", PROJECT)]);
    assert_eq!(build_system("a-1.zip", &zip).unwrap().backend, "b");
    fuzz("zip of sources", &[&zip], |data| drop(build_system("a-1.zip", data)));
}

#[test]
fn a_project_file_is_read_or_refused() {
    let place = tempfile::tempdir().unwrap();
    fuzz("project file", &[PROJECT], |data| {
        fs::write(place.path().join("pyproject.toml"), data).unwrap();
        let Ok(system) = BuildSystem::of_tree("a", place.path()) else { return };
        assert!(system.requires.len() <= data.len() + 2);
    });
}
