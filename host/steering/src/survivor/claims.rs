//! Which lines a member claims, holds and lets go of. The rules stand in the module's documentation.

use std::cmp::Reverse;

use super::flaw::Flaw;
use super::machine::Survivor;
use super::orders::{Health, Owner, What};
use super::plan::{LineKey, SiteName};
use super::sightings::Presence;
use super::value::Face;

/// What a member has in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stake {
    /// It shows that it wants the line.
    Wanting {
        /// From when on a read shows the claim, wherever it is answered; none while it may not stand.
        shown_ms: Option<u64>,
    },
    /// Its claim was read back, and no other stood beside it.
    Holding,
    /// It has done with the line, and waits for its own writes to have taken effect.
    Leaving,
}

/// What another site's value says about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Want,
    Hold,
    /// Something, in terms of another plan.
    Unreadable,
}

/// The lesser comes first: who acts on the newest configuration, then by order of the line, then by
/// name. It is made of what all see alike.
type Precedence<'a> = (Reverse<u64>, usize, &'a SiteName);

impl Survivor {
    /// What the value shall show.
    pub(super) fn face(&self) -> Face {
        let chosen = |wanted: fn(&Stake) -> bool| {
            let stakes = self.stakes.iter().filter(|(_, stake)| wanted(stake));
            stakes.map(|(&at, _)| at).collect()
        };
        Face {
            group: self.quorum.stands(),
            want: chosen(|stake| matches!(stake, Stake::Wanting { .. })),
            hold: chosen(|stake| matches!(stake, Stake::Holding | Stake::Leaving)),
        }
    }

    /// After each read: what to claim, what to count on, what to let go of.
    pub(super) fn reconsider(&mut self, asked_ms: u64, now_ms: u64) {
        if self.quorum.stands() {
            return;
        }
        for at in 0..self.plan.lines.len() {
            let Some(rank) = self.plan.lines[at].rank(&self.me) else {
                continue;
            };
            match self.stakes.get(&at).copied() {
                None if self.may_claim(at, rank, now_ms) => self.claim(at),
                None => {}
                Some(Stake::Wanting { shown_ms }) => {
                    let read_back = shown_ms.is_some_and(|shown| asked_ms >= shown);
                    self.pursue(at, rank, read_back, now_ms);
                }
                Some(Stake::Holding) if self.must_leave(at, rank) => {
                    self.stakes.insert(at, Stake::Leaving);
                }
                Some(Stake::Holding | Stake::Leaving) => {}
            }
        }
    }

    fn claim(&mut self, at: usize) {
        let stake = match self.flaws.has(Flaw::SkipsReadBack) {
            true => Stake::Holding,
            false => Stake::Wanting { shown_ms: None },
        };
        self.stakes.insert(at, stake);
        self.note(self.line(at).clone(), What::Claimed);
    }

    fn may_claim(&self, at: usize, rank: usize, now_ms: u64) -> bool {
        let cool = self.cooling.get(&at).is_none_or(|&until| now_ms >= until);
        let in_turn = rank == 0 || self.is_its_turn(at, rank);
        let renewed = self.pen.acknowledged_ms().is_none() || self.lease_runs(now_ms);
        let able = self.shows_itself(now_ms) && renewed && !self.has_twin(now_ms);
        let given = rank == 0 || !self.is_outranked(at);
        able && cool && in_turn && given && self.has_reason(at, rank)
    }

    /// Whether the line is this member's to have, whoever else claims it.
    fn has_reason(&self, at: usize, rank: usize) -> bool {
        let others_decide = self.group_is_seen() && !self.flaws.has(Flaw::IgnoresTheGroup);
        if others_decide || self.health(&self.me, at) != Health::Up {
            return false;
        }
        match rank {
            0 => matches!(self.owner(at), Some(Owner::Site(_))),
            _ => self.home_is_gone(at) && self.owner_is_gone(at),
        }
    }

    fn home_is_gone(&self, at: usize) -> bool {
        self.is_gone(&self.plan.lines[at].home, at)
    }

    fn is_gone(&self, site: &SiteName, at: usize) -> bool {
        let down = self.health(site, at) == Health::Down || self.flaws.has(Flaw::TrustsValuesAlone);
        let stale = if self.flaws.has(Flaw::TrustsClocks) {
            self.looks_old(site)
        } else {
            self.presence(site) == Presence::Stale || self.flaws.has(Flaw::TrustsChecksAlone)
        };
        stale && down
    }

    /// What [`Flaw::TrustsClocks`] does: compares the writer's clock with the reader's.
    fn looks_old(&self, site: &SiteName) -> bool {
        let written = self.sightings.value(site).and_then(|value| value.at);
        let limit = self.plan.timing.patience() / 1000;
        let now = self.sightings.asked_ms.unwrap_or(0) / 1000;
        written.is_none_or(|at| now > at + limit)
    }

