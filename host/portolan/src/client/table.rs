//! Tables and the texts in their cells.

use std::time::{Duration, UNIX_EPOCH};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use console::measure_text_width;
use portolan_shards::SlotRange;
use serde_json::Value;

/// The room between two columns.
const GAP: u16 = 2;

/// Draws rows below a header, wrapped to `width` where there is one. A column that is empty in all rows
/// is left out; without rows there is no table.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    width: Option<u16>,
) -> String {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    let used: Vec<usize> = (0..N)
        .filter(|column| rows.iter().any(|row| !row[*column].is_empty()))
        .collect();
    if used.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(used.iter().map(|column| header[*column]));
    for row in &rows {
        table.add_row(used.iter().map(|column| &row[*column]));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    if let Some(width) = width {
        wrap(&mut table, width);
    }
    table.trim_fmt()
}

/// Wraps cells between words and, where even that is too wide, within them.
fn wrap(table: &mut Table, width: u16) {
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    let words: Vec<u16> = table
        .column_iter()
        .map(|column| longest_word(table, column.index) + GAP)
        .collect();
    if words.iter().map(|word| u32::from(*word)).sum::<u32>() <= u32::from(width) {
        let at_least = |word| ColumnConstraint::LowerBoundary(Width::Fixed(word));
        table.set_constraints(words.into_iter().map(at_least));
    }
}

fn longest_word(table: &Table, column: usize) -> u16 {
    let cells = table.column_cells_with_header_iter(column).flatten();
    let longest = cells
        .flat_map(|cell| cell.content().split(' ').map(measure_text_width).max())
        .max();
    u16::try_from(longest.unwrap_or_default()).unwrap_or(u16::MAX - GAP)
}

/// Ranges as a list: `0-99, 200`.
pub(super) fn slots(ranges: &[SlotRange]) -> String {
    let texts: Vec<String> = ranges.iter().map(SlotRange::to_string).collect();
    texts.join(", ")
}

/// A time in UTC: `2026-11-21T20:15:34.123Z`.
pub(super) fn time(ms_since_1970: u64) -> String {
    // No further than the year 9999, beyond which there is no such notation.
    const LAST_MS: u64 = 253_402_300_799_999;
    let time = UNIX_EPOCH + Duration::from_millis(ms_since_1970.min(LAST_MS));
    humantime::format_rfc3339_millis(time).to_string()
}

/// A value whose type is the server's business, in one cell: text as it is, nothing for null.
pub(super) fn brief(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_i64() && !number.is_u64() => decimal(float),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// A number with three decimals at most.
pub(super) fn decimal(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text of an option; nothing for none.
pub(super) fn maybe(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// `1 node`, `2 nodes`.
pub(super) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_the_columns_that_say_something() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["1", "", "first"]), row(["20", "", ""])];
        assert_eq!(
            table(["ID", "ZONE", "TEXT"], rows, None),
            "ID  TEXT\n1   first\n20"
        );
        assert_eq!(table(["ID"], [], None), "");
    }

    #[test]
    fn a_table_is_wrapped_at_the_width_of_the_terminal() {
        let text = "many words in a cell that is far too narrow for all of them".to_owned();
        let drawn = table(["ID", "TEXT"], [["1".to_owned(), text.clone()]], Some(30));
        assert!(drawn.lines().count() > 2, "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 30));
        let id = "0123456789abcdef";
        let drawn = table(["ID", "TEXT"], [[id.to_owned(), text.clone()]], Some(30));
        assert!(drawn.contains(id), "a word stays whole: {drawn}");
        let drawn = table(["ID", "TEXT"], [["1".to_owned(), text]], None);
        assert_eq!(drawn.lines().count(), 2, "{drawn}");
    }

    #[test]
    fn cells_are_short() {
        for (value, text) in [
            (json!(null), ""),
            (json!("a b"), "a b"),
            (json!(3), "3"),
            (json!(0.123_456), "0.123"),
            (json!(2.0), "2"),
            (json!({"a": [1]}), r#"{"a":[1]}"#),
        ] {
            assert_eq!(brief(&value), text);
        }
        assert_eq!(time(1_795_292_134_123), "2026-11-21T20:15:34.123Z");
        assert_eq!(time(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(
            (count(1, "node"), count(0, "node")),
            ("1 node".into(), "0 nodes".into())
        );
    }
}
