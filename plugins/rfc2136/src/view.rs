//! A server as it answers one key.

use portolan_plugin::{
    Host,
    dns::{Error, RecordKey, RecordSet, RecordValue},
    http::Effect,
    message::{Request, Tsig, exchange, transfer},
    names::is_within,
};

use crate::{
    message::{AXFR, Answer, Record, Update, query},
    rcode::{self, NOERROR, NXDOMAIN},
    rdata,
};

/// A server and the key that chooses among its views.
#[derive(Debug)]
pub(crate) struct View {
    /// The code of the line that it stands for.
    pub(crate) line: String,
    pub(crate) server: String,
    pub(crate) tsig: Tsig,
}

/// A set as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stood {
    pub(crate) set: RecordSet,
    pub(crate) code: u16,
    /// Its records' data exactly as the server has it, the case of host names included: a prerequisite
    /// that spells it otherwise may not hold.
    pub(crate) data: Vec<Vec<u8>>,
}

/// Why an update was not made.
pub(crate) enum NotMade {
    /// The zone does not stand as the prerequisites demand.
    Unmet,
    /// The server refuses something that the message asks for; it made nothing of it.
    Refused(Error),
    /// Another message would fare no better.
    Failed(Error),
}

impl View {
    /// Asks whether the server has the zone for this key.
    pub(crate) fn has(&self, host: &dyn Host, zone: &str) -> Result<bool, Error> {
        let what = format!("asking for the SOA of {zone}");
        let answer = self.ask(host, zone, &what, query(zone, rdata::SOA), Effect::Read)?;
        Ok(answer.rcode == NOERROR && answer.authoritative)
    }

    /// Reads the whole zone.
    pub(crate) fn zone(&self, host: &dyn Host, zone: &str) -> Result<Vec<Stood>, Error> {
        let what = format!("reading the zone {zone} (AXFR)");
        let message = query(zone, AXFR).ok_or_else(|| no_name(&what))?;
        let messages = transfer(host, &self.request(message))
            .map_err(|error| self.zone_or_key(host, zone, error))?;
        let mut records = Vec::new();
        for message in &messages {
            let answer = Answer::parse(message).ok_or_else(|| garbled(&what, Effect::Read))?;
            if answer.rcode != NOERROR {
                return Err(rcode::error(&what, answer.rcode, Effect::Read));
            }
            records.extend(answer.records);
        }
        // Serial and times; the names before them can be written with pointers into their messages.
        let numbers = |record: Option<&Record>| {
            record.and_then(|record| record.data.last_chunk::<20>().copied())
        };
        if numbers(records.first()) != numbers(records.last()) {
            return Err(Error::Transient(format!(
                "{what}: it changed while it was read"
            )));
        }
        records.retain(|record| is_within(&record.name, zone));
        // Servers keep a set together, but nothing says that they must.
        records.sort_by(|one, other| (&one.name, one.code).cmp(&(&other.name, other.code)));
        let same_set =
            |one: &Record, other: &Record| one.name == other.name && one.code == other.code;
        let sets = records.chunk_by(same_set);
        Ok(sets.filter_map(|records| self.stood(records)).collect())
    }

    /// Reads the sets of one name of these types, with a query for each: not all servers answer queries
    /// for all types at once.
    ///
    /// An answer to a query does not say whether a wildcard gave it, and a server does not answer
    /// for what lies beyond a delegation. So it is asked whether what it answered stands there itself (an
    /// update of prerequisites alone), and whatever is not plain is read from the whole zone.
    pub(crate) fn name(
        &self,
        host: &dyn Host,
        zone: &str,
        name: &str,
        types: &[&str],
    ) -> Result<Vec<Stood>, Error> {
        match self.plainly(host, zone, name, types)? {
            Some(stood) => Ok(stood),
            None => {
                let mut stood = self.zone(host, zone)?;
                stood.retain(|stood| {
                    let key = &stood.set.key;
                    key.name == name && types.contains(&key.rtype.as_str())
                });
                Ok(stood)
            }
        }
    }

