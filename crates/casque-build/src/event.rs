//! What a build tells whoever watches it.

use serde::Serialize;

use crate::explain::Reason;
use crate::repeat::Finding;

/// One thing that happened, in order.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A layer is being made.
    Layer {
        /// Its name.
        name: String,
    },
    /// A layer is taken from the cache.
    Cached {
        /// Its name.
        name: String,
    },
    /// Why a layer is made again, or is not; told when asked for.
    Why {
        /// Its name.
        name: String,
        /// It is made again; otherwise the cache has what these differences make.
        rebuilt: bool,
        /// What differs from the last build of this image.
        reasons: Vec<Reason>,
    },
    /// A part of a layer's work begins.
    Work {
        /// For people.
        what: String,
    },
    /// A program in the sandbox printed a line.
    Output {
        /// That line.
        line: String,
    },
    /// A layer is made.
    Done {
        /// Its name.
        name: String,
        /// Size of the layer's tar.
        bytes: u64,
        /// How long it took.
        milliseconds: u64,
    },
    /// A layer was made a second time, as on another machine; told when asked for.
    Repeated {
        /// Its name.
        name: String,
        /// What is not the same.
        findings: Vec<Finding>,
    },
    /// Something that only who asks for everything wants to know.
    Detail {
        /// For people.
        text: String,
    },
    /// Something the vendor should look at.
    Warning {
        /// For people.
        text: String,
    },
}

/// Whoever watches.
pub trait Observer: Sync {
    /// Takes the next event.
    fn event(&self, event: &Event);
}
