//! What an import does to what stands here already. Pure.

use console::{Color, Style};
use serde_json::{Value, json};

use super::super::documents::{self, Fields};
use super::convert::{Kind, Thing};
use crate::client::api::Answer;
use crate::client::error::ClientError;
use crate::client::table::brief;

/// One thing, and what becomes of it.
pub(super) struct Step {
    thing: Thing,
    /// As it shall be, with the secrets that it is made with.
    document: Value,
    /// The fields that change: as they stand, and as they shall be. No secret is among them.
    changes: Vec<(String, Value, Value)>,
    is_new: bool,
    tag: Option<String>,
}

impl Step {
    pub(super) fn path(&self) -> String {
        self.thing.path()
    }

    pub(super) fn document(&self) -> &Value {
        &self.document
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub(super) fn changes(&self) -> bool {
        self.is_new || !self.changes.is_empty()
    }

    pub(super) fn as_json(&self) -> Value {
        let changes = self.changes.iter();
        let changes: Fields = changes
            .map(|(field, before, after)| {
                (field.clone(), json!({"before": before, "after": after}))
            })
            .collect();
        json!({"kind": self.thing.kind.word(), "name": self.thing.name, "action": self.word(),
               "changes": changes})
    }

    fn word(&self) -> &'static str {
        match (self.is_new, self.changes.is_empty()) {
            (true, _) => "create",
            (false, false) => "update",
            (false, true) => "none",
        }
    }
}

/// What has to be done about a thing, by what stands in its place.
pub(super) fn compare(thing: Thing, standing: Option<&Answer>) -> Result<Step, ClientError> {
    let tag = standing.and_then(|answer| answer.tag().map(str::to_owned));
    let before = standing.map(Answer::whole).transpose()?;
    Ok(step(thing, before, tag))
}

fn step(thing: Thing, standing: Option<Fields>, tag: Option<String>) -> Step {
    let is_new = standing.is_none();
    let before = standing.unwrap_or_default();
    let mut fields = thing.fields.clone();
    match thing.kind {
        // An account may serve other zones too.
        Kind::Provider => keep_zones(&before, &mut fields),
        // Priorities are not the reference's to know.
        Kind::Site => keep_priorities(&before, &mut fields),
        Kind::Service => {}
    }
    if is_new {
        fields.extend(thing.first.clone());
    }
    let mut after = before.clone();
    documents::apply(&mut after, fields.clone());
    let changes = changed(&before, &after, &fields);
    if is_new && !thing.secrets.is_empty() {
        after.insert("credentials".to_owned(), thing.secrets.clone().into());
    }
    Step {
        thing,
        document: after.into(),
        changes,
        is_new,
        tag,
    }
}

fn keep_zones(before: &Fields, fields: &mut Fields) {
    let (Some(Value::Array(standing)), Some(Value::Array(zones))) =
        (before.get("zones"), fields.get_mut("zones"))
    else {
        return;
    };
    let more: Vec<Value> = zones
        .iter()
        .filter(|zone| !standing.contains(zone))
        .cloned()
        .collect();
    *zones = standing.iter().cloned().chain(more).collect();
}

fn keep_priorities(before: &Fields, fields: &mut Fields) {
    let (Some(Value::Array(standing)), Some(Value::Array(lines))) =
        (before.get("lines"), fields.get_mut("lines"))
    else {
        return;
    };
    let mut codes: Vec<&str> = lines.iter().map(line_code).collect();
    let mut standing_codes: Vec<&str> = standing.iter().map(line_code).collect();
    codes.sort_unstable();
    standing_codes.sort_unstable();
    if codes == standing_codes {
        lines.clone_from(standing);
        return;
    }
    for line in lines {
        let mut same = standing
            .iter()
            .filter(|own| line_code(own) == line_code(line));
        if let Some(own) = same.next() {
            *line = own.clone();
        }
    }
}

/// `"CT"`, or `{"line": "CT", "priority": 10}`.
fn line_code(line: &Value) -> &str {
    line.as_str().or(line["line"].as_str()).unwrap_or_default()
}

fn changed(before: &Fields, after: &Fields, given: &Fields) -> Vec<(String, Value, Value)> {
    let none = Value::Null;
    let pairs = given.keys().map(|field| {
        let before = before.get(field).unwrap_or(&none);
        let after = after.get(field).unwrap_or(&none);
        (field, before, after)
    });
    pairs
        .filter(|(_, before, after)| before != after)
        .map(|(field, before, after)| (field.clone(), before.clone(), after.clone()))
        .collect()
}

