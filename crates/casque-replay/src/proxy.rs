//! The proxy itself: sockets, connections and TLS. It ends when it is stopped, and leaves no thread behind.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustls::{ServerConnection, StreamOwned};

use crate::authority::Authority;
use crate::message::{Head, Length, malformed, read_body, read_head, write_end, write_head, write_part};
use crate::names;
use crate::record::without_credentials;
use crate::tape::{Asked, Reply, Tape};

/// Where a name server is looked for. Resolvers know no other port.
const NAMES: u16 = 53;
/// A client that asked for a tunnel speaks first, or speaks something that nobody can record.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// What the proxy listens on, made in the network of those who ask it.
#[derive(Debug)]
pub struct Sockets {
    proxy: TcpListener,
    names: UdpSocket,
}

impl Sockets {
    /// Listens on the loopback of the network that the calling thread sees.
    ///
    /// # Errors
    /// The port, or that of name servers, is taken.
    pub fn listen(port: u16) -> io::Result<Self> {
        let here = Ipv4Addr::LOCALHOST;
        Ok(Self { proxy: TcpListener::bind((here, port))?, names: UdpSocket::bind((here, NAMES))? })
    }

    /// Listens on any ports, and returns the proxy's address.
    ///
    /// # Errors
    /// No more sockets.
    pub fn anywhere() -> io::Result<(Self, SocketAddr)> {
        let here = Ipv4Addr::LOCALHOST;
        let proxy = TcpListener::bind((here, 0))?;
        let address = proxy.local_addr()?;
        Ok((Self { proxy, names: UdpSocket::bind((here, 0))? }, address))
    }

    /// Returns where names are answered.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn names_address(&self) -> io::Result<SocketAddr> {
        self.names.local_addr()
    }
}

/// A proxy that runs; dropped, it ends.
#[derive(Debug)]
pub struct Proxy {
    /// Closed, it ends the threads.
    _running: UnixStream,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Serves `sockets` from `tape`.
    ///
    /// # Errors
    /// No more sockets or threads.
    pub fn start(sockets: Sockets, tape: Arc<Tape>, authority: Arc<Authority>) -> io::Result<Self> {
        let (running, stopped) = UnixStream::pair()?;
        let stopped_names = stopped.try_clone()?;
        let Sockets { proxy, names } = sockets;
        let tape_of_names = tape.clone();
        let threads = vec![
            thread::Builder::new()
                .name("proxy".to_owned())
                .spawn(move || accept(&proxy, &stopped, &tape, &authority))?,
            thread::Builder::new()
                .name("names".to_owned())
                .spawn(move || answer_names(&names, &stopped_names, &tape_of_names))?,
        ];
        Ok(Self { _running: running, threads })
    }

