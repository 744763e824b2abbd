//! What is new in a release: the words of its tag, and what differs from the release before.

use casque_format::release::{Artefact, Kind, Listing, Release};

use super::depot::DepotClient;
use super::error::ReleaseError;
use super::work::Workshop;
use crate::commands::diff::text;
use crate::ui::Ui;

/// Notes are part of a record, which is not large; the whole difference is `casque diff`'s.
const LONGEST: usize = 64 << 10;

/// Puts the words of the tag before those about the difference.
pub(crate) fn joined(message: &str, difference: Option<&[String]>) -> String {
    let mut notes = message.trim().to_owned();
    if let Some(lines) = difference {
        if !notes.is_empty() {
            notes += "\n\n";
        }
        for line in lines {
            if notes.len() + line.len() > LONGEST {
                notes += "... and more\n";
                break;
            }
            notes += line;
            notes.push('\n');
        }
    }
    notes.trim_end().to_owned()
}

/// Returns the release that this one follows: the newest of its channel that was not withdrawn.
pub(crate) fn release_before<'a>(listing: &'a Listing, channel: &str) -> Option<&'a str> {
    let in_channel = |name: &String| name == channel;
    let mut there = listing.releases.iter().filter(|release| release.withdrawn.is_none());
    there.find(|release| release.channels.iter().any(in_channel)).map(|release| release.release.as_str())
}

/// Returns what differs between the image of a release and the one before, which is fetched when it is not here.
pub(crate) fn difference(
    image: &Artefact,
    before: &Release,
    workshop: &Workshop,
    depot: &DepotClient<'_>,
    ui: &Ui,
) -> Result<Option<Vec<String>>, ReleaseError> {
    let Some(old) = before.artefacts.iter().find(|artefact| artefact.kind == Kind::Image) else {
        return Ok(None);
    };
    depot.fetch(old, &workshop.store, ui)?;
    let (old_path, new_path) = (workshop.store.path(&old.sha256), workshop.store.path(&image.sha256));
    let difference = casque_build::difference::difference(&old_path, &new_path)
        .map_err(|source| ReleaseError::Image { path: old.name.to_string(), source })?;
    Ok(Some(text::lines(&difference, false)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use casque_format::release::Listed;

    #[test]
    fn the_words_of_the_tag_come_first_and_long_notes_are_cut() {
        let lines = ["settings (1)".to_owned(), "  added a".to_owned()];
        assert_eq!(joined("Faster\n", Some(&lines)), "Faster\n\nsettings (1)\n  added a");
        assert_eq!([joined("", Some(&lines[..1])), joined("Faster", None)], ["settings (1)", "Faster"]);
        let long = joined("", Some(&vec!["x".repeat(99); 1000]));
        assert!(long.len() < LONGEST + 20 && long.ends_with("x\n... and more"), "{}", long.len());
    }

    #[test]
    fn a_release_follows_the_newest_of_its_channel_that_still_stands() {
        let listed = |release: &str, counter, channels: &[&str], withdrawn: Option<&str>| Listed {
            release: release.to_owned(),
            counter,
            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
            withdrawn: withdrawn.map(str::to_owned),
        };
        let releases = vec![
            listed("v4", 4, &["stable"], Some("loses data")),
            listed("v3", 3, &["beta"], None),
            listed("v2", 2, &["beta", "stable"], None),
        ];
        let listing = Listing { counter: Some(4), releases };
        let before = |channel| release_before(&listing, channel);
        assert_eq!([before("stable"), before("beta"), before("monthly")], [Some("v2"), Some("v3"), None]);
    }
}
