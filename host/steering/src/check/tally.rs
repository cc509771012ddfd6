//! What the looks of one member at one target amount to. Pure: times and chance are arguments.

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::prober::{ProbeFailure, Probed};

/// How one member sees a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sight {
    /// It serves.
    Up,
    /// It does not.
    Down,
    /// This member has not looked often enough yet, or is not able to.
    Unknown,
}

/// What one look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The answer was good.
    Success,
    /// There was none, or a bad one.
    Failure,
    /// The member could not look.
    Inability,
}

impl From<&Result<Probed, ProbeFailure>> for Finding {
    fn from(result: &Result<Probed, ProbeFailure>) -> Self {
        match result {
            Ok(_) => Self::Success,
            Err(ProbeFailure::Down(_)) => Self::Failure,
            Err(ProbeFailure::Unable(_)) => Self::Inability,
        }
    }
}

/// One member's count of what it found at one target.
///
/// * Up at the first success, so that a new daemon need not wait; down after `down_after` failures in
///   a row; up again after `up_after` successes in a row.
/// * Looks that could not be made are no evidence: they neither count as failures nor interrupt
///   them. But after `down_after` of them in a row the sight is unknown, for what was seen before is
///   old; the counts begin anew then.
/// * A target that was down is not up through having been unknown: `up_after` still holds.
///
/// It belongs to one address and one [`super::Question`]; where either changes, begin a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    sight: Sight,
    since_ms: u64,
    /// When the last finding came.
    heard_ms: Option<u64>,
    /// Findings since the last one of the opposite kind. At most one of the first two is above 0.
    successes: u32,
    failures: u32,
    inabilities: u32,
    /// Whether the last sight that was not unknown was down.
    was_down: bool,
}

impl Tally {
    /// Nothing is known of the target yet.
    pub fn new(at_ms: u64) -> Self {
        Self {
            sight: Sight::Unknown,
            since_ms: at_ms,
            heard_ms: None,
            successes: 0,
            failures: 0,
            inabilities: 0,
            was_down: false,
        }
    }

    /// How the target is seen.
    pub fn sight(&self) -> Sight {
        self.sight
    }

    /// Since when, in milliseconds since 1970.
    pub fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// Takes in what a look found that ended at `at_ms`; answers whether the sight changed.
    pub fn hear(&mut self, at_ms: u64, finding: Finding, pace: &Pace) -> bool {
        self.heard_ms = Some(at_ms);
        self.count(finding);
        let sight = self.conclude(pace);
        if sight == self.sight {
            return false;
        }
        if sight == Sight::Unknown {
            (self.successes, self.failures) = (0, 0);
        } else {
            self.was_down = sight == Sight::Down;
        }
        (self.sight, self.since_ms) = (sight, at_ms);
        true
    }

    /// When the next look is due: an interval after the last finding, up to a tenth more or less by
    /// `random` (any number), so that members and targets do not fall into step. At once where there
    /// is none yet.
    pub fn due_ms(&self, pace: &Pace, random: u64) -> u64 {
        let Some(heard_ms) = self.heard_ms else {
            return self.since_ms;
        };
        let permille = 900 + random % 201;
        let pause = pace.interval_ms(self.sight).saturating_mul(permille) / 1_000;
        heard_ms.saturating_add(pause)
    }

    fn count(&mut self, finding: Finding) {
        let one_more = |count: u32| count.saturating_add(1);
        (self.successes, self.failures, self.inabilities) = match finding {
            Finding::Success => (one_more(self.successes), 0, 0),
            Finding::Failure => (0, one_more(self.failures), 0),
            Finding::Inability => (self.successes, self.failures, one_more(self.inabilities)),
        };
    }