/// Like a diff: a line for each thing, what changes of it, and what is to be known.
pub(super) fn picture(steps: &[Step], notes: &[String], colours: bool) -> String {
    let mut lines: Vec<String> = steps.iter().map(|step| line(step, colours)).collect();
    lines.extend(notes.iter().map(|note| {
        let style = Style::new().fg(Color::Yellow).force_styling(colours);
        style.apply_to(format!("? {note}")).to_string()
    }));
    lines.join("\n")
}

fn line(step: &Step, colours: bool) -> String {
    let name = format!("{} {}", step.thing.kind.word(), step.thing.name);
    let (sign, style) = match step.word() {
        "create" => ("+", Style::new().fg(Color::Green)),
        "update" => ("~", Style::new().fg(Color::Yellow)),
        _ => ("=", Style::new().dim()),
    };
    let changes = step.changes.iter().map(|(field, before, after)| {
        match (step.is_new, brief(before), brief(after)) {
            (true, _, after) => format!("{field} {after}"),
            (false, before, after) => format!("{field} {before} -> {after}"),
        }
    });
    let mut changes: Vec<String> = changes.collect();
    if step.is_new && !step.thing.secrets.is_empty() {
        let names: Vec<&str> = step.thing.secrets.keys().map(String::as_str).collect();
        changes.push(format!("credentials {}", names.join(", ")));
    }
    if changes.is_empty() {
        changes.push("stays as it is".to_owned());
    }
    let style = style.force_styling(colours);
    let text = format!("{sign} {name}: {}", changes.join("; "));
    style.apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Fields {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other}"),
        }
    }

    fn account() -> Thing {
        Thing {
            kind: Kind::Provider,
            name: "ali".into(),
            fields: object(json!({"zones": ["a.example"]})),
            secrets: object(json!({"key": "hunter2"})),
            first: object(json!({"plugin": "alidns"})),
        }
    }

    #[test]
    fn what_is_new_is_made_with_its_secrets_which_are_not_shown() {
        let step = step(account(), None, None);
        assert!(step.is_new() && step.changes());
        let expected = json!({"plugin": "alidns", "zones": ["a.example"],
                              "credentials": {"key": "hunter2"}});
        assert_eq!(*step.document(), expected);
        let shown = picture(std::slice::from_ref(&step), &[], false) + &step.as_json().to_string();
        assert!(shown.contains("+ provider ali: "), "{shown}");
        assert!(shown.contains("credentials key"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_stands_keeps_its_zones_its_secrets_and_its_settings() {
        let standing = object(json!({
            "name": "ali", "plugin": "alidns", "zones": ["b.example"],
            "settings": {"endpoint": "x"}, "credentials": {"key": "set"}
        }));
        let first = step(account(), Some(standing), None);
        let expected = json!({
            "name": "ali", "plugin": "alidns", "zones": ["b.example", "a.example"],
            "settings": {"endpoint": "x"}, "credentials": {"key": "set"}
        });
        assert_eq!(*first.document(), expected);
        let again = step(account(), Some(object(first.document().clone())), None);
        assert!(!again.changes(), "a second time there is nothing to do");
        let shown = picture(&[again], &["look out".into()], false);
        assert_eq!(shown, "= provider ali: stays as it is\n? look out");
    }

    #[test]
    fn a_line_keeps_its_priority_and_a_site_its_address() {
        let site = |lines: Value| Thing {
            kind: Kind::Site,
            name: "sh".into(),
            fields: object(json!({"name": "Shanghai", "lines": lines})),
            secrets: Fields::new(),
            first: object(json!({"addresses": {"ipv4": ["192.0.2.1"]}})),
        };
        let first = json!({"line": "CT", "priority": 10});
        let standing = object(json!({"name": "Shanghai", "lines": [first, "CU"],
                                     "addresses": {"ipv4": ["192.0.2.2"]}}));
        let same = step(site(json!(["CU", "CT"])), Some(standing.clone()), None);
        assert!(!same.changes());
        let other = step(site(json!(["CMCC", "CT"])), Some(standing), None);
        assert!(other.changes());
        let document = other.document();
        assert_eq!(document["lines"], json!(["CMCC", first]));
        assert_eq!(document["addresses"]["ipv4"], json!(["192.0.2.2"]));
    }
}
