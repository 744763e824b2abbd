//! What services say of themselves: one socket for all, and the kernel says who spoke.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::Engine;
use crate::net;
use crate::notify::Notification;
use crate::service::State;
use crate::supervisor::Event;
use crate::sys;

/// Datagrams read at once, so that a service which never stops talking does not keep PID 1 busy.
const AT_ONCE: usize = 64;

/// The socket in `NOTIFY_SOCKET`. Its name is the kernel's choice and in no directory, so it also works where nothing
/// can be written.
#[derive(Debug)]
pub(super) struct Notices {
    socket: OwnedFd,
    /// What goes into the variable.
    pub(super) address: String,
    /// Strangers that were mentioned.
    mentioned: BTreeSet<u32>,
}

impl Notices {
    /// Opens the socket.
    pub(super) fn open() -> std::io::Result<Self> {
        let (socket, address) = net::notify_socket()?;
        Ok(Self { socket, address, mentioned: BTreeSet::new() })
    }

    /// Returns the descriptor to poll.
    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Engine {
    /// Reads what was said. Who it was is decided by the kernel, not by what is said.
    pub(super) fn take_notices(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(notices) = &mut self.notices else {
                return;
            };
            let mut buffer = [0; 4096];
            let Some((length, sender)) = net::receive(&notices.socket, &mut buffer) else {
                return;
            };
            let said = Notification::parse(&buffer[..length]);
            match self.speaker(sender) {
                Some(id) => {
                    let status = said.status.map(|status| self.log.masked(&status));
                    self.events.push_back(Event::Notified(id, Notification { status, ..said }));
                }
                None => self.mention_stranger(sender),
            }
        }
    }

    /// Returns the service that a process belongs to. One that has ended already belongs to the only service of its user
    /// that has yet to say that it is ready, as `systemd-notify` in a script does it.
    fn speaker(&self, sender: libc::ucred) -> Option<usize> {
        if let Some(session) = sys::session_of(sender.pid) {
            return self.children.with_session(session);
        }
        let mut waiting = self.children.pids().into_keys().filter(|&id| {
            let Some(service) = self.supervisor.services().get(id) else {
                return false;
            };
            let uid = service.plan().spec.user.as_ref().filter(|_| self.own_uid == 0);
            let uid = uid.map_or(self.own_uid, |user| user.uid);
            service.plan().notifies && uid == sender.uid && matches!(service.state(), State::Starting { .. })
        });
        waiting.next().filter(|_| waiting.next().is_none() && sender.pid > 0)
    }

    fn mention_stranger(&mut self, sender: libc::ucred) {
        let Some(notices) = &mut self.notices else {
            return;
        };
        // Once for each user is enough to find the mistake.
        if notices.mentioned.insert(sender.uid) {
            self.log.say(&format!(
                "process {} of user {} says something of a service, but belongs to none",
                sender.pid, sender.uid
            ));
        }
    }
}
