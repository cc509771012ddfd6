//! What `portolan dns services set` changes, and how its flags say it.

use clap::{ArgAction, Args, ValueEnum};
use portolan_shards::Name;
use portolan_steering::{LineCode, SiteCode, ZoneName};
use serde_json::{Value, json};

use super::check::CheckFlags;
use super::documents::Fields;

/// A service's fields. What is not given stays as it is.
#[derive(Debug, Default, Args)]
pub struct ServiceChanges {
    /// The zone that it has records in
    #[arg(long, value_name = "ZONE", value_parser = ZoneName::parse)]
    zone: Option<ZoneName>,
    /// The name of its records in the zone; @ for the zone's own
    #[arg(long, value_name = "NAME")]
    record: Option<String>,
    /// The types of its records
    #[arg(
        long = "type",
        value_name = "A,AAAA",
        value_delimiter = ',',
        ignore_case = true,
        hide_possible_values = true
    )]
    types: Vec<AddressType>,
    /// How many seconds answers may be cached
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// The sites that it runs at
    #[arg(long, value_name = "CODE,...|all", value_parser = sites, conflicts_with = "follow")]
    sites: Option<Value>,
    /// A sharded cluster, whose nodes its records follow instead of sites
    #[arg(long, value_name = "NS/NAME[/SHARD]", value_parser = cluster)]
    follow: Option<Value>,
    /// Which of the cluster's nodes [default: master]
    #[arg(
        long,
        value_name = "master|replica",
        hide_possible_values = true,
        requires = "follow"
    )]
    role: Option<Role>,
    /// The lines that it has records on [default: all that its sites serve]
    #[arg(long, value_name = "LINE,...|all", value_parser = lines)]
    lines: Option<Value>,
    #[command(flatten)]
    switches: Switches,
    /// What becomes of lines where the provider has none: those of `default` alone, or a refusal
    #[arg(long, value_name = "default|refuse", hide_possible_values = true)]
    without_lines: Option<WithoutLines>,
    /// Keep its lines served while the group has no quorum, each site renewing a value in the zone this
    /// often; `off` ends it
    #[arg(long, value_name = "DURATION|off", value_parser = survivor)]
    survivor: Option<Value>,
}

/// What is on or off; `--spread` is on, `--spread=false` off.
#[derive(Debug, Default, Args)]
struct Switches {
    /// Put all healthy sites of a line into its record, instead of the first
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    spread: Option<bool>,
    /// Let records that stand there and are not ours become ours
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    adopt: Option<bool>,
}

/// A record type that holds addresses.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum AddressType {
    /// IPv4
    #[value(name = "A")]
    A,
    /// IPv6
    #[value(name = "AAAA")]
    Aaaa,
}

/// What a node is in its shard.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Takes writes
    Master,
    /// Follows the master
    Replica,
}

/// What a provider without lines gets.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum WithoutLines {
    /// The records of the line `default`
    Default,
    /// Nothing
    Refuse,
}

impl ServiceChanges {
    /// The changes by field.
    pub(super) fn fields(self, check: CheckFlags) -> Fields {
        let mut changes = Fields::new();
        let mut set = |field: &str, value: Option<Value>| {
            if let Some(value) = value {
                changes.insert(field.to_owned(), value);
            }
        };
        let target = match (self.sites, self.follow, self.role) {
            (Some(sites), ..) => Some(json!({ "sites": sites })),
            (None, Some(mut cluster), role) => {
                if let Some(role) = role {
                    cluster["role"] = word(&role);
                }
                Some(cluster)
            }
            (None, None, _) => None,
        };
        let types: Vec<Value> = self.types.iter().map(word).collect();
        set("zone", self.zone.map(|zone| json!(zone)));
        set("record", self.record.map(Value::from));
        set("types", (!types.is_empty()).then(|| types.into()));
        set("ttl", self.ttl.map(Value::from));
        set("target", target);
        set("lines", self.lines);
        set("spread", self.switches.spread.map(Value::from));
        set("adopt", self.switches.adopt.map(Value::from));
        set("survivor", self.survivor);
        set("without_lines", self.without_lines.as_ref().map(word));
        check.add_to(&mut changes);
        changes
    }
}

