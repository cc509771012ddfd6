//! Hash slots: ranges and sets of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many slots a cluster has.
pub const SLOTS: u16 = 16_384;

/// What is not a slot or a range of slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a slot range: write a slot from 0 to 16383 as \"5\", or a range from the lower to the \
     higher slot as \"5-9\""
)]
pub struct NotSlots(pub String);

/// Slots from `first` to `last`, both included. As text `5-9`, or `5` for a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SlotRange {
    first: u16,
    last: u16,
}

impl SlotRange {
    /// All slots.
    pub const ALL: SlotRange = SlotRange {
        first: 0,
        last: SLOTS - 1,
    };

    /// The range from `first` to `last`; none where they are out of bounds or in the wrong order.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last && last < SLOTS).then_some(Self { first, last })
    }

    /// One slot; none where it is out of bounds.
    pub fn single(slot: u16) -> Option<Self> {
        Self::new(slot, slot)
    }

    /// The lowest slot.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest slot.
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many slots.
    pub fn count(self) -> u16 {
        self.last - self.first + 1
    }

    /// Whether any slot is in both.
    pub fn overlaps(self, other: SlotRange) -> bool {
        self.common(other).is_some()
    }

    /// The slots that are in both; none where there are none.
    pub fn common(self, other: SlotRange) -> Option<SlotRange> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }
}

/// Reads a list of slots and ranges, by commas or spaces: `5,7-9`.
///
/// # Errors
/// [`NotSlots`] with the part that is wrong; an empty list is wrong too.
pub fn parse_ranges(text: &str) -> Result<Vec<SlotRange>, NotSlots> {
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    let ranges: Vec<SlotRange> = parts.map(str::parse).collect::<Result<_, _>>()?;
    if ranges.is_empty() {
        return Err(NotSlots(text.to_owned()));
    }
    Ok(ranges)
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for SlotRange {
    type Err = NotSlots;

    fn from_str(text: &str) -> Result<Self, NotSlots> {
        let wrong = || NotSlots(text.to_owned());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let slot = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        Self::new(slot(first)?, slot(last)?).ok_or_else(wrong)
    }
}

impl From<SlotRange> for String {
    fn from(range: SlotRange) -> String {
        range.to_string()
    }
}

impl TryFrom<String> for SlotRange {
    type Error = NotSlots;

    fn try_from(text: String) -> Result<Self, NotSlots> {
        text.parse()
    }
}

/// A set of slots, kept as the fewest ranges in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<SlotRange>", into = "Vec<SlotRange>")]
pub struct SlotSet(Vec<SlotRange>);

impl SlotSet {
    /// All slots.
    pub fn all() -> Self {
        Self(vec![SlotRange::ALL])
    }

    /// The slots as ascending ranges that neither overlap nor touch.
    pub fn ranges(&self) -> &[SlotRange] {
        &self.0
    }

    /// How many slots.
    pub fn count(&self) -> u16 {
        self.0.iter().map(|range| range.count()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every slot.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|range| range.first..=range.last)
    }

    /// The slots that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &SlotSet) -> Self {
        let mut set = self.clone();
        for range in other.ranges() {
            set.remove(*range);
        }
        set
    }

    /// The slots that are in `other` too.
    #[must_use]
    pub fn common(&self, other: &SlotSet) -> Self {
        self.without(&self.without(other))
    }

    /// Whether all slots of `range` are in the set.
    pub fn contains(&self, range: SlotRange) -> bool {
        self.0
            .iter()
            .any(|own| own.first <= range.first && range.last <= own.last)
    }

    /// Whether any slot of `range` is in the set.
    pub fn overlaps(&self, range: SlotRange) -> bool {
        self.0.iter().any(|own| own.overlaps(range))
    }

    /// Adds the slots of `range`.
    pub fn insert(&mut self, range: SlotRange) {
        self.0.push(range);
        self.0.sort_unstable();
        let mut merged: Vec<SlotRange> = Vec::with_capacity(self.0.len());
        for range in self.0.drain(..) {
            match merged.last_mut() {
                Some(last) if range.first <= last.last + 1 => last.last = last.last.max(range.last),
                _ => merged.push(range),
            }
        }
        self.0 = merged;
    }

    /// Takes the slots of `range` out.
    pub fn remove(&mut self, range: SlotRange) {
        let parts = self.0.iter().flat_map(|own| {
            if !own.overlaps(range) {
                return [Some(*own), None];
            }
            let below = range
                .first
                .checked_sub(1)
                .filter(|last| own.first <= *last)
                .map(|last| SlotRange {
                    first: own.first,
                    last,
                });
            let above = (range.last < own.last).then(|| SlotRange {
                first: range.last + 1,
                last: own.last,
            });
            [below, above]
        });
        self.0 = parts.flatten().collect();
    }
}

