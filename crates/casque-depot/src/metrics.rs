//! Numbers for whoever watches the depot, in the text form of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Answers by the hundred of their status.
    answers: [AtomicU64; 6],
    /// Connections that are open.
    pub connections: AtomicI64,
    /// Downloads that began.
    pub downloads_begun: AtomicU64,
    /// Downloads of which everything asked for was sent.
    pub downloads_complete: AtomicU64,
    /// Bytes of files that were sent.
    pub bytes_sent: AtomicU64,
    /// Bytes of uploads that were taken.
    pub bytes_taken: AtomicU64,
    /// Releases that became visible.
    pub published: AtomicU64,
    /// Credentials that were wrong.
    pub wrong_credentials: AtomicU64,
    /// Attempts that were not looked at.
    pub limited: AtomicU64,
    /// Panics that were caught.
    pub panics: AtomicU64,
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, status: u16) {
        if let Some(counter) = self.answers.get(usize::from(status / 100)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns everything as text, with the room on the disk and the passwords that were judged.
    pub fn text(&self, free: u64, judged: u64) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, lines: &[(String, i128)]| {
            let _ = writeln!(text, "# HELP casque_depot_{name} {help}\n# TYPE casque_depot_{name} {kind}");
            for (labels, value) in lines {
                let _ = writeln!(text, "casque_depot_{name}{labels} {value}");
            }
        };
        let answers: Vec<_> = (1..6)
            .map(|class| {
                let count = self.answers[class].load(Ordering::Relaxed);
                (format!("{{status=\"{class}xx\"}}"), i128::from(count))
            })
            .collect();
        family("answers_total", "counter", "Answers by status.", &answers);
        let one = |value: i128| [(String::new(), value)];
        let count = |counter: &AtomicU64| one(counter.load(Ordering::Relaxed).into());
        family(
            "connections",
            "gauge",
            "Open connections.",
            &one(self.connections.load(Ordering::Relaxed).into()),
        );
        family("downloads_begun_total", "counter", "Downloads that began.", &count(&self.downloads_begun));
        let help = "Downloads of which everything asked for was sent.";
        family("downloads_complete_total", "counter", help, &count(&self.downloads_complete));
        family("sent_bytes_total", "counter", "Bytes of files sent.", &count(&self.bytes_sent));
        family("taken_bytes_total", "counter", "Bytes of uploads taken.", &count(&self.bytes_taken));
        family("published_total", "counter", "Releases published.", &count(&self.published));
        family("wrong_credentials_total", "counter", "Wrong credentials.", &count(&self.wrong_credentials));
        family("judged_passwords_total", "counter", "Passwords judged by a hash.", &one(judged.into()));
        family("limited_total", "counter", "Attempts refused for being too many.", &count(&self.limited));
        family("panics_total", "counter", "Panics while answering.", &count(&self.panics));
        family("free_bytes", "gauge", "Room on the disk.", &one(free.into()));
        text
    }
}
