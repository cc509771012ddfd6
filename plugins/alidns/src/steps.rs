//! Which records to touch, and in which order, to make a set what it shall be. Pure.
//!
//! A record is updated in place wherever possible, so that its remark and weight stay and no moment is
//! without an answer. What must be served comes first, what goes comes last.

use portolan_plugin::dns::{RecordSet, RecordValue};

use crate::record::Record;

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Gives a record this content and the set's TTL.
    Update { id: String, content: String },
    /// Adds a record with this content and the set's TTL, and switches it off if it is not enabled.
    Add { content: String, enabled: bool },
    /// Switches a record on or off.
    Switch { id: String, enabled: bool },
    /// Deletes a record.
    Delete { id: String },
}

/// The calls that turn `standing` into `wanted`.
pub(crate) fn steps(standing: &[&Record], wanted: Option<&RecordSet>) -> Vec<Step> {
    let Some(wanted) = wanted else {
        return standing
            .iter()
            .map(|record| Step::Delete {
                id: record.record_id.clone(),
            })
            .collect();
    };
    let mut to_serve = Vec::new();
    let mut in_place = Vec::new();
    let mut to_withdraw = Vec::new();

    let mut spare: Vec<&Record> = standing.to_vec();
    let mut missing: Vec<&RecordValue> = Vec::new();
    for value in &wanted.values {
        let Some(position) = spare
            .iter()
            .position(|record| record.content() == value.content)
        else {
            missing.push(value);
            continue;
        };
        let record = spare.remove(position);
        let id = record.record_id.clone();
        if record.ttl != wanted.ttl {
            in_place.push(Step::Update {
                id: id.clone(),
                content: value.content.clone(),
            });
        }
        match (record.enabled(), value.enabled) {
            (false, true) => to_serve.push(Step::Switch { id, enabled: true }),
            (true, false) => to_withdraw.push(Step::Switch { id, enabled: false }),
            _ => {}
        }
    }

    // A record that is on or off like the value in its place comes first: then nothing is switched.
    missing.retain(|value| {
        let Some(at) = spare
            .iter()
            .position(|record| record.enabled() == value.enabled)
        else {
            return true;
        };
        let id = spare.remove(at).record_id.clone();
        in_place.push(Step::Update {
            id,
            content: value.content.clone(),
        });
        false
    });
    for value in missing {
        let content = value.content.clone();
        let side = if value.enabled {
            &mut to_serve
        } else {
            &mut to_withdraw
        };
        let Some(record) = spare.pop() else {
            side.push(Step::Add {
                content,
                enabled: value.enabled,
            });
            continue;
        };
        let id = record.record_id.clone();
        let update = Step::Update {
            id: id.clone(),
            content,
        };
        let switch = Step::Switch {
            id,
            enabled: value.enabled,
        };
        // Never is the old content served after it was unwanted, or the new one before it is wanted.
        side.extend(if value.enabled {
            [update, switch]
        } else {
            [switch, update]
        });
    }
    let deletes = spare.iter().map(|record| Step::Delete {
        id: record.record_id.clone(),
    });
    to_serve
        .into_iter()
        .chain(in_place)
        .chain(to_withdraw)
        .chain(deletes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    /// Records with ids 1, 2, …; `-` before the content means switched off.
    fn records(contents: &[&str], ttl: u32) -> Vec<Record> {
        let record = |(index, content): (usize, &&str)| {
            let (status, value) = match content.strip_prefix('-') {
                Some(value) => ("DISABLE", value),
                None => ("ENABLE", *content),
            };
            serde_json::from_value(serde_json::json!({
                "RecordId": (index + 1).to_string(), "RR": "www", "Type": "A", "Value": value,
                "Line": "default", "TTL": ttl, "Status": status,
            }))
            .unwrap()
        };
        contents.iter().enumerate().map(record).collect()
    }

    /// The steps from one list of contents to the other, both with TTL 600, as text.
    fn from_to(old: &[&str], new: &[&str]) -> Vec<String> {
        from_to_ttl(old, 600, new)
    }

    fn from_to_ttl(old: &[&str], ttl: u32, new: &[&str]) -> Vec<String> {
        let standing = records(old, ttl);
        let wanted = records(new, 600);
        let wanted = record::set("example.com", &wanted.iter().collect::<Vec<_>>());
        let standing: Vec<&Record> = standing.iter().collect();
        let shown = |step: &Step| match step {
            Step::Update { id, content } => format!("update {id} {content}"),
            Step::Add {
                content,
                enabled: true,
            } => format!("add {content}"),
            Step::Add {
                content,
                enabled: false,
            } => format!("add -{content}"),
            Step::Switch { id, enabled: true } => format!("on {id}"),
            Step::Switch { id, enabled: false } => format!("off {id}"),
            Step::Delete { id } => format!("delete {id}"),
        };
        steps(&standing, wanted.as_ref())
            .iter()
            .map(shown)
            .collect()
    }

    #[test]
    fn values_are_replaced_in_place() {
        assert_eq!(
            from_to(&["192.0.2.1"], &["192.0.2.2"]),
            ["update 1 192.0.2.2"]
        );
        assert_eq!(
            from_to(&["192.0.2.1", "192.0.2.2"], &["192.0.2.2", "192.0.2.3"]),
            ["update 1 192.0.2.3"]
        );
        assert_eq!(from_to(&["192.0.2.1"], &["192.0.2.1"]), [""; 0]);
    }

    #[test]
    fn what_is_new_comes_before_what_goes() {
        assert_eq!(
            from_to(&[], &["192.0.2.1", "-192.0.2.2"]),
            ["add 192.0.2.1", "add -192.0.2.2"]
        );
        assert_eq!(
            from_to(&["192.0.2.1"], &["192.0.2.1", "192.0.2.2"]),
            ["add 192.0.2.2"]
        );
        assert_eq!(
            from_to(&["192.0.2.1", "192.0.2.2"], &["192.0.2.3"]),
            ["update 1 192.0.2.3", "delete 2"]
        );
        assert_eq!(
            from_to(&["192.0.2.1", "192.0.2.2"], &[]),
            ["delete 1", "delete 2"]
        );
    }

    #[test]
    fn a_value_is_switched_on_before_another_is_switched_off() {
        assert_eq!(
            from_to(&["192.0.2.1", "-192.0.2.2"], &["-192.0.2.1", "192.0.2.2"]),
            ["on 2", "off 1"]
        );
        assert_eq!(
            from_to(&["192.0.2.1"], &["-192.0.2.1", "192.0.2.2"]),
            ["add 192.0.2.2", "off 1"]
        );
    }

    #[test]
    fn a_record_of_the_other_state_is_reused_without_serving_the_wrong_content() {
        assert_eq!(
            from_to(&["-192.0.2.1"], &["192.0.2.2"]),
            ["update 1 192.0.2.2", "on 1"]
        );
        assert_eq!(
            from_to(&["192.0.2.1"], &["-192.0.2.2"]),
            ["off 1", "update 1 192.0.2.2"]
        );
        assert_eq!(
            from_to(&["-192.0.2.1", "192.0.2.2"], &["192.0.2.3"]),
            ["update 2 192.0.2.3", "delete 1"],
            "one of the same state comes first"
        );
    }

    #[test]
    fn another_ttl_is_written_to_every_record_that_stays() {
        assert_eq!(
            from_to_ttl(
                &["192.0.2.1", "-192.0.2.2"],
                60,
                &["192.0.2.1", "192.0.2.2"]
            ),
            ["on 2", "update 1 192.0.2.1", "update 2 192.0.2.2"]
        );
    }
}
