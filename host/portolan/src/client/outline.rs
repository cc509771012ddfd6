//! Any JSON as an indented outline, for what only people read.

use serde_json::Value;

use super::table::brief;

/// Keys and list items on lines of their own, what is in them indented below.
pub(super) fn outline(value: &Value) -> String {
    let mut lines = Vec::new();
    match value {
        Value::Object(_) | Value::Array(_) => below(value, 0, &mut lines),
        leaf => lines.push(brief(leaf)),
    }
    lines.join("\n")
}

fn below(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                entry(format!("{indent}{key}:"), value, depth, lines);
            }
        }
        Value::Array(items) => {
            for item in items {
                entry(format!("{indent}-"), item, depth, lines);
            }
        }
        leaf => lines.push(format!("{indent}{}", brief(leaf))),
    }
}

fn entry(head: String, value: &Value, depth: usize, lines: &mut Vec<String>) {
    let text = match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => {
            lines.push(head);
            return below(value, depth + 1, lines);
        }
        Value::Object(_) | Value::Array(_) | Value::Null => "none".to_owned(),
        leaf => brief(leaf),
    };
    lines.push(format!("{head} {text}"));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_is_there_is_shown() {
        let value = json!({
            "policy": "even-slots", "score": {"before": 0.5, "after": null},
            "shards": [{"index": 0, "slots": 8192}, "more"], "rejected": []
        });
        // serde_json keeps keys in alphabetical order.
        let expected = "\
policy: even-slots
rejected: none
score:
  after: none
  before: 0.5
shards:
  -
    index: 0
    slots: 8192
  - more";
        assert_eq!(outline(&value), expected);
        assert_eq!(outline(&json!("a sentence")), "a sentence");
        assert_eq!(outline(&json!(null)), "");
    }
}
