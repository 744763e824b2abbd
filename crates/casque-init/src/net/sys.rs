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

/// Opens a socket for notifications, at an address that the kernel chooses; returns it with that address, as it is
/// written in a variable.
pub(crate) fn notify_socket() -> io::Result<(OwnedFd, String)> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the descriptor is new and ours; the addresses are as long as they are said to be and live through the calls.
    unsafe {
        let socket = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?);
        set_option(&socket, libc::SOL_SOCKET, libc::SO_PASSCRED)?;
        let mut address: libc::sockaddr_un = mem::zeroed();
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        // The family alone asks for a name that nobody has, in no directory.
        let family = size_of::<libc::sa_family_t>() as libc::socklen_t;
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), family))?;
        let mut size = size_of_val(&address) as libc::socklen_t;
        check(libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut size))?;
        let length = (size - family) as usize;
        let name = address.sun_path[1..length.clamp(1, address.sun_path.len())].iter();
        let name: String = name.map(|byte| char::from(byte.cast_unsigned())).collect();
        Ok((socket, format!("@{name}")))
    }
}

/// Reads one datagram and who sent it. Descriptors that came with it are closed by the kernel, for there is no room for
/// them; `systemd-notify` waits for that.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Option<(usize, libc::ucred)> {
    // Aligned for the header, and large enough for one `ucred`.
    let mut control = [0_u64; 4];
    // SAFETY: every pointer is to something that lives through the call and is as long as is said; the kernel writes whole
    // control messages, and the first is looked at only when it is there and of the right kind.
    unsafe {
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let length = usize::try_from(libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags)).ok()?;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let nobody = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
        if header.is_null()
            || (*header).cmsg_level != libc::SOL_SOCKET
            || (*header).cmsg_type != libc::SCM_CREDENTIALS
        {
            return Some((length, nobody));
        }
        Some((length, libc::CMSG_DATA(header).cast::<libc::ucred>().read_unaligned()))
    }
}