/// A word as the command line has it, which is how the server has it too.
fn word(value: &impl ValueEnum) -> Value {
    let known = value.to_possible_value();
    known.map_or(Value::Null, |value| value.get_name().into())
}

/// Codes, or `all`.
fn sites(text: &str) -> Result<Value, String> {
    match text {
        "all" => Ok(json!("all")),
        codes => {
            let codes = codes.split(',').map(SiteCode::parse);
            Ok(json!(codes.collect::<Result<Vec<_>, _>>()?))
        }
    }
}

/// Codes, or `all`, which is what stands where nothing is said.
fn lines(text: &str) -> Result<Value, String> {
    match text {
        "all" => Ok(Value::Null),
        codes => {
            let codes = codes.split(',').map(LineCode::parse);
            Ok(json!(codes.collect::<Result<Vec<_>, _>>()?))
        }
    }
}

/// How often values are renewed; null switches survivor mode off.
fn survivor(text: &str) -> Result<Value, String> {
    if text == "off" {
        return Ok(Value::Null);
    }
    let interval: humantime::Duration = text
        .parse()
        .map_err(|error| format!("write a duration like 20s, or off: {error}"))?;
    let interval_ms = u64::try_from(interval.as_millis()).map_err(|error| error.to_string())?;
    Ok(json!({ "interval_ms": interval_ms }))
}

/// `NAMESPACE/CLUSTER`, with a shard or without.
fn cluster(text: &str) -> Result<Value, String> {
    let name = |text: &str| text.parse::<Name>().map_err(|error| error.to_string());
    let mut parts = text.split('/');
    let (Some(namespace), Some(cluster), shard, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!(
            "write NAMESPACE/CLUSTER or NAMESPACE/CLUSTER/SHARD, not {text:?}"
        ));
    };
    let mut target = json!({"namespace": name(namespace)?, "cluster": name(cluster)?});
    if let Some(shard) = shard {
        let number: u32 = shard
            .parse()
            .map_err(|error| format!("{shard:?} is no shard's number: {error}"))?;
        target["shard"] = number.into();
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn changed(flags: &str) -> Result<Value, clap::Error> {
        let command = ServiceChanges::augment_args(Command::new("set").no_binary_name(true));
        let matches = command.try_get_matches_from(flags.split_whitespace())?;
        let changes = ServiceChanges::from_arg_matches(&matches)?;
        Ok(changes.fields(CheckFlags::default()).into())
    }

    #[test]
    fn flags_become_fields() {
        for (flags, fields) in [
            ("", json!({})),
            (
                "--zone Example.com --record www --type a,AAAA --ttl 60",
                json!({"zone": "example.com", "record": "www", "types": ["A", "AAAA"],
                       "ttl": 60}),
            ),
            (
                "--sites sh,bj --spread --adopt=false",
                json!({"target": {"sites": ["sh", "bj"]}, "spread": true, "adopt": false}),
            ),
            (
                "--sites all --lines all",
                json!({"target": {"sites": "all"}, "lines": null}),
            ),
            (
                "--follow ns/c/2 --role replica --lines default,CT",
                json!({"target": {"namespace": "ns", "cluster": "c", "shard": 2,
                                  "role": "replica"}, "lines": ["default", "CT"]}),
            ),
            (
                "--survivor 1m30s",
                json!({"survivor": {"interval_ms": 90_000}}),
            ),
            ("--survivor off", json!({"survivor": null})),
            (
                "--follow ns/c --without-lines refuse",
                json!({"target": {"namespace": "ns", "cluster": "c"},
                       "without_lines": "refuse"}),
            ),
        ] {
            assert_eq!(changed(flags).unwrap(), fields, "{flags}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for flags in [
            "--sites all --follow ns/c",
            "--role master",
            "--follow c",
            "--follow ns/c/x",
            "--follow ns/c/0/1",
            "--sites a,,b",
            "--type MX",
            "--spread=perhaps",
            "--survivor soon",
        ] {
            assert!(changed(flags).is_err(), "{flags}");
        }
    }
}
