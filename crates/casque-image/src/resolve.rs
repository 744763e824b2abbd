//! Links inside an image, followed as if the image were the whole machine.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::node::is_absent;

/// As many as Linux follows.
const MOST_LINKS: u32 = 40;

/// What is at a path.
pub(crate) enum Found {
    /// A symbolic link to this.
    Link(PathBuf),
    /// Anything else, or nothing.
    Other,
}

/// Returns where `path` leads, relative to the root and free of links; `None` for an endless chain.
///
/// `..` stops at the root, and an absolute target starts there, so the result never leaves it.
pub(crate) fn follow<E>(
    path: &Path,
    mut look: impl FnMut(&Path) -> Result<Found, E>,
) -> Result<Option<PathBuf>, E> {
    let mut ahead: VecDeque<Step> = steps(path).collect();
    let mut resolved = PathBuf::new();
    let mut links = 0;
    while let Some(step) = ahead.pop_front() {
        let name = match step {
            Step::Root => {
                resolved = PathBuf::new();
                continue;
            }
            Step::Up => {
                resolved.pop();
                continue;
            }
            Step::Down(name) => name,
        };
        resolved.push(name);
        if let Found::Link(target) = look(&resolved)? {
            links += 1;
            if links > MOST_LINKS {
                return Ok(None);
            }
            resolved.pop();
            for step in steps(&target).rev() {
                ahead.push_front(step);
            }
        }
    }
    Ok(Some(resolved))
}

/// Returns where `path` of the image unpacked at `root` is on disk, its last link followed too. What is missing is where it
/// would be made.
///
/// # Errors
/// Links that lead in a circle, or cannot be read.
pub fn located(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let inside = follow(path, |path| look(root, path))?;
    Ok(root.join(inside.ok_or(rustix::io::Errno::LOOP)?))
}

/// Looks at `path` below `root`.
pub(crate) fn look(root: &Path, path: &Path) -> io::Result<Found> {
    match fs_err::read_link(root.join(path)) {
        Ok(target) => Ok(Found::Link(target)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_absent(&error) => Ok(Found::Other),
        Err(error) => Err(error),
    }
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(path: &str) -> Option<PathBuf> {
        let look = |path: &Path| {
            let target = match path.to_str() {
                Some("lib") => "usr/lib",
                Some("usr/up") => "../../../../etc",
                Some("usr/absolute") => "/etc",
                Some("loop") => "loop",
                _ => return Ok(Found::Other),
            };
            Ok::<_, std::convert::Infallible>(Found::Link(target.into()))
        };
        follow(Path::new(path), look).unwrap()
    }

    #[test]
    fn links_lead_to_where_they_would_inside_the_image() {
        for (path, end) in [
            ("/lib/x", "usr/lib/x"),
            ("lib/../share", "usr/share"),
            ("usr/up/passwd", "etc/passwd"),
            ("usr/absolute/passwd", "etc/passwd"),
            ("../../etc", "etc"),
        ] {
            assert_eq!(lead(path), Some(PathBuf::from(end)), "{path}");
        }
    }

    #[test]
    fn an_endless_chain_leads_nowhere() {
        assert_eq!(lead("loop/x"), None);
    }
}