    /// None where the answers may not be the zone's whole truth about the name.
    fn plainly(
        &self,
        host: &dyn Host,
        zone: &str,
        name: &str,
        types: &[&str],
    ) -> Result<Option<Vec<Stood>>, Error> {
        let mut found = Vec::new();
        for rtype in types {
            let Some(code) = rdata::code(rtype) else {
                continue;
            };
            let what = format!("asking for {name} {rtype}");
            let mut answer = self.ask(host, zone, &what, query(name, code), Effect::Read)?;
            if !answer.authoritative || ![NOERROR, NXDOMAIN].contains(&answer.rcode) {
                return Ok(None);
            }
            // Behind an alias the code is that of another name.
            if answer.rcode == NXDOMAIN && answer.records.is_empty() {
                return Ok(Some(Vec::new()));
            }
            answer
                .records
                .retain(|record| record.name == name && record.code == code);
            if !answer.records.is_empty() {
                found.push(answer.records);
            }
        }
        if found.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut test = Update::of(zone);
        for record in found.iter().filter_map(|records| records.first()) {
            test.require_some(name, record.code);
        }
        let what = format!("asking whether {name} stands in {zone}");
        let answer = self.ask(host, zone, &what, test.finish(), Effect::Read)?;
        let stood = found.iter().filter_map(|records| self.stood(records));
        Ok((answer.rcode == NOERROR).then(|| stood.collect()))
    }

    /// Sends an update.
    pub(crate) fn update(
        &self,
        host: &dyn Host,
        zone: &str,
        message: Vec<u8>,
    ) -> Result<(), NotMade> {
        let what = format!("changing the zone {zone}");
        let answer = self.ask(host, zone, &what, Some(message), Effect::Write);
        let answer = answer.map_err(NotMade::Failed)?;
        match answer.rcode {
            NOERROR => Ok(()),
            rcode if rcode::is_unmet(rcode) => Err(NotMade::Unmet),
            rcode => {
                let error = rcode::error(&what, rcode, Effect::Write);
                Err(if rcode::is_about_content(rcode) {
                    NotMade::Refused(error)
                } else {
                    NotMade::Failed(error)
                })
            }
        }
    }

    fn ask(
        &self,
        host: &dyn Host,
        zone: &str,
        what: &str,
        message: Option<Vec<u8>>,
        effect: Effect,
    ) -> Result<Answer, Error> {
        let message = message.ok_or_else(|| no_name(what))?;
        let answer = exchange(host, &self.request(message), effect)
            .map_err(|error| self.zone_or_key(host, zone, error))?;
        Answer::parse(&answer).ok_or_else(|| garbled(what, effect))
    }

    /// What an unsigned refusal refuses: the zone, at a server that looks for it before it looks at keys,
    /// or the key, at one that says nothing of keys that it does not accept. The latter has the zone for
    /// whoever asks without one.
    fn zone_or_key(&self, host: &dyn Host, zone: &str, error: Error) -> Error {
        let Error::NotFound(text) = error else {
            return error;
        };
        let has_zone = query(zone, rdata::SOA).is_some_and(|message| {
            let unsigned = Request {
                tsig: None,
                ..self.request(message)
            };
            let answer = exchange(host, &unsigned, Effect::Read);
            let answer = answer.ok().and_then(|answer| Answer::parse(&answer));
            answer.is_some_and(|answer| answer.rcode == NOERROR && answer.authoritative)
        });
        if has_zone {
            let key = &self.tsig.key_name;
            Error::Auth(format!(
                "{text}; it has the zone, so it does not accept the key `{key}` or lets it do nothing here"
            ))
        } else {
            Error::NotFound(text)
        }
    }

    fn request(&self, message: Vec<u8>) -> Request {
        Request {
            server: self.server.clone(),
            message,
            tsig: Some(self.tsig.clone()),
        }
    }

    /// A set of its records; none where it is not managed or could not be written back.
    fn stood(&self, records: &[Record]) -> Option<Stood> {
        let first = records.first()?;
        let rtype = rdata::rtype(first.code)?;
        let value = |record: &Record| {
            let content = rdata::content(rtype, &record.data)?;
            Some(RecordValue {
                content,
                weight: None,
                enabled: true,
            })
        };
        let set = RecordSet {
            key: RecordKey {
                name: first.name.clone(),
                rtype: rtype.to_owned(),
                line: self.line.clone(),
                set_id: String::new(),
            },
            ttl: records.iter().map(|record| record.ttl).min()?,
            values: records.iter().map(value).collect::<Option<_>>()?,
            comment: None,
            handle: String::new(),
            extras: String::new(),
        };
        Some(Stood {
            set,
            code: first.code,
            data: records.iter().map(|record| record.data.clone()).collect(),
        })
    }
}

fn no_name(what: &str) -> Error {
    Error::Invalid(format!("{what}: the name is malformed or too long"))
}

fn garbled(what: &str, effect: Effect) -> Error {
    effect.lost(format!("{what}: the answer is malformed"))
}
