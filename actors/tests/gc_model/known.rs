//! The model: what one repository must have, and what it must not have for long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mcr_actors::domain::Timestamp;

use crate::content::{MANIFESTS, parts, subject};

/// What is known of a manifest that is there.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// The blobs that were deleted from it by name, and those that it only mentions and that were not there.
    pub(crate) dropped: BTreeSet<u8>,
    /// Since when it has no tag, if it has none.
    untagged_since: Timestamp,
    /// Whether its subject and it were there at once.
    met_subject: bool,
    /// Until when it was promised at least.
    kept: Timestamp,
}

/// What is known of a repository.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Until when a blob was promised at least.
    pub(crate) promised: BTreeMap<u8, Timestamp>,
    /// The manifests that are there.
    pub(crate) manifests: BTreeMap<u8, Image>,
    tags: BTreeMap<&'static str, u8>,
}

impl Known {
    /// Whether a manifest needs the blob.
    pub(crate) fn needs(&self, number: u8) -> bool {
        self.manifests.iter().any(|(manifest, image)| {
            !image.dropped.contains(&number) && parts(*manifest).all_blobs().any(|part| part == number)
        })
    }

    /// Whether the blob must be visible.
    pub(crate) fn must_have(&self, number: u8, now: Timestamp) -> bool {
        self.needs(number) || self.promised.get(&number).is_some_and(|until| *until > now)
    }

    pub(crate) fn promise(&mut self, number: u8, until: Timestamp) {
        let promised = self.promised.entry(number).or_insert(until);
        *promised = until.max(*promised);
    }

    /// It was pushed or mounted: manifests that had lost it have it again.
    pub(crate) fn linked(&mut self, number: u8, until: Timestamp) {
        self.promise(number, until);
        self.manifests.values_mut().for_each(|image| {
            image.dropped.remove(&number);
        });
    }

    /// The blob was deleted by name.
    pub(crate) fn unlinked(&mut self, number: u8) {
        self.promised.remove(&number);
        self.manifests.values_mut().for_each(|image| {
            image.dropped.insert(number);
        });
    }

    /// It was accepted with all that it must have; `absent` are blobs that it mentions and that are not visible.
    pub(crate) fn published(
        &mut self,
        number: u8,
        absent: BTreeSet<u8>,
        tag: Option<&'static str>,
        (now, until): (Timestamp, Timestamp),
    ) {
        let new = || Image { dropped: BTreeSet::new(), untagged_since: now, met_subject: false, kept: now };
        let image = self.manifests.entry(number).or_insert_with(new);
        image.dropped = absent;
        image.untagged_since = now;
        if subject(number).is_some() {
            image.kept = until.max(image.kept);
        }
        if let Some(tag) = tag {
            self.untag(tag, now);
            self.tags.insert(tag, number);
        }
        for (number, image) in &mut self.manifests.clone() {
            if subject(*number).is_some_and(|subject| self.manifests.contains_key(&subject)) {
                image.met_subject = true;
                self.manifests.insert(*number, image.clone());
            }
        }
    }

    pub(crate) fn untag(&mut self, tag: &str, now: Timestamp) {
        if let Some(number) = self.tags.remove(tag)
            && let Some(image) = self.manifests.get_mut(&number)
        {
            image.untagged_since = now;
        }
    }

    /// A run began, whose time goes on from the last one's so much later, or earlier. What ran out meanwhile has `grace` from
    /// now; what is of the future counts as now.
    pub(crate) fn restarted(&mut self, by: i64, now: Timestamp, after: Duration, grace: Duration) {
        for image in self.manifests.values_mut() {
            let since = image.untagged_since;
            let ran_out = |since: Timestamp| since.after(after) <= now;
            image.untagged_since = Timestamp::from_millis(since.as_millis().saturating_sub(by)).min(now);
            if !ran_out(since) && ran_out(image.untagged_since) {
                image.untagged_since = now.after(grace).before(after).min(now);
            }
        }
    }

    /// Somebody was told that the manifest is there.
    pub(crate) fn looked_at(&mut self, number: u8, until: Timestamp) {
        if let Some(image) = self.manifests.get_mut(&number) {
            image.kept = until.max(image.kept);
        }
    }

    /// The manifest is gone; what it held is promised for a while.
    pub(crate) fn deleted(&mut self, number: u8, now: Timestamp, until: Timestamp) {
        let parts = parts(number);
        for part in parts.all_blobs() {
            if self.must_have(part, now) {
                self.promise(part, until);
            }
        }
        self.manifests.remove(&number);
        for held in parts.children.into_iter().chain((0..MANIFESTS).filter(|at| subject(*at) == Some(number)))
        {
            self.looked_at(held, until);
        }
        self.tags.retain(|_, tagged| *tagged != number);
    }

    /// Whether a sweep may take the manifest, when those in `gone` are gone.
    pub(crate) fn is_loose(&self, number: u8, gone: &BTreeSet<u8>, now: Timestamp, after: Duration) -> bool {
        let there = |number: &u8| self.manifests.contains_key(number) && !gone.contains(number);
        let Some(image) = self.manifests.get(&number) else { return false };
        let tagged = self.tags.values().any(|tagged| *tagged == number);
        let is_child =
            (0..MANIFESTS).any(|parent| there(&parent) && parts(parent).children.contains(&number));
        let held = match subject(number) {
            None => now < image.untagged_since.after(after),
            Some(subject) => there(&subject) || !image.met_subject,
        };
        !tagged && !is_child && !held && image.kept <= now
    }

    /// The manifests that a whole sweep takes. Where anything is promised, what one of them held stays for a while.
    pub(crate) fn loose(&self, now: Timestamp, after: Duration, grace: Duration) -> BTreeSet<u8> {
        let mut gone = BTreeSet::new();
        if !grace.is_zero() {
            return (0..MANIFESTS).filter(|number| self.is_loose(*number, &gone, now, after)).collect();
        }
        while let Some(next) =
            (0..MANIFESTS).find(|number| !gone.contains(number) && self.is_loose(*number, &gone, now, after))
        {
            gone.insert(next);
        }
        gone
    }
}
