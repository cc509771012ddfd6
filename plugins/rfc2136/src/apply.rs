//! Making changes in one view.
//!
//! All changes of a call leave in one message, or in a few where they are many, because a message is one
//! write of the server's journal, one serial and one NOTIFY. If the server does not carry it out, it says
//! only that, not for which of them; so they are sent again in halves, down to a single set, and a bad
//! one fails alone. A CNAME and what takes its place stay together.

use portolan_plugin::{
    Host, Level,
    dns::{Change, Error, Outcome},
    sets::{Standing, show, standing},
};

use crate::{
    message::MAX_MESSAGE,
    rdata::{self, CNAME, NS},
    update::{Write, by_name, is_swap, message},
    view::{NotMade, Stood, View},
};

/// Up to this many names are read by queries, more with the whole zone.
const NAMES_READ_SINGLY: usize = 8;
/// The most names in one message: enough to make messages few, and not so many that a bad change among
/// them makes the rest slow.
const NAMES_AT_ONCE: usize = 200;

/// A change by its number.
pub(crate) type Numbered<'a> = (usize, &'a Change);
/// What became of a change, by its number.
pub(crate) type Settled = (usize, Result<Outcome, Error>);

/// The work on one view of a zone.
pub(crate) struct Apply<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) view: &'a View,
    pub(crate) zone: &'a str,
}

