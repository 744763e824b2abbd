//! Runs programs in namespaces of their own; the only system-call layer of the vendor's side.
//!
//! It knows directories, mounts and processes, and nothing of manifests, images or Debian.
//!
//! | item | for |
//! | --- | --- |
//! | [`become_root`], [`subids`] | an ordinary user as root of a user namespace |
//! | [`Sandbox::try_in`], [`FileSystem`] | whether all this works here, and why not |
//! | [`private_mounts`], [`overlay`], [`memory`], [`Mounted`] | mounts that vanish with the process that made them |
//! | [`Spec`], [`Sandbox`], [`Running`] | a command as the first process of a container |
//! | [`Join`], [`Sandbox::join`] | one more command inside a container that runs |
//! | [`ContainerNetwork`] | sockets inside a container's network |
//! | [`ProcessHandle`], [`FileLock`], [`Signals`], [`Watch`], [`daemon`] | what a program that supervises a container needs |
//! | [`helper_main`] | the other side of [`Sandbox`], called by `main` |
//!
//! # How a command gets into its namespaces
//!
//! Entering a PID namespace takes a fork, and a program with threads cannot do much between fork and
//! exec. So the program executes itself with one hidden argument; this *helper* has one thread,
//! reads the [`Spec`] from a socket, makes the namespaces and forks the *first process*, which
//! mounts its file system and executes the command. The helper stays: it waits for the first
//! process, passes signals on, and answers over the socket.
//!
//! Nothing outlives the program. When it dies, however suddenly, the socket closes and the helper
//! kills the first process; when the helper dies the kernel does the same; and when the first
//! process of a PID namespace dies the kernel kills everything in it.

pub mod daemon;
mod error;
mod filesystem;
mod first;
mod helper;
mod lock;
mod mounts;
mod netns;
mod process;
mod protocol;
mod reaper;
mod root;
mod running;
mod signals;
mod spec;
pub mod subids;
mod sys;
mod trial;
mod user;
mod watch;

pub use error::{Error, Failure};
pub use filesystem::FileSystem;
pub use helper::helper_main;
pub use lock::FileLock;
pub use mounts::{Lower, Mounted, Overlay, Upper, memory, overlay, private_mounts};
pub use netns::ContainerNetwork;
pub use process::{ProcessHandle, start_time};
pub use protocol::Exit;
pub use running::{Helper, Running, Sandbox, Signaller, Streams};
pub use signals::Signals;
pub use spec::{Bind, FirstProcess, Identity, Join, Network, Privileges, Session, Spec, Tmpfs};
pub use trial::{Place, Refusal};
pub use user::{
    become_root, find_program, has_capabilities, in_user_namespace, is_root, numbers, user_number,
    usual_umask,
};
pub use watch::{News, Watch};
