//! A connection to the receiver, and how much of what was written to it the other end's kernel has.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use casque_format::settings::SYSLOG_AUTHORITY;
use casque_format::syslog::{Position, Receiver, Transport};
use rustix::net::sockopt;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::flight::Flight;
use crate::names;
use crate::root::Root;
use crate::sys;
use crate::tls::client::{self, Trust};

const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// Whoever accepts in the place of a receiver that is not there, such as a balancer, hangs up soon.
const PROBE: Duration = Duration::from_millis(250);
/// The kernel takes a whole batch at once, so that an agent that is killed has sent all of it or nothing.
const SEND_BUFFER: u32 = 256 * 1024;
/// A silent connection whose other end is gone is noticed after about two minutes.
const IDLE: Duration = Duration::from_secs(60);
/// Datagrams in a row, and the rest after them: receivers have room for a few hundred and say nothing when it is used up.
const BURST: usize = 16;
const REST: Duration = Duration::from_millis(5);

/// A connection.
pub struct Link {
    wire: Wire,
    written: Rc<Written>,
}

/// Octets of a connection.
#[derive(Default)]
struct Written {
    /// So many are to be written in all.
    accepted: Cell<u64>,
    /// So many of these our kernel took.
    taken: Cell<u64>,
}

impl Written {
    fn add(count: &Cell<u64>, octets: usize) {
        count.set(count.get() + octets as u64);
    }
}

enum Wire {
    Tcp { stream: Counted, socket: OwnedFd },
    Tls { stream: Box<TlsStream<Counted>>, socket: OwnedFd },
    Udp { socket: UdpSocket, proven: bool },
}

impl Link {
    /// Connects to the first address of the receiver that answers.
    ///
    /// # Errors
    /// Why it does not, in words for the log.
    pub async fn open(root: &Root, receiver: &Receiver) -> io::Result<Self> {
        let tls = match receiver.transport {
            Transport::Tls => Some(connector(root, receiver)?),
            Transport::Tcp | Transport::Udp => None,
        };
        let mut last = io::Error::other(format!("`{}` has no address", receiver.host));
        for address in names::addresses(&receiver.host, receiver.port).await? {
            let tried = match &tls {
                None if receiver.transport == Transport::Udp => Self::udp(address).await,
                None => Self::tcp(address).await,
                Some(tls) => Self::tls(address, tls.clone()).await,
            };
            match tried {
                Ok(link) => return Ok(link),
                Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
            }
        }
        Err(last)
    }

