//! The API: requests, replies, and actions that take their time.

use std::time::Duration;

use portolan_plugin::{
    Endpoint, Host,
    dns::Error,
    http::{Effect, Method, Request, encode},
    names::relative,
    records::half_made,
};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, meaning, refused};

/// The most record sets per page; every other list of this API ends at 50.
const RRSET_PAGE: usize = 100;
/// The most zones per page.
const ZONE_PAGE: usize = 50;
/// The pauses before the state of one action is asked for, in milliseconds. The first answer is a round trip
/// away already.
const PAUSES_MS: [u64; 12] = [
    0, 100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000,
];

/// The API at one endpoint.
pub(crate) struct Api {
    endpoint: Endpoint,
}

/// What any request can answer: each fills in its own part. One type, because the code to read each
/// weighs some KB in the component.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reply {
    zones: Option<Vec<ZoneEntry>>,
    zone: Option<ZoneEntry>,
    rrsets: Option<Vec<RrSet>>,
    meta: Option<Meta>,
    action: Option<Action>,
    pub(crate) error: Option<Problem>,
}

/// A zone.
#[derive(Deserialize)]
pub(crate) struct ZoneEntry {
    pub(crate) name: String,
    mode: String,
    /// The TTL of the record sets that have none of their own, in seconds.
    ttl: u32,
}

impl ZoneEntry {
    /// Is it changed here, and not copied from another server?
    pub(crate) fn is_primary(&self) -> bool {
        self.mode == "primary"
    }
}

/// A record set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct RrSet {
    /// Relative to the zone; `@` for the apex.
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) rtype: String,
    /// None for the zone's own TTL.
    pub(crate) ttl: Option<u32>,
    #[serde(default)]
    pub(crate) protection: Protection,
    pub(crate) records: Vec<Record>,
}

/// What nobody may do to a record set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Protection {
    /// Change or delete it.
    pub(crate) change: bool,
}

/// A record of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
}

/// What a request that changes something says. Each says another part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) rtype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<Vec<Record>>,
}

#[derive(Deserialize)]
struct Meta {
    pagination: Pagination,
}

#[derive(Deserialize)]
struct Pagination {
    next_page: Option<usize>,
    total_entries: Option<usize>,
}

#[derive(Deserialize)]
struct Action {
    id: u64,
    /// `running`, `success` or `error`.
    status: String,
    error: Option<Problem>,
}

/// The service's own words about a failure.
#[derive(Deserialize)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// A part of a reply that its request always fills in. Nothing is made of a reply without it: a missing
/// list is not an empty one.
fn present<T>(part: Option<T>, effect: Effect, what: &str) -> Result<T, Error> {
    part.ok_or_else(|| effect.lost(format!("{what}: the reply lacks what it should bring")))
}

impl Api {
    pub(crate) fn new(endpoint: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::parse("endpoint", endpoint, "https://api.hetzner.cloud")?;
        Ok(Self { endpoint })
    }

    /// One page of the project's zones, and the number of the next one.
    pub(crate) fn zones(
        &self,
        host: &dyn Host,
        page: usize,
    ) -> Result<(Vec<ZoneEntry>, Option<usize>), Error> {
        let what = "listing the zones";
        let path = format!("zones?page={page}&per_page={ZONE_PAGE}");
        let reply = self.get(host, &path, what)?;
        let next = present(reply.meta, Effect::Read, what)?
            .pagination
            .next_page;
        Ok((present(reply.zones, Effect::Read, what)?, next))
    }

    /// The TTL of the zone's record sets that have none of their own.
    pub(crate) fn default_ttl(&self, host: &dyn Host, zone: &str) -> Result<u32, Error> {
        let what = format!("reading the default TTL of {zone}");
        let reply = self.get(host, &format!("zones/{}", encode(zone)), &what)?;
        Ok(present(reply.zone, Effect::Read, &what)?.ttl)
    }

    /// All record sets of the zone or of one name, whatever their type.
    pub(crate) fn rrsets(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
    ) -> Result<Vec<RrSet>, Error> {
        let all = self.listed(host, zone, name, usize::MAX)?;
        Ok(all.unwrap_or_default())
    }

    /// All record sets of the zone; none where they fill more than this many pages.
    pub(crate) fn rrsets_within(
        &self,
        host: &dyn Host,
        zone: &str,
        pages: usize,
    ) -> Result<Option<Vec<RrSet>>, Error> {
        self.listed(host, zone, None, pages)
    }

