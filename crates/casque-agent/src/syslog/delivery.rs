//! Sends the buffer to one receiver: connects, sends, waits until it was taken, and remembers that.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use casque_format::paths;
use casque_format::syslog::{self, Position, Receiver};
use tokio::time::sleep;

use super::buffer::{self, Item};
use super::cursor::Kept;
use super::flight::Flight;
use super::link::Link;
use super::message::Header;
use super::news::News;
use super::notices::Notices;
use super::{cursor, show};
use crate::root::Root;
use crate::ui;

/// Bytes of lines that are in flight at a time; what is sent twice or lost when everything goes wrong at once.
const BATCH: usize = 32 * 1024;
/// The kernel has no event for what the other end acknowledged: it is asked, and less and less often, only while
/// something is in flight.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(250);
/// A receiver that takes nothing for so long is called slow.
const SLOW: Duration = Duration::from_secs(10);
/// What the agent's end may wait for what is in flight.
const LAST_LOOKS: u32 = 6;

/// What the sender is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// There is no receiver.
    Rest,
    /// Send to this one.
    Send(Box<Target>),
    /// The agent ends.
    End,
}

/// A receiver, and who sends to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where to.
    pub receiver: Receiver,
    /// What all messages have in common.
    pub header: Header,
}

/// The sending to one receiver.
pub struct Delivery {
    root: Root,
    directory: PathBuf,
    target: Target,
    news: News,
    link: Option<Link>,
    flight: Flight,
    sent: Position,
    kept: Option<Kept>,
    notices: Notices,
    /// What the status knows.
    shown: Option<syslog::Link>,
}

impl Delivery {
    /// Begins where the last one ended.
    pub fn new(root: &Root, target: Target) -> Self {
        let directory = root.join(paths::SYSLOG_BUFFER);
        let sent = cursor::load(root).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                ui::warning(&format!(
                    "cannot read `{}`: {error}; all lines in the buffer are sent to the syslog receiver again",
                    paths::SYSLOG_CURSOR
                ));
            }
            cursor::BEGINNING
        });
        Self {
            root: root.clone(),
            news: News::of(&directory),
            directory,
            target,
            link: None,
            flight: Flight::default(),
            sent,
            kept: None,
            notices: Notices::default(),
            shown: None,
        }
    }

    /// Sends for ever.
    pub async fn go(&mut self) {
        loop {
            let Err(error) = self.until_it_ends().await;
            self.settle();
            let url = &self.target.receiver.url;
            if self.notices.failed(Instant::now()) {
                ui::warning(&format!("syslog receiver `{url}` is away: {error}; lines wait in the volume"));
            }
            self.show(false, Some(error.to_string()));
            sleep(self.notices.wait(getrandom::u32().unwrap_or_default())).await;
        }
    }

    async fn until_it_ends(&mut self) -> io::Result<std::convert::Infallible> {
        self.kept = Some(Kept::open(&self.root)?);
        self.link = Some(Link::open(&self.root, &self.target.receiver).await?);
        self.notices.connected(Instant::now());
        self.show(true, None);
        loop {
            let (items, after) = self.read().await?;
            if items.is_empty() {
                self.sent = after;
                if self.notices.took() {
                    ui::note(&format!("syslog receiver `{}` is back", self.target.receiver.url));
                }
                let link = self.link.as_mut().ok_or(io::ErrorKind::NotConnected)?;
                tokio::select! {
                    () = self.news.wait() => {}
                    error = link.ended() => return Err(error),
                }
                continue;
            }
            self.send(&items, after).await?;
        }
    }

    /// Sends items, and waits until they were taken.
    async fn send(&mut self, items: &[Item], after: Position) -> io::Result<()> {
        let message = |item: &Item| match item.missing {
            Some(count) => self.target.header.lost(count, &item.record),
            None => self.target.header.line(&item.record),
        };
        let messages: Vec<(Vec<u8>, Position)> =
            items.iter().map(|item| (message(item), item.after)).collect();
        let (kept, sent) = (&self.kept, self.sent);
        // Right before: when the agent is killed, our kernel has all of it or nothing, and sends what it has.
        let announce = || kept.as_ref().map_or(Ok(()), |kept| kept.save(sent, Some(after)));
        let link = self.link.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        link.send(&messages, &mut self.flight, announce).await?;
        self.taken().await
    }

    /// Waits until nothing is in flight.
    async fn taken(&mut self) -> io::Result<()> {
        let mut look = FIRST_LOOK;
        let mut since = Instant::now();
        loop {
            if self.take() {
                (look, since) = (FIRST_LOOK, Instant::now());
            }
            if self.flight.is_empty() {
                break;
            }
            if since.elapsed() >= SLOW {
                self.show(true, Some(format!("it has taken nothing for {} s", SLOW.as_secs())));
            }
            let link = self.link.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            tokio::select! {
                () = sleep(look) => look = (look * 2).min(LONGEST_LOOK),
                error = link.ended() => return Err(error),
            }
        }
        self.show(true, None);
        Ok(())
    }

    /// Takes over what the other end has by now; says whether that is more than before.
    fn take(&mut self) -> bool {
        let taken = self.link.as_ref().and_then(|link| link.taken().ok());
        let place = taken.and_then(|octets| self.flight.taken(octets));
        self.sent = place.unwrap_or(self.sent);
        place.is_some()
    }

    /// Gives up the connection, and remembers what of it arrived.
    fn settle(&mut self) {
        self.take();
        self.flight = Flight::default();
        self.link = None;
        if let Some(Err(error)) = self.kept.as_ref().map(|kept| kept.save(self.sent, None)) {
            ui::warning(&format!("cannot remember what the syslog receiver has: {error}"));
        }
    }

    /// Gives what is in flight a moment, and ends.
    pub async fn end(mut self) {
        let mut look = FIRST_LOOK;
        for _ in 0..LAST_LOOKS {
            self.take();
            if self.flight.is_empty() {
                break;
            }
            sleep(look).await;
            look *= 2;
        }
        self.settle();
    }

    /// Reads on; a volume that does not answer holds up nothing else.
    async fn read(&self) -> io::Result<(Vec<Item>, Position)> {
        let (directory, from) = (self.directory.clone(), self.sent);
        let read = tokio::task::spawn_blocking(move || buffer::read(&directory, from, BATCH));
        read.await.map_err(io::Error::other)?
    }

    fn show(&mut self, connected: bool, last_error: Option<String>) {
        let before = self.shown.take();
        // Why it was away stays visible.
        let last_error = last_error.or_else(|| before.as_ref().filter(|_| connected)?.last_error.clone());
        let link = syslog::Link { receiver: self.target.receiver.url.clone(), connected, last_error };
        if before.as_ref() != Some(&link)
            && let Err(error) = show(&self.root, &link)
        {
            ui::warning(&format!("the status does not know of the syslog receiver: {error}"));
        }
        self.shown = Some(link);
    }
}
