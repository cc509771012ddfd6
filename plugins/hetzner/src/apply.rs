//! Making changes: one action after the other, since a zone takes one at a time.

use std::collections::BTreeMap;

use portolan_plugin::{
    Host, Level,
    dns::{Change, Error, Outcome, RecordKey, RecordSet},
    http::{Method, encode},
    names::absolute,
    records::half_made,
    sets::{Standing, names_of, same, show, standing},
};

use crate::{
    api::{Api, Body, RrSet, relative_name, rrsets_path},
    failure::{Failure, UNPROTECT},
    hetzner::{default_ttl, normalize},
    order::{exchange, exclude_each_other, order},
    rrset,
};

/// The changes of one call, and the zone as it stands.
pub(crate) struct Apply<'a> {
    api: &'a Api,
    host: &'a dyn Host,
    zone: &'a str,
    /// All sets under the names of the changes, and perhaps more.
    standing: RrSets,
    /// The TTL of those that have none.
    default_ttl: u32,
    /// What ended the work on this call.
    stopped: Option<Error>,
}

/// Record sets by absolute name and type.
#[derive(Default)]
struct RrSets(BTreeMap<(String, String), RrSet>);

impl RrSets {
    fn add(&mut self, zone: &str, rrsets: Vec<RrSet>) {
        for rrset in rrsets {
            let key = (absolute(&rrset.name, zone), rrset.rtype.clone());
            self.0.insert(key, rrset);
        }
    }

    fn of(&self, key: &RecordKey) -> Option<&RrSet> {
        self.0.get(&(key.name.clone(), key.rtype.clone()))
    }

    fn remove(&mut self, key: &RecordKey) {
        self.0.remove(&(key.name.clone(), key.rtype.clone()));
    }

    /// All sets under a name.
    fn under<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a RrSet> {
        let sets = self.0.range((name.to_owned(), String::new())..);
        sets.take_while(move |((known, _), _)| known == name)
            .map(|(_, rrset)| rrset)
    }
}

/// One request that changes something.
struct Step {
    method: Method,
    /// What follows the path of the zone's record sets.
    path: String,
    body: Body,
}

impl<'a> Apply<'a> {
    /// Reads what stands under the names of the changes.
    pub(crate) fn begin(
        api: &'a Api,
        host: &'a dyn Host,
        zone: &'a str,
        changes: &[Change],
    ) -> Result<Self, Error> {
        let names = names_of(changes);
        // Whatever takes fewer requests: one a name, or one a page of the zone.
        let whole = match names.len() {
            0 | 1 => None,
            pages => api.rrsets_within(host, zone, pages)?,
        };
        let rrsets = match whole {
            Some(rrsets) => rrsets,
            None => {
                let mut rrsets = Vec::new();
                for name in names {
                    rrsets.extend(api.rrsets(host, zone, Some(name))?);
                }
                rrsets
            }
        };
        let default_ttl = default_ttl(api, host, zone, &rrsets)?;
        let mut standing = RrSets::default();
        standing.add(zone, rrsets);
        Ok(Self {
            default_ttl,
            api,
            host,
            zone,
            standing,
            stopped: None,
        })
    }

    /// Makes the changes.
    pub(crate) fn all(mut self, mut changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        // What is settled without a request; none for what is to be made.
        let mut results: Vec<Option<Result<Outcome, Error>>> = changes
            .iter_mut()
            .map(|change| self.judge(change))
            .collect();
        for number in order(&changes) {
            if results[number].is_some() {
                continue;
            }
            let change = &changes[number];
            let partners = exchange(&changes, change);
            let failed = partners
                .iter()
                .find(|&&other| matches!(results[other], Some(Err(_) | Ok(Outcome::Stale))));
            results[number] = Some(match (&self.stopped, failed) {
                // More requests would only make it worse.
                (Some(error), _) => Err(error.clone()),
                // Better the old answer than none.
                (None, Some(&other)) if change.after.is_none() => Err(Error::Conflict(format!(
                    "{} {} was kept, because the change of the {} under this name, with which it \
                     takes turns, cannot be made",
                    change.key.name, change.key.rtype, changes[other].key.rtype
                ))),
                (None, _) => self.make(change),
            });
        }
        let settled = results.into_iter();
        settled
            .map(|result| result.unwrap_or(Ok(Outcome::Stale)))
            .collect()
    }

    /// Brings a change into shape, and answers what becomes of it where nothing is to be written.
    fn judge(&self, change: &mut Change) -> Option<Result<Outcome, Error>> {
        if let Some(after) = &mut change.after {
            match normalize(self.zone, after.clone()) {
                Ok(normal) => *after = normal,
                Err(error) => return Some(Err(error)),
            }
        }
        let current = self.current(change);
        match standing(change, current.map(|(set, _)| set).as_ref()) {
            Standing::AsWanted => Some(Ok(Outcome::Already)),
            Standing::Moved => Some(Ok(Outcome::Stale)),
            Standing::AsBefore => {
                let rrset = self.standing.of(&change.key);
                let protected = rrset.is_some_and(|rrset| rrset.protection.change);
                protected.then(|| {
                    let key = &change.key;
                    Err(Error::Conflict(format!(
                        "{} {} is protected at Hetzner: {UNPROTECT}",
                        key.name, key.rtype
                    )))
                })
            }
        }
    }

