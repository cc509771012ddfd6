//! A plan as a person reads it: like a diff, with the reasons.

use console::{Color, Style, measure_text_width};

use super::super::table::count;
use super::views::{Action, Plan, Refusal};

/// All zones' plans, one below the other.
pub(super) fn pictures(plans: &[Plan], colours: bool) -> String {
    let pictures: Vec<String> = plans.iter().map(|plan| picture(plan, colours)).collect();
    pictures.join("\n\n")
}

/// A zone in a line, then a line for each change, refusal and warning.
fn picture(plan: &Plan, colours: bool) -> String {
    let changes: Vec<&Action> = plan.actions.iter().filter(|it| it.changes()).collect();
    let waiting = plan.actions.iter().filter(|it| it.waits());
    let rows = changes.into_iter().chain(waiting).map(change);
    let refused = plan.refused.iter().map(|it| refusal(Sign::Refused, it));
    let warned = plan.warnings.iter().map(|it| refusal(Sign::Warned, it));
    let rows: Vec<Row> = rows.chain(refused).chain(warned).collect();
    let mut lines = vec![title(plan)];
    let key_width = widest(&rows, |row| &row.key);
    let what_width = widest(&rows, |row| &row.what);
    lines.extend(
        rows.iter()
            .map(|row| row.line(key_width, what_width, colours)),
    );
    lines.join("\n")
}

/// `example.com at ali: 1 to create, 2 to update; 3 stay`.
fn title(plan: &Plan) -> String {
    let Plan { zone, provider, .. } = plan;
    let zone = match provider {
        Some(provider) => format!("{zone} at {provider}"),
        None => zone.clone(),
    };
    if let Some(error) = &plan.error {
        return format!("{zone}: no plan: {error}");
    }
    let counted = ["create", "update", "delete"].map(|kind| {
        let actions = plan.actions.iter();
        match actions.filter(|it| it.action == kind).count() {
            0 => None,
            number => Some(format!("{number} to {kind}")),
        }
    });
    let mut parts: Vec<String> = counted.into_iter().flatten().collect();
    if parts.is_empty() {
        parts.push("nothing to change".to_owned());
    }
    if !plan.refused.is_empty() {
        parts.push(format!("{} refused", plan.refused.len()));
    }
    if !plan.warnings.is_empty() {
        parts.push(count(plan.warnings.len(), "warning"));
    }
    if plan.unmanaged > 0 {
        parts.push(format!("{} left alone, not ours", plan.unmanaged));
    }
    format!("{zone}: {}", parts.join(", "))
}

/// How a line begins.
#[derive(Debug, Clone, Copy)]
enum Sign {
    Created,
    Updated,
    Deleted,
    Stays,
    Refused,
    Warned,
}

impl Sign {
    fn text(self) -> &'static str {
        match self {
            Self::Created => "+",
            Self::Updated => "~",
            Self::Deleted => "-",
            Self::Stays => "=",
            Self::Refused => "!",
            Self::Warned => "?",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Created => Style::new().fg(Color::Green),
            Self::Updated | Self::Warned => Style::new().fg(Color::Yellow),
            Self::Deleted => Style::new().fg(Color::Red),
            Self::Refused => Style::new().fg(Color::Red).bold(),
            Self::Stays => Style::new().dim(),
        }
    }
}

/// One line.
struct Row {
    sign: Sign,
    key: String,
    what: String,
    why: String,
}

impl Row {
    fn line(&self, key_width: usize, what_width: usize, colours: bool) -> String {
        let Self {
            sign,
            key,
            what,
            why,
        } = self;
        let key = padded(key, key_width);
        let what = padded(what, what_width);
        let text = format!("  {} {key}  {what}  {why}", sign.text());
        let style = sign.style().force_styling(colours);
        style.apply_to(text.trim_end()).to_string()
    }
}

