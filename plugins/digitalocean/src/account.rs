//! Single records of an account: all of a zone or a name, and one written at a time.

use portolan_plugin::{
    Host,
    dns::{Error, RecordSet, RecordValue},
    http::{Effect, Method, encode},
    names::relative,
    records::{Failure, Pages, Record, Records},
    sets::show,
};

use crate::{
    client::{PAGE, present},
    digitalocean::{DigitalOcean, normalize},
    record,
};

impl DigitalOcean {
    /// Writes a record of a set: a new one, or in the place of the one at this path.
    fn write(
        &self,
        host: &dyn Host,
        zone: &str,
        target: (Method, &str, &str),
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Error> {
        let (method, path, verb) = target;
        let what = format!("{verb} {} {}", show(set), value.content);
        let outside = || Error::Invalid(format!("{what}: the name is not in the zone {zone}"));
        let name = relative(&set.key.name, zone).ok_or_else(outside)?;
        let written = record::write(&set.key.rtype, name, set.ttl, &value.content)
            .map_err(|reason| Error::Unsupported(format!("{what}: {reason}")))?;
        self.client.write(host, method, path, &written, &what)
    }
}

impl Records for DigitalOcean {
    const TYPES: &'static [&'static str] = record::TYPES;

    fn records(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
    ) -> Result<Vec<Record>, Error> {
        let what = format!("reading the records of {}", name.unwrap_or(zone));
        let filter = match name {
            // Nobody says what the filter makes of an asterisk.
            Some(name) if !name.starts_with('*') => format!("&name={}", encode(name)),
            _ => String::new(),
        };
        let mut pages = Pages::new(&what);
        for page in 1.. {
            let path = format!("{}?page={page}&per_page={PAGE}{filter}", records_of(zone));
            let reply = self.client.get(host, &path, &what)?;
            let total = present(reply.total(), Effect::Read, &what)?;
            let records = present(reply.domain_records, Effect::Read, &what)?;
            let records = records.iter().map(|record| record.seen(zone)).collect();
            if pages.add(total, records)? {
                break;
            }
        }
        let mut records = pages.whole()?;
        records.retain(|record| name.is_none_or(|name| record.key.name == name));
        Ok(records)
    }

    fn normalize(&self, zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
        normalize(zone, wanted)
    }

    fn add(
        &self,
        host: &dyn Host,
        zone: &str,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        let path = records_of(zone);
        let target = (Method::Post, path.as_str(), "adding");
        Ok(self.write(host, zone, target, set, value)?)
    }

    fn update(
        &self,
        host: &dyn Host,
        zone: &str,
        record: &Record,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        let path = one_of(zone, record);
        let target = (Method::Put, path.as_str(), "updating");
        gone_if_not_found(self.write(host, zone, target, set, value))
    }

    fn delete(&self, host: &dyn Host, zone: &str, record: &Record) -> Result<(), Failure> {
        let (id, key) = (&record.id, &record.key);
        let what = format!("deleting record {id} of {} {}", key.name, key.rtype);
        gone_if_not_found(self.client.delete(host, &one_of(zone, record), &what))
    }
}

fn records_of(zone: &str) -> String {
    format!("/{}/records", encode(zone))
}

fn one_of(zone: &str, record: &Record) -> String {
    format!("{}/{}", records_of(zone), record.id)
}

fn gone_if_not_found(result: Result<(), Error>) -> Result<(), Failure> {
    result.map_err(|error| match error {
        Error::NotFound(_) => Failure::Gone(error),
        error => Failure::Other(error),
    })
}