    /// The record may have been moved before: whoever has it now must be gone as well, or have let go.
    fn owner_is_gone(&self, at: usize) -> bool {
        let home = &self.plan.lines[at].home;
        match self.owner(at) {
            Some(Owner::Site(owner)) if owner == home || *owner == self.me => true,
            Some(Owner::Site(owner)) => match self.presence(owner) {
                Presence::Stale => self.is_gone(owner, at),
                Presence::Fresh => self.claim_of(owner, at).is_none(),
                Presence::Unknown => false,
            },
            _ => false,
        }
    }

    /// Takers that come first get two intervals each, as long as they live. They may see something
    /// that this member does not, or be unable to serve; so nobody waits for them for ever.
    fn is_its_turn(&self, at: usize, rank: usize) -> bool {
        let rule = &self.plan.lines[at];
        let before = rule.takers.iter().take(rank - 1);
        let living = before.filter(|site| self.presence(site).is_live()).count() as u64;
        let times = &self.plan.timing;
        let needed = times.patience() + 2 * living * times.interval;
        living == 0
            || self
                .sightings
                .unchanged_for(&rule.home, self.acts_from_ms())
                >= needed
    }

    /// Goes on with a claim: counts on the line, waits, or gives way.
    fn pursue(&mut self, at: usize, rank: usize, read_back: bool, now_ms: u64) {
        let outranked = rank != 0 && self.is_outranked(at);
        if !self.has_reason(at, rank) || outranked {
            self.stakes.remove(&at);
            self.cool(at, rank, now_ms);
            self.note(self.line(at).clone(), What::Withdrew);
            return;
        }
        if read_back && !self.is_contested(at) && self.lease_runs(now_ms) {
            self.stakes.insert(at, Stake::Holding);
            self.note(self.line(at).clone(), What::Held);
        }
    }

    fn must_leave(&self, at: usize, rank: usize) -> bool {
        if self.flaws.has(Flaw::NeverReleases) {
            return false;
        }
        if self.group_is_seen() && !self.flaws.has(Flaw::IgnoresTheGroup) {
            return true;
        }
        if rank == 0 {
            return false;
        }
        let home = &self.plan.lines[at].home;
        let home_asks = self.presence(home).is_live() && self.claim_of(home, at).is_some();
        let ill = self.health(&self.me, at) == Health::Down;
        // Cannot be as long as the assumptions hold.
        let mine = self.precedence(at, &self.me);
        let beaten = self
            .rivals(at)
            .any(|(site, claim)| claim == Claim::Hold && self.precedence(at, site) < mine);
        home_asks || ill || beaten
    }

    /// Whether the line is to be left to another's claim: one that is held, or comes first.
    fn is_outranked(&self, at: usize) -> bool {
        let mine = self.precedence(at, &self.me);
        self.contenders(at)
            .any(|(site, claim)| claim == Claim::Hold || self.precedence(at, site) < mine)
    }

    /// Another claims the line, or may: what a site says whose value has not yet changed before this
    /// member's eyes may be from before, put in the place of a later one.
    fn is_contested(&self, at: usize) -> bool {
        let rule = &self.plan.lines[at];
        let mut able = self.others().filter(|site| rule.rank(site).is_some());
        let unclear = able.any(|site| self.presence(site) == Presence::Unknown);
        let blind = self.flaws.has(Flaw::IgnoresClaims);
        (unclear && !blind) || self.contenders(at).next().is_some()
    }

    fn contenders(&self, at: usize) -> impl Iterator<Item = (&SiteName, Claim)> {
        let blind = self.flaws.has(Flaw::IgnoresClaims);
        self.rivals(at).filter(move |_| !blind)
    }

    /// The living others that claim a line.
    pub(super) fn rivals(&self, at: usize) -> impl Iterator<Item = (&SiteName, Claim)> {
        let living = self.others().filter(|site| self.presence(site).is_live());
        living.filter_map(move |site| Some((site, self.claim_of(site, at)?)))
    }

    fn claim_of(&self, site: &SiteName, at: usize) -> Option<Claim> {
        let value = self.sightings.value(site)?;
        let Face { want, hold, .. } = &value.face;
        if value.face.claims_nothing() {
            None
        } else if value.plan != self.plan_mark {
            Some(Claim::Unreadable)
        } else if hold.contains(at) {
            Some(Claim::Hold)
        } else {
            want.contains(at).then_some(Claim::Want)
        }
    }

