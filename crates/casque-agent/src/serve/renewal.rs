//! Notices that certificates in the volume were replaced, and has PID 1 take them over.
//!
//! Asked again and again rather than told by the kernel: a network file system says nothing, and orchestrators replace
//! links to whole directories. Services read certificates once, so a look now and then is soon enough.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use casque_format::control::{Reply, Request};
use casque_format::paths;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::root::Root;
use crate::ui;

const INTERVAL: Duration = Duration::from_secs(5);
/// Between tries to have PID 1 take over what it refuses, at most.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A file as it was: path, device, inode, size and time of its last change.
type Seen = (PathBuf, u64, u64, u64, i64, i64);

/// Asks PID 1 to reload after each change that has come to rest: a certificate and its key are two files.
pub async fn follow(root: Root) {
    let mut taken = look(&root).await;
    let mut before = taken.clone();
    let mut wait = INTERVAL;
    loop {
        tokio::time::sleep(wait).await;
        let now = look(&root).await;
        if now != taken && now == before {
            match reload(&root).await {
                Ok(()) => (taken, wait) = (now.clone(), INTERVAL),
                // Such as a reload that is under way, or a check that says no.
                Err(error) => {
                    ui::warning(&format!("changed certificates are not taken over yet: {error}"));
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        } else {
            wait = INTERVAL;
        }
        before = now;
    }
}

/// A file system that does not answer holds up nothing but this.
async fn look(root: &Root) -> Vec<Seen> {
    let root = root.clone();
    tokio::task::spawn_blocking(move || seen(&root)).await.unwrap_or_default()
}

fn seen(root: &Root) -> Vec<Seen> {
    let mut files = vec![root.join(paths::TLS_CERTIFICATE), root.join(paths::TLS_KEY)];
    let authorities = fs_err::read_dir(root.join(paths::AUTHORITIES)).into_iter().flatten();
    files.extend(authorities.filter_map(|entry| Some(entry.ok()?.path())));
    files.sort();
    files.into_iter().filter_map(facts).collect()
}

fn facts(path: PathBuf) -> Option<Seen> {
    let there = fs_err::metadata(Path::new(&path)).ok()?;
    Some((path, there.dev(), there.ino(), there.size(), there.ctime(), there.ctime_nsec()))
}

async fn reload(root: &Root) -> io::Result<()> {
    let mut stream = UnixStream::connect(root.join(paths::CONTROL_SOCKET)).await?;
    let mut request = serde_json::to_vec(&Request::Reload)?;
    request.push(b'\n');
    stream.write_all(&request).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    match serde_json::from_str(&line)? {
        Reply::Error { message } => {
            Err(io::Error::other(message.lines().next().unwrap_or_default().to_owned()))
        }
        _ => Ok(()),
    }
}
