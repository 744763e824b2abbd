//! The shared libraries that the programs of a wheel need.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use fs_err as fs;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};
use object::{Endianness, elf};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::PythonError;

const MAGIC: &[u8] = b"\x7fELF";

/// Returns the names of the libraries that the wheel at `path` needs and does not have itself, sorted.
pub fn needed_libraries(path: &Path) -> Result<Vec<String>, PythonError> {
    let wheel = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = fs::File::open(path).map_err(PythonError::Disk)?;
    read(file).map_err(|source| PythonError::Zip { wheel, source })
}

fn read(file: fs::File) -> Result<Vec<String>, ZipError> {
    let mut archive = ZipArchive::new(file)?;
    let (mut needed, mut own) = (BTreeSet::new(), BTreeSet::new());
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        own.extend(String::from_utf8_lossy(file.name_raw()).rsplit('/').next().map(str::to_owned));
        let mut bytes = vec![0; MAGIC.len()];
        if file.size() < MAGIC.len() as u64 {
            continue;
        }
        file.read_exact(&mut bytes)?;
        if bytes == MAGIC {
            file.read_to_end(&mut bytes)?;
            // What is for another machine is not run here.
            needed.extend(libraries(&bytes).unwrap_or_default());
        }
    }
    Ok(needed.into_iter().filter(|name| !own.contains(name)).collect())
}

fn libraries(bytes: &[u8]) -> object::Result<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let Some((entries, link)) = sections.dynamic(endian, bytes)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, bytes, link)?;
    let mut found = Vec::new();
    for entry in entries.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL) {
        if entry.tag(endian) == DT_NEEDED {
            let name = entry.string(endian, strings)?;
            found.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    #[test]
    fn a_program_needs_what_it_is_linked_with() {
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        let wheel = |files: &[(&str, &[u8])]| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("a-1-py3-none-any.whl");
            let mut writer = ZipWriter::new(fs::File::create(&path).unwrap());
            for (name, content) in files {
                writer.start_file(*name, SimpleFileOptions::default()).unwrap();
                writer.write_all(content).unwrap();
            }
            writer.finish().unwrap();
            needed_libraries(&path).unwrap()
        };
        let needed = wheel(&[("a/program", &program), ("a/text", b"\x7fEL"), ("a/damaged", b"\x7fELF no")]);
        assert!(needed.contains(&"libc.so.6".to_owned()), "{needed:?}");
        let own = wheel(&[("a/program", &program), ("a.libs/libc.so.6", b"")]);
        assert!(!own.contains(&"libc.so.6".to_owned()), "{own:?}");
    }
}
