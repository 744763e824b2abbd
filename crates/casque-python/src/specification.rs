//! One requirement of a file: `celery[redis]==5.3.6 ; marker --hash=...`, an address, or a path of the project.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use casque_format::digest::Digest;
use url::Url;

use crate::lines::hashes;
use crate::requirements::normalised;
use crate::sdist::stem_of_sdist;
use crate::tags::{WheelName, is_file_name};
use crate::{Marker, RequirementProblem};

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Specification {
    pub(crate) source: Source,
    pub(crate) extras: BTreeSet<String>,
    pub(crate) marker: Option<Marker>,
    pub(crate) hashes: Vec<Digest>,
}

/// Where a distribution is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A version in an index, or, with an address, that file.
    Version { name: String, version: String, url: Option<String> },
    /// A file or directory of the project, relative to it; the name is not known of every one.
    Project { name: Option<String>, path: PathBuf },
}

/// Reads a requirement; `project` is what paths are relative to.
pub(crate) fn specification(content: &str, project: &Path) -> Result<Specification, RequirementProblem> {
    let options_at = content.find(" --").unwrap_or(content.len());
    let (specification, options) = content.split_at(options_at);
    let hashes = |source: &str| match hashes(options)? {
        hashes if hashes.is_empty() => Err(RequirementProblem::NoHash { name: source.to_owned() }),
        hashes => Ok(hashes),
    };
    let requirement = Named::parse(specification);
    // `name @ address`; elsewhere an `@` is part of an address or a mistake.
    if let Some(named) = &requirement
        && let Some(address) = named.rest.strip_prefix('@')
    {
        let (address, marker) = split_marker(address)?;
        let source = located(address, Some(&named.name), project)?;
        let hashes = match &source {
            Source::Version { name, .. } => hashes(name)?,
            Source::Project { .. } => self::hashes(options)?,
        };
        return Ok(Specification { source, extras: named.extras.clone(), marker, hashes });
    }
    let (plain, marker) = match specification.split_once(';') {
        Some((plain, marker)) => (plain.trim(), Some(marker.trim())),
        None => (specification.trim(), None),
    };
    if is_place(plain) {
        let marker = marker.map(Marker::parse).transpose().map_err(RequirementProblem::Marker)?;
        let (place, extras) = match plain.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
            Some((place, extras)) => (place, names(extras)),
            None => (plain, BTreeSet::new()),
        };
        let source = located(place, None, project)?;
        let hashes = match &source {
            Source::Version { name, .. } => hashes(name)?,
            Source::Project { .. } => self::hashes(options)?,
        };
        return Ok(Specification { source, extras, marker, hashes });
    }
    let syntax = || RequirementProblem::Syntax { text: shortened(content) };
    let Named { name, extras, rest } = Named::parse(plain).ok_or_else(syntax)?;
    let Some(version) = rest.strip_prefix("===").or_else(|| rest.strip_prefix("==")) else {
        return Err(RequirementProblem::NotPinned { name });
    };
    let version = version.trim();
    if version.is_empty() || version.contains([',', '*']) {
        return Err(RequirementProblem::NotPinned { name });
    }
    let is_version = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.+!".contains(symbol);
    if !version.chars().all(is_version) {
        return Err(syntax());
    }
    let marker = marker.map(Marker::parse).transpose().map_err(RequirementProblem::Marker)?;
    let hashes = hashes(&name)?;
    let source = Source::Version { name, version: version.to_owned(), url: None };
    Ok(Specification { source, extras, marker, hashes })
}

/// A name, what it is asked for with, and what follows.
pub(crate) struct Named<'a> {
    pub(crate) name: String,
    pub(crate) extras: BTreeSet<String>,
    pub(crate) rest: &'a str,
}

