//! The provider.

use std::collections::BTreeMap;

use portolan_plugin::{
    Host, Level, Provider,
    dns::{self, Caps, Change, DnsLine, Error, Features, Outcome, RecordPage, RecordSet, ZonePage},
    names::without_dot,
    sets::{self, names_of},
};
use serde::Deserialize;

use crate::{
    api::{Api, PatchError, RrSet},
    lines::Lines,
    plan::{self, Portion, exclude_each_other, in_order, portions, settled},
    rrset,
    zone::Zone,
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
    /// Lines by their codes, each with its networks.
    #[serde(default)]
    pub lines: BTreeMap<String, Vec<String>>,
}

fn localhost() -> String {
    "localhost".to_owned()
}

/// A PowerDNS authoritative server.
pub struct PowerDns {
    api: Api,
    lines: Lines,
}

/// What it can do without lines.
fn plain() -> Features {
    Features::DISABLE | Features::COMMENT | Features::ATOMIC_RRSET
}

impl Provider for PowerDns {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            // No `atomic-zone`: the changes leave as one PATCH, which the server makes wholly or not
            // at all, but where it refuses that, the good ones are made without the bad ones.
            features: plain() | Features::LINES,
            record_types: rrset::RECORD_TYPES.map(str::to_owned).to_vec(),
            max_values: MAX_VALUES,
            changes_per_call: 1_000,
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
            lines: Lines::new(settings.lines)?,
        })
    }

    fn caps(&self) -> Caps {
        match self.lines.is_empty() {
            true => Caps {
                features: plain(),
                ..Self::describe()
            },
            false => Self::describe(),
        }
    }

    fn zones(&self, host: &dyn Host, _: Option<&str>) -> Result<ZonePage, Error> {
        let zones = self.api.zones(host)?;
        let writable = zones.iter().filter(|zone| zone.is_writable());
        let zones = writable
            .map(|zone| dns::Zone {
                name: without_dot(&zone.name),
                min_ttl: None,
            })
            .collect();
        Ok(ZonePage { zones, next: None })
    }

    fn lines(&self, _: &dyn Host, _: &str) -> Result<Vec<DnsLine>, Error> {
        Ok(self.lines.list())
    }

    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        _: Option<&str>,
    ) -> Result<RecordPage, Error> {
        let rrsets = self.api.read(host, zone)?;
        let sets = Zone::new(&rrsets, &self.lines).into_sets();
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
        let normal = |set| self.normal(zone, set);
        Ok(wanted.into_iter().map(normal).collect())
    }

    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let mut rrsets = self.api.read(host, zone)?;
        let names = names_of(&changes);
        let is_concerned = |rrset: &RrSet| {
            let name = without_dot(&rrset.name);
            names.binary_search(&name.as_str()).is_ok()
        };
        rrsets.retain(is_concerned);
        let standing = Zone::new(&rrsets, &self.lines);
        let mut results = Vec::with_capacity(changes.len());
        let mut due = Vec::new();
        for (index, change) in changes.into_iter().enumerate() {
            let wanted = change.after.map(|set| self.normal(zone, set)).transpose();
            results.push(wanted.map(|after| {
                let change = Change { after, ..change };
                settled(&change, &standing).unwrap_or_else(|| {
                    due.push((index, change));
                    Outcome::Applied
                })
            }));
        }
        let (portions, mut failures) = portions(&due, &standing, &self.lines);
        failures.extend(self.write(host, zone, &portions)?);
        for (index, error) in failures {
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
    fn write(&self, host: &dyn Host, zone: &str, portions: &[Portion]) -> Result<Failures, Error> {
        if portions.is_empty() {
            return Ok(Failures::new());
        }
        let together: Vec<&Portion> = portions.iter().collect();
        match self.api.patch(host, zone, &in_order(&together)) {
            Ok(()) => Ok(Failures::new()),
            Err(PatchError::Refused(error)) if portions.len() == 1 => Ok(all(&together, &error)),
            Err(PatchError::Refused(error)) => {
                let count = portions.len().to_string();
                let fields = [
                    ("zone", zone),
                    ("changes", &count),
                    ("reason", reason(&error)),
                ];
                host.log(Level::Warn, "batch refused, writing name by name", &fields);
                let by_name = plan::by_name(portions);
                let failures = by_name
                    .iter()
                    .flat_map(|portions| self.write_name(host, zone, portions));
                Ok(failures.collect())
            }
            Err(PatchError::Failed(error @ Error::UnknownOutcome(_))) => Ok(all(&together, &error)),
            Err(PatchError::Failed(error)) => Err(error),
        }
    }

    /// Writes what belongs to one name together, since it may depend on each other; where the server
    /// refuses that, portion by portion.
    fn write_name(&self, host: &dyn Host, zone: &str, portions: &[&Portion]) -> Failures {
        match self.api.patch(host, zone, &in_order(portions)) {
            Ok(()) => return Failures::new(),
            Err(PatchError::Failed(error)) => return all(portions, &error),
            Err(PatchError::Refused(error)) if portions.len() == 1 => return all(portions, &error),
            Err(PatchError::Refused(_)) => {}
        }
        let (replaces, deletes): (Vec<&Portion>, Vec<&Portion>) =
            portions.iter().partition(|portion| portion.replaces());
        let mut failures = Failures::new();
        let mut refused: Vec<&Portion> = Vec::new();
        for portion in replaces {
            if let Err(error) = self.write_one(host, zone, portion) {
                failures.extend(all(&[portion], &error));
                refused.push(portion);
            }
        }
        for portion in deletes {
            // What shall take its place could not be written: better the old answer than none.
            let successor = refused
                .iter()
                .find(|refused| exclude_each_other(refused, portion));
            let result = match successor {
                None => self.write_one(host, zone, portion),
                Some(successor) => Err(Error::Conflict(format!(
                    "{} was kept, because {}, which shall take its place, could not be written",
                    portion.show(),
                    successor.show(),
                ))),
            };
            if let Err(error) = result {
                failures.extend(all(&[portion], &error));
            }
        }
        failures
    }

    fn write_one(&self, host: &dyn Host, zone: &str, portion: &Portion) -> Result<(), Error> {
        self.api
            .patch(host, zone, &in_order(&[portion]))
            .map_err(|error| match error {
                PatchError::Refused(error) | PatchError::Failed(error) => error,
            })
    }

    /// How a wanted set will read back.
    fn normal(&self, zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
        let ttl = wanted.ttl.min(MAX_TTL);
        let set = sets::normalize(zone, RecordSet { ttl, ..wanted }, &self.caps())?;
        self.lines.check(&set, &sets::show(&set))?;
        Ok(set)
    }
}

/// The same failure for all of these changes.
fn all(portions: &[&Portion], error: &Error) -> Failures {
    let changes = portions.iter().flat_map(|portion| &portion.changes);
    changes.map(|index| (*index, error.clone())).collect()
}

/// The text of a refusal.
fn reason(error: &Error) -> &str {
    match error {
        Error::Invalid(text) | Error::Conflict(text) => text,
        _ => "",
    }
}
