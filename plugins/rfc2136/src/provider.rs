//! The provider.

use portolan_plugin::{
    Host, Provider,
    dns::{Caps, Change, DnsLine, Error, Features, Outcome, RecordPage, RecordSet, Zone, ZonePage},
    names::is_within,
    sets::{self, DEFAULT_LINE, show},
};

use crate::{
    apply::{Apply, Numbered},
    name,
    rdata::{self, TYPES},
    settings::Settings,
    view::View,
};

/// So many that an update can hold the old and the new values of any set of addresses.
const MAX_VALUES: u32 = 1_000;
/// The most octets of one set's data: an update holds the old ones and the new ones.
const MAX_DATA: usize = 30_000;
/// The highest TTL (RFC 2181, 8).
const MAX_TTL: u32 = i32::MAX as u32;
/// What each record takes in a message beside its data.
const RECORD: usize = 16;

/// A server that takes dynamic updates, and perhaps more of its views.
#[derive(Debug)]
pub struct Rfc2136 {
    zones: Vec<String>,
    /// The one of the line `default` first.
    views: Vec<View>,
}

impl Provider for Rfc2136 {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            // No `atomic-zone`: what the server does not take together is sent in parts.
            features: Features::LINES | Features::ATOMIC_RRSET,
            record_types: TYPES.map(|(rtype, _)| rtype.to_owned()).to_vec(),
            max_values: MAX_VALUES,
            changes_per_call: 1_000,
            settle_ms: 0,
            hosts: Vec::new(),
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            zones: settings.zones(),
            views: settings.views()?,
        })
    }

    fn caps(&self) -> Caps {
        match self.views.as_slice() {
            [_] => Caps {
                features: Features::ATOMIC_RRSET,
                ..Self::describe()
            },
            _ => Self::describe(),
        }
    }

    fn zones(&self, host: &dyn Host, _: Option<&str>) -> Result<ZonePage, Error> {
        let mut zones = Vec::new();
        for name in &self.zones {
            if self.view(DEFAULT_LINE)?.has(host, name)? {
                zones.push(Zone {
                    name: name.clone(),
                    min_ttl: None,
                });
            }
        }
        Ok(ZonePage { zones, next: None })
    }

    fn lines(&self, _: &dyn Host, _: &str) -> Result<Vec<DnsLine>, Error> {
        let line = |view: &View| DnsLine {
            code: view.line.clone(),
            label: format!("View of the key {}", view.tsig.key_name),
        };
        Ok(self.views.iter().map(line).collect())
    }

    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        _: Option<&str>,
    ) -> Result<RecordPage, Error> {
        let mut sets = Vec::new();
        for view in &self.views {
            let stood = match name {
                None => view.zone(host, zone)?,
                Some(name) => view.name(host, zone, name, &TYPES.map(|(rtype, _)| rtype))?,
            };
            sets.extend(stood.into_iter().map(|stood| stood.set));
        }
        Ok(RecordPage { sets, next: None })
    }

    fn normalize(
        &self,
        _: &dyn Host,
        zone: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        let answers = wanted.into_iter().map(|set| self.normal(zone, set));
        Ok(answers.collect())
    }

    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let mut results: Vec<Result<Outcome, Error>> = vec![Ok(Outcome::Already); changes.len()];
        let mut changes: Vec<Change> = changes;
        for (change, result) in changes.iter_mut().zip(&mut results) {
            match self.checked(zone, change.clone()) {
                Ok(checked) => *change = checked,
                Err(error) => *result = Err(error),
            }
        }
        let (mut unread, mut views) = (Vec::new(), 0);
        for view in &self.views {
            let is_mine = |(index, change): &(usize, &Change)| {
                results[*index].is_ok() && change.key.line == view.line
            };
            let mine: Vec<Numbered> = changes.iter().enumerate().filter(is_mine).collect();
            if mine.is_empty() {
                continue;
            }
            views += 1;
            match (Apply { host, view, zone }).all(&mine) {
                Ok(settled) => {
                    for (index, result) in settled {
                        results[index] = result;
                    }
                }
                Err(error) => {
                    for (index, _) in mine {
                        results[index] = Err(error.clone());
                    }
                    unread.push(error);
                }
            }
        }
        // Where all views are as bad, nothing was made.
        match unread.pop() {
            Some(error) if unread.len() + 1 == views => Err(error),
            _ => Ok(results),
        }
    }
}

impl Rfc2136 {
    fn view(&self, line: &str) -> Result<&View, Error> {
        let view = self.views.iter().find(|view| view.line == line);
        view.ok_or_else(|| {
            Error::Invalid(format!(
                "the settings have no view for the line `{line}`: name its key in `views`"
            ))
        })
    }

    /// How a wanted set will read back.
    fn normal(&self, zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
        let ttl = wanted.ttl.min(MAX_TTL);
        let set = sets::normalize(zone, RecordSet { ttl, ..wanted }, &self.caps())?;
        self.view(&set.key.line)?;
        let invalid = |reason: &str| Err(Error::Invalid(format!("{}: {reason}", show(&set))));
        if name::encode(&set.key.name).is_none() {
            return invalid("the name is malformed or too long");
        }
        if set.key.rtype == "CNAME" && set.key.name == zone {
            return invalid("a CNAME stands alone, and a zone's own name always has other records");
        }
        let mut octets = 0;
        for value in &set.values {
            match rdata::encode(&set.key.rtype, &value.content) {
                Some(data) => octets += data.len() + RECORD,
                None => return invalid(&format!("`{}` cannot be written", value.content)),
            }
        }
        if octets > MAX_DATA {
            return invalid(&format!("it takes {octets} octets and may take {MAX_DATA}"));
        }
        Ok(set)
    }

    /// A change that can be made as far as one can tell from here.
    fn checked(&self, zone: &str, change: Change) -> Result<Change, Error> {
        let key = &change.key;
        if !is_within(&key.name, zone) || name::encode(&key.name).is_none() {
            return Err(Error::Invalid(format!(
                "{} {}: the name is not in the zone {zone}",
                key.name, key.rtype
            )));
        }
        self.view(&key.line)?;
        let after = change.after.map(|set| self.normal(zone, set)).transpose()?;
        Ok(Change { after, ..change })
    }
}
