//! `portolan cluster settings` and `portolan cluster set`: what a cluster has different from the daemon's
//! options.

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args};
use portolan_shards::{SlotSet, parse_ranges};
use serde::Serialize;
use serde_json::{Map, Value};

use super::api::Answer;
use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::table::{brief, table};

/// Settings by name, as they are sent and shown. Those of a newer server are kept as they are.
type Settings = Map<String, Value>;

/// What `--default` takes.
const NAMES: [&str; 8] = [
    "probe_interval_ms",
    "probe_timeout_ms",
    "failover_after",
    "safe_mode_percent",
    "automatic_failover",
    "move_cool_down_ms",
    "max_fill_percent",
    "excluded_slots",
];

/// What is to change. What is not given stays as it is.
#[derive(Debug, Args, Serialize)]
#[group(required = true, multiple = true)]
pub struct Changes {
    /// How often every node is asked how it is
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_interval_ms: Option<u64>,
    /// How long an answer may take
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_timeout_ms: Option<u64>,
    /// How many times in a row a master does not answer before it is replaced
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    failover_after: Option<u32>,
    /// Replace no master while more than this share of a large cluster does not answer
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    safe_mode_percent: Option<u32>,
    /// Whether masters that are down are replaced, or only reported
    #[arg(long, action = ArgAction::Set, value_name = "true|false", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    automatic_failover: Option<bool>,
    /// How long automatic plans leave a slot alone that was moved
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    move_cool_down_ms: Option<u64>,
    /// A shard whose master is fuller than this takes in no slots
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fill_percent: Option<u32>,
    /// Slots that no plan moves, such as 0-99,200; none for no such slots
    #[arg(long = "exclude-slots", value_name = "RANGES|none", value_parser = excluded)]
    #[serde(skip_serializing_if = "Option::is_none")]
    excluded_slots: Option<SlotSet>,
    /// Return a setting to the daemon's option, such as probe_interval_ms; may be given several times
    #[arg(
        long = "default",
        value_name = "NAME",
        value_parser = PossibleValuesParser::new(NAMES),
        hide_possible_values = true
    )]
    #[serde(skip)]
    defaults: Vec<String>,
}

impl Changes {
    /// The settings as they are to be.
    fn applied_to(&self, mut settings: Settings) -> Result<Settings, ClientError> {
        let given = match serde_json::to_value(self) {
            Ok(Value::Object(given)) => given,
            outcome => {
                return Err(ClientError::Failed(format!(
                    "the changes cannot be written: {outcome:?}"
                )));
            }
        };
        for name in &self.defaults {
            if given.contains_key(name) {
                return Err(ClientError::Usage(format!(
                    "{name} is given a value and returned to its default: leave one of them out"
                )));
            }
            settings.remove(name);
        }
        settings.extend(given);
        Ok(settings)
    }
}

fn excluded(text: &str) -> Result<SlotSet, String> {
    match text {
        "none" => Ok(SlotSet::default()),
        ranges => match parse_ranges(ranges) {
            Ok(ranges) => Ok(ranges.into()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Prints a cluster's settings.
pub(super) async fn show(session: &Session, cluster: &ClusterName) -> Result<(), ClientError> {
    let answer = session.api.get(&path(cluster)).await?;
    print(session, &answer)
}

/// Changes some of a cluster's settings, and prints all of them.
pub(super) async fn change(
    session: &Session,
    cluster: &ClusterName,
    changes: &Changes,
) -> Result<(), ClientError> {
    let path = path(cluster);
    let settings = session.api.get(&path).await?.read("settings")?;
    let wanted = changes.applied_to(settings)?;
    let answer = session.api.put(&path, &wanted).await?;
    print(session, &answer)
}

fn path(cluster: &ClusterName) -> String {
    format!("{}/settings", cluster.path())
}

fn print(session: &Session, answer: &Answer) -> Result<(), ClientError> {
    session.show(answer, || {
        let (own, effective) = (answer.read("settings")?, answer.read("effective")?);
        Ok(settings_table(&own, &effective, session.width()))
    })
}

/// All settings by name: what the cluster has of its own, and what is in force.
fn settings_table(own: &Settings, effective: &Settings, width: Option<u16>) -> String {
    let mut names: Vec<&String> = own.keys().chain(effective.keys()).collect();
    names.sort();
    names.dedup();
    let rows = names.into_iter().map(|name| {
        // Some settings have no counterpart among the daemon's options.
        let in_force = effective.get(name).or(own.get(name));
        let own = own.get(name).filter(|value| !is_empty_list(value));
        let cell = |value: Option<&Value>| value.map(text).unwrap_or_default();
        [name.clone(), cell(own), cell(in_force)]
    });
    table(["SETTING", "OWN", "EFFECTIVE"], rows, width)
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Lists as `0-99, 200`, or none.
fn text(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(brief).collect::<Vec<_>>().join(", "),
        other => brief(other),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{from_value, json};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        changes: Changes,
    }

    fn changes(line: &str) -> Result<Changes, clap::Error> {
        let words = std::iter::once("set").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.changes)
    }

    fn applied(line: &str, settings: Value) -> Result<Value, ClientError> {
        let settings = from_value(settings).unwrap();
        changes(line)
            .unwrap()
            .applied_to(settings)
            .map(Value::Object)
    }

    #[test]
    fn only_what_was_given_is_changed() {
        let before = json!({"failover_after": 5, "probe_interval_ms": 200, "newer": [1]});
        let line = "--automatic-failover false --exclude-slots 7,0-5 --default probe_interval_ms";
        let after = json!({
            "failover_after": 5, "newer": [1],
            "automatic_failover": false, "excluded_slots": ["0-5", "7"]
        });
        assert_eq!(applied(line, before).unwrap(), after);
        let none = applied("--exclude-slots none", json!({"excluded_slots": ["5"]}));
        assert_eq!(none.unwrap(), json!({"excluded_slots": []}));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "",
            "--default nothing",
            "--exclude-slots 9-5",
            "--automatic-failover perhaps",
        ] {
            assert!(changes(line).is_err(), "{line}");
        }
        let both = "--failover-after 3 --default failover_after";
        assert!(matches!(
            applied(both, json!({})),
            Err(ClientError::Usage(_))
        ));
    }

    #[test]
    fn every_setting_can_be_returned_to_its_default() {
        let known = serde_json::to_value(portolan_shards::ClusterSettings::default()).unwrap();
        let mut known: Vec<&str> = known
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut names = NAMES;
        known.sort_unstable();
        names.sort_unstable();
        assert_eq!(known, names);
    }

    #[test]
    fn settings_are_shown_beside_what_is_in_force() {
        let own = json!({"excluded_slots": [], "failover_after": 5, "probe_timeout_ms": null});
        let effective = json!({"failover_after": 5, "probe_timeout_ms": 1000});
        let shown = settings_table(
            &from_value(own).unwrap(),
            &from_value(effective).unwrap(),
            None,
        );
        let expected = "\
SETTING           OWN  EFFECTIVE
excluded_slots         none
failover_after    5    5
probe_timeout_ms       1000";
        assert_eq!(shown, expected);
    }
}
