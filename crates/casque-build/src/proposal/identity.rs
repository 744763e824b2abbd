//! The name and the version of a product.

use std::path::Path;

use super::files::Files;

/// A fact and the place that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) value: String,
    /// None when nothing says it.
    pub(super) by: Option<String>,
}

/// Returns the version; nothing of version control is run.
pub(super) fn version(files: &Files, directory: &Path) -> Told {
    let first_line = |name: &str| {
        let text = files.get(name)?.lines().next()?.trim();
        let version = text.strip_prefix('v').unwrap_or(text);
        is_version(version).then(|| (version.to_owned(), format!("`{name}`")))
    };
    let told = first_line("VERSION")
        .or_else(|| first_line("version.txt"))
        .or_else(|| git_tag(directory).map(|version| (version, "the newest tag of git".to_owned())))
        .or_else(|| project(files, "version").filter(|(version, _)| is_version(version)));
    match told {
        Some((value, by)) => Told { value, by: Some(by) },
        None => Told { value: "0.1.0".to_owned(), by: None },
    }
}

/// Returns the name without a vendor's.
pub(super) fn name(files: &Files, directory: &Path) -> Told {
    if let Some((name, by)) = project(files, "name") {
        return Told { value: plain(&name), by: Some(by) };
    }
    let directory = directory.file_name().map(|name| plain(&name.to_string_lossy())).unwrap_or_default();
    match directory.is_empty() {
        true => Told { value: "product".to_owned(), by: None },
        false => Told { value: directory, by: Some("the directory's name".to_owned()) },
    }
}

/// Returns a key of `[project]` in pyproject.toml, or of package.json.
fn project(files: &Files, key: &str) -> Option<(String, String)> {
    let pyproject = || {
        let table: toml::Table = toml::from_str(files.get("pyproject.toml")?).ok()?;
        let poetry = || table.get("tool")?.get("poetry")?.get(key);
        let value = table.get("project").and_then(|project| project.get(key)).or_else(poetry)?;
        Some((value.as_str()?.to_owned(), "`pyproject.toml`".to_owned()))
    };
    let package = || {
        let value: serde_json::Value = serde_json::from_str(files.get("package.json")?).ok()?;
        let text = value.get(key)?.as_str()?;
        // Without the scope of npm.
        Some((text.rsplit('/').next()?.to_owned(), "`package.json`".to_owned()))
    };
    pyproject().or_else(package)
}

/// Returns the highest version among git's tags.
fn git_tag(directory: &Path) -> Option<String> {
    let git = directory.join(".git");
    let mut tags: Vec<String> = Vec::new();
    if let Ok(packed) = fs_err::read_to_string(git.join("packed-refs")) {
        tags.extend(packed.lines().filter_map(|line| Some(line.split_once(" refs/tags/")?.1.to_owned())));
    }
    for entry in fs_err::read_dir(git.join("refs/tags")).into_iter().flatten().flatten() {
        tags.extend(entry.file_name().into_string());
    }
    let numbers = |tag: &String| {
        let version = tag.strip_prefix('v').unwrap_or(tag).to_owned();
        let numbers: Option<Vec<u64>> = version.split('.').map(|part| part.parse().ok()).collect();
        numbers.map(|numbers| (numbers, version))
    };
    tags.iter().filter_map(numbers).max().map(|(_, version)| version)
}

fn is_version(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.starts_with(|c: char| c.is_ascii_digit()) && text.len() < 100 && text.chars().all(fits)
}

/// Returns a name as images have it.
pub(super) fn plain(name: &str) -> String {
    let name = name.to_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_tag_is_the_version_when_no_file_says_it() {
        let project = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(project.path().join(".git/refs/tags")).unwrap();
        fs_err::write(project.path().join(".git/refs/tags/v1.9.0"), "").unwrap();
        fs_err::write(
            project.path().join(".git/packed-refs"),
            "# pack\nabc refs/tags/v1.10.0\nabc refs/tags/x\n",
        )
        .unwrap();
        let told = version(&Files::default(), project.path());
        assert_eq!((told.value.as_str(), told.by.as_deref()), ("1.10.0", Some("the newest tag of git")));
        assert_eq!(version(&Files::default(), Path::new("/nonexistent")).by, None);
    }

    #[test]
    fn a_name_has_what_an_image_s_may_have() {
        assert_eq!(plain("My Shop_v2!"), "my-shop-v2");
    }
}
