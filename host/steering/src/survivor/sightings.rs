//! What a member has seen of the other sites' values, and what follows about them.
//!
//! Time is this member's own: a value is as old as its last change to a later one, counted from the
//! answer that first showed it to the question that last did not show another. What a value says
//! about time is never looked at.

use std::collections::BTreeMap;

use portolan_consensus::ClusterKey;

use super::flaw::{Flaw, Flaws};
use super::orders::Zone;
use super::plan::{Plan, SiteName};
use super::value::Value;

/// What another site's value says about that site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It changed to a later one within three intervals, before this member's eyes.
    Fresh,
    /// It has been watched for less than three intervals, and has not changed.
    Unknown,
    /// It has been watched for three intervals without a gap, and has not changed.
    Stale,
}

impl Presence {
    /// Whether what it claims counts.
    pub(crate) fn is_live(self) -> bool {
        self != Self::Stale
    }
}

#[derive(Debug, Default)]
struct Sighting {
    /// No value counts that is not above this.
    seen_seq: u64,
    /// The last that counted.
    value: Option<Value>,
    changed_ms: Option<u64>,
    /// It changed while it was being watched.
    moved: bool,
    /// The text that was read last, so that what stays the same is verified once.
    text: Vec<String>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    sites: BTreeMap<SiteName, Sighting>,
    /// Since when the zone has been watched without a gap.
    since_ms: Option<u64>,
    /// When the last read that counted was asked for, and answered.
    pub(crate) asked_ms: Option<u64>,
    answered_ms: u64,
    pub(crate) flaws: Flaws,
}

impl Sightings {
    pub(crate) fn remembering(seen: &BTreeMap<SiteName, u64>) -> Self {
        let sites = seen.iter().map(|(site, &seen_seq)| {
            let sighting = Sighting {
                seen_seq,
                ..Sighting::default()
            };
            (site.clone(), sighting)
        });
        Self {
            sites: sites.collect(),
            ..Self::default()
        }
    }

    /// The last sequence that counted, of each site.
    pub(crate) fn seen(&self) -> BTreeMap<SiteName, u64> {
        let seen = self.sites.iter().filter(|(_, it)| it.seen_seq > 0);
        seen.map(|(site, it)| (site.clone(), it.seen_seq)).collect()
    }

    /// Begins to watch anew: what was not seen in between may have been anything.
    pub(crate) fn interrupt(&mut self) {
        self.since_ms = None;
    }

    pub(crate) fn is_watching(&self) -> bool {
        self.since_ms.is_some()
    }

    /// Begins anew if the last read is too long ago.
    pub(crate) fn interrupt_after_gap(&mut self, longest_ms: u64, now_ms: u64) {
        if now_ms > self.answered_ms + longest_ms {
            self.interrupt();
        }
    }

    /// Takes what a read shows. Values of sites that are not in the plan are not looked at, nor are
    /// those whose writer had not yet read the value of this member with the sequence `echo`.
    pub(crate) fn observe(
        &mut self,
        key: &ClusterKey,
        plan: &Plan,
        me: &SiteName,
        zone: &Zone,
        (plan_mark, echo): (u32, Option<u64>),
        (asked_ms, now_ms): (u64, u64),
    ) {
        let place = plan.sites().position(|site| site == me);
        let echoes = |value: &Value| {
            let seen = place.and_then(|at| value.saw.get(at));
            // What cannot be told counts as a sign of life.
            let told = seen.filter(|_| value.plan == plan_mark);
            echo.is_none_or(|needed| told.is_none_or(|&seen| seen >= needed))
        };
        let begins = self.since_ms.is_none();
        for site in plan.sites().filter(|site| *site != me) {
            let sighting = self.sites.entry(site.clone()).or_default();
            if begins {
                sighting.moved = false;
            }
            let texts = zone.values.get(site).map_or(&[][..], Vec::as_slice);
            if sighting.text == texts {
                continue;
            }
            sighting.text = texts.to_vec();
            let Some(value) = latest(key, plan, site, texts, self.flaws) else {
                continue;
            };
            let known = sighting.seen_seq;
            let any = self.flaws.has(Flaw::TakesReplaysForChanges);
            if value.seq > known && !any && !echoes(&value) {
                // What is asked of it now may not be asked later: it is to be looked at again.
                sighting.text.clear();
                continue;
            }
            let later = value.seq > known || (any && value.seq != known);
            if later {
                sighting.seen_seq = value.seq;
                sighting.value = Some(value);
                sighting.changed_ms = Some(now_ms);
                // The first look shows what was there before.
                sighting.moved = !begins;
            }
        }
        self.since_ms.get_or_insert(now_ms);
        self.asked_ms = Some(asked_ms);
        self.answered_ms = now_ms;
    }

    /// How long a site's value has been watched without changing, by the last read.
    pub(crate) fn unchanged_for(&self, site: &SiteName, not_before_ms: u64) -> u64 {
        let (Some(since), Some(asked)) = (self.since_ms, self.asked_ms) else {
            return 0;
        };
        let changed = self.sites.get(site).and_then(|it| it.changed_ms);
        let from = since.max(changed.unwrap_or(0)).max(not_before_ms);
        asked.saturating_sub(from)
    }

    /// See [`Presence`]. Nothing counts as gone for what was not seen of it before `not_before_ms`.
    pub(crate) fn presence(&self, plan: &Plan, site: &SiteName, not_before_ms: u64) -> Presence {
        if self.unchanged_for(site, not_before_ms) >= plan.timing.patience() {
            return Presence::Stale;
        }
        let sighting = self.sites.get(site);
        match sighting.is_some_and(|it| it.moved) && self.since_ms.is_some() {
            true => Presence::Fresh,
            false => Presence::Unknown,
        }
    }

    /// The last value of a site that counted.
    pub(crate) fn value(&self, site: &SiteName) -> Option<&Value> {
        self.sites.get(site)?.value.as_ref()
    }

    /// The last sequence of a site that counted.
    pub(crate) fn seq(&self, site: &SiteName) -> u64 {
        self.sites.get(site).map_or(0, |it| it.seen_seq)
    }

    /// The highest sequence of all.
    pub(crate) fn highest(&self) -> u64 {
        let all = self.sites.values().map(|it| it.seen_seq);
        all.max().unwrap_or(0)
    }
}

/// The latest of the texts that are signed values of this site.
pub(crate) fn latest(
    key: &ClusterKey,
    plan: &Plan,
    site: &SiteName,
    texts: &[String],
    flaws: Flaws,
) -> Option<Value> {
    let read = |text: &String| match flaws.has(Flaw::IgnoresSignatures) {
        true => Value::parse(text.split(" mac=").next()?, site),
        false => Value::read(key, plan, site, text),
    };
    texts.iter().filter_map(read).max_by_key(|value| value.seq)
}
