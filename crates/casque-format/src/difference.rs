//! What `casque diff --json` prints: what differs between two images, for a vendor's release notes.

use serde::{Deserialize, Serialize};

/// Number of the format.
pub const VERSION: u32 = 1;

/// Everything that differs; each list is empty when nothing of its kind does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// [`VERSION`].
    pub version: u32,
    /// The first image.
    pub old: Side,
    /// The second image.
    pub new: Side,
    /// Bytes of the new image's layers that the old image does not have.
    pub download: u64,
    /// What the customer may set.
    pub settings: Vec<Item>,
    /// What runs.
    pub services: Vec<Item>,
    /// TCP ports; a name is the number.
    pub ports: Vec<Item>,
    /// Directories of the volume, by path.
    pub data: Vec<Item>,
    /// Files that are rendered at each start, by path.
    pub templates: Vec<Item>,
    /// The rest of the plan that PID 1 carries out.
    pub product: Vec<Change>,
    /// What the image tells an engine.
    pub image: Vec<Change>,
    /// Debian packages.
    pub packages: Vec<Package>,
    /// Python distributions that no Debian package brought.
    pub python: Vec<Package>,
    /// Accounts of `/etc/passwd`.
    pub users: Vec<Item>,
    /// Groups of `/etc/group`.
    pub groups: Vec<Item>,
    /// Files, directories and links, by path.
    pub files: Vec<File>,
    /// The layers of the new image, lowest first.
    pub layers: Vec<Layer>,
}

/// One of the two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Its names.
    pub names: Vec<String>,
    /// What engines call it.
    pub image_id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Bytes of all its layers, as they are in the archive.
    pub size: u64,
    /// Layers that could not be looked into, because a thin archive leaves them out.
    pub unread_layers: usize,
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, in the new image where it is there.
    pub name: String,
    /// What happened to it.
    pub how: How,
    /// The name it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What it is for, where the image says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What of it changed; of what was added or removed, everything.
    pub changes: Vec<Change>,
}

/// What happened to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Only the new image has it.
    Added,
    /// Only the old image has it.
    Removed,
    /// Both have it, under different names.
    Renamed,
    /// Both have it.
    Changed,
}

/// A value that differs. Text is given as it is, everything else as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which value, such as `stop.timeout_ms`.
    pub what: String,
    /// None where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// None where there is none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// A package, of Debian or of Python.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name; with the architecture where that is not the image's.
    pub name: String,
    /// Of Python: the directory it is installed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What happened to it.
    pub how: Step,
    /// The version of the old image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The version of the new image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// What happened to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Only the new image has it.
    Added,
    /// Only the old image has it.
    Removed,
    /// The new version is later.
    Upgraded,
    /// The new version is earlier.
    Downgraded,
    /// Another version, of which only its maker knows whether it is later.
    Changed,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute.
    pub path: String,
    /// What happened to it; never renamed.
    pub how: How,
    /// What of it changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<Aspect>,
    /// Who brought it, in the new image where it is there; none for what a step or a copy wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// As the old image has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<FileState>,
    /// As the new image has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<FileState>,
}

/// What of a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// A file became a directory, or the like.
    Kind,
    /// Its bytes, a link's target, or a device's numbers.
    Content,
    /// Its permission bits.
    Mode,
    /// Its user or group.
    Owner,
    /// Its extended attributes, capabilities among them.
    Attributes,
    /// When it last changed.
    Time,
}

/// Who brought a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// A Debian package.
    Debian(String),
    /// A Python distribution.
    Python(String),
}

impl Owner {
    /// Returns the package's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Debian(name) | Self::Python(name) => name,
        }
    }
}

/// A file as an image has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// `file`, `directory`, `link`, `device` or `pipe`.
    pub kind: String,
    /// Bytes of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where a link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Permission bits in octal digits.
    pub mode: String,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When it last changed, in seconds since 1970.
    pub time: u64,
    /// The layer it comes from, counted from the lowest, which is 0.
    pub layer: usize,
}

/// A layer of the new image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of its uncompressed bytes.
    pub diff_id: String,
    /// What made it.
    pub created_by: String,
    /// Bytes in the archive.
    pub size: u64,
    /// The old image has it too.
    pub shared: bool,
}

impl Difference {
    /// Returns whether the two are one image.
    pub fn is_none(&self) -> bool {
        self.old.image_id == self.new.image_id
    }
}