    fn precedence<'a>(&'a self, at: usize, site: &'a SiteName) -> Precedence<'a> {
        let rank = self.plan.lines[at].rank(site).unwrap_or(usize::MAX);
        let revision = match self.sightings.value(site) {
            Some(value) if *site != self.me => value.revision,
            _ => self.plan.revision,
        };
        (Reverse(revision), rank, site)
    }

    /// Whether a member that has a quorum shows itself: then the group decides.
    fn group_is_seen(&self) -> bool {
        let mut living = self.others().filter(|site| self.presence(site).is_live());
        living.any(|site| self.sightings.value(site).is_some_and(|it| it.face.group))
    }

    /// What is held and points elsewhere.
    pub(super) fn lines_elsewhere(&self) -> impl Iterator<Item = (LineKey, SiteName)> {
        let held = self.stakes.iter();
        let held = held.filter(|(_, stake)| **stake == Stake::Holding);
        held.filter_map(|(&at, _)| match self.owner(at)? {
            Owner::Site(site) if *site != self.me => Some((self.line(at).clone(), site.clone())),
            _ => None,
        })
    }

    /// Notes since when claims are shown.
    pub(super) fn claims_stand(&mut self) {
        let settle = self.plan.timing.settle;
        let mut first = None;
        for (&at, stake) in &mut self.stakes {
            if let Stake::Wanting {
                shown_ms: shown @ None,
            } = stake
            {
                let stands = self.pen.stands_ms(|face| face.want.contains(at));
                *shown = stands.map(|stands| stands + settle);
                first = first.or(*shown);
            }
        }
        if let Some(shown) = first {
            self.read_by(shown);
        }
    }

    /// What was shown may not have been seen: it has to stand anew.
    pub(super) fn claims_are_hidden(&mut self) {
        for stake in self.stakes.values_mut() {
            if let Stake::Wanting { shown_ms } = stake {
                *shown_ms = None;
            }
        }
    }

    /// Stops counting on anything once its value is too old.
    pub(super) fn lapse(&mut self, now_ms: u64) {
        let counts = |stake: &Stake| !matches!(stake, Stake::Wanting { .. });
        let since = self.pen.acknowledged_ms().is_some();
        let any = since || self.stakes.values().any(counts);
        if self.lease_runs(now_ms) || !any || self.flaws.has(Flaw::NeverLapses) {
            return;
        }
        for (at, stake) in std::mem::take(&mut self.stakes) {
            let what = if counts(&stake) {
                What::Lapsed
            } else {
                What::Withdrew
            };
            self.note(self.line(at).clone(), what);
        }
    }

    /// Lets go of what can be let go of now.
    pub(super) fn let_go(&mut self, now_ms: u64) {
        if self.quorum.stands() {
            self.give_all_up();
        }
        if !self.lines_are_quiet(now_ms) {
            return;
        }
        let leaving = self.stakes.iter();
        let leaving = leaving.filter(|(_, stake)| **stake == Stake::Leaving);
        let leaving: Vec<usize> = leaving.map(|(&at, _)| at).collect();
        for at in leaving {
            self.stakes.remove(&at);
            let rank = self.plan.lines[at].rank(&self.me).unwrap_or(usize::MAX);
            self.cool(at, rank, now_ms);
            self.note(self.line(at).clone(), What::Released);
        }
    }

    /// Gives claims up and begins to leave what is held.
    pub(super) fn give_all_up(&mut self) {
        let wanted: Vec<usize> = self
            .stakes
            .iter()
            .filter_map(|(&at, stake)| match stake {
                Stake::Wanting { .. } => Some(at),
                _ => None,
            })
            .collect();
        for at in wanted {
            self.stakes.remove(&at);
            self.note(self.line(at).clone(), What::Withdrew);
        }
        for stake in self.stakes.values_mut() {
            *stake = Stake::Leaving;
        }
    }

    fn cool(&mut self, at: usize, rank: usize, now_ms: u64) {
        if rank != 0 {
            self.cooling
                .insert(at, now_ms + 2 * self.plan.timing.interval);
        }
    }

    /// From when on others may count as gone.
    fn acts_from_ms(&self) -> u64 {
        match self.quorum.stands() {
            true => 0,
            false => self.quorum_ms + self.plan.timing.quorum_delay,
        }
    }

    pub(super) fn presence(&self, site: &SiteName) -> Presence {
        self.sightings
            .presence(&self.plan, site, self.acts_from_ms())
    }

    fn owner(&self, at: usize) -> Option<&Owner> {
        self.owners.get(self.line(at))
    }

    pub(super) fn others(&self) -> impl Iterator<Item = &SiteName> {
        self.plan.sites().filter(|site| **site != self.me)
    }
}