fn change(action: &Action) -> Row {
    let (sign, what) = match (action.changes(), &action.before, &action.after) {
        (true, None, Some(after)) => (Sign::Created, after.to_string()),
        (true, Some(before), Some(after)) => (Sign::Updated, format!("{before} -> {after}")),
        (true, Some(before), None) => (Sign::Deleted, before.to_string()),
        (true, None, None) => (Sign::Updated, action.action.clone()),
        (false, ..) => (Sign::Stays, "stays".to_owned()),
    };
    Row {
        sign,
        key: action.key.to_string(),
        what,
        why: action.reason.clone(),
    }
}

fn refusal(sign: Sign, refusal: &Refusal) -> Row {
    let what = match sign {
        Sign::Refused => "refused",
        _ => "warning",
    };
    Row {
        sign,
        key: refusal.key.to_string(),
        what: what.to_owned(),
        why: refusal.reason.clone(),
    }
}

fn widest(rows: &[Row], cell: impl Fn(&Row) -> &String) -> usize {
    let widths = rows.iter().map(|row| measure_text_width(cell(row)));
    widths.max().unwrap_or_default()
}

fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(measure_text_width(text));
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn plan() -> Plan {
        let key =
            |name: &str, line: &str| json!({"name": name, "type": "A", "line": line, "set_id": ""});
        let data =
            |address: &str| json!({"ttl": 60, "values": [{"content": address, "enabled": true}]});
        let action = |kind: &str, key: Value, before: Value, after: Value, reason: &str| {
            json!({"action": kind, "key": key, "before": before, "after": after,
                   "reason": reason})
        };
        let none = Value::Null;
        from_value(json!({
            "zone": "a.example", "provider": "ali", "unmanaged": 2,
            "actions": [
                action("create", key("www.a.example", "CT"), none.clone(), data("192.0.2.1"),
                       "sh serves it"),
                action("update", key("www.a.example", "default"), data("192.0.2.1"),
                       data("192.0.2.2"), "sh is down"),
                action("delete", key("old.a.example", "default"), data("192.0.2.9"), none.clone(),
                       "not wanted any more"),
                action("none", key("mx.a.example", "default"), none.clone(), none.clone(),
                       "as wanted"),
                action("none", key("late.a.example", "default"), none.clone(), none,
                       "waiting: the last change may not show yet"),
            ],
            "refused": [{"key": key("by-hand.a.example", "default"), "reason": "it is not ours"}],
            "warnings": [{"key": key("www.a.example", "CU"), "reason": "the TTL is raised to 600"}]
        }))
        .unwrap()
    }

    #[test]
    fn a_plan_reads_like_a_diff() {
        let expected = "\
a.example at ali: 1 to create, 1 to update, 1 to delete, 1 refused, 1 warning, 2 left alone, not ours
  + www.a.example A line CT  60s 192.0.2.1                   sh serves it
  ~ www.a.example A          60s 192.0.2.1 -> 60s 192.0.2.2  sh is down
  - old.a.example A          60s 192.0.2.9                   not wanted any more
  = late.a.example A         stays                           waiting: the last change may not show yet
  ! by-hand.a.example A      refused                         it is not ours
  ? www.a.example A line CU  warning                         the TTL is raised to 600";
        assert_eq!(pictures(&[plan()], false), expected);
    }

    #[test]
    fn colours_are_for_terminals() {
        let coloured = pictures(&[plan()], true);
        let green = coloured.lines().nth(1).unwrap();
        assert!(green.starts_with("\u{1b}[32m  + www"), "{green:?}");
        let plain = console::strip_ansi_codes(&coloured).into_owned();
        assert_eq!(plain, pictures(&[plan()], false));
    }

    #[test]
    fn a_zone_without_a_plan_or_without_changes_says_so() {
        let failed: Plan = from_value(json!({"zone": "b.example", "error": "no answer"})).unwrap();
        assert_eq!(picture(&failed, false), "b.example: no plan: no answer");
        let done: Plan = from_value(json!({"zone": "b.example", "provider": "ali"})).unwrap();
        assert_eq!(picture(&done, false), "b.example at ali: nothing to change");
    }
}
