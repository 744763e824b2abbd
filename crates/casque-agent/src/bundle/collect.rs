//! Parts of a bundle, each with its limits: none that is stuck, or too large, stops the others.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use casque_format::bundle::Missing;

/// What all parts together may take; the search at the end comes after it.
const ALL: Duration = Duration::from_secs(40);

/// One file that may be in a bundle.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub about: &'static str,
    /// Its content, secrets in it.
    pub content: Vec<u8>,
    /// It is the end of something longer.
    pub truncated: bool,
}

/// Makes parts, in a thread of its own: what it is stuck in may last.
pub type Collector = Box<dyn FnOnce(&mut dyn FnMut(Result<Part, Missing>)) + Send>;

/// Runs collectors one after another.
pub struct Patience {
    begun: Instant,
    each: Duration,
}

impl Patience {
    /// Begins now, with so long for each step of a collector.
    pub fn new(each: Duration) -> Self {
        Self { begun: Instant::now(), each }
    }

    /// Gives what a collector makes, for as long as it goes on; what it is stuck in is missing under its `name`.
    pub fn run<E>(
        &self,
        name: &str,
        collector: Collector,
        mut give: impl FnMut(Result<Part, Missing>) -> Result<(), E>,
    ) -> Result<(), E> {
        // One at a time: what nobody has taken yet is in memory.
        let (sender, parts) = mpsc::sync_channel(0);
        std::thread::spawn(move || collector(&mut |part| drop(sender.send(part))));
        loop {
            let left = ALL.saturating_sub(self.begun.elapsed());
            let missing = |reason: String| Missing { name: name.to_owned(), reason };
            match parts.recv_timeout(left.min(self.each)) {
                Ok(part) => give(part)?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if left <= self.each => {
                    return give(Err(missing(format!("no time is left of {} s", ALL.as_secs()))));
                }
                Err(RecvTimeoutError::Timeout) => {
                    return give(Err(missing(format!("nothing came within {} s", self.each.as_secs()))));
                }
            }
        }
    }
}

/// Returns a collector of one part.
pub fn one(
    name: &'static str,
    about: &'static str,
    make: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
) -> (&'static str, Collector) {
    let collector: Collector = Box::new(move |give| {
        let name = name.to_owned();
        give(match make() {
            Ok(content) => Ok(Part { name, about, content, truncated: false }),
            Err(reason) => Err(Missing { name, reason }),
        });
    });
    (name, collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(patience: &Patience, collector: Collector) -> Vec<Result<String, String>> {
        let mut given = Vec::new();
        let run = patience.run("part", collector, |part| {
            given.push(part.map(|part| part.name).map_err(|missing| missing.reason));
            Ok::<(), ()>(())
        });
        assert_eq!(run, Ok(()));
        given
    }

    #[test]
    fn what_is_stuck_is_missing_and_what_came_before_it_is_there() {
        let (stay, stuck) = mpsc::channel::<()>();
        let part =
            |name: &str| Part { name: name.to_owned(), about: "", content: Vec::new(), truncated: false };
        let collector: Collector = Box::new(move |give| {
            give(Ok(part("first")));
            let _ = stuck.recv();
        });
        let patience = Patience::new(Duration::from_millis(1));
        let given = run(&patience, collector);
        assert_eq!(given.last(), Some(&Err("nothing came within 0 s".to_owned())));
        drop(stay);
        let (name, ends) = one("second", "", || Err("it is not there".to_owned()));
        let long = Patience::new(Duration::from_secs(60));
        assert_eq!((name, run(&long, ends)), ("second", vec![Err("it is not there".to_owned())]));
    }

    #[test]
    fn all_together_have_an_end() {
        let begun = Instant::now().checked_sub(ALL).unwrap();
        // Whoever waited for that would never come back.
        let patience = Patience { begun, each: Duration::MAX };
        let (stay, stuck) = mpsc::channel::<()>();
        let collector: Collector = Box::new(move |_| {
            let _ = stuck.recv();
        });
        assert_eq!(run(&patience, collector), [Err("no time is left of 40 s".to_owned())]);
        drop(stay);
    }
}
