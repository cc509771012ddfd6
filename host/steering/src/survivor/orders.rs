//! What goes into a [`Survivor`](super::Survivor) and what comes out of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::plan::{LineKey, SiteName};
use crate::family::Family;
use crate::names::DomainName;

/// Tells answers apart; never used twice in one life of a machine.
pub type CallId = u64;

/// Whether the group can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quorum {
    /// It can, and every voter takes part.
    Whole,
    /// It can, without some voter, who may be alone and able to reach the provider.
    Partial,
    /// It cannot, as far as this member can tell.
    Lost,
}

impl fmt::Display for Quorum {
    /// As in JSON: `whole`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Quorum {
    pub(crate) fn stands(self) -> bool {
        self != Self::Lost
    }
}

/// What this member's own checks say of a service at a site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Up,
    /// It does not.
    Down,
    /// Nobody looked, or could not.
    #[default]
    Unknown,
}

/// [`Health`] by site, service and family; what is left out is unknown.
pub type Verdicts = BTreeMap<(SiteName, Arc<str>, Family), Health>;

/// Where a line's record points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// To the addresses of this site, and to no others.
    Site(SiteName),
    /// There is none, or it points to something else: not ours to touch.
    Other,
}

/// A zone as a provider answered it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    /// All TXT values that stand under each site's name ([`super::Plan::value_name`]), as plain text
    /// without quotes. Sites that have none may be left out.
    pub values: BTreeMap<SiteName, Vec<String>>,
    /// Where each line's record points.
    pub owners: BTreeMap<LineKey, Owner>,
    /// When the provider says that it is, in seconds since 1970; shown to people.
    pub provider_time: Option<u64>,
}

/// What became of a call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was made, or stood so already.
    Done,
    /// It certainly was not and will not be made: refused, stale, or never sent.
    NotDone,
    /// Nobody knows: no answer, or an answer that says so.
    Unknown,
}

/// What a machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing but the time.
    Tick,
    /// Whether the group can decide, whenever that changes.
    Quorum(Quorum),
    /// The whole of what this member's checks say, whenever that changes.
    Verdicts(Verdicts),
    /// The answer to [`Order::Read`]; none when any part of it failed.
    Read(CallId, Option<Zone>),
    /// The answer to [`Order::Publish`], [`Order::Withdraw`] or [`Order::Point`].
    Answered(CallId, Answer),
    /// The deeds up to this sequence are in the group's history: the answer to [`Order::HandBack`].
    Merged(u64),
}

/// What is to be done. Orders of one step are carried out in this order as far as their beginnings
/// go; nobody waits for an answer before the next begins, save for [`Order::Remember`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Make this durable, in place of what was remembered before, *before* any later order begins.
    Remember(Memory),
    /// Read the values of all sites and the records of all lines, from the provider and never from a
    /// cache. Every part of it must be asked for after the order was given.
    Read {
        /// For the answer.
        id: CallId,
    },
    /// Have this one TXT value, and no other, stand under this name.
    Publish {
        /// For the answer.
        id: CallId,
        /// Where; this member's own site's name, always.
        name: DomainName,
        /// What, without quotes.
        text: String,
        /// Not to be sent any more after this time.
        not_after_ms: u64,
    },
    /// Have no TXT value stand under this name.
    Withdraw {
        /// For the answer.
        id: CallId,
        /// Where; this member's own site's name, always.
        name: DomainName,
        /// Not to be sent any more after this time.
        not_after_ms: u64,
    },
    /// Point the records of these lines at this member's own site, in place.
    ///
    /// Right before it sends, the caller checks that it is not past `not_after_ms`, that there is
    /// still no quorum, and (with the provider's own compare-and-set where it has one: that is what
    /// `Change::before` is for) that each record still points to where it is said to. A line for
    /// which that fails is left out, and the answer is [`Answer::NotDone`] if no line is left.
    Point {
        /// For the answer.
        id: CallId,
        /// The lines, each with the site that its record points to.
        lines: BTreeMap<LineKey, SiteName>,
        /// Not to be sent any more after this time: from then on another site may believe that the
        /// lines are its own.
        not_after_ms: u64,
    },
    /// There is a quorum again, and nothing of this member's is on its way any more: merge these
    /// deeds into the group's history, then say [`Input::Merged`].
    HandBack(Vec<Deed>),
}

/// What a machine must find again after a restart. None of it is trusted to be there: what is lost
/// is read from the zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The last sequence of this member's own values.
    pub seq: u64,
    /// The last sequence that was seen of each other site: a value that is not above it is a replay.
    pub seen: BTreeMap<SiteName, u64>,
    /// What was done and is not yet in the group's history.
    pub deeds: Vec<Deed>,
}

/// Something that a member did, or found, while there was no quorum.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deed {
    /// The sequence of its value at that time. Sequences are Lamport clocks: what one site did
    /// because of what it read of another has the greater one, so that the deeds of all sites, sorted,
    /// are one history in which nothing stands before its cause.
    pub seq: u64,
    /// Who.
    pub site: SiteName,
    /// Which line.
    pub line: LineKey,
    /// What.
    pub what: What,
    /// The provider's time of its last reply, in seconds since 1970, for people.
    pub at: Option<u64>,
}

/// See [`Deed`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It showed that it wants the line.
    Claimed,
    /// It gave a claim up, because another's came first or the reason for it was gone.
    Withdrew,
    /// Its claim stood, was read back, and nobody else's stood beside it.
    Held,
    /// It had the record point to itself.
    Pointed {
        /// Where it pointed before.
        from: SiteName,
    },
    /// It let go of the line: for its home, for the group, or because its own service is down.
    Released,
    /// It could not renew its value in time and stopped counting on the line.
    Lapsed,
}

/// More than this is not remembered: what comes after is left out of the history.
pub(crate) const MAX_DEEDS: usize = 500;
