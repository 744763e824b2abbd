//! The body of a download: a part of a file, read as the client takes it.
//!
//! What the kernel has in memory is read at once; only what has to come from the disk goes to a thread that may wait.

use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use crate::audit::Audit;
use crate::metrics::Metrics;
use crate::records::Entry;

/// Bytes read at a time. Each download holds one such piece, and one more on its way out.
const PIECE: usize = 32 << 10;

/// A part of a file.
pub struct FileBody {
    file: Arc<std::fs::File>,
    offset: u64,
    left: u64,
    buffer: BytesMut,
    waiting: Option<JoinHandle<io::Result<Bytes>>>,
    /// Writes down how it ended, whenever that is.
    pub(crate) ending: Ending,
}

/// What is written down when a download ends.
pub(crate) struct Ending {
    pub(crate) entry: Option<Entry>,
    pub(crate) sent: u64,
    pub(crate) length: u64,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
}

impl FileBody {
    pub(crate) fn new(file: std::fs::File, start: u64, length: u64, ending: Ending) -> Self {
        let file = Arc::new(file);
        Self { file, offset: start, left: length, buffer: BytesMut::new(), waiting: None, ending }
    }

    fn length_of_next(&self) -> usize {
        usize::try_from(self.left).unwrap_or(PIECE).min(PIECE)
    }

    /// Reads what is in memory; none when nothing is.
    fn read_now(&mut self) -> io::Result<Option<Bytes>> {
        let length = self.length_of_next();
        self.buffer.resize(length, 0);
        let read = preadv2(
            &*self.file,
            &mut [IoSliceMut::new(&mut self.buffer)],
            self.offset,
            ReadWriteFlags::NOWAIT,
        );
        match read {
            Ok(0) => Err(cut_short()),
            Ok(count) => {
                let piece = self.buffer.split_to(count).freeze();
                self.buffer.clear();
                Ok(Some(piece))
            }
            // Not in memory, or a file system or kernel that cannot say.
            Err(
                rustix::io::Errno::AGAIN
                | rustix::io::Errno::OPNOTSUPP
                | rustix::io::Errno::NOSYS
                | rustix::io::Errno::INVAL,
            ) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read_later(&self) -> JoinHandle<io::Result<Bytes>> {
        let (file, offset, length) = (Arc::clone(&self.file), self.offset, self.length_of_next());
        tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; length];
            match file.read_at(&mut buffer, offset)? {
                0 => Err(cut_short()),
                count => {
                    buffer.truncate(count);
                    Ok(Bytes::from(buffer))
                }
            }
        })
    }
}

/// The client hears of it by a connection that ends too early.
fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the stored file is shorter than its record says")
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match &mut self.waiting {
            Some(waiting) => {
                let read = ready!(Pin::new(waiting).poll(cx));
                self.waiting = None;
                read.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            None => match self.read_now() {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => {
                    self.waiting = Some(self.read_later());
                    return self.poll_frame(cx);
                }
                Err(error) => Err(error),
            },
        };
        match piece {
            Ok(piece) => {
                let count = piece.len() as u64;
                self.offset += count;
                self.left -= count;
                self.ending.sent += count;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Err(error) => {
                tracing::error!(%error, "cannot read a stored file");
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let complete = self.sent == self.length;
        self.metrics.bytes_sent.fetch_add(self.sent, Ordering::Relaxed);
        if complete {
            self.metrics.downloads_complete.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(entry) = self.entry.take() {
            self.audit.note(Entry { bytes: self.sent, complete, ..entry });
        }
    }
}
