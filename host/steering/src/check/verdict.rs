//! What all voters' sights of a target amount to, and when its lines may return. Pure: the time is an
//! argument.
//!
//! # Down, and up again
//! A target goes **down** when more than half of all voters see it down. Voters that say nothing and
//! voters that cannot look count as if they saw it up: taking a site out moves everybody's traffic, so
//! it needs positive evidence from a majority, and a leader that is cut off with a minority can never
//! have it.
//!
//! It comes **up** again when more voters see it up than see it down *or say nothing*. Voters that
//! answer but cannot look (no IPv6 there, a command that is not enabled) abstain:
//!
//! * They must not keep a healthy site out until somebody repairs their configuration, which a plain
//!   majority of all for the return would let them do.
//! * The silent ones do count against it, for nobody knows what they see. That alone makes those who
//!   answered a majority (up > silent, so answered > silent): a minority cannot bring a site back
//!   either. And silence blocks no return for ever: who leads hears a majority, so where all who
//!   answer see the target up, they outnumber the silent.
//! * Being fewer than a majority, those who see it down do not prevent the return, but they must be
//!   outnumbered: at a tie the target stays where it is.
//!
//! So one voter among three moves nothing against one other that can look: alone it is no majority,
//! and with one that disagrees or is silent it is a tie. Only where *all* others answer that they
//! cannot look does the last one that can decide on a return, for waiting would be for ever; it still
//! takes nothing down.
//!
//! # Flap damping
//! Lines return when the target has been up for `stable_ms` without a break, twice that if it went
//! down twice within an hour, four times that if thrice, and so on, never more than an hour. What went
//! before an hour of quiet is forgotten.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pace::{HOUR_MS, Pace};
use super::tally::Sight;

/// So many reach the hour from the least `stable_ms`, 1; more would only fill the document.
const MAX_FLAPS: usize = 24;

/// How many voters see a target how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Votes {
    /// See it up.
    pub up: usize,
    /// See it down.
    pub down: usize,
    /// Answered, but cannot tell.
    pub unable: usize,
    /// Did not answer, or with what is too old.
    pub silent: usize,
}

impl Votes {
    /// Counts one sight per voter of the group, `None` for one that did not answer. A voter left out
    /// would make a minority look like a majority.
    pub fn count(sights: impl IntoIterator<Item = Option<Sight>>) -> Self {
        let mut votes = Self::default();
        for sight in sights {
            let kind = match sight {
                Some(Sight::Up) => &mut votes.up,
                Some(Sight::Down) => &mut votes.down,
                Some(Sight::Unknown) => &mut votes.unable,
                None => &mut votes.silent,
            };
            *kind += 1;
        }
        votes
    }

    /// All voters of the group.
    pub fn all(&self) -> usize {
        self.up + self.down + self.unable + self.silent
    }

    fn take_down(&self) -> bool {
        self.down > self.all() / 2
    }

    fn bring_up(&self) -> bool {
        self.up > self.down + self.silent
    }
}

/// `2 of 3 voters see it down, 1 silent`, as a reason in logs and histories.
impl fmt::Display for Votes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all();
        match self.down >= self.up {
            true => write!(f, "{} of {all} voters see it down", self.down)?,
            false => write!(f, "{} of {all} voters see it up", self.up)?,
        }
        let (fewer, word) = match self.down >= self.up {
            true => (self.up, "up"),
            false => (self.down, "down"),
        };
        let others = [
            (fewer, word),
            (self.unable, "unable to look"),
            (self.silent, "silent"),
        ];
        for (count, what) in others.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        Ok(())
    }
}

/// Whether a target is up, as the group has decided. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Otherwise it is down.
    pub up: bool,
    /// Since when.
    pub since_ms: u64,
    /// When it went down: the last time, and the times within an hour before that.
    pub flaps: Vec<u64>,
}

impl Verdict {
    /// Of a target that nobody has judged yet: up, for what nobody has seen fail stays where it is.
    pub fn presumed_up(at_ms: u64) -> Self {
        Self {
            up: true,
            since_ms: at_ms,
            flaps: Vec::new(),
        }
    }

    /// The new verdict at `at_ms`, or none where this one stands.
    pub fn judge(&self, at_ms: u64, votes: &Votes) -> Option<Self> {
        match self.up {
            true if votes.take_down() => Some(Self {
                up: false,
                since_ms: at_ms,
                flaps: self.flaps_with(at_ms),
            }),
            false if votes.bring_up() => Some(Self {
                up: true,
                since_ms: at_ms,
                flaps: self.flaps.clone(),
            }),
            _ => None,
        }
    }

