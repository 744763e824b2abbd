//! Writes down who did what, on a thread of its own, so that nobody waits for it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::error::DepotError;
use crate::records::{Entry, Records, audit};

/// Entries that wait to be written; whoever has one more waits for the disk.
const WAITING: usize = 10_000;

/// Takes entries.
#[derive(Debug, Clone)]
pub struct Audit(SyncSender<Entry>);

/// The thread that writes them. It ends when nobody can give it any more.
pub struct Writer(JoinHandle<()>);

impl Audit {
    /// Starts the thread.
    pub fn start(records: &Records) -> Result<(Self, Writer), DepotError> {
        let connection = records.again()?;
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || write(connection, &receiver)).map_err(DepotError::File)?;
        Ok((Self(sender), Writer(thread)))
    }

    /// Has an entry written.
    pub fn note(&self, entry: Entry) {
        if let Err(error) = self.0.try_send(entry) {
            tracing::error!(%error, "cannot write down what was done");
        }
    }
}

impl Writer {
    /// Waits until everything is written.
    pub fn finish(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread that writes down what was done panicked");
        }
    }
}

fn write(mut connection: Connection, receiver: &Receiver<Entry>) {
    while let Ok(first) = receiver.recv() {
        let mut entries = vec![first];
        entries.extend(receiver.try_iter().take(WAITING));
        if let Err(error) = audit::write(&mut connection, &entries) {
            let entries = entries.len();
            tracing::error!(
                entries,
                error = error.text("cannot write").replace('\n', " "),
                "what was done is lost"
            );
        }
    }
}