impl From<Vec<SlotRange>> for SlotSet {
    fn from(ranges: Vec<SlotRange>) -> Self {
        let mut set = Self::default();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

impl From<SlotRange> for SlotSet {
    fn from(range: SlotRange) -> Self {
        Self(vec![range])
    }
}

impl fmt::Display for SlotSet {
    /// `0-5,7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
}

impl From<SlotSet> for Vec<SlotRange> {
    fn from(set: SlotSet) -> Self {
        set.0
    }
}

/// All slots dealt out to `shards` shards in order: equally many each, the last one takes the rest.
pub(crate) fn even_split(shards: u16) -> Vec<SlotSet> {
    let Some(each) = SLOTS.checked_div(shards).filter(|each| *each > 0) else {
        return Vec::new();
    };
    (0..shards)
        .map(|index| {
            let first = index * each;
            let last = if index + 1 == shards {
                SLOTS - 1
            } else {
                first + each - 1
            };
            SlotSet(vec![SlotRange { first, last }])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(ranges: &[&str]) -> SlotSet {
        let parsed = ranges.iter().map(|range| range.parse().unwrap());
        SlotSet::from(parsed.collect::<Vec<_>>())
    }

    #[test]
    fn ranges_read_and_write_as_the_contract_does() {
        for text in ["0", "16383", "0-16383", "5-9"] {
            assert_eq!(text.parse::<SlotRange>().unwrap().to_string(), text);
        }
        assert_eq!("7-7".parse::<SlotRange>().unwrap().to_string(), "7");
        for wrong in ["", "-1", "16384", "9-5", "a", "1-2-3", "0-16384"] {
            assert!(wrong.parse::<SlotRange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_ranges_are_a_list() {
        let texts = |text| {
            parse_ranges(text).map(|r| r.iter().map(SlotRange::to_string).collect::<Vec<_>>())
        };
        assert_eq!(texts("5,7-9 11").unwrap(), ["5", "7-9", "11"]);
        assert!(texts("").is_err() && texts(" , ").is_err() && texts("5,x").is_err());
    }

    #[test]
    fn neighbours_become_one_range() {
        assert_eq!(set(&["5-9", "0-4", "20", "21"]), set(&["0-9", "20-21"]));
        let mut slots = set(&["0-16383"]);
        slots.remove("100".parse().unwrap());
        assert_eq!(slots, set(&["0-99", "101-16383"]));
        slots.remove("0-99".parse().unwrap());
        slots.remove("16383".parse().unwrap());
        assert_eq!(slots, set(&["101-16382"]));
    }

    #[test]
    fn an_even_split_covers_all_slots_once() {
        for shards in [1, 2, 3, 7, 1_000, SLOTS] {
            let parts = even_split(shards);
            assert_eq!(parts.len(), usize::from(shards));
            let mut all = SlotSet::default();
            for part in &parts {
                assert!(part.ranges().iter().all(|range| !all.overlaps(*range)));
                all.insert(part.ranges()[0]);
            }
            assert_eq!(all, SlotSet::all());
        }
        assert!(even_split(0).is_empty());
        assert!(even_split(SLOTS + 1).is_empty());
    }

    proptest! {
        /// Against a plain set of numbers.
        #[test]
        fn a_set_holds_what_was_put_in_and_not_taken_out(
            steps in prop::collection::vec((any::<bool>(), 0u16..200, 0u16..200), 1..40)
        ) {
            let mut slots = SlotSet::default();
            let mut model = std::collections::BTreeSet::new();
            for (insert, a, b) in steps {
                let range = SlotRange::new(a.min(b), a.max(b)).unwrap();
                for slot in range.first()..=range.last() {
                    if insert { model.insert(slot); } else { model.remove(&slot); }
                }
                if insert { slots.insert(range) } else { slots.remove(range) }
                prop_assert_eq!(usize::from(slots.count()), model.len());
                let flat: Vec<u16> = slots.ranges().iter()
                    .flat_map(|range| range.first()..=range.last()).collect();
                prop_assert_eq!(&flat, &model.iter().copied().collect::<Vec<_>>());
                let touching = slots.ranges().windows(2).any(|pair| pair[0].last() + 1 >= pair[1].first());
                prop_assert!(!touching);
            }
        }
    }
}