    /// When the target's lines may return to it if it stays up; none while it is down. Never before
    /// its time for one that was always up.
    pub fn returns_at_ms(&self, pace: &Pace) -> Option<u64> {
        let further = match (self.up, self.flaps.len()) {
            (false, _) => return None,
            (true, 0) => return Some(self.since_ms),
            (true, flaps) => flaps - 1,
        };
        let doubling = u32::try_from(further)
            .ok()
            .and_then(|further| 2_u64.checked_pow(further))
            .unwrap_or(u64::MAX);
        let wait = pace.stable_ms.saturating_mul(doubling).min(HOUR_MS);
        Some(self.since_ms.saturating_add(wait))
    }

    /// Leaders' clocks differ, so a flap may lie ahead of `at_ms`: near is near in both directions.
    fn flaps_with(&self, at_ms: u64) -> Vec<u64> {
        let recent = |flap: &u64| flap.abs_diff(at_ms) < HOUR_MS;
        let mut flaps: Vec<u64> = self.flaps.iter().copied().filter(recent).collect();
        flaps.push(at_ms);
        flaps.split_off(flaps.len().saturating_sub(MAX_FLAPS))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Sight::{Down, Unknown, Up};
    use super::*;

    const NOW: u64 = 1_000_000_000;
    const MINUTE_MS: u64 = 60_000;

    fn verdict(up: bool) -> Verdict {
        Verdict {
            up,
            ..Verdict::presumed_up(0)
        }
    }

    /// Whether the target is up afterwards.
    fn judged(up: bool, sights: &[Option<Sight>]) -> bool {
        let votes = Votes::count(sights.iter().copied());
        let new = verdict(up).judge(NOW, &votes);
        if let Some(new) = &new {
            assert_eq!((new.up, new.since_ms), (!up, NOW), "a change is a change");
        }
        new.map_or(up, |new| new.up)
    }

    #[test]
    fn a_majority_of_all_takes_a_target_down() {
        let cases: [(&[Option<Sight>], bool); 8] = [
            (&[Some(Down)], false),
            (&[Some(Down), Some(Up)], true),
            (&[Some(Down), None], true),
            (&[Some(Down), Some(Down)], false),
            (&[Some(Down), Some(Down), Some(Up)], false),
            (&[Some(Down), None, None], true),
            (&[Some(Down), Some(Unknown), Some(Unknown)], true),
            (&[Some(Down), Some(Down), None, None, Some(Unknown)], true),
        ];
        for (sights, up) in cases {
            assert_eq!(judged(true, sights), up, "{sights:?}");
        }
        assert!(judged(true, &[]), "of nobody nothing follows");
        assert!(!judged(false, &[]), "of nobody nothing follows");
    }

    #[test]
    fn it_comes_up_when_more_see_it_up_than_see_it_down_or_are_silent() {
        let cases: [(&[Option<Sight>], bool); 10] = [
            (&[Some(Up)], true),
            (&[Some(Up), Some(Up), Some(Up)], true),
            (&[Some(Up), Some(Up), Some(Down)], true),
            (&[Some(Up), Some(Up), None], true),
            (&[Some(Up), Some(Down), Some(Unknown)], false),
            (&[Some(Up), None, Some(Unknown)], false),
            (&[Some(Up), None, None], false),
            // Nobody else can look, and says so: waiting would be for ever.
            (&[Some(Up), Some(Unknown), Some(Unknown)], true),
            (&[Some(Unknown), Some(Unknown), Some(Unknown)], false),
            (&[Some(Up), Some(Up), None, None, Some(Unknown)], false),
        ];
        for (sights, up) in cases {
            assert_eq!(judged(false, sights), up, "{sights:?}");
        }
    }

    #[test]
    fn each_further_fall_within_an_hour_doubles_the_wait_up_to_an_hour() {
        let (down, up) = (Votes::count([Some(Down); 3]), Votes::count([Some(Up); 3]));
        let mut now = NOW;
        let mut standing = Verdict::presumed_up(now);
        assert_eq!(standing.returns_at_ms(&Pace::default()), Some(now));
        for wait_minutes in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            now += MINUTE_MS;
            standing = standing.judge(now, &down).unwrap();
            assert_eq!(standing.returns_at_ms(&Pace::default()), None, "down");
            now += MINUTE_MS;
            standing = standing.judge(now, &up).unwrap();
            let wait = standing.returns_at_ms(&Pace::default()).unwrap() - now;
            assert_eq!(wait, wait_minutes * MINUTE_MS);
        }
        now += HOUR_MS;
        standing = standing.judge(now, &down).unwrap();
        standing = standing.judge(now, &up).unwrap();
        let returns = standing.returns_at_ms(&Pace::default());
        assert_eq!(returns, Some(now + MINUTE_MS), "old falls are forgotten");
    }

    #[test]
    fn the_least_wait_reaches_the_hour_and_no_wait_stays_none() {
        let fallen = |times: usize| Verdict {
            flaps: vec![NOW; times],
            ..Verdict::presumed_up(NOW)
        };
        let pace = |stable_ms: u64| Pace {
            stable_ms,
            ..Pace::default()
        };
        let most = fallen(MAX_FLAPS).returns_at_ms(&pace(1));
        assert_eq!(most, Some(NOW + HOUR_MS));
        let stored = fallen(1_000).returns_at_ms(&pace(1));
        assert_eq!(stored, Some(NOW + HOUR_MS), "whatever stands in the store");
        assert_eq!(fallen(9).returns_at_ms(&pace(0)), Some(NOW));
    }