    fn listed(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        pages: usize,
    ) -> Result<Option<Vec<RrSet>>, Error> {
        let what = format!("reading the records of {}", name.unwrap_or(zone));
        let filter = match name {
            Some(name) => format!("&name={}", encode(relative_name(name, zone)?)),
            None => String::new(),
        };
        let base = rrsets_path(zone);
        let mut rrsets: Vec<RrSet> = Vec::new();
        let mut announced = None;
        let mut page = 1;
        loop {
            let path = format!("{base}?page={page}&per_page={RRSET_PAGE}&sort=id{filter}");
            let reply = self.get(host, &path, &what)?;
            let arrived = present(reply.rrsets, Effect::Read, &what)?;
            let pagination = present(reply.meta, Effect::Read, &what)?.pagination;
            // What is added or deleted meanwhile shifts the rest: a set comes twice, or is missed.
            let before = &rrsets[rrsets.len().saturating_sub(RRSET_PAGE)..];
            let twice = arrived.iter().any(|new| {
                let same = |old: &RrSet| old.name == new.name && old.rtype == new.rtype;
                before.iter().any(same)
            });
            let total = pagination.total_entries;
            if total.is_some_and(|total| total.div_ceil(RRSET_PAGE) > pages) {
                return Ok(None);
            }
            if twice || *announced.get_or_insert(total) != total {
                return Err(changed_meanwhile(&what));
            }
            rrsets.extend(arrived);
            match pagination.next_page {
                Some(next) if next > page => page = next,
                _ if total.is_some_and(|total| total != rrsets.len()) => {
                    return Err(changed_meanwhile(&what));
                }
                _ => return Ok(Some(rrsets)),
            }
        }
    }

    fn get(&self, host: &dyn Host, path: &str, what: &str) -> Result<Reply, Error> {
        match self.send(host, &self.request(Method::Get, path), Effect::Read, what) {
            Ok(reply) => Ok(reply),
            Err(Failure::Overtaken(error) | Failure::Other(error)) => Err(error),
            Err(Failure::Unwatched(throttle)) => Err(Error::Throttled(throttle)),
        }
    }

    /// Changes something, and waits until it is.
    pub(crate) fn change(
        &self,
        host: &dyn Host,
        method: Method,
        path: &str,
        body: &Body,
        what: &str,
    ) -> Result<(), Failure> {
        let mut request = self.request(method, path);
        if *body != Body::default() {
            request = request.json(body);
        }
        let reply = self.send(host, &request, Effect::Write, what)?;
        let mut action = present(reply.action, Effect::Write, what)?;
        let path = format!("actions/{}", action.id);
        for pause in PAUSES_MS.map(Duration::from_millis) {
            if let Some(result) = ended(&action, what) {
                return result;
            }
            if !pause.is_zero() {
                host.sleep(pause);
            }
            action = match self.get(host, &path, what) {
                Ok(reply) => present(reply.action, Effect::Write, what)?,
                Err(Error::Throttled(throttle)) => return Err(Failure::Unwatched(throttle)),
                Err(error) => return Err(Failure::Other(unwatched(error, what))),
            };
        }
        ended(&action, what).unwrap_or_else(|| {
            Err(Failure::Other(Error::UnknownOutcome(format!(
                "{what}: action {} still runs after it was asked for {} times",
                action.id,
                PAUSES_MS.len()
            ))))
        })
    }

    fn request(&self, method: Method, path: &str) -> Request {
        let url = format!("{}/v1/{path}", self.endpoint.origin);
        Request::new(method, url).header("authorization", "Bearer {{token}}")
    }

    fn send(
        &self,
        host: &dyn Host,
        request: &Request,
        effect: Effect,
        what: &str,
    ) -> Result<Reply, Failure> {
        let response = request.send(host)?;
        if response.is_success() {
            return Ok(response.json(what)?);
        }
        Err(refused(host, &response, effect, what))
    }
}

/// What became of an action; none while it runs.
fn ended(action: &Action, what: &str) -> Option<Result<(), Failure>> {
    match (action.status.as_str(), &action.error) {
        ("running", _) => None,
        ("success", _) => Some(Ok(())),
        (_, Some(Problem { code, message })) => {
            let text = format!("{what}: {code}: {message}");
            // The action began, and how far it came is not said.
            Some(Err(match meaning(code, text, Effect::Write) {
                Failure::Other(error) => Failure::Other(half_made(error, "its action failed")),
                failure => failure,
            }))
        }
        (status, None) => Some(Err(Failure::Other(Error::UnknownOutcome(format!(
            "{what}: action {} ended with `{status}` and no reason",
            action.id
        ))))),
    }
}

/// The error where the change was taken up but its action cannot be followed: whatever the reason, the
/// outcome is unknown.
fn unwatched(error: Error, what: &str) -> Error {
    let reason = match error {
        Error::Auth(text)
        | Error::Denied(text)
        | Error::NotFound(text)
        | Error::Conflict(text)
        | Error::Invalid(text)
        | Error::Quota(text)
        | Error::Transient(text)
        | Error::Unsupported(text)
        | Error::UnknownOutcome(text) => text,
        Error::Throttled(throttle) => throttle.message,
    };
    Error::UnknownOutcome(format!(
        "{what}: its action could not be followed: {reason}"
    ))
}

/// The path of a zone's list of record sets.
pub(crate) fn rrsets_path(zone: &str) -> String {
    format!("zones/{}/rrsets", encode(zone))
}

/// The name as the API knows it.
pub(crate) fn relative_name<'a>(name: &'a str, zone: &str) -> Result<&'a str, Error> {
    relative(name, zone)
        .ok_or_else(|| Error::Invalid(format!("the name {name} is not in the zone {zone}")))
}

/// A record set that was missed would look like one that is gone.
fn changed_meanwhile(what: &str) -> Error {
    Error::Transient(format!("{what}: the zone was changed meanwhile"))
}
