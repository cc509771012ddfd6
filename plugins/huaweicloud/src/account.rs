//! The calls that this plugin makes, by what they do.

use portolan_plugin::{
    Host,
    dns::{DnsLine, Error, RecordKey, RecordSet},
    http::{Effect, Method},
    names::{with_dot, without_dot},
    sets::show,
};

use crate::{
    client::{Body, Call, Client, Entry, Failure, Reply, present},
    line,
    set::{self, Set},
};

/// The most zones or record sets per page.
const PAGE: usize = 500;
/// The most lines per page, where only a line's id and name are asked for.
const LINE_PAGE: usize = 1_000;

/// A zone as calls speak of it.
pub(crate) struct Zone {
    pub(crate) name: String,
    id: String,
}

/// One page of the account's zones.
pub(crate) struct Zones {
    pub(crate) zones: Vec<Entry>,
    /// Where the next page begins.
    pub(crate) next: Option<usize>,
}

/// An account, and the way there.
#[derive(Clone, Copy)]
pub(crate) struct Account<'a> {
    pub(crate) client: &'a Client,
    pub(crate) host: &'a dyn Host,
}

impl Account<'_> {
    /// The zone of this name.
    pub(crate) fn zone(&self, name: &str) -> Result<Zone, Error> {
        let mut offset = Some(0);
        while let Some(at) = offset {
            let page = self.zone_page(at, Some(name))?;
            // The service answers with every zone whose name has this one's in it.
            let mut zones = page.zones.into_iter();
            if let Some(zone) = zones.find(|zone| without_dot(&zone.name) == name) {
                return Ok(Zone {
                    name: name.to_owned(),
                    id: zone.id,
                });
            }
            offset = page.next;
        }
        Err(Error::NotFound(format!(
            "the account has no public zone {name} that this access key can see"
        )))
    }

    /// The zones from this one on, all of them or those whose name has this one's in it.
    pub(crate) fn zone_page(&self, offset: usize, name: Option<&str>) -> Result<Zones, Error> {
        let what = match name {
            Some(name) => format!("looking for the zone {name}"),
            None => "listing the zones".to_owned(),
        };
        let mut query = vec![("type", "public".to_owned())];
        query.extend(name.map(|name| ("name", name.to_owned())));
        let reply = self.page(&["v2", "zones"], query, PAGE, offset, &what)?;
        let zones = present(reply.zones, Effect::Read, &what)?;
        let total = present(reply.metadata, Effect::Read, &what)?.total_count;
        let after = offset + zones.len();
        let next = (after < total && !zones.is_empty()).then_some(after);
        Ok(Zones { zones, next })
    }

    /// All sets of the zone or of one name, whatever their type and state.
    pub(crate) fn sets(&self, zone: &Zone, name: Option<&str>) -> Result<Vec<Set>, Error> {
        let what = format!(
            "reading the record sets of {}",
            name.unwrap_or(zone.name.as_str())
        );
        let mut sets: Vec<Set> = Vec::new();
        let mut announced: Option<usize> = None;
        loop {
            let mut query = vec![("zone_id", zone.id.clone())];
            if let Some(name) = name {
                query.push(("name", with_dot(name)));
                query.push(("search_mode", "equal".to_owned()));
            }
            let reply = self.page(&["v2.1", "recordsets"], query, PAGE, sets.len(), &what)?;
            let total = present(reply.metadata, Effect::Read, &what)?.total_count;
            let arrived = present(reply.recordsets, Effect::Read, &what)?;
            let was_last = arrived.is_empty() || sets.len() + arrived.len() >= total;
            sets.extend(arrived);
            if *announced.get_or_insert(total) != total {
                return Err(changed_meanwhile(&what));
            }
            if was_last {
                if sets.len() != total || repeats(&sets) {
                    return Err(changed_meanwhile(&what));
                }
                break;
            }
        }
        if let Some(name) = name {
            sets.retain(|set| without_dot(&set.name) == name);
        }
        Ok(sets)
    }

    /// One of the lists of lines.
    pub(crate) fn lines<'b>(
        &self,
        list: &'b str,
        query: Vec<(&'b str, String)>,
        what: &'b str,
    ) -> Result<Vec<DnsLine>, Error> {
        let mut lines: Vec<DnsLine> = Vec::new();
        loop {
            let reply = self.page(&["v2.1", list], query.clone(), LINE_PAGE, lines.len(), what)?;
            let total = present(reply.metadata, Effect::Read, what)?.total_count;
            let arrived = present(reply.lines, Effect::Read, what)?;
            let was_last = arrived.is_empty();
            lines.extend(arrived.into_iter().map(|Entry { id, name }| DnsLine {
                code: line::from_service(&id).to_owned(),
                label: name,
            }));
            if was_last || lines.len() >= total {
                return Ok(lines);
            }
        }
    }

    fn page<'b>(
        &self,
        path: &'b [&'b str],
        mut query: Vec<(&'b str, String)>,
        limit: usize,
        offset: usize,
        what: &'b str,
    ) -> Result<Reply, Error> {
        query.push(("limit", limit.to_string()));
        query.push(("offset", offset.to_string()));
        let call = Call {
            method: Method::Get,
            path,
            query,
            body: None,
            what,
        };
        Ok(self.client.call(self.host, call)?)
    }

    /// Adds a set.
    pub(crate) fn create(&self, zone: &Zone, set: &RecordSet) -> Result<(), Failure> {
        let what = format!("adding {}", show(set));
        let body = Body {
            line: Some(line::to_service(&set.key.line)),
            ..written(set)
        };
        let path = ["v2.1", "zones", &zone.id, "recordsets"];
        self.change(Method::Post, &path, Some(body), &what)
    }

    /// Gives a set other values and another TTL. What is left out stays as it is: line, weight,
    /// description, tags.
    pub(crate) fn update(&self, zone: &Zone, set: &Set, wanted: &RecordSet) -> Result<(), Failure> {
        let what = format!("updating {}", show(wanted));
        let path = ["v2.1", "zones", &zone.id, "recordsets", &set.id];
        self.change(Method::Put, &path, Some(written(wanted)), &what)
    }

    /// Does the same for several sets, all or none, and answers the ids of those that were changed.
    pub(crate) fn update_several(
        &self,
        zone: &Zone,
        updates: &[(usize, &Set, &RecordSet)],
    ) -> Result<Vec<String>, Failure> {
        let what = format!("updating {} record sets of {}", updates.len(), zone.name);
        let mut recordsets = Vec::with_capacity(updates.len());
        for &(_, set, wanted) in updates {
            recordsets.push(Body {
                id: Some(&set.id),
                ttl: Some(wanted.ttl),
                records: set::records(wanted),
                // Here, what is left out is documented to get its default.
                weight: set.weight,
                description: set.description(),
                ..Body::default()
            });
        }
        let call = Call {
            method: Method::Put,
            path: &["v2.1", "zones", &zone.id, "recordsets"],
            query: Vec::new(),
            body: Some(Body {
                recordsets,
                ..Body::default()
            }),
            what: &what,
        };
        let reply = self.client.call(self.host, call)?;
        let sets = present(reply.recordsets, Effect::Write, &what)?;
        Ok(sets.into_iter().map(|set| set.id).collect())
    }

    /// Switches a set on.
    pub(crate) fn enable(&self, set: &Set, wanted: &RecordSet) -> Result<(), Failure> {
        let what = format!("enabling {}", show(wanted));
        let body = Body {
            status: Some("ENABLE"),
            ..Body::default()
        };
        let path = ["v2.1", "recordsets", &set.id, "statuses", "set"];
        self.change(Method::Put, &path, Some(body), &what)
    }

    /// Deletes a set.
    pub(crate) fn delete(&self, zone: &Zone, set: &Set, key: &RecordKey) -> Result<(), Failure> {
        let what = format!("deleting {} {} ({})", key.name, key.rtype, set.id);
        let path = ["v2.1", "zones", &zone.id, "recordsets", &set.id];
        self.change(Method::Delete, &path, None, &what)
    }

    fn change(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Body<'_>>,
        what: &str,
    ) -> Result<(), Failure> {
        let call = Call {
            method,
            path,
            query: Vec::new(),
            body,
            what,
        };
        let reply = self.client.call(self.host, call)?;
        Ok(present(reply.id, Effect::Write, what).map(drop)?)
    }
}

/// What a set is written as, but for its line.
fn written(set: &RecordSet) -> Body<'_> {
    Body {
        name: Some(with_dot(&set.key.name)),
        rtype: Some(&set.key.rtype),
        ttl: Some(set.ttl),
        records: set::records(set),
        ..Body::default()
    }
}

/// Does a set stand there twice?
fn repeats(sets: &[Set]) -> bool {
    let mut ids: Vec<&str> = sets.iter().map(|set| set.id.as_str()).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair[0] == pair[1])
}

/// Pages shift when someone adds or deletes a set meanwhile, and one that was missed would look like one
/// that is gone.
fn changed_meanwhile(what: &str) -> Error {
    Error::Transient(format!("{what}: the zone was changed meanwhile"))
}