impl Apply<'_> {
    /// Makes the changes. The outer error means that none was made.
    pub(crate) fn all(&self, changes: &[Numbered]) -> Result<Vec<Settled>, Error> {
        let zone = self.read(changes)?;
        let mut settled = Vec::with_capacity(changes.len());
        let mut writes = Vec::new();
        for &(index, change) in changes {
            let current = zone.iter().find(|stood| stood.set.key == change.key);
            match standing(change, current.map(|stood| &stood.set)) {
                Standing::AsWanted => settled.push((index, Ok(Outcome::Already))),
                Standing::Moved => settled.push((index, Ok(Outcome::Stale))),
                Standing::AsBefore => match self.write(index, change, current) {
                    Ok(write) => writes.push(write),
                    Err(error) => settled.push((index, Err(error))),
                },
            }
        }
        self.send(&writes, &mut settled);
        Ok(settled)
    }

    /// The sets that stand now under the keys of the changes, and perhaps more.
    fn read(&self, changes: &[Numbered]) -> Result<Vec<Stood>, Error> {
        let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
        for (_, change) in changes {
            let key = &change.key;
            match names.iter().position(|(name, _)| *name == key.name) {
                Some(at) => names[at].1.push(&key.rtype),
                None if names.len() == NAMES_READ_SINGLY => {
                    return self.view.zone(self.host, self.zone);
                }
                None => names.push((&key.name, vec![&key.rtype])),
            }
        }
        let mut stood = Vec::new();
        for (name, types) in names {
            stood.extend(self.view.name(self.host, self.zone, name, &types)?);
        }
        Ok(stood)
    }

    fn write<'c>(
        &self,
        index: usize,
        change: &'c Change,
        current: Option<&Stood>,
    ) -> Result<Write<'c>, Error> {
        let key = &change.key;
        let code = rdata::code(&key.rtype)
            .ok_or_else(|| Error::Unsupported(format!("the type {} is not managed", key.rtype)))?;
        if key.name == self.zone && code == NS && change.after.is_none() {
            return Err(Error::Invalid(format!(
                "{} NS: a zone always has nameservers; no server deletes them all",
                key.name
            )));
        }
        let wanted = change.after.as_ref().map(|after| {
            let data = |content: &str| {
                // Where only the spelling differs, what stands there stays.
                let values = current
                    .iter()
                    .flat_map(|stood| stood.set.values.iter().zip(&stood.data));
                let same = values
                    .into_iter()
                    .find(|(value, _)| value.content == content);
                match same {
                    Some((_, data)) => Some(data.clone()),
                    None => rdata::encode(&key.rtype, content),
                }
            };
            let contents = after.values.iter().map(|value| value.content.as_str());
            contents
                .map(data)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| {
                    Error::Invalid(format!("{}: a value cannot be written", show(after)))
                })
        });
        Ok(Write {
            index,
            change,
            code,
            standing: current.cloned(),
            wanted: wanted.transpose()?,
        })
    }

    /// Sends the writes, in as few messages as the server carries out.
    fn send(&self, writes: &[Write], settled: &mut Vec<Settled>) {
        let all: Vec<&Write> = writes.iter().collect();
        let names = by_name(&all);
        let chunks = names.chunks(NAMES_AT_ONCE).map(|names| names.concat());
        // The next one last.
        let mut parts: Vec<Vec<&Write>> = chunks.rev().collect();
        let mut failed: Option<Error> = None;
        while let Some(part) = parts.pop() {
            let made = match &failed {
                None => self.make(&part),
                Some(error) => Err(NotMade::Failed(not_tried(error))),
            };
            match (made, split(&part)) {
                (Ok(()), _) => {
                    settled.extend(part.iter().map(|write| (write.index, Ok(Outcome::Applied))));
                }
                (Err(NotMade::Failed(error)), _) => {
                    let same = |write: &&Write| (write.index, Err(error.clone()));
                    settled.extend(part.iter().map(same));
                    failed.get_or_insert(error);
                }
                (Err(reason), Some(halves)) => {
                    self.log_split(part.len(), &reason);
                    parts.extend(halves.into_iter().rev());
                }
                (Err(reason), None) => {
                    let explained =
                        |write: &&Write| (write.index, self.explain(write, &part, &reason));
                    settled.extend(part.iter().map(explained));
                }
            }
        }
    }

    fn make(&self, part: &[&Write]) -> Result<(), NotMade> {
        let message = message(self.zone, part).ok_or_else(|| {
            let name = part.first().map_or("", |write| write.name());
            NotMade::Refused(Error::Invalid(format!(
                "{name}: the change does not fit in one message of {MAX_MESSAGE} octets"
            )))
        })?;
        self.view.update(self.host, self.zone, message)
    }

    fn log_split(&self, changes: usize, reason: &NotMade) {
        let reason = match reason {
            NotMade::Unmet => "it does not stand as it was read",
            NotMade::Refused(Error::Invalid(text) | Error::Auth(text)) => text,
            NotMade::Refused(_) | NotMade::Failed(_) => "",
        };
        let count = changes.to_string();
        let fields = [("zone", self.zone), ("changes", &count), ("reason", reason)];
        self.host
            .log(Level::Info, "update refused, sending it in parts", &fields);
    }

    /// What became of a change whose message was not carried out and cannot be made smaller.
    fn explain(&self, write: &Write, part: &[&Write], reason: &NotMade) -> Result<Outcome, Error> {
        if let NotMade::Refused(error) | NotMade::Failed(error) = reason {
            return Err(error.clone());
        }
        let key = &write.change.key;
        let stood = self
            .view
            .name(self.host, self.zone, &key.name, &[&key.rtype, "CNAME"])?;
        let current = stood.iter().find(|stood| stood.set.key == *key);
        let conflict = |text: &str| Err(Error::Conflict(format!("{} {text}", key.name)));
        match standing(write.change, current.map(|stood| &stood.set)) {
            Standing::AsWanted => Ok(Outcome::Already),
            Standing::Moved => Ok(Outcome::Stale),
            Standing::AsBefore if part.len() > 1 => conflict(
                "was left as it was: what stands beside it, or changes with it, forbids a CNAME there",
            ),
            Standing::AsBefore if write.code == CNAME && current.is_none() => {
                conflict("has other records, and a CNAME stands alone")
            }
            Standing::AsBefore if stood.iter().any(|other| other.code == CNAME) => {
                conflict("is a CNAME, which stands alone")
            }
            // It came and went meanwhile.
            Standing::AsBefore => Ok(Outcome::Stale),
        }
    }
}

/// Two smaller parts; none where the part must stay whole.
fn split<'a>(part: &[&'a Write<'a>]) -> Option<[Vec<&'a Write<'a>>; 2]> {
    let names = by_name(part);
    if names.len() > 1 {
        let (one, other) = names.split_at(names.len() / 2);
        return Some([one.concat(), other.concat()]);
    }
    if part.len() < 2 || is_swap(part) {
        return None;
    }
    let (one, other) = part.split_at(part.len() / 2);
    Some([one.to_vec(), other.to_vec()])
}

/// After a failure that the next message would meet, too.
fn not_tried(error: &Error) -> Error {
    match error {
        Error::Transient(text) | Error::UnknownOutcome(text) => Error::Transient(format!(
            "not tried, because an earlier change failed: {text}"
        )),
        error => error.clone(),
    }
}
