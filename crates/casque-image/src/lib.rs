//! File trees, layers and image archives, written and read.
//!
//! | module | does |
//! | --- | --- |
//! | [`layer`] | writes a tree, some of its paths, or a difference as a layer, the same bytes each time |
//! | [`diff`] | names the paths that may differ between two trees |
//! | [`config`] | what an image says about itself |
//! | [`archive`] | writes layers as one file that is docker-archive and OCI layout at once, or as an OCI directory |
//! | [`read`] | opens such files, whoever wrote them |
//! | [`tree`] | the entries of an image, all layers merged, and their contents |
//! | [`unpack`] | makes a root filesystem of layers |
//! | [`resolve`] | finds paths in a root filesystem whose links never lead out of it |
//! | [`listing`] | describes a tree or a layer in readable lines |

pub mod archive;
pub mod config;
mod contents;
pub mod diff;
mod document;
mod facts;
pub mod layer;
mod layer_reader;
pub mod listing;
pub mod node;
pub mod read;
pub mod resolve;
mod source;
mod tar_reader;
pub mod tar_writer;
pub mod tree;
pub mod unpack;