impl<'a> Named<'a> {
    /// Reads `name [extra, extra] rest`.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let is_name = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_' | '.');
        let text = text.trim();
        let (name, rest) = text.split_at(text.find(|symbol| !is_name(symbol)).unwrap_or(text.len()));
        let is_edge = |symbol: Option<char>| symbol.is_some_and(|symbol| symbol.is_ascii_alphanumeric());
        if !is_edge(name.chars().next()) || !is_edge(name.chars().last()) {
            return None;
        }
        let rest = rest.trim_start();
        let (extras, rest) = match rest.strip_prefix('[') {
            Some(extras) => extras.split_once(']')?,
            None => ("", rest),
        };
        Some(Self { name: normalised(name), extras: names(extras), rest: rest.trim_start() })
    }
}

fn names(list: &str) -> BTreeSet<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(normalised).collect()
}

/// Tells whether pip takes this for an address or a path.
fn is_place(text: &str) -> bool {
    text.contains("://") || text.starts_with(['.', '/']) || text.starts_with("file:") || {
        let path = text.split_once('[').map_or(text, |(path, _)| path);
        path.contains('/') || path.ends_with(".whl") || stem_of_sdist(path).is_some()
    }
}

/// The semicolon before a marker has a space before it, since addresses may have one inside.
fn split_marker(address: &str) -> Result<(&str, Option<Marker>), RequirementProblem> {
    match address.split_once(" ;") {
        Some((address, marker)) => {
            let marker = Marker::parse(marker).map_err(RequirementProblem::Marker)?;
            Ok((address.trim(), Some(marker)))
        }
        None => Ok((address.trim(), None)),
    }
}

fn located(place: &str, name: Option<&str>, project: &Path) -> Result<Source, RequirementProblem> {
    let refuse = || RequirementProblem::Place { text: shortened(place) };
    if place.starts_with("http://") || place.starts_with("https://") {
        let mut url = Url::parse(place).map_err(|_| refuse())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RequirementProblem::Secret { host: url.host_str().unwrap_or_default().to_owned() });
        }
        url.set_fragment(None);
        let filename = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let filename = crate::index::unescaped(filename).ok_or_else(refuse)?;
        let (found, version) = name_and_version(&filename).ok_or_else(refuse)?;
        if name.is_some_and(|name| name != found) {
            return Err(refuse());
        }
        return Ok(Source::Version { name: found, version, url: Some(url.into()) });
    }
    let path = match place.strip_prefix("file:") {
        Some(path) => {
            crate::index::unescaped(path.strip_prefix("//localhost").unwrap_or(path)).ok_or_else(refuse)?
        }
        None if place.contains("://") => return Err(refuse()),
        None => place.to_owned(),
    };
    let path = path.strip_prefix("//").unwrap_or(&path);
    let path = path.split('#').next().unwrap_or_default();
    let outside = || RequirementProblem::Outside { text: shortened(path) };
    let path = match Path::new(path).strip_prefix(project) {
        Ok(inside) => inside.to_owned(),
        Err(_) if path.starts_with('/') => return Err(outside()),
        Err(_) => PathBuf::from(path),
    };
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            _ => return Err(outside()),
        }
    }
    let known = plain.file_name().and_then(|file| name_and_version(file.to_str()?)).map(|(name, _)| name);
    if let (Some(name), Some(known)) = (name, &known)
        && name != known
    {
        return Err(refuse());
    }
    Ok(Source::Project { name: name.map(str::to_owned).or(known), path: plain })
}

/// Returns what the name of a wheel or an archive of sources says.
pub(crate) fn name_and_version(filename: &str) -> Option<(String, String)> {
    if let Some(wheel) = WheelName::parse(filename) {
        return Some((normalised(wheel.distribution), wheel.version.to_owned()));
    }
    let stem = stem_of_sdist(filename).filter(|_| is_file_name(filename))?;
    let (name, version) = stem.rsplit_once('-')?;
    Some((normalised(name), version.to_owned()))
}

/// Keeps a message readable whatever stands in the file.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
