//! What the leader asks before it moves a line in survivor mode: whether a site outside of the group has
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use portolan_consensus::MemberId;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::monotonic_ms;
use super::plans::ZonePlan;
use crate::names::ZoneName;
use crate::provider::RecordKey;
use crate::steering::Steering;
use crate::survivor::LineKey;

/// How a member stands with the lines of a zone.
const LINES: &str = "steering/survivor-lines";

/// What a member says of a zone's lines.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Told {
    free: BTreeSet<LineKey>,
    clear: BTreeSet<LineKey>,
}

/// What the group may do with the lines of a zone in survivor mode.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    /// Records that stay as they are, and why.
    pub(crate) held: BTreeMap<RecordKey, String>,
    /// From when on it has to be asked for again; never where no line is in survivor mode.
    pub(crate) until: Option<Instant>,
}

impl Leave {
    /// Whether it still counts.
    pub(crate) fn counts(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Steering {
    /// Has this member answer the leader.
    pub(crate) fn answer_for_survivors(self: &Arc<Self>) {
        self.on_ask(LINES, |steering, zone| {
            let zone = ZoneName::parse(str::from_utf8(zone).ok()?).ok()?;
            steering.tell_lines(&zone)
        });
    }

    /// How this member stands with a zone's lines; nothing where it does not know, or not lately.
    fn tell_lines(&self, zone: &ZoneName) -> Option<Told> {
        let survivors = self.survivors.lock();
        let shown = survivors.get(zone)?;
        let is_recent = monotonic_ms() <= shown.at_ms + shown.for_ms;
        is_recent.then(|| Told {
            free: shown.free.clone(),
            clear: shown.clear.clone(),
        })
    }

    /// Asks every site of the zone's plan.
    pub(crate) async fn leave_to_move(&self, zone: &ZoneName) -> Leave {
        let Some(plan) = ZonePlan::of(&self.world(), zone) else {
            return Leave::default();
        };
        let asked_at = Instant::now();
        let asked = plan.parts().into_iter().map(|id| self.ask_lines(id, zone));
        let told: Vec<Option<Told>> = join_all(asked).await;
        Leave {
            held: held(&plan, &told),
            until: Some(asked_at + Duration::from_millis(plan.interval_ms)),
        }
    }

    async fn ask_lines(&self, id: MemberId, zone: &ZoneName) -> Option<Told> {
        if id == self.member.id() {
            return self.tell_lines(zone);
        }
        let question = zone.as_str().as_bytes().to_vec();
        self.ask(id, LINES, question).await.ok()?
    }
}

/// A line may be moved when all who answer have nothing to do with it, and when either all of its sites
/// answered, or one has seen in the zone that nobody else claims it.
fn held(plan: &ZonePlan, told: &[Option<Told>]) -> BTreeMap<RecordKey, String> {
    let answers = || told.iter().flatten();
    let everyone = told.iter().all(Option::is_some);
    let may_move = |key: &LineKey| {
        let free = answers().all(|told| told.free.contains(key));
        let clear = everyone || answers().any(|told| told.clear.contains(key));
        free && clear
    };
    let lines = plan.rules.iter().map(|rule| &rule.key);
    let held = lines.filter(|key| !may_move(key));
    let held = held.filter_map(|key| {
        let record = plan.records.get(key)?.clone();
        let why = "kept: in survivor mode, a site that this group does not reach may hold the line, or \
                   one that it reaches has not given it back yet";
        Some((record, why.to_owned()))
    });
    held.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survive::tests::two_sites;

    #[test]
    fn a_line_moves_when_all_say_that_they_have_nothing_to_do_with_it() {
        let plan = two_sites();
        let keys: BTreeSet<LineKey> = plan.rules.iter().map(|rule| rule.key.clone()).collect();
        let nobody = BTreeSet::new();
        let told = |free: &BTreeSet<LineKey>, clear: &BTreeSet<LineKey>| {
            let (free, clear) = (free.clone(), clear.clone());
            Some(Told { free, clear })
        };
        let all = plan.rules.len();
        let cases = [
            (vec![told(&keys, &nobody), told(&keys, &nobody)], 0),
            (vec![told(&keys, &nobody), told(&nobody, &nobody)], all),
            (vec![told(&keys, &nobody), None], all),
            (vec![told(&keys, &keys), None], 0),
            (vec![told(&nobody, &keys), None], all),
            (vec![None, None], all),
        ];
        for (told, expected) in cases {
            assert_eq!(held(&plan, &told).len(), expected, "{told:?}");
        }
    }
}
