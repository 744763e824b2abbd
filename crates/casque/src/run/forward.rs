//! Published ports: connections to the host are carried into the container's network.
//!
//! Inside they come from the loopback address, whoever connected: this is a way to try an image, and
//! an engine's way, which keeps the address, needs the host's firewall.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use casque_sandbox::ContainerNetwork;

use super::error::RunError;
use super::publish::Listening;

/// Connections carried at the same time; more wait in the listener's queue. Each takes two
/// descriptors, and a program may usually have 1024.
const CONNECTIONS: usize = 400;

/// Enough for a thread that only copies.
const STACK: usize = 128 * 1024;

/// How long a program inside may take to accept.
const PATIENCE: Duration = Duration::from_secs(10);

/// Carries connections until the program ends.
pub(crate) fn forward(ports: Vec<Listening>, network: ContainerNetwork) -> Result<(), RunError> {
    let network = Arc::new(network);
    let slots = Arc::new(Slots::new(CONNECTIONS));
    for port in ports {
        let (network, slots) = (Arc::clone(&network), Arc::clone(&slots));
        let accept = move || accept(&port, &network, &slots);
        let thread = thread::Builder::new().name("forward".to_owned()).stack_size(STACK);
        thread.spawn(accept).map_err(RunError::File)?;
    }
    Ok(())
}

fn accept(port: &Listening, network: &Arc<ContainerNetwork>, slots: &Arc<Slots>) {
    loop {
        let slot = Slots::take(slots);
        // What can go wrong here is that a client gave up before it was accepted.
        let Ok((client, _)) = port.listener.accept() else { continue };
        let (network, container) = (Arc::clone(network), port.publish.container);
        let carry = move || {
            // The client sees its connection closed when this does not work.
            let _ = carry(&client, container, &network);
            drop(slot);
        };
        // No thread to be had: the connection and its slot are dropped with the closure.
        let _ = thread::Builder::new().stack_size(STACK).spawn(carry);
    }
}

fn carry(client: &TcpStream, port: u16, network: &ContainerNetwork) -> io::Result<()> {
    network.enter().map_err(io::Error::other)?;
    let server = connect(port)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    thread::scope(|scope| {
        let back = thread::Builder::new().stack_size(STACK);
        back.spawn_scoped(scope, || copy(&server, client))?;
        copy(client, &server);
        Ok(())
    })
}

/// Connects to a program in the network of this thread, which may listen on either family.
fn connect(port: u16) -> io::Result<TcpStream> {
    let to = |address: IpAddr| TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE);
    to(Ipv4Addr::LOCALHOST.into()).or_else(|_| to(Ipv6Addr::LOCALHOST.into()))
}

/// Copies one direction to its end, which the other side is told; the other direction goes on.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    match io::copy(&mut from, &mut to) {
        Ok(_) => {
            let _ = to.shutdown(Shutdown::Write);
        }
        // One side is gone: so is the connection, in both directions.
        Err(_) => {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        }
    }
}

/// A number of connections that may not be exceeded.
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One of them, given back when dropped.
struct Slot(Arc<Slots>);

impl Slots {
    fn new(number: usize) -> Self {
        Self { free: Mutex::new(number), freed: Condvar::new() }
    }

    /// Waits for a free one.
    fn take(slots: &Arc<Self>) -> Slot {
        let mut free = slots.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = slots.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        drop(free);
        Slot(Arc::clone(slots))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
