//! What changes come to: decided one after another against what stands in the store, and pure.

use std::collections::BTreeMap;

use hickory_proto::rr::{Name, Record};
use hickory_proto::serialize::binary::BinEncodable;
use portolan_consensus::Revision;
use portolan_steering::{
    Change, DomainName, Outcome, ProviderError, RecordData, RecordKey, RecordSet, ZoneName,
    canonical,
};

use crate::wire;

/// The most values of one set.
pub(crate) const MAX_VALUES: u32 = 256;
/// What the records of one set may take of a message of 65,535 bytes: the question, an OPT, and the
/// CNAMEs that led to it take some too.
const MAX_SET_BYTES: usize = 60_000;

/// What stands at a key, and since when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    pub(crate) data: RecordData,
    /// None where the transaction that is being made writes it.
    pub(crate) modified: Option<Revision>,
}

/// What stands at the names that a transaction is about.
pub(crate) type Sets = BTreeMap<RecordKey, Standing>;

/// What identifies one state of a set at the provider: the revision that it was written at.
pub(crate) fn handle(modified: Revision) -> String {
    modified.to_string()
}

/// Decides one change and makes it in `sets`.
pub(crate) fn decide(
    zone: &ZoneName,
    sets: &mut Sets,
    change: &Change,
) -> Result<Outcome, ProviderError> {
    let key = &change.key;
    let after = change.after.as_ref();
    let after = after.map(|set| normal(zone, set)).transpose()?;
    let standing = sets.get(key);
    if standing.map(|it| &it.data) == after.as_ref().map(|set| &set.data) {
        return Ok(Outcome::Already);
    }
    let stands_like = |before: &RecordSet| {
        let revision = standing.and_then(|it| it.modified);
        revision.is_some_and(|revision| handle(revision) == before.handle)
    };
    let as_read = match &change.before {
        Some(before) => stands_like(before),
        None => standing.is_none(),
    };
    if !as_read {
        return Ok(Outcome::Stale);
    }
    match after {
        None => {
            sets.remove(key);
        }
        Some(set) => {
            if let Some(other) = sets.keys().find(|other| clash(key, other)) {
                return Err(ProviderError::Conflict(format!(
                    "{key}: a CNAME stands alone at its name, and {other} stands there"
                )));
            }
            let standing = Standing {
                data: set.data,
                modified: None,
            };
            sets.insert(key.clone(), standing);
        }
    }
    Ok(Outcome::Applied)
}

/// Whether two sets cannot stand beside one another: they are at one name on one line, and one is a
/// CNAME.
fn clash(one: &RecordKey, other: &RecordKey) -> bool {
    one != other
        && one.name == other.name
        && one.line == other.line
        && (one.rtype.is("CNAME") || other.rtype.is("CNAME"))
}

/// How a set will read back, or why it never will.
pub(crate) fn normal(zone: &ZoneName, set: &RecordSet) -> Result<RecordSet, ProviderError> {
    check_key(zone, &set.key)?;
    let mut normal = set.clone();
    for value in &mut normal.data.values {
        value.content = canonical(&set.key.rtype, &value.content)
            .map_err(|reason| invalid(&set.key, reason))?;
    }
    normal.data.values.sort();
    check_values(&normal).map_err(|reason| invalid(&set.key, reason))?;
    // It keeps neither.
    normal.comment = None;
    normal.extras = String::new();
    Ok(normal)
}

fn check_key(zone: &ZoneName, key: &RecordKey) -> Result<(), ProviderError> {
    if wire::wire_type(&key.rtype).is_none() {
        let known: Vec<&str> = wire::TYPES.iter().map(|(name, _)| *name).collect();
        return Err(ProviderError::Unsupported(format!(
            "{key}: the dns server serves {}",
            known.join(", ")
        )));
    }
    if !key.name.is_within(zone) {
        return Err(invalid(key, format!("is not within the zone {zone}")));
    }
    let at_apex = key.name == DomainName::apex(zone);
    let reason = match key.rtype.as_str() {
        "NS" if at_apex => "the zone's own name servers are the binding's `settings.ns`",
        "NS" if !key.line.is_default() => "a delegation is the same on all lines; use `default`",
        "NS" if key.name.as_str().starts_with('*') => "a wildcard cannot be delegated",
        "CNAME" if at_apex => "the zone's own name has an SOA, and a CNAME stands alone",
        _ => return Ok(()),
    };
    Err(invalid(key, reason.to_owned()))
}

fn check_values(set: &RecordSet) -> Result<(), String> {
    let values = &set.data.values;
    if values.is_empty() {
        return Err("has no values".to_owned());
    }
    let most = if set.key.rtype.is("CNAME") {
        1
    } else {
        MAX_VALUES as usize
    };
    if values.len() > most {
        return Err(format!("has {} values, more than {most}", values.len()));
    }
    if set.data.contents().len() < values.len() {
        return Err("has a value twice".to_owned());
    }
    let bytes = records(set)?.iter().try_fold(0, |sum, record| {
        let bytes = record.to_bytes().map_err(|error| error.to_string())?;
        Ok::<usize, String>(sum + bytes.len())
    })?;
    match bytes > MAX_SET_BYTES {
        true => Err(format!(
            "has {bytes} bytes, more than a message can hold ({MAX_SET_BYTES})"
        )),
        false => Ok(()),
    }
}

/// The set's records; the names of all but the first are compressed to almost nothing.
fn records(set: &RecordSet) -> Result<Vec<Record>, String> {
    let rtype = wire::wire_type(&set.key.rtype).ok_or("is of an unknown type")?;
    let record = |content: &str| {
        let data = wire::rdata(rtype, content)?;
        Ok(Record::from_rdata(Name::root(), set.data.ttl, data))
    };
    let values = set.data.values.iter();
    values.map(|value| record(&value.content)).collect()
}

fn invalid(key: &RecordKey, reason: String) -> ProviderError {
    ProviderError::Invalid(format!("{key}: {reason}"))
}
