//! The project's repository, by way of git itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use casque_format::release::ReleaseName;

use super::error::ReleaseError;
use super::guard::{Job, Runner, Stream};

/// How long git may take for one thing.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A tag, and the commit that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) commit: String,
}

/// A repository elsewhere, and a copy of what was fetched of it.
pub(crate) struct Git<'a> {
    pub(crate) runner: &'a Runner,
    /// Where it is.
    pub(crate) address: &'a str,
    /// The copy.
    pub(crate) mirror: PathBuf,
    /// A directory to run in.
    pub(crate) directory: &'a Path,
}

impl Git<'_> {
    fn run(&self, arguments: &[&str]) -> Result<Vec<String>, ReleaseError> {
        let words = ["git"].iter().chain(arguments).map(OsString::from).collect();
        let variables = vec![("GIT_TERMINAL_PROMPT", "0".to_owned()), ("LC_ALL", "C.UTF-8".to_owned())];
        let named: Vec<&str> = arguments.iter().copied().filter(|word| !word.starts_with('-')).collect();
        let shown = format!("git {}", named.join(" "));
        let job = Job { words, shown, directory: self.directory, variables, timeout: PATIENCE };
        let mut lines = Vec::new();
        self.runner.run(&job, &mut |stream, line| {
            if stream == Stream::Output {
                lines.push(line.to_owned());
            }
        })?;
        Ok(lines)
    }

    /// Returns the tags that a pattern takes, in the order of their versions.
    pub(crate) fn tags(&self, pattern: &str) -> Result<Vec<Tag>, ReleaseError> {
        let reference = format!("refs/tags/{pattern}");
        // Of an annotated tag two lines are needed, and the second has a name that the pattern may not take.
        let peeled = format!("refs/tags/{pattern}^{{}}");
        let sort = "--sort=version:refname";
        let lines = self.run(&["ls-remote", sort, "--", self.address, &reference, &peeled])?;
        Ok(tags_of(&lines))
    }

    /// Copies what a tag names.
    pub(crate) fn fetch(&self, tag: &ReleaseName) -> Result<(), ReleaseError> {
        let mirror = self.mirror.to_string_lossy();
        self.run(&["init", "--quiet", "--bare", "--", &mirror])?;
        let both = format!("+refs/tags/{tag}:refs/tags/{tag}");
        let own = format!("--git-dir={mirror}");
        self.run(&[&own, "fetch", "--quiet", "--no-tags", "--", self.address, &both]).map(drop)
    }

    /// Returns what the author of the tag says in it; nothing of a tag that is only a name.
    pub(crate) fn message(&self, tag: &ReleaseName) -> Result<String, ReleaseError> {
        let own = format!("--git-dir={}", self.mirror.display());
        let format = "--format=%(if)%(taggerdate)%(then)%(contents:subject)%0a%0a%(contents:body)%(end)";
        let lines = self.run(&[&own, "for-each-ref", format, &format!("refs/tags/{tag}")])?;
        Ok(lines.join("\n").trim().to_owned())
    }

    /// Makes a clean checkout with the submodules, and whatever git keeps beside it.
    pub(crate) fn checkout(&self, tag: &ReleaseName, into: &Path) -> Result<(), ReleaseError> {
        let (mirror, place) = (self.mirror.to_string_lossy(), into.to_string_lossy());
        let quiet = ["-c", "advice.detachedHead=false", "clone", "--quiet"];
        self.run(&[&quiet[..], &["--branch", tag.as_str(), "--", &mirror, &place]].concat())?;
        // Submodules may have addresses that start from where the project itself is.
        self.run(&["-C", &place, "remote", "set-url", "origin", self.address])?;
        self.run(&["-C", &place, "submodule", "--quiet", "update", "--init", "--recursive"]).map(drop)
    }
}

/// Reads what `git ls-remote` prints.
fn tags_of(lines: &[String]) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    for line in lines {
        let Some((commit, reference)) = line.split_once('\t') else { continue };
        let Some(name) = reference.strip_prefix("refs/tags/") else { continue };
        let (name, peeled) = match name.strip_suffix("^{}") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let commit = commit.to_owned();
        match tags.iter_mut().find(|tag| tag.name == name) {
            // The object of an annotated tag is not the commit.
            Some(tag) if peeled => tag.commit = commit,
            Some(_) => {}
            None => tags.push(Tag { name: name.to_owned(), commit }),
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotated_tag_is_known_by_the_commit_it_names() {
        let lines = [
            "aaaa\trefs/tags/v1",
            "bbbb\trefs/tags/v2",
            "cccc\trefs/tags/v2^{}",
            "dddd\trefs/heads/main",
            "warning: something",
        ];
        let tags = tags_of(&lines.map(str::to_owned));
        let tag = |name: &str, commit: &str| Tag { name: name.to_owned(), commit: commit.to_owned() };
        assert_eq!(tags, [tag("v1", "aaaa"), tag("v2", "cccc")]);
    }
}
