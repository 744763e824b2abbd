//! What the project's own commands make in a clean checkout, collected.

use std::path::Path;

use casque_format::digest::Digest;
use casque_format::release::{Artefact, Kind, ReleaseName};
use casque_format::releasing::Event;
use casque_image::read::Archive;

use super::config::{FileRule, filled};
use super::error::ReleaseError;
use super::guard::{Job, Runner};
use super::steps::{Maker, Order};
use super::teller::Teller;
use super::work::{self, Kept, Workshop};

impl Maker<'_> {
    /// Runs the commands, unless what they make is here already and not for a counter that another release has now.
    pub(super) fn built(
        &self,
        order: &Order,
        newest: Option<u64>,
        workshop: &Workshop,
        runner: &Runner,
        teller: &Teller<'_>,
    ) -> Result<Kept, ReleaseError> {
        let tag = order.release.as_str();
        let is_here = |file: &Artefact| workshop.store.contains(&file.sha256);
        let kept = workshop.kept(tag)?.filter(|kept| kept.commit == order.commit && kept.follows(newest));
        if let Some(kept) = kept.filter(|kept| !kept.files.is_empty() && kept.files.iter().all(is_here)) {
            teller.work("what the commands make is here already");
            return Ok(kept);
        }
        let source = workshop.checkout();
        teller.work(format!("checking out `{}`", self.project.git));
        // What an interrupted run left is not clean.
        work::remove(&source)?;
        let git = self.git(runner, &workshop.directory);
        git.fetch(&order.release)?;
        git.checkout(&order.release, &source)?;
        let directory = source.join(&self.project.directory);
        let counter = newest.unwrap_or(0) + 1;
        for command in &self.project.commands {
            self.run((command, counter), &directory, order, runner, teller)?;
        }
        let mut kept = Kept::new(&order.commit, counter);
        for rule in &self.project.file {
            let file = self.collected(rule, &directory, order, workshop)?;
            teller.event(Event::File {
                name: file.name.to_string(),
                kind: file.kind,
                size: file.size,
                sha256: file.sha256.to_string(),
            });
            kept.files.push(file);
        }
        workshop.keep(tag, &kept)?;
        Ok(kept)
    }

    fn run(
        &self,
        (command, counter): (&str, u64),
        directory: &Path,
        order: &Order,
        runner: &Runner,
        teller: &Teller<'_>,
    ) -> Result<(), ReleaseError> {
        teller.work(format!("running `{command}`"));
        let job = Job {
            words: ["sh", "-c", command].map(Into::into).to_vec(),
            shown: command.to_owned(),
            directory,
            variables: vec![
                ("CASQUE_TAG", filled("{tag}", &order.release)),
                ("CASQUE_VERSION", filled("{version}", &order.release)),
                ("CASQUE_COUNTER", counter.to_string()),
            ],
            timeout: self.project.timeout,
        };
        runner.run(&job, &mut |_, line| teller.event(Event::Output { line: line.to_owned() }))
    }

    fn collected(
        &self,
        rule: &FileRule,
        directory: &Path,
        order: &Order,
        workshop: &Workshop,
    ) -> Result<Artefact, ReleaseError> {
        let path = filled(&rule.path, &order.release);
        let place = directory.join(&path);
        let odd = |what| ReleaseError::OddFile { path: path.clone(), what };
        let Ok(facts) = place.metadata() else { return Err(ReleaseError::NoFile { path }) };
        let checkout = workshop.checkout().canonicalize().map_err(ReleaseError::State)?;
        if !place.canonicalize().is_ok_and(|place| place.starts_with(&checkout)) {
            return Err(odd("not in the checkout"));
        }
        if !facts.is_file() {
            return Err(odd("no file"));
        }
        let name = filled(rule.name.get_ref(), &order.release).parse().map_err(ReleaseError::Name)?;
        let (size, sha256) = workshop.take_in(&place)?;
        let blobs = match rule.kind {
            Kind::Image => blobs(&workshop.store.path(&sha256), &path, &order.release)?,
            _ => Vec::new(),
        };
        Ok(Artefact { name, kind: rule.kind, size, sha256, blobs })
    }
}

/// Returns the digests of what is in an image, which has to be of this release.
fn blobs(image: &Path, path: &str, release: &ReleaseName) -> Result<Vec<Digest>, ReleaseError> {
    let unreadable = |source| ReleaseError::Image { path: path.to_owned(), source };
    let archive = Archive::open(image).map_err(unreadable)?;
    let expected = tags(release);
    let fits =
        |name: &String| name.rsplit_once(':').is_some_and(|(_, of)| expected.iter().any(|tag| tag == of));
    if !archive.names().iter().any(fits) {
        let names = archive.names().to_vec();
        return Err(ReleaseError::OtherVersion { path: path.to_owned(), names, tag: release.to_string() });
    }
    archive.blobs().map_err(unreadable)
}

/// Returns the tags that an image of this release may have.
pub(super) fn tags(release: &ReleaseName) -> [String; 2] {
    let tag = release.as_str();
    let bare = tag.strip_prefix('v').unwrap_or(tag);
    // The tag of an image cannot have a plus sign.
    [tag, bare].map(|tag| tag.replace('+', "-"))
}
