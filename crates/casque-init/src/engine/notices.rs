//! What services say of themselves: a socket for each, and the kernel says who spoke.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::Engine;
use crate::net;
use crate::notify::Notification;
use crate::supervisor::Event;
use crate::sys;

/// Datagrams read at once, so that a service which never stops talking does not keep PID 1 busy.
const AT_ONCE: usize = 64;

/// The sockets in `NOTIFY_SOCKET`, by service. Their names are the kernel's choice and in no directory, so they also work
/// where nothing can be written. Whoever is gone by the time its words are read can be told apart by the socket alone.
#[derive(Debug, Default)]
pub(super) struct Notices {
    sockets: BTreeMap<usize, (OwnedFd, String)>,
    /// Strangers that were mentioned.
    mentioned: BTreeSet<u32>,
}

impl Notices {
    /// Opens the socket of a service, unless it has one, and returns what goes into the variable.
    pub(super) fn address(&mut self, id: usize) -> io::Result<&str> {
        let (_, address) = match self.sockets.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(net::notify_socket()?),
        };
        Ok(address)
    }

    /// Returns the descriptors to poll.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (usize, RawFd)> {
        self.sockets.iter().map(|(&id, (socket, _))| (id, socket.as_raw_fd()))
    }
}

impl Engine {
    /// Reads what was said on the socket of a service. Who it was is decided by the kernel, not by what is said.
    pub(super) fn take_notices(&mut self, id: usize) {
        for _ in 0..AT_ONCE {
            let Some((socket, _)) = self.notices.sockets.get(&id) else {
                return;
            };
            let mut buffer = [0; 4096];
            let Some((length, sender)) = net::receive(socket, &mut buffer) else {
                return;
            };
            if self.is_of(id, sender) {
                let said = Notification::parse(&buffer[..length]);
                let status = said.status.map(|status| self.log.masked(&status));
                self.events.push_back(Event::Notified(id, Notification { status, ..said }));
            } else {
                self.mention_stranger(sender);
            }
        }
    }

    /// Says whether a process belongs to a service. One that has ended already, as `systemd-notify` in a script may have,
    /// is judged by its user.
    fn is_of(&self, id: usize, sender: libc::ucred) -> bool {
        match sys::session_of(sender.pid) {
            Some(session) => self.children.with_session(session) == Some(id),
            None => {
                let service = self.supervisor.services().get(id);
                let user = service.and_then(|service| service.plan().spec.user.as_ref());
                let uid = user.filter(|_| self.own_uid == 0).map_or(self.own_uid, |user| user.uid);
                uid == sender.uid && sender.pid > 0
            }
        }
    }

    fn mention_stranger(&mut self, sender: libc::ucred) {
        // Once for each user is enough to find the mistake.
        if self.notices.mentioned.insert(sender.uid) {
            self.log.say(&format!(
                "process {} of user {} says something of a service that it does not belong to",
                sender.pid, sender.uid
            ));
        }
    }
}
