//! Follows PID 1's state over its control socket, and says so when it cannot.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use casque_format::control::{Overall, Reply, Request, Snapshot};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// Longest line that is read; a snapshot of a thousand services is far shorter.
const LONGEST_LINE: u64 = 4 << 20;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What is known of the container.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest snapshot and when it came.
    pub snapshot: Option<(Snapshot, Instant)>,
    /// PID 1 answers, so the snapshot is true now.
    pub connected: bool,
}

impl View {
    /// Returns the state to show: what PID 1 no longer confirms is not called ready.
    pub fn state(&self) -> Overall {
        match &self.snapshot {
            None => Overall::Starting,
            Some((snapshot, _)) if self.connected => snapshot.state,
            Some((snapshot, _)) if snapshot.state == Overall::Stopping => Overall::Stopping,
            Some(_) => Overall::Degraded,
        }
    }

    /// Says whether the front serves the exposed ports.
    pub fn front_ready(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|(snapshot, _)| snapshot.front_ready)
    }
}

/// Starts following `socket`; the receiver always holds the newest view.
pub fn follow(socket: PathBuf) -> watch::Receiver<View> {
    let (sender, receiver) = watch::channel(View::default());
    tokio::task::spawn_local(async move {
        let mut wait = FIRST_WAIT;
        loop {
            // The stream ends for whatever reason: the reason changes nothing about what to do.
            let _ = read_stream(&socket, &sender).await;
            if sender.borrow().connected {
                wait = FIRST_WAIT;
            }
            sender.send_if_modified(|view| std::mem::replace(&mut view.connected, false));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    });
    receiver
}

async fn read_stream(socket: &Path, sender: &watch::Sender<View>) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut request = serde_json::to_vec(&Request::Watch)?;
    request.push(b'\n');
    stream.write_all(&request).await?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        (&mut reader).take(LONGEST_LINE).read_line(&mut line).await?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Reply::Status { snapshot } = serde_json::from_str(&line)? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        sender.send_replace(View { snapshot: Some((snapshot, Instant::now())), connected: true });
    }
}
