//! The provider.

use portolan_plugin::{
    Host, Level, Provider,
    dns::{Caps, Change, Error, Features, Outcome, RecordPage, RecordSet, Zone, ZonePage},
    names::without_dot,
    sets,
};
use serde::Deserialize;

use crate::{
    api::{Api, ChangeType, PatchError, Write},
    plan::{self, Decision, Numbered, decide, exclude_each_other, in_order},
    rrset,
};

/// The most values that fit an answer of 65,535 octets, of which the header takes 12 and each record
/// at least 16 (RFC 1035, 4.1).
const MAX_VALUES: u32 = (65_535 - 12) / 16;
/// The highest TTL (RFC 2181, 8).
const MAX_TTL: u32 = i32::MAX as u32;

/// The binding's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the server's web server listens: `http://127.0.0.1:8081`.
    pub url: String,
    /// The server's id in the API.
    #[serde(default = "localhost")]
    pub server: String,
}

fn localhost() -> String {
    "localhost".to_owned()
}

/// A PowerDNS authoritative server.
pub struct PowerDns {
    api: Api,
}

impl Provider for PowerDns {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            // No `atomic-zone`: the changes leave as one PATCH, which the server makes wholly or not
            // at all, but where it refuses that, the good ones are made without the bad ones.
            features: Features::DISABLE | Features::COMMENT | Features::ATOMIC_RRSET,
            record_types: rrset::RECORD_TYPES.map(str::to_owned).to_vec(),
            max_values: MAX_VALUES,
            settle_ms: 0,
            hosts: Vec::new(),
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        let rest = settings
            .url
            .strip_prefix("http://")
            .or_else(|| settings.url.strip_prefix("https://"))
            .unwrap_or_default();
        if rest.is_empty() || rest.contains(['?', '#', ' ']) {
            return Err(Error::Invalid(format!(
                "`url` is `{}`: write where the server's API listens, as `http://127.0.0.1:8081`",
                settings.url
            )));
        }
        if rest.contains("/api/v1") {
            return Err(Error::Invalid(format!(
                "`url` is `{}`: leave out `/api/v1` and what follows it",
                settings.url
            )));
        }
        Ok(Self {
            api: Api::new(&settings.url, &settings.server),
        })
    }

    fn zones(&self, host: &dyn Host, _: Option<&str>) -> Result<ZonePage, Error> {
        let zones = self.api.zones(host)?;
        let writable = zones.iter().filter(|zone| zone.is_writable());
        let zones = writable
            .map(|zone| Zone {
                name: without_dot(&zone.name),
                min_ttl: None,
            })
            .collect();
        Ok(ZonePage { zones, next: None })
    }

    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        _: Option<&str>,
    ) -> Result<RecordPage, Error> {
        let rrsets = self.api.read(host, zone)?;
        let sets = rrsets.iter().filter_map(rrset::read);
        let sets = sets
            .filter(|set| name.is_none_or(|name| set.key.name == name))
            .collect();
        Ok(RecordPage { sets, next: None })
    }

    fn normalize(
        &self,
        _: &dyn Host,
        zone: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        Ok(wanted.into_iter().map(|set| normalize(zone, set)).collect())
    }

    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let standing = self.api.read(host, zone)?;
        let mut results = Vec::with_capacity(changes.len());
        let mut writes = Vec::new();
        for (index, change) in changes.into_iter().enumerate() {
            let wanted = change.after.map(|set| normalize(zone, set)).transpose();
            let decision = wanted.map(|after| decide(&Change { after, ..change }, &standing));
            results.push(match decision {
                Ok(Decision::Settled(outcome)) => Ok(outcome),
                Ok(Decision::Write(write)) => {
                    writes.push((index, write));
                    Ok(Outcome::Applied)
                }
                Err(error) => Err(error),
            });
        }
        let writes: Vec<Numbered> = writes
            .iter()
            .map(|(index, write)| (*index, write))
            .collect();
        for (index, error) in self.write(host, zone, &writes)? {
            results[index] = Err(error);
        }
        Ok(results)
    }
}

/// The changes that failed, by number.
type Failures = Vec<(usize, Error)>;

impl PowerDns {
    /// Writes everything with one request; where the server refuses that, name by name. The outer
    /// error means that nothing was written.
    fn write(&self, host: &dyn Host, zone: &str, writes: &[Numbered]) -> Result<Failures, Error> {
        if writes.is_empty() {
            return Ok(Failures::new());
        }
        match self.api.patch(host, zone, &in_order(writes)) {
            Ok(()) => Ok(Failures::new()),
            Err(PatchError::Refused(error)) if writes.len() == 1 => Ok(all(writes, &error)),
            Err(PatchError::Refused(error)) => {
                let count = writes.len().to_string();
                let fields = [
                    ("zone", zone),
                    ("changes", &count),
                    ("reason", reason(&error)),
                ];
                host.log(Level::Warn, "batch refused, writing name by name", &fields);
                let by_name = plan::by_name(writes);
                let failures = by_name
                    .iter()
                    .flat_map(|writes| self.write_name(host, zone, writes));
                Ok(failures.collect())
            }
            Err(PatchError::Failed(error @ Error::UnknownOutcome(_))) => Ok(all(writes, &error)),
            Err(PatchError::Failed(error)) => Err(error),
        }
    }

    /// Writes the sets of one name together, since they may depend on each other; where the server
    /// refuses that, one by one.
    fn write_name(&self, host: &dyn Host, zone: &str, writes: &[Numbered]) -> Failures {
        match self.api.patch(host, zone, &in_order(writes)) {
            Ok(()) => return Failures::new(),
            Err(PatchError::Failed(error)) => return all(writes, &error),
            Err(PatchError::Refused(error)) if writes.len() == 1 => return all(writes, &error),
            Err(PatchError::Refused(_)) => {}
        }
        let (deletes, replaces): (Vec<Numbered>, Vec<Numbered>) = writes
            .iter()
            .partition(|(_, write)| write.changetype == ChangeType::Delete);
        let mut failures = Failures::new();
        let mut refused: Vec<&Write> = Vec::new();
        for (index, write) in replaces {
            if let Err(error) = self.write_one(host, zone, write) {
                failures.push((index, error));
                refused.push(write);
            }
        }
        for (index, write) in deletes {
            // What shall take its place could not be written: better the old answer than none.
            let successor = refused
                .iter()
                .find(|refused| exclude_each_other(refused, write));
            let result = match successor {
                None => self.write_one(host, zone, write),
                Some(successor) => Err(Error::Conflict(format!(
                    "{} {} was kept, because the {} that shall take its place could not be written",
                    without_dot(&write.name),
                    write.rtype,
                    successor.rtype,
                ))),
            };
            if let Err(error) = result {
                failures.push((index, error));
            }
        }
        failures
    }

    fn write_one(&self, host: &dyn Host, zone: &str, write: &Write) -> Result<(), Error> {
        self.api
            .patch(host, zone, &[write])
            .map_err(|error| match error {
                PatchError::Refused(error) | PatchError::Failed(error) => error,
            })
    }
}

/// How a wanted set will read back.
fn normalize(zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
    let ttl = wanted.ttl.min(MAX_TTL);
    sets::normalize(zone, RecordSet { ttl, ..wanted }, &PowerDns::describe())
}

/// The same failure for all of these changes.
fn all(writes: &[Numbered], error: &Error) -> Failures {
    writes
        .iter()
        .map(|(index, _)| (*index, error.clone()))
        .collect()
}

/// The text of a refusal.
fn reason(error: &Error) -> &str {
    match error {
        Error::Invalid(text) | Error::Conflict(text) => text,
        _ => "",
    }
}
