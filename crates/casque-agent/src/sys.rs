//! What nothing else wraps: the listening sockets that PID 1 opened, and what a connection still has to send.
#![expect(
    unsafe_code,
    reason = "an inherited descriptor has no owner the compiler knows, nor an ioctl a type"
)]

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::ioctl::{Getter, Opcode, ioctl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const FIRST: RawFd = 3;

/// Returns the `count` sockets from descriptor 3 on, closed on exec.
///
/// Called once, before anything else opens a descriptor.
pub fn inherited_listeners(count: u32) -> io::Result<Vec<TcpListener>> {
    let count = RawFd::try_from(count).unwrap_or(RawFd::MAX - FIRST);
    (FIRST..FIRST + count)
        .map(|number| {
            // SAFETY: the descriptor is only looked at, and one that is not open answers EBADF.
            let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
            fcntl_getfd(borrowed)?;
            fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
            // SAFETY: it is open, PID 1 handed it to this process, and each number is taken once.
            Ok(TcpListener::from(unsafe { OwnedFd::from_raw_fd(number) }))
        })
        .collect()
}

/// `SIOCOUTQ` of tcp(7).
const OUTQ: Opcode = 0x5411;

/// Returns how many octets of a TCP connection were written and not acknowledged by the other end; after an error, how
/// many that were in the end.
pub fn not_acknowledged(socket: impl AsFd) -> io::Result<u64> {
    // SAFETY: the kernel writes one `int` for this number, and nothing else happens.
    let octets: i32 = unsafe { ioctl(socket, Getter::<OUTQ, i32>::new()) }?;
    Ok(u64::try_from(octets).unwrap_or(0))
}

/// Has the runtime say when there is something to read from a descriptor.
pub fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` answers with the same open descriptor for as long as it lives, and it lives in what is returned.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(Into::into)
}
