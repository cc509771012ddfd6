//! A picture of who serves which slots: one line per shard, its 16384 slots from left to right.
//!
//! ```text
//! 0  ████████▒·······<<··············   4100   25.0%
//! 1  ········▒███████>>██████████████  12284   75.0%
//! ```

use std::ops::Range;

use portolan_shards::{SLOTS, SlotRange};

use super::views::Shard;

/// Where the output is no terminal.
pub(super) const COLUMNS: u16 = 64;

/// All of a column's slots, some, and none of them.
const FULL: char = '█';
const SOME: char = '▒';
const NONE: char = '·';
/// Some of a column's slots are on their way.
const LEAVING: char = '>';
const ARRIVING: char = '<';

/// Room for the number of slots and their share, right of the map.
const COUNTS: u16 = 15;

/// Draws the map for a terminal of so many columns, or [`COLUMNS`] wide.
pub(super) fn slot_map(shards: &[Shard], terminal: Option<u16>) -> String {
    let index_width = shards.len().saturating_sub(1).to_string().len();
    let around = COUNTS + 2 + u16::try_from(index_width).unwrap_or_default();
    let columns = terminal.map_or(COLUMNS, |width| {
        width.saturating_sub(around).clamp(8, SLOTS)
    });

    let mut lines = vec![format!("{:index_width$}  {}", "", axis(columns))];
    for (index, shard) in shards.iter().enumerate() {
        let cells: String = (0..columns)
            .map(|column| cell(shard, column, columns))
            .collect();
        let count = shard.slot_count();
        let share = f64::from(count) * 100.0 / f64::from(SLOTS);
        lines.push(format!(
            "{index:>index_width$}  {cells}  {count:>5}  {share:>5.1}%"
        ));
    }
    lines.push(legend(shards, columns));
    lines.join("\n")
}

/// The slots that a column stands for.
fn column_slots(column: u16, columns: u16) -> Range<u16> {
    // Both are below 2^14 or equal to it: the products fit, and the quotients are slots.
    let at = |column: u16| (u32::from(column) * u32::from(SLOTS) / u32::from(columns)) as u16;
    at(column)..at(column + 1)
}

fn cell(shard: &Shard, column: u16, columns: u16) -> char {
    let slots = column_slots(column, columns);
    let Some(range) = SlotRange::new(slots.start, slots.end - 1) else {
        return NONE;
    };
    let moves = |moving: Option<SlotRange>| moving.is_some_and(|moving| moving.overlaps(range));
    if moves(shard.leaving()) {
        return LEAVING;
    }
    if moves(shard.arriving()) {
        return ARRIVING;
    }
    let own = shard.slots().iter().filter_map(|own| own.common(range));
    match own.map(SlotRange::count).sum::<u16>() {
        0 => NONE,
        some if some < range.count() => SOME,
        _ => FULL,
    }
}

/// The first slots of the four quarters, above the columns that they begin at.
fn axis(columns: u16) -> String {
    let mut line = String::new();
    for quarter in 0..4_u16 {
        let at = usize::from(columns) * usize::from(quarter) / 4;
        let slot = (SLOTS / 4 * quarter).to_string();
        if line.is_empty() || line.len() < at {
            line = format!("{line:at$}{slot}");
        }
    }
    line
}

fn legend(shards: &[Shard], columns: u16) -> String {
    let each = if SLOTS.is_multiple_of(columns) {
        format!("{}", SLOTS / columns)
    } else {
        format!("about {}", SLOTS / columns)
    };
    let mut text =
        format!("One column is {each} slots. {FULL} all of them, {SOME} some, {NONE} none");
    if shards.iter().any(|shard| shard.leaving().is_some()) {
        text += &format!(", {LEAVING} leaving, {ARRIVING} arriving");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn shards(value: Value) -> Vec<Shard> {
        from_value(value).unwrap()
    }

    #[test]
    fn full_partial_and_moving_columns_differ() {
        let shards = shards(json!([
            {"slot_ranges": ["0-8000"], "migrating_slot": "7424-8000", "import_slot": -1},
            {"slot_ranges": ["8001-16383"], "migrating_slot": -1, "import_slot": "7424-8000"},
            {"slot_ranges": null, "migrating_slot": -1, "import_slot": -1},
        ]));
        let expected = [
            "   0               4096            8192            12288",
            "0  █████████████████████████████>>>································   8001   48.8%",
            "1  ·····························<<<████████████████████████████████   8383   51.2%",
            "2  ································································      0    0.0%",
            "One column is 256 slots. █ all of them, ▒ some, · none, > leaving, < arriving",
        ];
        assert_eq!(
            slot_map(&shards, None).lines().collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn every_slot_is_in_one_column_at_any_width() {
        for columns in [8, 63, 64, 100, 8_191, SLOTS] {
            let mut next = 0;
            for column in 0..columns {
                let slots = column_slots(column, columns);
                assert_eq!(slots.start, next);
                assert!(!slots.is_empty());
                next = slots.end;
            }
            assert_eq!(next, SLOTS);
        }
    }

    #[test]
    fn it_fills_the_terminal_and_no_more() {
        let ranges: Vec<String> = (0..SLOTS / 2).map(|n| (n * 2).to_string()).collect();
        let shards = shards(json!([{"slot_ranges": ranges}, {"slot_ranges": ["1"]}]));
        for width in [40, 80, 133] {
            let map = slot_map(&shards, Some(width));
            let line = map.lines().nth(1).unwrap();
            assert_eq!(line.chars().count(), usize::from(width));
            assert!(line.contains("▒▒▒▒") && !line.contains('█'), "{map}");
        }
        assert!(slot_map(&shards, Some(1)).contains("▒·······"));
        assert!(slot_map(&shards, Some(133)).contains("is about 142 slots"));
    }
}
