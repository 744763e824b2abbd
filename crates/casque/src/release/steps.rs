//! A release, step by step.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use casque_fetch::Network;
use casque_format::release::{Artefact, Channel, Kind, Release, ReleaseName, Signed};
use casque_format::releasing::Event;
use casque_sign::SecretKey;

use super::build;
use super::config::{Config, Project, filled};
use super::depot::DepotClient;
use super::error::ReleaseError;
use super::git::Git;
use super::guard::Runner;
use super::notes;
use super::record::{self, About};
use super::teller::Teller;
use super::work::{self, Kept, Workshop};
use crate::context::Context;
use crate::seal;

/// How often a record is made anew because another release took its counter.
const ATTEMPTS: u32 = 5;

/// What every release of a project is made with.
pub(crate) struct Maker<'a> {
    pub(crate) context: &'a Context,
    pub(crate) config: &'a Config,
    pub(crate) project: &'a Project,
    pub(crate) network: &'a Network,
    pub(crate) key: &'a SecretKey,
}

/// What is to be released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) release: ReleaseName,
    pub(crate) commit: String,
    pub(crate) channel: Channel,
}

/// What a release came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) counter: u64,
    pub(crate) before: bool,
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Maker<'_> {
    fn runner(&self, directory: &Path) -> Runner {
        let program = self.context.program.clone();
        // `make package-docker` calls casque, and means this one.
        let own = program.parent().map(Path::to_owned).into_iter();
        let others = self.context.environment.path.iter().flat_map(std::env::split_paths);
        let path = std::env::join_paths(own.chain(others)).unwrap_or_default();
        Runner { program, lock: work::guards_lock(directory), path }
    }

    pub(crate) fn depot(&self) -> DepotClient<'_> {
        let (address, product) = (self.config.depot.address.as_str(), self.project.name.get_ref());
        DepotClient { network: self.network, address, product }
    }

    /// Returns every tag that goes into a channel, in the order of versions; names that no release can have are apart.
    pub(crate) fn tags(&self) -> Result<(Vec<Order>, Vec<String>), ReleaseError> {
        self.orders(None)
    }

    /// Finds what a tag is and where it goes.
    pub(crate) fn order(&self, tag: &str, channel: Option<&Channel>) -> Result<Order, ReleaseError> {
        let release: ReleaseName = tag.parse().map_err(ReleaseError::Name)?;
        let found = match channel {
            // Whoever names a channel needs no rule for the tag.
            Some(channel) => {
                let directory = work::directory(&self.context.environment.state, self.name())?;
                let tags = self.git(&self.runner(&directory), &directory).tags(tag)?;
                let tag = tags.into_iter().find(|found| found.name == tag);
                tag.map(|tag| Order { release, commit: tag.commit, channel: channel.clone() })
            }
            None => self.orders(Some(tag))?.0.into_iter().next(),
        };
        found.ok_or_else(|| ReleaseError::NoTag {
            git: self.project.git.clone(),
            tag: tag.to_owned(),
            patterns: self.project.channel.iter().map(|rule| format!("`{}`", rule.tags)).collect(),
        })
    }

    fn orders(&self, only: Option<&str>) -> Result<(Vec<Order>, Vec<String>), ReleaseError> {
        let directory = work::directory(&self.context.environment.state, self.name())?;
        let runner = self.runner(&directory);
        let git = self.git(&runner, &directory);
        let (mut orders, mut odd, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for rule in &self.project.channel {
            let tags = git.tags(&rule.tags)?;
            for tag in tags.into_iter().filter(|tag| only.is_none_or(|only| tag.name == only)) {
                if !seen.insert(tag.name.clone()) {
                    continue;
                }
                match tag.name.parse() {
                    Ok(release) => {
                        orders.push(Order { release, commit: tag.commit, channel: rule.name.clone() })
                    }
                    Err(_) => odd.push(tag.name),
                }
            }
        }
        Ok((orders, odd))
    }

    fn name(&self) -> &str {
        self.project.name.get_ref().as_str()
    }

    pub(super) fn git<'r>(&'r self, runner: &'r Runner, directory: &'r Path) -> Git<'r> {
        Git { runner, address: &self.project.git, mirror: directory.join("git"), directory }
    }

    /// Says what a run would do, and asks everybody for what it would need of them.
    pub(crate) fn rehearse(&self, order: &Order) -> Result<(), ReleaseError> {
        let tag = order.release.as_str();
        let teller = Teller::of_tag(&self.context.ui, self.name(), tag, None)?;
        let listing = self.depot().listing()?;
        if let Some(done) = self.released(order, &teller)? {
            teller.event(Event::Published { counter: done.counter, before: true });
            return Ok(());
        }
        teller.work(format!("would check out commit {} of `{}`", order.commit, self.project.git));
        self.project.commands.iter().for_each(|command| teller.work(format!("would run `{command}`")));
        for file in &self.project.file {
            let (path, name) =
                (filled(&file.path, &order.release), filled(file.name.get_ref(), &order.release));
            teller.work(format!("would take `{path}` as {name}, and sign it by key {}", self.key.id()));
        }
        if let Some(before) =
            notes::release_before(&listing, order.channel.as_str()).filter(|_| self.project.compare)
        {
            teller.work(format!("would compare with {before}"));
        }
        let counter = listing.counter.unwrap_or(0) + 1;
        teller.work(format!("would publish it in {} with counter {counter}", order.channel));
        Ok(())
    }

    /// Makes a release, or what is missing of it.
    pub(crate) fn make(&self, order: &Order) -> Result<Done, ReleaseError> {
        let (ui, tag) = (&self.context.ui, order.release.as_str());
        let directory = work::directory(&self.context.environment.state, self.name())?;
        let waiting =
            || Teller::of_project(ui, self.name()).work("waiting for another release of this project");
        let workshop = Workshop::take(directory, waiting)?;
        let log = workshop.log(tag, seconds((self.context.clock)()))?;
        let teller = Teller::of_tag(ui, self.name(), tag, Some(&log))?;
        let made = self.make_in(order, &workshop, &teller, &log);
        if let Err(error) = &made {
            // The terminal gets it from whoever asked; the log would lack it.
            teller.note_failure(&error.failure(format!("cannot release `{tag}`")).to_string());
        }
        made
    }

    fn make_in(
        &self,
        order: &Order,
        workshop: &Workshop,
        teller: &Teller<'_>,
        log: &Path,
    ) -> Result<Done, ReleaseError> {
        teller.event(Event::Begun {
            commit: order.commit.clone(),
            channel: order.channel.to_string(),
            log: log.display().to_string(),
        });
        let runner = self.runner(&workshop.directory);
        runner.wait_for_others().map_err(ReleaseError::State)?;
        let done = match self.released(order, teller)? {
            Some(done) => done,
            None => self.build_and_publish(order, workshop, &runner, teller)?,
        };
        // The image stays, as it was released, for the next release to be compared with.
        let tag = order.release.as_str();
        let signed = workshop.kept(tag)?.and_then(|kept| kept.signed);
        let released = signed.map(|signed| record::read(tag, &signed)).transpose()?;
        let files = released.iter().flat_map(|release| &release.artefacts);
        let images = files.filter(|file| file.kind == Kind::Image);
        workshop.tidy(&images.map(|file| file.sha256).collect::<Vec<_>>())?;
        teller.event(Event::Published { counter: done.counter, before: done.before });
        Ok(done)
    }

    /// Returns what the depot has of this release already.
    fn released(&self, order: &Order, teller: &Teller<'_>) -> Result<Option<Done>, ReleaseError> {
        let tag = order.release.as_str();
        let Some(signed) = self.depot().record(tag)? else { return Ok(None) };
        let there = record::read(tag, &signed)?;
        if let Some(before) = there.commit.filter(|before| *before != order.commit) {
            return Err(ReleaseError::Moved { tag: tag.to_owned(), now: order.commit.clone(), before });
        }
        let listing = self.depot().listing()?;
        let listed = listing.releases.into_iter().find(|release| release.release == tag);
        if let Some(reason) = listed.and_then(|release| release.withdrawn) {
            teller.warn(format!("it was withdrawn since: {reason}"));
        }
        Ok(Some(Done { counter: there.counter, before: true }))
    }

    /// Builds and publishes; again when another release comes in between, for an image knows its counter.
    fn build_and_publish(
        &self,
        order: &Order,
        workshop: &Workshop,
        runner: &Runner,
        teller: &Teller<'_>,
    ) -> Result<Done, ReleaseError> {
        for _ in 0..ATTEMPTS {
            let newest = self.depot().listing()?.counter;
            let kept = self.built(order, newest, workshop, runner, teller)?;
            if let Some(done) = self.publish(order, kept, workshop, teller)? {
                return Ok(done);
            }
            teller.work("another release took the counter in between");
        }
        Err(ReleaseError::Overtaken)
    }

    /// Signs, uploads and publishes; returns nothing when another release took the counter.
    fn publish(
        &self,
        order: &Order,
        mut kept: Kept,
        workshop: &Workshop,
        teller: &Teller<'_>,
    ) -> Result<Option<Done>, ReleaseError> {
        let (tag, depot) = (order.release.as_str(), self.depot());
        let (signed, release) = match self.signed_before(&kept, workshop) {
            Some(both) => both,
            None => {
                let signed = self.sign(order, &kept, workshop, teller)?;
                let release = record::read(tag, &signed)?;
                kept.signed = Some(signed.clone());
                workshop.keep(tag, &kept)?;
                (signed, release)
            }
        };
        for file in &release.artefacts {
            let path = workshop.store.path(&file.sha256);
            let sent = depot.upload(file.sha256, file.size, &path, self.context.ui.uploading(file.size))?;
            teller.event(Event::Uploaded { name: file.name.to_string(), sent });
        }
        teller.work(format!("publishing in {}", order.channel));
        let Err(error) = depot.publish(&signed) else {
            return Ok(Some(Done { counter: release.counter, before: false }));
        };
        // Whoever was killed after this and before the answer finds it published the next time.
        match depot.listing()?.counter.is_none_or(|newest| newest < release.counter) {
            true => Err(error),
            false => Ok(None),
        }
    }

    /// Returns the record of an interrupted run, if it still can be published.
    fn signed_before(&self, kept: &Kept, workshop: &Workshop) -> Option<(Signed, Release)> {
        let signed = kept.signed.clone()?;
        let public = self.key.public();
        public.verify(std::io::Cursor::new(&signed.record), &signed.signature).ok()?;
        let release = Release::parse(signed.record.as_bytes()).ok()?;
        let lasts = release.expires.is_none_or(|expires| expires > seconds((self.context.clock)()));
        let is_here = |file: &Artefact| workshop.store.contains(&file.sha256);
        let fits = kept.counter == Some(release.counter) && release.artefacts.iter().all(is_here);
        (fits && lasts).then_some((signed, release))
    }

    fn sign(
        &self,
        order: &Order,
        kept: &Kept,
        workshop: &Workshop,
        teller: &Teller<'_>,
    ) -> Result<Signed, ReleaseError> {
        let message =
            self.git(&self.runner(&workshop.directory), &workshop.directory).message(&order.release)?;
        let image = kept.files.iter().find(|file| file.kind == Kind::Image).filter(|_| self.project.compare);
        let difference = match image {
            Some(image) => self.difference(image, order, workshop, teller)?,
            None => None,
        };
        teller.work(format!("signing by key {}", self.key.id()));
        let product = self.project.name.get_ref();
        let created = seconds((self.context.clock)());
        let expires = self.project.expires_after.map(|after: Duration| created + after.as_secs());
        let counter = kept.counter.expect("what was built is kept with its counter");
        let inside = seal::About {
            tags: &build::tags(&order.release),
            channel: Some(&order.channel),
            counter: Some(counter),
            created,
            expires,
            follow: &self.config.sign.follow,
        };
        // The archives first, for the record has the digests of what is signed inside.
        let files = record::sealed(&kept.files, &inside, self.key, workshop)?;
        let artefacts = record::with_signatures(&files, (product, &order.release), self.key, workshop)?;
        let about = About {
            product,
            channel: &order.channel,
            release: &order.release,
            commit: &order.commit,
            counter,
            created,
            expires,
            notes: notes::joined(&message, difference.as_deref()),
        };
        record::signed(about, artefacts, self.key)
    }

    /// Compares with the release before. That one may be pruned or damaged, which is no reason not to have a new one.
    fn difference(
        &self,
        image: &Artefact,
        order: &Order,
        workshop: &Workshop,
        teller: &Teller<'_>,
    ) -> Result<Option<Vec<String>>, ReleaseError> {
        let depot = self.depot();
        let listing = depot.listing()?;
        let Some(before) = notes::release_before(&listing, order.channel.as_str()) else { return Ok(None) };
        teller.work(format!("comparing with {before}"));
        let Some(signed) = depot.record(before)? else { return Ok(None) };
        let compared = record::read(before, &signed)
            .and_then(|release| notes::difference(image, &release, workshop, &depot, &self.context.ui));
        Ok(compared.unwrap_or_else(|error| {
            teller.warn(error.failure(format!("cannot compare with {before}")).to_string());
            None
        }))
    }
}
