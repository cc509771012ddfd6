//! Ranges of slots.

use std::fmt;

use super::SlotRange;

/// How many slots a cluster has.
pub const SLOTS: usize = 16_384;

impl SlotRange {
    /// The slots, as indices.
    pub fn indices(self) -> std::ops::RangeInclusive<usize> {
        usize::from(self.first)..=usize::from(self.last)
    }

    /// How many slots there are.
    pub fn count(self) -> usize {
        (usize::from(self.last) + 1).saturating_sub(usize::from(self.first))
    }

    /// Its first `count` slots, all where it has no more; none where `count` is 0.
    pub fn head(self, count: usize) -> Option<Self> {
        let more = u16::try_from(self.count().min(count).checked_sub(1)?).ok()?;
        Some(Self {
            first: self.first,
            last: self.first + more,
        })
    }

    /// Its last `count` slots, all where it has no more; none where `count` is 0.
    pub fn tail(self, count: usize) -> Option<Self> {
        let more = u16::try_from(self.count().min(count).checked_sub(1)?).ok()?;
        Some(Self {
            first: self.last - more,
            last: self.last,
        })
    }
}

impl fmt::Display for SlotRange {
    /// `5-9`, or `5` for a single slot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// The slots for which `wanted` holds, as the fewest ranges, ascending.
pub fn runs(wanted: impl Fn(usize) -> bool) -> Vec<SlotRange> {
    let mut runs: Vec<SlotRange> = Vec::new();
    for slot in 0..SLOTS as u16 {
        if !wanted(usize::from(slot)) {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.last + 1 == slot => run.last = slot,
            _ => runs.push(SlotRange {
                first: slot,
                last: slot,
            }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_both_ends() {
        let range = SlotRange { first: 5, last: 9 };
        let shown = |range: Option<SlotRange>| range.map(|range| range.to_string());
        assert_eq!(range.count(), 5);
        assert_eq!(shown(range.head(2)), Some("5-6".to_owned()));
        assert_eq!(shown(range.tail(1)), Some("9".to_owned()));
        assert_eq!(shown(range.tail(7)), Some("5-9".to_owned()));
        assert_eq!(shown(range.head(0)), None);
    }

    #[test]
    fn runs_are_the_fewest_ranges() {
        let runs = runs(|slot| matches!(slot, 0 | 2..=4 | 16_383));
        let shown: Vec<String> = runs.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["0", "2-4", "16383"]);
    }
}
