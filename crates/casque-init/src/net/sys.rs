//! Socket calls that the standard library does not make: options before `bind`, `connect` that
//! does not wait.
#![expect(unsafe_code, reason = "the standard library has no non-blocking connect")]

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::ready::Target;
use crate::sys::check;

/// The kernel lowers it to net.core.somaxconn.
const BACKLOG: libc::c_int = 4096;

/// An address as the kernel takes it.
struct Address {
    storage: libc::sockaddr_storage,
    length: usize,
    family: libc::c_int,
}

impl Address {
    fn ip(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self::new(
                libc::AF_INET,
                libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                    sin_zero: [0; 8],
                },
                size_of::<libc::sockaddr_in>(),
            ),
            SocketAddr::V6(address) => Self::new(
                libc::AF_INET6,
                libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                },
                size_of::<libc::sockaddr_in6>(),
            ),
        }
    }

    fn unix(path: &Path) -> Self {
        // SAFETY: sockaddr_un is plain data, for which zeros are valid.
        let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let bytes = path.as_os_str().as_bytes();
        // The plan's check leaves room for the final NUL; `zip` keeps inside whatever comes.
        let room = address.sun_path.len() - 1;
        for (place, byte) in address.sun_path[..room].iter_mut().zip(bytes) {
            *place = byte.cast_signed();
        }
        Self::new(libc::AF_UNIX, address, size_of::<libc::sockaddr_un>())
    }

    fn new<T: Copy>(family: libc::c_int, address: T, length: usize) -> Self {
        debug_assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>());
        // SAFETY: sockaddr_storage is plain data at least as large and as aligned as any address.
        let storage = unsafe {
            let mut storage: libc::sockaddr_storage = mem::zeroed();
            (&raw mut storage).cast::<T>().write(address);
            storage
        };
        Self { storage, length, family }
    }

    fn socket(&self) -> io::Result<OwnedFd> {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: plain numbers; the new descriptor is ours.
        unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(self.family, kind, 0))?)) }
    }

    fn pointer(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        ((&raw const self.storage).cast(), self.length as libc::socklen_t)
    }
}

/// Opens a listening socket.
pub(super) fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let address = Address::ip(address);
    let socket = address.socket()?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    let (pointer, length) = address.pointer();
    // SAFETY: `pointer` is valid for `length` bytes while `address` lives.
    unsafe {
        check(libc::bind(socket.as_raw_fd(), pointer, length))?;
        check(libc::listen(socket.as_raw_fd(), BACKLOG))?;
    }
    Ok(socket)
}

fn set_option(socket: &OwnedFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the value is an int, as the option wants, and lives through the call.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size) })
        .map(drop)
}

/// Begins to connect; whether it worked is told by [`connect_result`] once the socket is writable.
pub(crate) fn connect(target: &Target) -> io::Result<OwnedFd> {
    let address = match target {
        Target::Tcp(address) => Address::ip(*address),
        Target::Unix(path) => Address::unix(path),
    };
    let socket = address.socket()?;
    let (pointer, length) = address.pointer();
    // SAFETY: `pointer` is valid for `length` bytes while `address` lives.
    match check(unsafe { libc::connect(socket.as_raw_fd(), pointer, length) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Returns how a connection attempt ended.
pub(crate) fn connect_result(socket: &impl AsRawFd) -> io::Result<()> {
    let mut error: libc::c_int = 0;
    let mut size = size_of_val(&error) as libc::socklen_t;
    let fd = socket.as_raw_fd();
    // SAFETY: SO_ERROR writes one int, and `error` is one.
    check(unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut size)
    })?;
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Returns the user at the other end, as of when it connected.
pub(crate) fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of_val(&peer) as libc::socklen_t;
    let fd = stream.as_raw_fd();
    // SAFETY: SO_PEERCRED writes one ucred, and `peer` is one.
    check(unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut size)
    })?;
    Ok(peer.uid)
}
