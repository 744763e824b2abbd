//! A connection that is given up when the other side takes nothing for too long. How long a transfer takes is nobody's limit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that the kernel holds unsent for one connection. More would be memory for nothing, and half of it is what a slow line has
/// to take within the time that a transfer may stand still. With less the sender of a fast line wakes up more often.
const UNSENT: u32 = 512 << 10;

/// Such a connection.
pub(crate) struct Line<S> {
    inner: S,
    idle: Duration,
    /// When it is given up; only while something waits to be written.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Sets what every connection has.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_keepalive(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

impl<S> Line<S> {
    pub(crate) fn new(inner: S, idle: Duration) -> Self {
        Self { inner, idle, deadline: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let idle = self.idle;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn a_line_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (ours, mut theirs) = duplex(10);
        let mut line = Line::new(ours, Duration::from_millis(50));
        let writing = tokio::spawn(async move {
            line.write_all(&[0; 30]).await.unwrap();
            // Nobody reads what comes now.
            line.write_all(&[0; 100]).await.unwrap_err().kind()
        });
        theirs.read_exact(&mut [0; 30]).await.unwrap();
        assert_eq!(writing.await.unwrap(), io::ErrorKind::TimedOut);
    }
}