    /// What stands under a change's key, in our terms and in the service's.
    fn current(&self, change: &Change) -> Option<(RecordSet, &RrSet)> {
        let rrset = self.standing.of(&change.key)?;
        Some((rrset::read(self.zone, rrset, self.default_ttl)?, rrset))
    }

    fn make(&mut self, change: &Change) -> Result<Outcome, Error> {
        let name = relative_name(&change.key.name, self.zone)?;
        self.refuse_clash(change)?;
        let steps = self.steps(change, name);
        let verb = match (&change.before, &change.after) {
            (None, _) => "creating",
            (Some(_), Some(_)) => "updating",
            (Some(_), None) => "deleting",
        };
        let what = format!("{verb} {} {}", change.key.name, change.key.rtype);
        let base = rrsets_path(self.zone);
        for (done, step) in steps.iter().enumerate() {
            let path = format!("{base}{}", step.path);
            let fields = [("request", path.as_str())];
            self.host
                .log(Level::Debug, "changing a record set", &fields);
            let made = self
                .api
                .change(self.host, step.method, &path, &step.body, &what);
            let error = match made {
                Ok(()) => continue,
                Err(Failure::Overtaken(error)) if done == 0 => match self.seen_again(change) {
                    Some(outcome) => return Ok(outcome),
                    None => error,
                },
                Err(Failure::Unwatched(throttle)) => {
                    let text = format!("{what}: it was taken up, but: {}", throttle.message);
                    self.stopped = Some(Error::Throttled(throttle));
                    Error::UnknownOutcome(text)
                }
                Err(Failure::Overtaken(error) | Failure::Other(error)) => error,
            };
            // These are about the token, not about this change.
            if let Error::Throttled(_) | Error::Auth(_) | Error::Denied(_) = &error {
                self.stopped = Some(error.clone());
            }
            return Err(match done {
                0 => error,
                done => half_made(error, &format!("after {done} of {} steps", steps.len())),
            });
        }
        self.remember(change, name);
        Ok(Outcome::Applied)
    }

    /// The service's own answer to a clash is not documented, so it is found here.
    fn refuse_clash(&self, change: &Change) -> Result<(), Error> {
        let Some(after) = &change.after else {
            return Ok(());
        };
        let mut beside = self.standing.under(&change.key.name);
        let clash = beside.find(|rrset| exclude_each_other(&rrset.rtype, &change.key.rtype));
        match clash {
            None => Ok(()),
            Some(rrset) => Err(Error::Conflict(format!(
                "{}: there is a {} under this name, and a CNAME stands alone",
                show(after),
                rrset.rtype
            ))),
        }
    }

    /// What is asked for to make a change.
    fn steps(&self, change: &Change, name: &str) -> Vec<Step> {
        let rtype = &change.key.rtype;
        let one = format!("/{}/{}", encode(name), encode(rtype));
        let Some(after) = &change.after else {
            return vec![Step {
                method: Method::Delete,
                path: one,
                body: Body::default(),
            }];
        };
        let Some((current, rrset)) = self.current(change) else {
            let body = Body {
                name: Some(name.to_owned()),
                rtype: Some(rtype.clone()),
                ttl: Some(after.ttl),
                records: Some(rrset::records(self.zone, after, &[])),
            };
            return vec![Step {
                method: Method::Post,
                path: String::new(),
                body,
            }];
        };
        let action = |action: &str, body: Body| Step {
            method: Method::Post,
            path: format!("{one}/actions/{action}"),
            body,
        };
        let mut steps = Vec::new();
        let same_ttl = RecordSet {
            ttl: current.ttl,
            comment: current.comment.clone(),
            ..after.clone()
        };
        // Both steps replace at once what they replace, so something is served all along. What is
        // served matters more than for how long: if the second fails, the right contents stand there.
        if !same(&same_ttl, &current) {
            let records = Some(rrset::records(self.zone, after, &rrset.records));
            steps.push(action(
                "set_records",
                Body {
                    records,
                    ..Body::default()
                },
            ));
        }
        if after.ttl != current.ttl {
            let ttl = Some(after.ttl);
            steps.push(action(
                "change_ttl",
                Body {
                    ttl,
                    ..Body::default()
                },
            ));
        }
        steps
    }

    /// Where someone else was faster: what the zone says now. None where it says nothing new, or
    /// nothing at all.
    fn seen_again(&self, change: &Change) -> Option<Outcome> {
        let rrsets = self
            .api
            .rrsets(self.host, self.zone, Some(&change.key.name));
        let rrsets = rrsets.ok()?;
        let default_ttl = default_ttl(self.api, self.host, self.zone, &rrsets).ok()?;
        let rrset = rrsets
            .iter()
            .find(|rrset| rrset::is(self.zone, rrset, &change.key));
        let current = rrset.and_then(|rrset| rrset::read(self.zone, rrset, default_ttl));
        match standing(change, current.as_ref()) {
            Standing::AsWanted => Some(Outcome::Already),
            Standing::Moved => Some(Outcome::Stale),
            Standing::AsBefore => None,
        }
    }

    /// Keeps the zone as it stands after a change, for the clashes of those that follow.
    fn remember(&mut self, change: &Change, name: &str) {
        self.standing.remove(&change.key);
        if let Some(after) = &change.after {
            let written = RrSet {
                name: name.to_owned(),
                rtype: change.key.rtype.clone(),
                ttl: Some(after.ttl),
                protection: Default::default(),
                records: rrset::records(self.zone, after, &[]),
            };
            self.standing.add(self.zone, vec![written]);
        }
    }
}
