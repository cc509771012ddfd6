//! What changed in a zone beside what its provider was asked to change.
//!
//! A provider that changes a neighbour, by mistake or on purpose, says nothing of it. So the zone as it was
//! read before a write is kept until the next look, and compared. Others may work in a zone at the same
//! moment: once is told, and only several writes in a row after which something else has changed are
//! taken to be the provider's doing.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Observation;
use crate::provider::{RecordKey, RecordSet};

/// After so many writes in a row nobody calls it a coincidence.
const NO_COINCIDENCE: u32 = 3;

/// One zone's; it can be lost at any time.
#[derive(Default)]
pub(crate) struct Beside {
    written: Option<Written>,
    in_a_row: u32,
}

struct Written {
    /// The zone as it was read before.
    before: BTreeMap<RecordKey, RecordSet>,
    asked: BTreeSet<RecordKey>,
}

impl Beside {
    /// Changes of these sets were handed over, in a zone that stood like `before`.
    pub(crate) fn handed_over(
        &mut self,
        before: Observation,
        asked: impl Iterator<Item = RecordKey>,
    ) {
        self.written = Some(Written {
            before: before.sets,
            asked: asked.collect(),
        });
    }

    /// The sets that have changed since the last write, and that nobody here asked for. Once per write.
    pub(crate) fn look(&mut self, now: &Observation) -> Vec<RecordKey> {
        let Some(Written { before, asked }) = self.written.take() else {
            return vec![];
        };
        let keys = before.keys().chain(now.sets.keys());
        let data = |set: Option<&RecordSet>| set.map(|set| set.data.clone());
        let changed: BTreeSet<&RecordKey> = keys
            .filter(|key| !asked.contains(key))
            .filter(|key| data(before.get(key)) != data(now.sets.get(key)))
            .collect();
        self.in_a_row = match changed.is_empty() {
            true => 0,
            false => self.in_a_row + 1,
        };
        changed.into_iter().cloned().collect()
    }

    /// After how many writes in a row something else has changed, where that is no coincidence.
    pub(crate) fn is_no_coincidence(&self) -> Option<u32> {
        (self.in_a_row >= NO_COINCIDENCE).then_some(self.in_a_row)
    }
}
