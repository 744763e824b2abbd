//! From a manifest to an image: lock, root filesystem, steps, layers.
//!
//! | module | does |
//! | --- | --- |
//! | [`manifest`] | reads and checks `casque.toml` |
//! | `proposal` | proposes a manifest for a project that has none |
//! | [`lock`] | decides and downloads what a build takes from elsewhere |
//! | `builder`, `stage`, `cache`, `prune` | make the stages of an image, each once |
//! | `suggest` | proposes layers that would make the next build faster |
//! | `inputs`, `explain` | what a stage is made from, and why it is made again |
//! | `split`, `groups`, `shares`, `layers` | which files of a stage share a layer |
//! | `base`, `packages`, `python`, `wheels`, `bytecode`, `copy`, `step`, `plan` | the kinds of stages |
//! | `record`, `wire` | run steps to record what they download, and give them that again |
//! | `secrets` | values that only a step sees, and that they are nowhere else |
//! | `repeat`, `elsewhere` | make stages a second time, as on another machine, and compare |
//! | `sbom` | says what is in the image |
//! | `image`, `about` | puts their layers together, and says what the image is |
//! | `output` | writes it to where it is asked for |
//! | [`difference`] | what differs between two images |
//!
//! It prints nothing and reads neither the environment nor the clock: a program hands these in.

mod about;
mod added;
mod base;
mod base_image;
mod builder;
mod bytecode;
mod cache;
mod carried;
pub mod check;
mod configure;
mod copy;
mod data;
pub mod difference;
mod elsewhere;
mod error;
mod event;
mod explain;
mod facts;
mod front;
mod group_zero;
mod groups;
mod hygiene;
mod identity;
mod ids;
mod ignored;
mod image;
mod inputs;
mod keys;
mod layers;
pub mod lock;
pub mod manifest;
mod mount_points;
mod output;
mod packages;
mod parallel;
mod persist;
mod plan;
mod preseed;
mod proposal;
mod prune;
mod python;
mod record;
mod repeat;
mod sandbox;
mod sbom;
mod scrub;
mod secrets;
mod services;
mod settle;
mod shares;
mod source;
mod split;
mod stage;
mod step;
mod stop;
mod suggest;
mod template;
mod trim;
mod trust;
mod unit;
mod wheels;
mod wire;

pub use builder::{Programs, Reach};
pub use cache::Cache;
pub use error::{BaseError, BuildError, ErrorClass, LockError, MarkMistake, ServiceError};
pub use event::{Event, Observer};
pub use explain::Reason;
pub use image::{BuildRequest, Built, BuiltLayer, build};
pub use output::{BuiltOutput, Output, Target};
pub use proposal::{Proposal, propose};
pub use prune::{KindUsage, Prune, Pruned, Usage};
pub use repeat::Finding;
pub use secrets::{SecretError, Secrets};
pub use suggest::{Environment, Suggestion, Suggestions, suggest};
