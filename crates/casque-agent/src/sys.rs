//! Takes over the listening sockets that PID 1 opened.
#![expect(unsafe_code, reason = "a descriptor that was inherited has no owner the compiler could know")]

use std::io;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

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