    async fn udp(address: SocketAddr) -> io::Result<Self> {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).await?;
        // Connected, so that the kernel says when the other end refuses.
        socket.connect(address).await?;
        Ok(Self { wire: Wire::Udp { socket, proven: false }, written: Rc::default() })
    }

    async fn tcp(address: SocketAddr) -> io::Result<Self> {
        let (mut stream, socket, written) = connect(address).await?;
        let mut byte = [0];
        match timeout(PROBE, stream.read(&mut byte)).await {
            Ok(Ok(0)) => return Err(io::Error::other("it hung up at once")),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) | Err(_) => {}
        }
        Ok(Self { wire: Wire::Tcp { stream, socket }, written })
    }

    async fn tls(address: SocketAddr, (tls, name): (TlsConnector, ServerName<'static>)) -> io::Result<Self> {
        let (stream, socket, written) = connect(address).await?;
        let stream = timeout(LONGEST_CONNECT, tls.connect(name, stream)).await.map_err(|_| slow())??;
        Ok(Self { wire: Wire::Tls { stream: Box::new(stream), socket }, written })
    }

    /// Writes messages, each with the place in the buffer after it, and adds them to what is in flight; calls `announce`
    /// right before the kernel gets them.
    ///
    /// # Errors
    /// The connection is of no use any more; [`Self::taken`] still answers.
    pub async fn send(
        &mut self,
        messages: &[(Vec<u8>, Position)],
        flight: &mut Flight,
        announce: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        match &mut self.wire {
            Wire::Tcp { stream, socket: _ } => {
                hand_over(stream, &self.written, messages, flight, announce).await
            }
            Wire::Tls { stream, socket: _ } => {
                hand_over(stream, &self.written, messages, flight, announce).await
            }
            Wire::Udp { socket, proven } => {
                announce()?;
                for (count, (message, after)) in messages.iter().enumerate() {
                    if count % BURST == BURST - 1 {
                        sleep(REST).await;
                    }
                    socket.send(message).await?;
                    if !*proven {
                        // As long as nothing else was sent, a refusal is of this one.
                        refusal(socket).await?;
                        *proven = true;
                    }
                    Written::add(&self.written.taken, message.len());
                    flight.push(self.written.taken.get(), *after);
                }
                Ok(())
            }
        }
    }

    /// Returns how many octets the other end's kernel has; of datagrams, how many were sent. True after an error, too.
    pub fn taken(&self) -> io::Result<u64> {
        let socket = match &self.wire {
            Wire::Tcp { socket, .. } | Wire::Tls { socket, .. } => socket,
            Wire::Udp { .. } => return Ok(self.written.taken.get()),
        };
        Ok(self.written.taken.get().saturating_sub(sys::not_acknowledged(socket)?))
    }

    /// Waits until the other end hangs up, and returns why.
    pub async fn ended(&mut self) -> io::Error {
        let mut buffer = [0; 1024];
        loop {
            let read = match &mut self.wire {
                Wire::Tcp { stream, .. } => stream.read(&mut buffer).await,
                Wire::Tls { stream, .. } => stream.read(&mut buffer).await,
                // A refusal; datagrams that come back are nobody's.
                Wire::Udp { socket, .. } => socket.recv(&mut buffer).await.map(|got| got.max(1)),
            };
            match read {
                Ok(0) => return io::Error::new(ErrorKind::ConnectionAborted, "it closed the connection"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }
}

/// Writes messages all at once: what of it the kernel has when the agent is killed should be all or nothing.
async fn hand_over(
    stream: &mut (impl AsyncWrite + Unpin),
    written: &Written,
    messages: &[(Vec<u8>, Position)],
    flight: &mut Flight,
    announce: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    for (message, after) in messages {
        stream.write_all(message).await?;
        // What encryption adds is known only now.
        flight.push(written.accepted.get(), *after);
    }
    announce()?;
    stream.flush().await
}

/// Waits a moment for the answer that nobody is there.
async fn refusal(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 1];
    match timeout(PROBE, socket.recv(&mut buffer)).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

async fn connect(address: SocketAddr) -> io::Result<(Counted, OwnedFd, Rc<Written>)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_keepalive(true)?;
    sockopt::set_tcp_keepidle(&socket, IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, IDLE / 4)?;
    sockopt::set_tcp_keepcnt(&socket, 4)?;
    let stream = timeout(LONGEST_CONNECT, socket.connect(address)).await.map_err(|_| slow())??;
    // A batch is whole; there is nothing to wait for.
    stream.set_nodelay(true)?;
    let socket = stream.as_fd().try_clone_to_owned()?;
    let written = Rc::new(Written::default());
    Ok((Counted { stream, written: Rc::clone(&written), held: Vec::new() }, socket, written))
}

fn slow() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", LONGEST_CONNECT.as_secs()))
}

fn connector(root: &Root, receiver: &Receiver) -> io::Result<(TlsConnector, ServerName<'static>)> {
    let trust = match &receiver.authority {
        Some(authority) => Trust::Text { pem: authority.clone(), origin: SYSLOG_AUTHORITY.to_owned() },
        None => Trust::File(root.join(&receiver.trusted)),
    };
    Ok((client::connector(&trust)?, client::name(&receiver.host)?))
}

/// A stream that writes when it is flushed, and counts what it wrote.
struct Counted {
    stream: TcpStream,
    written: Rc<Written>,
    /// At most a batch.
    held: Vec<u8>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(bytes);
        Written::add(&self.written.accepted, bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, written, held } = self.get_mut();
        while !held.is_empty() {
            let count = ready!(Pin::new(&mut *stream).poll_write(context, held))?;
            Written::add(&written.taken, count);
            held.drain(..count);
        }
        Pin::new(stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