    fn conclude(&self, pace: &Pace) -> Sight {
        let successes_wanted = match self.was_down {
            true => pace.up_after.max(1),
            false => 1,
        };
        let failures_wanted = pace.down_after.max(1);
        if self.inabilities >= failures_wanted {
            Sight::Unknown
        } else if self.failures >= failures_wanted {
            Sight::Down
        } else if self.successes >= successes_wanted {
            Sight::Up
        } else {
            self.sight
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Finding::{Failure, Inability, Success};
    use super::Sight::{Down, Unknown, Up};
    use super::*;

    fn pace(down_after: u32, up_after: u32) -> Pace {
        Pace {
            down_after,
            up_after,
            ..Pace::default()
        }
    }

    /// The sight after each finding, one a second.
    fn sights(findings: &[Finding], pace: &Pace) -> Vec<Sight> {
        let mut tally = Tally::new(0);
        let hear = |(second, finding): (usize, &Finding)| {
            let before = tally.sight();
            let changed = tally.hear(second as u64 * 1_000, *finding, pace);
            assert_eq!(changed, tally.sight() != before);
            tally.sight()
        };
        findings.iter().enumerate().map(hear).collect()
    }

    #[test]
    fn a_target_is_up_at_once_and_down_and_up_again_after_enough_in_a_row() {
        let story = [
            (Success, Up),
            (Failure, Up),
            (Success, Up),
            (Failure, Up),
            (Failure, Up),
            (Failure, Down),
            (Success, Down),
            (Failure, Down),
            (Success, Down),
            (Success, Up),
        ];
        let (findings, expected): (Vec<_>, Vec<_>) = story.into_iter().unzip();
        assert_eq!(sights(&findings, &pace(3, 2)), expected);
    }

    #[test]
    fn a_target_that_never_answered_is_unknown_before_it_is_down() {
        let found = sights(&[Failure, Failure, Failure], &pace(3, 5));
        assert_eq!(found, [Unknown, Unknown, Down]);
    }

    #[test]
    fn who_cannot_look_neither_counts_nor_forgets_failures_until_the_sight_is_unknown() {
        let p = pace(2, 2);
        let found = sights(&[Success, Failure, Inability, Failure], &p);
        assert_eq!(found, [Up, Up, Up, Down]);
        let found = sights(
            &[Success, Failure, Inability, Inability, Failure, Failure],
            &p,
        );
        assert_eq!(found, [Up, Up, Up, Unknown, Unknown, Down]);
    }

    #[test]
    fn being_unknown_is_no_short_way_up() {
        let p = pace(2, 3);
        let down = [Failure, Failure, Inability, Inability];
        let found = sights(&[&down[..], &[Success, Success, Success]].concat(), &p);
        assert_eq!(found[3..], [Unknown, Unknown, Unknown, Up]);
        let up = [Success, Inability, Inability, Success];
        assert_eq!(sights(&up, &p), [Up, Up, Unknown, Up]);
    }

    #[test]
    fn it_says_since_when() {
        let p = pace(2, 2);
        let mut tally = Tally::new(5);
        assert_eq!(tally.since_ms(), 5);
        for (at, finding, since) in [
            (10, Success, 10),
            (20, Success, 10),
            (30, Failure, 10),
            (40, Failure, 40),
        ] {
            tally.hear(at, finding, &p);
            assert_eq!(tally.since_ms(), since, "at {at}");
        }
    }

    #[test]
    fn the_next_look_is_due_at_once_and_then_by_the_pace_of_the_sight() {
        let p = Pace {
            interval_ms: 1_000,
            down_interval_ms: Some(10_000),
            down_after: 1,
            ..Pace::default()
        };
        let mut tally = Tally::new(50);
        assert_eq!(tally.due_ms(&p, 7), 50);
        tally.hear(100, Success, &p);
        assert_eq!(tally.due_ms(&p, 100), 1_100);
        tally.hear(2_000, Failure, &p);
        assert_eq!(tally.due_ms(&p, 100), 12_000);
    }

    fn finding() -> impl Strategy<Value = Finding> {
        prop_oneof![Just(Success), Just(Failure), Just(Inability)]
    }

    /// The findings that are evidence, of `all` up to and with `at`, the last ones first.
    fn evidence(all: &[Finding], at: usize) -> impl Iterator<Item = Finding> {
        let seen = all[..=at].iter().rev().copied();
        seen.filter(|finding| *finding != Inability)
    }

    proptest! {
        /// Whatever comes: no sight without as many findings of its kind in a row as its threshold.
        #[test]
        fn it_never_turns_with_fewer_in_a_row_than_wanted(
            findings in vec(finding(), 1..60), down_after in 1_u32..5, up_after in 1_u32..5,
        ) {
            let found = sights(&findings, &pace(down_after, up_after));
            let (mut sight, mut last_known) = (Unknown, Unknown);
            for (at, new) in found.into_iter().enumerate() {
                if new == sight {
                    continue;
                }
                let wanted = match (new, last_known) {
                    (Up, Down) => (Success, up_after),
                    (Up, _) => (Success, 1),
                    (Down, _) => (Failure, down_after),
                    (Unknown, _) => (Inability, down_after),
                };
                let (kind, count) = (wanted.0, wanted.1 as usize);
                let in_a_row = match kind {
                    Inability => findings[..=at].iter().rev().take_while(|it| **it == kind).count(),
                    _ => evidence(&findings, at).take_while(|it| *it == kind).count(),
                };
                prop_assert!(in_a_row >= count, "{new:?} at {at} of {findings:?}");
                sight = new;
                if new != Unknown {
                    last_known = new;
                }
            }
        }

        /// And with as many in a row it always turns.
        #[test]
        fn it_always_turns_with_enough_in_a_row(
            findings in vec(finding(), 0..30), last in finding(),
            down_after in 1_u32..5, up_after in 1_u32..5,
        ) {
            let enough = down_after.max(up_after) as usize;
            let all = [findings, vec![last; enough]].concat();
            let expected = match last { Success => Up, Failure => Down, Inability => Unknown };
            let end = sights(&all, &pace(down_after, up_after)).pop();
            prop_assert_eq!(end, Some(expected));
        }

        #[test]
        fn what_alternates_never_turns(first_up: bool, length in 1_usize..50) {
            let begin: &[Finding] = if first_up { &[Success] } else { &[Failure, Failure] };
            let alternating = (0..length).map(|i| if i % 2 == 0 { Failure } else { Success });
            let flaky: Vec<Finding> = match first_up {
                true => alternating.collect(),
                false => alternating.skip(1).collect(),
            };
            let all = [begin, &flaky].concat();
            let expected = if first_up { Up } else { Down };
            let found = sights(&all, &pace(2, 2));
            prop_assert!(found[begin.len() - 1..].iter().all(|sight| *sight == expected));
        }

        #[test]
        fn chance_moves_the_next_look_by_a_tenth_at_most(
            interval_ms in 200_u64..=3_600_000, random: u64,
        ) {
            let p = Pace { interval_ms, ..Pace::default() };
            let mut tally = Tally::new(0);
            tally.hear(1_000_000, Success, &p);
            let pause = tally.due_ms(&p, random) - 1_000_000;
            prop_assert!(pause >= interval_ms * 9 / 10 && pause <= interval_ms * 11 / 10);
        }
    }
}