    /// Stops listening and waits until everybody has been answered.
    pub fn stop(self) {
        let Self { _running: running, threads } = self;
        drop(running);
        for thread in threads {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Waits until there is something to read; false when the proxy is stopped.
fn is_ready(socket: &impl AsFd, stopped: &UnixStream) -> bool {
    loop {
        let mut both = [PollFd::new(socket, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut both, None) {
            Ok(_) if !both[1].revents().is_empty() => return false,
            Ok(_) if !both[0].revents().is_empty() => return true,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn accept(listener: &TcpListener, stopped: &UnixStream, tape: &Arc<Tape>, authority: &Arc<Authority>) {
    thread::scope(|scope| {
        while is_ready(listener, stopped) {
            // One that hung up before it was accepted.
            let Ok((stream, _)) = listener.accept() else { continue };
            scope.spawn(move || {
                // Whoever asked sees the connection close, and says so better than we could.
                let _ = serve(stream, tape, authority);
            });
        }
    });
}

fn answer_names(socket: &UdpSocket, stopped: &UnixStream, tape: &Tape) {
    let mut datagram = [0; 1500];
    while is_ready(socket, stopped) {
        let Ok((length, from)) = socket.recv_from(&mut datagram) else { continue };
        let Some(question) = names::question(&datagram[..length]) else { continue };
        if let Some(host) = question.host {
            tape.asked_for_name(host);
        }
        let _ = socket.send_to(&question.answer, from);
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One client's connection, or the inside of its tunnel.
struct Connection<'a> {
    stream: BufReader<Box<dyn Stream + 'a>>,
    tape: &'a Tape,
    /// What addresses in a tunnel begin with.
    base: Option<String>,
}

/// Serves a client until it hangs up.
fn serve(stream: TcpStream, tape: &Tape, authority: &Authority) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let boxed: Box<dyn Stream> = Box::new(stream.try_clone()?);
    let mut connection = Connection { stream: BufReader::new(boxed), tape, base: None };
    let Some(host) = connection.serve()? else { return Ok(()) };
    write_head(&mut writer, 200, &BTreeMap::new(), Length::None, true)?;
    // A client waits for this before it speaks, so nothing of the tunnel has been read.
    drop(connection);
    tunnel(&host, stream, tape, authority)
}

/// Speaks with a client as `host`, which is `NAME:PORT`.
fn tunnel(host: &str, stream: TcpStream, tape: &Tape, authority: &Authority) -> io::Result<()> {
    let host = host.rsplit('@').next().unwrap_or(host);
    let (name, port) = host.rsplit_once(':').ok_or_else(|| malformed("a tunnel to nowhere"))?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    stream.set_read_timeout(Some(FIRST_WORD))?;
    let first = match peek(&stream) {
        Ok(None) => return Ok(()),
        Ok(Some(first)) => first,
        Err(_) => {
            tape.refuse(format!("{host}, which is not asked by HTTP"));
            return Ok(());
        }
    };
    stream.set_read_timeout(None)?;
    // The first byte of a TLS record that shakes hands; a method of HTTP is of capital letters.
    let (scheme, default, stream): (_, _, Box<dyn Stream>) = match first {
        0x16 => {
            let config = authority.of(name).map_err(io::Error::other)?;
            let tls = ServerConnection::new(config).map_err(io::Error::other)?;
            ("https", "443", Box::new(StreamOwned::new(tls, stream)))
        }
        b'A'..=b'Z' => ("http", "80", Box::new(stream)),
        _ => {
            tape.refuse(format!("{host}, which is not asked by HTTP"));
            return Ok(());
        }
    };
    let port = if port == default { String::new() } else { format!(":{port}") };
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let base = Some(format!("{scheme}://{name}{port}"));
    let mut connection = Connection { stream: BufReader::new(stream), tape, base };
    connection.serve().map(drop)
}

fn peek(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut first = [0];
    loop {
        match stream.peek(&mut first) {
            Ok(length) => return Ok((length > 0).then_some(first[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Connection<'_> {
    /// Answers requests until there are no more, or one is for a tunnel: returns where to.
    fn serve(&mut self) -> io::Result<Option<String>> {
        loop {
            let Some(head) = read_head(&mut self.stream)? else { return Ok(None) };
            if head.method == "CONNECT" && self.base.is_none() {
                return Ok(Some(head.target));
            }
            if head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
                write_head(self.stream.get_mut(), 100, &BTreeMap::new(), Length::None, true)?;
            }
            let body = read_body(&head, &mut self.stream)?;
            let Some(url) = self.address(&head) else {
                let target = without_credentials(&head.target);
                self.tape.refuse(format!("{} {target}, which is not asked by HTTP", head.method));
                write_head(self.stream.get_mut(), 400, &BTreeMap::new(), Length::Known(0), false)?;
                return Ok(None);
            };
            let keep = head.keeps_connection();
            let mut reply = Written { to: self.stream.get_mut(), head: &head, length: Length::None, keep };
            let asked = Asked { method: head.method.clone(), url, headers: head.headers.clone(), body };
            self.tape.answer(&asked, &mut reply)?;
            // Without a length the end of the connection is the end of the body.
            if !keep || reply.length == Length::UntilClosed {
                return Ok(None);
            }
            if self.stream.buffer().is_empty() && self.stream.fill_buf()?.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Returns the whole address, without credentials and without what is for the client alone.
    fn address(&self, head: &Head) -> Option<String> {
        let target = without_credentials(head.target.split('#').next().unwrap_or_default());
        let target = target.as_str();
        if let Some(base) = &self.base {
            // A client may name the host once more.
            let path = target.strip_prefix(base.as_str()).unwrap_or(target);
            return path.starts_with('/').then(|| format!("{base}{path}"));
        }
        let rest = target.strip_prefix("http://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = authority.to_ascii_lowercase();
        let host = host.strip_suffix(":80").unwrap_or(&host);
        let slash = if path.starts_with('/') { "" } else { "/" };
        (!host.is_empty()).then(|| format!("http://{host}{slash}{path}"))
    }
}

/// An answer on its way to a client.
struct Written<'a> {
    to: &'a mut dyn Write,
    head: &'a Head,
    length: Length,
    keep: bool,
}

impl Reply for Written<'_> {
    fn begin(
        &mut self,
        status: u16,
        headers: &BTreeMap<String, String>,
        length: Option<u64>,
    ) -> io::Result<()> {
        self.length = match length {
            _ if self.head.method == "HEAD" || status == 204 || status == 304 => Length::None,
            Some(length) => Length::Known(length),
            None if self.head.modern => Length::Chunked,
            None => Length::UntilClosed,
        };
        let keep = self.keep && self.length != Length::UntilClosed;
        write_head(self.to, status, headers, self.length, keep)
    }

    fn part(&mut self, part: &[u8]) -> io::Result<()> {
        write_part(self.to, self.length, part)
    }

    fn end(&mut self) -> io::Result<()> {
        write_end(self.to, self.length)
    }
}
