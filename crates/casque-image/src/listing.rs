//! Trees and layers in readable lines, one per entry.
//!
//! Tests compare these before they compare digests: a line says what differs, a digest only that
//! something does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use casque_format::digest::{Digest, Hasher};
use fs_err::File;

use crate::diff;
use crate::layer::LayerOptions;
use crate::layer_reader::{Item, LayerEntry, Stop, stream};
use crate::node::{Kind, Node};

/// The marker's name (OCI image specification, layers).
const OPAQUE: &str = ".wh..wh..opq";

/// Lists everything below `root` that the options take, sorted by path. Times are not in it.
pub fn of_tree(root: &Path, options: &LayerOptions) -> io::Result<String> {
    let mut lines = BTreeMap::new();
    for path in diff::walk(root, options)? {
        let full = root.join(&path);
        let Some(node) = Node::read(&full)? else { continue };
        let digest = match node.kind {
            Kind::File { .. } => Some(digest(&mut File::open(&full)?)?),
            _ => None,
        };
        let line = line(&path, &node, digest);
        lines.insert(path, line);
    }
    Ok(join(lines.into_values()))
}

/// Lists the entries of an uncompressed layer in their order.
pub fn of_layer(layer: impl Read) -> io::Result<String> {
    let mut lines = Vec::new();
    let visited = stream(layer, |entry, content| {
        lines.push(describe(entry, content)?);
        Ok(())
    });
    match visited {
        Ok(()) => Ok(join(lines)),
        Err(Stop::Layer(error) | Stop::Visitor(error)) => Err(error),
    }
}

/// What a layer says about one path, a file's content as its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// This is there.
    Node(Node, Option<Digest>),
    /// Another name of the file at this path.
    HardLink(PathBuf),
    /// Nothing of the layers below is there any more.
    Removed,
}

/// Returns the entries of an uncompressed layer by path. That a directory hides what is below it says the entry of its
/// marker, as it is in the layer.
pub fn entries(layer: impl Read) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut entries = BTreeMap::new();
    let visited = stream(layer, |entry, content| {
        let (path, said) = match entry.item {
            Item::Whiteout => (entry.path, Entry::Removed),
            Item::Opaque => (entry.path.join(OPAQUE), Entry::Removed),
            Item::HardLink { target } => (entry.path, Entry::HardLink(target)),
            Item::Node(node) => {
                let digest = match node.kind {
                    Kind::File { .. } => Some(digest(content).map_err(Stop::Layer)?),
                    _ => None,
                };
                (entry.path, Entry::Node(node, digest))
            }
        };
        entries.insert(path, said);
        Ok(())
    });
    match visited {
        Ok(()) => Ok(entries),
        Err(Stop::Layer(error) | Stop::Visitor(error)) => Err(error),
    }
}

fn describe(entry: LayerEntry, content: &mut dyn Read) -> Result<String, Stop<io::Error>> {
    let path: PathBuf = entry.path;
    Ok(match entry.item {
        Item::Whiteout => format!("removed {}", path.display()),
        Item::Opaque => format!("opaque {}", path.display()),
        Item::HardLink { target } => format!("link {} -> {}", path.display(), target.display()),
        Item::Node(node) => {
            let digest = match node.kind {
                Kind::File { .. } => Some(digest(content).map_err(Stop::Layer)?),
                _ => None,
            };
            line(&path, &node, digest)
        }
    })
}

/// Describes one entry: kind, mode, owner, then size and the digest's beginning for a file, path and
/// target, extended attributes.
fn line(path: &Path, node: &Node, digest: Option<Digest>) -> String {
    let Node { kind, mode, uid, gid, xattrs, .. } = node;
    let (word, detail) = match kind {
        Kind::File { size } => ("file", format!(" {size}")),
        Kind::Directory => ("dir", String::new()),
        Kind::Symlink { .. } => ("symlink", String::new()),
        Kind::CharacterDevice { major, minor } => ("char", format!(" {major},{minor}")),
        Kind::BlockDevice { major, minor } => ("block", format!(" {major},{minor}")),
        Kind::Fifo => ("fifo", String::new()),
    };
    let mut line = match kind {
        // A link's own mode means nothing and differs between filesystems.
        Kind::Symlink { .. } => format!("{word} {uid}:{gid}"),
        _ => format!("{word} {mode:04o} {uid}:{gid}{detail}"),
    };
    if let Some(digest) = digest {
        let _ = write!(line, " {:.16}", digest.to_string());
    }
    let _ = write!(line, " {}", path.display());
    if let Kind::Symlink { target } = kind {
        let _ = write!(line, " -> {}", target.display());
    }
    for (name, value) in xattrs {
        let _ = write!(line, " {}={:.16}", name.display(), Digest::of(value).to_string());
    }
    line
}

fn digest(content: &mut dyn Read) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn join(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}