    #[test]
    fn a_leader_whose_clock_was_far_ahead_leaves_no_mark_for_ever() {
        let ahead = Verdict {
            flaps: vec![NOW + 24 * HOUR_MS],
            ..Verdict::presumed_up(0)
        };
        let down = ahead.judge(NOW, &Votes::count([Some(Down)])).unwrap();
        assert_eq!(down.flaps, [NOW]);
    }

    #[test]
    fn votes_are_told_in_words() {
        let cases: [(&[Option<Sight>], &str); 3] = [
            (
                &[Some(Down), Some(Down), None],
                "2 of 3 voters see it down, 1 silent",
            ),
            (
                &[Some(Up), Some(Up), Some(Down), Some(Unknown)],
                "2 of 4 voters see it up, 1 down, 1 unable to look",
            ),
            (&[Some(Up)], "1 of 1 voters see it up"),
        ];
        for (sights, words) in cases {
            assert_eq!(Votes::count(sights.iter().copied()).to_string(), words);
        }
    }

    #[test]
    fn it_is_stored_as_it_is() {
        let json = r#"{"up":false,"since_ms":7,"flaps":[3,7]}"#;
        let verdict: Verdict = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&verdict).unwrap(), json);
    }

    fn sight() -> impl Strategy<Value = Option<Sight>> {
        prop_oneof![
            Just(Some(Up)),
            Just(Some(Down)),
            Just(Some(Unknown)),
            Just(None)
        ]
    }

    proptest! {
        /// One among three or more, whatever it claims, moves a target only where all others say that
        /// they cannot look, and then only up.
        #[test]
        fn one_alone_moves_nothing(up: bool, one in sight(), others in vec(sight(), 2..6)) {
            prop_assume!(others.iter().any(|sight| *sight != Some(Unknown)));
            let agrees = if up { Some(Down) } else { Some(Up) };
            prop_assume!(!others.contains(&agrees));
            let all = [vec![one], others].concat();
            prop_assert_eq!(judged(up, &all), up, "{:?}", all);
        }

        #[test]
        fn one_alone_takes_nothing_down(others in vec(sight(), 2..6)) {
            prop_assume!(!others.contains(&Some(Down)));
            prop_assert!(judged(true, &[vec![Some(Down)], others].concat()));
        }

        /// What a leader hears that is cut off with half of the voters or fewer.
        #[test]
        fn a_minority_changes_nothing(up: bool, heard in vec(sight(), 1..6), more in 0_usize..3) {
            let silent = vec![None; heard.len() + more];
            prop_assert_eq!(judged(up, &[heard, silent].concat()), up);
        }

        /// Neither those that cannot look nor a silent minority keep a target out for ever.
        #[test]
        fn it_returns_when_all_that_can_look_see_it_up(
            up in 1_usize..6, unable in 0_usize..6, silent in 0_usize..6,
        ) {
            prop_assume!(silent < up);
            let sights = [
                vec![Some(Up); up], vec![Some(Unknown); unable], vec![None; silent],
            ].concat();
            prop_assert!(judged(false, &sights));
        }

        /// The same votes never move it to and fro.
        #[test]
        fn the_same_votes_have_one_outcome(up: bool, sights in vec(sight(), 0..8)) {
            let once = judged(up, &sights);
            prop_assert_eq!(judged(once, &sights), once);
        }

        /// More sights of one kind never turn it the other way.
        #[test]
        fn a_vote_counts_for_what_it_says(up: bool, sights in vec(sight(), 1..8)) {
            let better: Vec<_> = sights.iter().map(|sight| match sight {
                Some(Down) => Some(Up),
                other => *other,
            }).collect();
            prop_assert!(judged(up, &better) >= judged(up, &sights));
        }

        #[test]
        fn lines_never_wait_less_than_asked_nor_more_than_an_hour(
            stable_ms in 0_u64..=HOUR_MS, falls in vec(0_u64..3 * HOUR_MS, 1..60),
        ) {
            let pace = Pace { stable_ms, ..Pace::default() };
            let mut standing = Verdict::presumed_up(NOW);
            for fall in falls {
                standing = standing.judge(NOW + fall, &Votes::count([Some(Down)])).unwrap();
                standing = standing.judge(NOW + fall, &Votes::count([Some(Up)])).unwrap();
                prop_assert!(standing.flaps.len() <= MAX_FLAPS);
                let wait = standing.returns_at_ms(&pace).unwrap() - standing.since_ms;
                prop_assert!(wait >= stable_ms && wait <= HOUR_MS);
            }
        }
    }
}
