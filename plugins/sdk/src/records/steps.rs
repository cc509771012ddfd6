//! Which records to touch, and in which order, to make a set what it shall be. Pure.
//!
//! What must be served comes first, what goes comes last.

use super::Record;
use crate::dns::{RecordSet, RecordValue};

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    /// Gives a record this value and the set's TTL; it stays switched as it is, which `value` says.
    Update {
        /// What stands.
        record: &'a Record,
        /// What it shall be.
        value: RecordValue,
    },
    /// Adds a record with this value and the set's TTL.
    Add {
        /// What it shall be.
        value: &'a RecordValue,
    },
    /// Switches a record on or off.
    Switch {
        /// What stands.
        record: &'a Record,
        /// On?
        enabled: bool,
    },
    /// Deletes a record.
    Delete {
        /// What stands.
        record: &'a Record,
    },
}

impl Step<'_> {
    /// Is this step about this record?
    pub(super) fn touches(&self, id: &str) -> bool {
        match self {
            Self::Update { record, .. } | Self::Switch { record, .. } | Self::Delete { record } => {
                record.id == id
            }
            Self::Add { .. } => false,
        }
    }
}

/// The calls that turn `standing` into `wanted`.
pub fn steps<'a>(standing: &[&'a Record], wanted: Option<&'a RecordSet>) -> Vec<Step<'a>> {
    let mut spare: Vec<&Record> = standing.to_vec();
    let mut to_serve = Vec::new();
    let mut in_place = Vec::new();
    let mut to_withdraw = Vec::new();
    let mut missing: Vec<&RecordValue> = Vec::new();
    // A record that is on or off at this moment gets everything of a value but that.
    let update = |record: &'a Record, value: &RecordValue, enabled: bool| Step::Update {
        record,
        value: RecordValue {
            enabled,
            ..value.clone()
        },
    };

    for value in wanted.iter().flat_map(|set| &set.values) {
        let Some(position) = spare
            .iter()
            .position(|record| record.value.content == value.content)
        else {
            missing.push(value);
            continue;
        };
        let record = spare.remove(position);
        let was_enabled = record.value.enabled;
        let same_ttl = wanted.is_some_and(|set| set.ttl == record.ttl);
        if !same_ttl || record.value.weight != value.weight {
            // It comes after what is switched on and before what is switched off.
            in_place.push(update(record, value, was_enabled || value.enabled));
        }
        let enabled = value.enabled;
        match (was_enabled, enabled) {
            (false, true) => to_serve.push(Step::Switch { record, enabled }),
            (true, false) => to_withdraw.push(Step::Switch { record, enabled }),
            _ => {}
        }
    }

    // A record that is on or off like the value in its place comes first: then nothing is switched.
    missing.retain(|value| {
        let Some(at) = spare
            .iter()
            .position(|record| record.value.enabled == value.enabled)
        else {
            return true;
        };
        in_place.push(update(spare.remove(at), value, value.enabled));
        false
    });
    for value in missing {
        let enabled = value.enabled;
        let side = if enabled {
            &mut to_serve
        } else {
            &mut to_withdraw
        };
        let Some(record) = spare.pop() else {
            side.push(Step::Add { value });
            continue;
        };
        let switch = Step::Switch { record, enabled };
        // Never is the old content served after it was unwanted, or the new one before it is wanted.
        side.extend(if enabled {
            [update(record, value, false), switch]
        } else {
            [switch, update(record, value, false)]
        });
    }
    to_serve
        .into_iter()
        .chain(in_place)
        .chain(to_withdraw)
        .chain(spare.into_iter().map(|record| Step::Delete { record }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dns::RecordKey, records};

    /// Records with ids 1, 2, …; `-` before the content means switched off, and behind a `*` stands the
    /// weight.
    fn records(contents: &[&str], ttl: u32) -> Vec<Record> {
        let record = |(index, content): (usize, &&str)| {
            let (enabled, rest) = match content.strip_prefix('-') {
                Some(rest) => (false, rest),
                None => (true, *content),
            };
            let (content, weight) = match rest.split_once('*') {
                Some((content, weight)) => (content, weight.parse().ok()),
                None => (rest, None),
            };
            Record {
                id: (index + 1).to_string(),
                key: RecordKey {
                    name: "www.example.com".to_owned(),
                    rtype: "A".to_owned(),
                    line: "default".to_owned(),
                    set_id: String::new(),
                },
                ttl,
                value: RecordValue {
                    content: content.to_owned(),
                    weight,
                    enabled,
                },
                locked: None,
                extras: String::new(),
            }
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
        let wanted = records::set(&wanted.iter().collect::<Vec<_>>());
        let standing: Vec<&Record> = standing.iter().collect();
        let value = |value: &RecordValue| {
            let off = if value.enabled { "" } else { "-" };
            let weight = value.weight.map(|weight| format!("*{weight}"));
            format!("{off}{}{}", value.content, weight.unwrap_or_default())
        };
        let shown = |step: &Step| match step {
            Step::Update { record, value: new } => format!("update {} {}", record.id, value(new)),
            Step::Add { value: new } => format!("add {}", value(new)),
            Step::Switch {
                record,
                enabled: true,
            } => format!("on {}", record.id),
            Step::Switch {
                record,
                enabled: false,
            } => format!("off {}", record.id),
            Step::Delete { record } => format!("delete {}", record.id),
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
            ["update 1 -192.0.2.2", "on 1"]
        );
        assert_eq!(
            from_to(&["192.0.2.1"], &["-192.0.2.2"]),
            ["off 1", "update 1 -192.0.2.2"]
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
        assert_eq!(
            from_to_ttl(&["192.0.2.1", "-192.0.2.2"], 60, &["-192.0.2.1"]),
            ["update 1 192.0.2.1", "off 1", "delete 2"],
            "an update leaves a record switched as it is"
        );
    }

    #[test]
    fn another_weight_is_an_update_of_its_record_alone() {
        assert_eq!(
            from_to(
                &["192.0.2.1*1", "192.0.2.2*1"],
                &["192.0.2.1*1", "192.0.2.2*3"]
            ),
            ["update 2 192.0.2.2*3"]
        );
        assert_eq!(
            from_to(&["192.0.2.1*1"], &["192.0.2.2*2"]),
            ["update 1 192.0.2.2*2"]
        );
    }
}
