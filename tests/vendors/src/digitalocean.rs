//! A stand-in for the domains API of DigitalOcean (`/v2/domains`).
//!
//! Written from the OpenAPI description, and from what users and the vendor's own tools report where
//! that is silent: names of hosts must end in a dot and read back without it, the zone's own name reads
//! back as `@`, a TXT value of more than 512 octets is refused.

mod record;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hyper::Method;
use serde_json::{Value, json};

pub use record::DoRecord;

use crate::front::{Answer, Call, Front, Seen, Service, When};
use crate::text::{escape, parameters, unescape};
use crate::vendor::{Binding, Trouble, Vendor};

/// The token that a new account accepts.
const TOKEN: &str = "dop_v1_0123456789abcdef";
/// Items on a page where the request does not say.
const PAGE: usize = 20;
/// The most items on a page.
const LARGEST_PAGE: usize = 200;

/// An account with domains.
pub struct DigitalOcean {
    token: String,
    zones: Vec<String>,
    state: Mutex<State>,
}

struct State {
    records: Vec<DoRecord>,
    last_id: u64,
    largest_page: usize,
    shares_ttl: bool,
}

/// Why a request is not carried out: status, id, message.
type Refusal = (u16, &'static str, String);
type Reply = Result<(u16, Value), Refusal>;

fn unprocessable(message: &str) -> Refusal {
    (422, "unprocessable_entity", message.to_owned())
}

fn not_found() -> Refusal {
    let message = "The resource you were accessing could not be found.";
    (404, "not_found", message.to_owned())
}

impl DigitalOcean {
    /// An account with the domains `example.com` and `example.net`.
    pub fn new() -> Self {
        Self::with_zones(&["example.com", "example.net"])
    }

    /// One with these domains.
    pub fn with_zones(zones: &[&str]) -> Self {
        Self {
            token: TOKEN.to_owned(),
            zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
            state: Mutex::new(State {
                records: Vec::new(),
                last_id: 28_448_428,
                largest_page: LARGEST_PAGE,
                shares_ttl: false,
            }),
        }
    }

    /// The token that it accepts.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// From now on no page has more items than this, whatever a request asks for.
    pub fn cap_pages(&self, most: usize) {
        self.state().largest_page = most;
    }

    /// From now on a record that is written gives its TTL to all others of its name and type, as the
    /// vendor's Terraform provider warns that the service does (its issue 1012).
    pub fn share_ttls(&self) {
        self.state().shares_ttl = true;
    }

    /// The records of all domains, in the order in which they were added.
    pub fn records(&self) -> Vec<DoRecord> {
        self.state().records.clone()
    }

    /// Puts a record in, past the API and unchecked, and answers its id. The domain is the first one
    /// where `record.zone` is empty.
    pub fn insert(&self, mut record: DoRecord) -> u64 {
        if record.zone.is_empty() {
            self.zones[0].clone_into(&mut record.zone);
        }
        self.state().add(record)
    }

    /// Changes a record, past the API.
    pub fn edit(&self, id: u64, change: impl FnOnce(&mut DoRecord)) {
        let mut state = self.state();
        let record = state.records.iter_mut().find(|record| record.id == id);
        change(record.expect("a record with this id"));
    }

    /// Removes a record, past the API.
    pub fn remove(&self, id: u64) {
        self.state().records.retain(|record| record.id != id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self, authority: &str, call: &Call) -> Reply {
        if call.header("authorization") != format!("Bearer {}", self.token) {
            let message = "Unable to authenticate you";
            return Err((401, "unauthorized", message.to_owned()));
        }
        let segments: Vec<String> = call.path.split('/').skip(1).map(unescape).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["v2", "domains", rest @ ..] = segments.as_slice() else {
            return Err(not_found());
        };
        let mut state = self.state();
        match (&call.method, rest) {
            (&Method::GET, []) => {
                let zones = self.zones.iter().map(|zone| {
                    let file = format!("$ORIGIN {zone}.\n$TTL 1800\n");
                    json!({ "name": zone, "ttl": 1800, "zone_file": file })
                });
                state.page(authority, call, "domains", zones.collect())
            }
            (&Method::GET, [zone, "records"]) => {
                self.check_zone(zone)?;
                let records = state.filtered(zone, call);
                state.page(authority, call, "domain_records", records)
            }
            (&Method::POST, [zone, "records"]) => {
                self.check_zone(zone)?;
                let body = body(call)?;
                let record = DoRecord::blank(zone).with(&body)?;
                let id = state.write(record)?;
                Ok((201, state.shown(id)))
            }
            (&Method::GET, [zone, "records", id]) => {
                self.check_zone(zone)?;
                let id = state.find(zone, id)?.id;
                Ok((200, state.shown(id)))
            }
            (&Method::PUT | &Method::PATCH, [zone, "records", id]) => {
                self.check_zone(zone)?;
                let body = body(call)?;
                let record = state.find(zone, id)?.clone().with(&body)?;
                let id = state.write(record)?;
                Ok((200, state.shown(id)))
            }
            (&Method::DELETE, [zone, "records", id]) => {
                self.check_zone(zone)?;
                let id = state.find(zone, id)?.id;
                state.records.retain(|record| record.id != id);
                Ok((204, Value::Null))
            }
            _ => Err(not_found()),
        }
    }

    fn check_zone(&self, name: &str) -> Result<(), Refusal> {
        let known = self.zones.iter().any(|zone| zone == name);
        known.then_some(()).ok_or_else(not_found)
    }
}

impl Default for DigitalOcean {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn add(&mut self, mut record: DoRecord) -> u64 {
        self.last_id += 1;
        record.id = self.last_id;
        self.records.push(record);
        self.last_id
    }

    fn find(&self, zone: &str, id: &str) -> Result<&DoRecord, Refusal> {
        let mut records = self.records.iter();
        records
            .find(|record| record.zone == zone && record.id.to_string() == id)
            .ok_or_else(not_found)
    }

    fn shown(&self, id: u64) -> Value {
        let record = self.records.iter().find(|record| record.id == id);
        json!({ "domain_record": record.map(DoRecord::to_json) })
    }

    /// Adds a record without an id, or replaces the one with its id.
    fn write(&mut self, record: DoRecord) -> Result<u64, Refusal> {
        let beside = |other: &&DoRecord| {
            other.id != record.id && other.zone == record.zone && other.name == record.name
        };
        if let Some(other) = self.records.iter().find(beside) {
            if record.rtype == "CNAME" {
                let message = "CNAME records cannot share a name with other records";
                return Err(unprocessable(message));
            }
            if other.rtype == "CNAME" {
                let message = "records cannot share a name with a CNAME record";
                return Err(unprocessable(message));
            }
        }
        if self.shares_ttl {
            let ttl = record.ttl;
            let alike = |other: &&mut DoRecord| other.is_beside(&record);
            self.records
                .iter_mut()
                .filter(alike)
                .for_each(|other| other.ttl = ttl);
        }
        match self.records.iter_mut().find(|known| known.id == record.id) {
            None => Ok(self.add(record)),
            Some(known) => {
                *known = record;
                Ok(known.id)
            }
        }
    }

    /// The records of a zone that the filters of a request let pass. `name` is absolute there.
    fn filtered(&self, zone: &str, call: &Call) -> Vec<Value> {
        let wanted = parameters(&call.query);
        let passes = |filter: &str, value: &str| {
            let wanted = wanted.get(filter);
            wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        let records = self.records.iter().filter(|record| record.zone == zone);
        records
            .filter(|record| passes("name", &record.absolute()) && passes("type", &record.rtype))
            .map(DoRecord::to_json)
            .collect()
    }

    /// One page of `items`, with links to the others that keep the request's other parameters.
    fn page(&self, authority: &str, call: &Call, name: &str, items: Vec<Value>) -> Reply {
        let query = parameters(&call.query);
        let number = |name: &str, default: usize| match query.get(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(unprocessable(&format!("{name} must be greater than 0"))),
            },
        };
        let page = number("page", 1)?;
        let size = number("per_page", PAGE)?.min(self.largest_page);
        let last = items.len().div_ceil(size).max(1);
        let link = |page: usize| {
            let mut link = format!(
                "http://{authority}{}?page={page}&per_page={size}",
                call.path
            );
            for (name, value) in &query {
                if name != "page" && name != "per_page" {
                    link.push_str(&format!("&{name}={}", escape(value)));
                }
            }
            link
        };
        let mut pages = json!({});
        if page > 1 {
            pages["first"] = link(1).into();
            pages["prev"] = link(page - 1).into();
        }
        if page < last {
            pages["next"] = link(page + 1).into();
            pages["last"] = link(last).into();
        }
        let mut reply = json!({ "meta": { "total": items.len() } });
        if last > 1 {
            reply["links"] = json!({ "pages": pages });
        }
        let slice = items.into_iter().skip((page - 1) * size).take(size);
        reply[name] = slice.collect();
        Ok((200, reply))
    }
}

fn body(call: &Call) -> Result<Value, Refusal> {
    let is_json = call.header("content-type").starts_with("application/json");
    let body: Option<Value> = serde_json::from_slice(&call.body).ok();
    match body.filter(|body| is_json && body.is_object()) {
        Some(body) => Ok(body),
        None => Err((400, "bad_request", "Invalid JSON".to_owned())),
    }
}

fn refused((status, id, message): Refusal) -> Answer {
    let request_id = "515850a0-a812-50bf-aa3c-d0d21d287e40";
    let body = json!({ "id": id, "message": message, "request_id": request_id });
    Answer::json(status, &body)
}

#[async_trait]
impl Service for DigitalOcean {
    async fn answer(&self, authority: &str, call: &Call) -> Answer {
        match self.reply(authority, call) {
            Ok((204, _)) => Answer {
                status: 204,
                headers: Vec::new(),
                body: Default::default(),
            },
            Ok((status, body)) => Answer::json(status, &body),
            Err(refusal) => refused(refusal),
        }
    }
}

#[async_trait]
impl Vendor for Front<DigitalOcean> {
    fn binding(&self) -> Binding {
        Binding {
            plugin: "digitalocean",
            settings: json!({ "endpoint": self.url() }),
            credentials: [("token".to_owned(), self.service().token.clone())].into(),
            hosts: vec![self.url()],
        }
    }

    fn wrong_binding(&self) -> Binding {
        self.binding().with_credential("token", "dop_v1_wrong")
    }

    fn zone(&self) -> &str {
        &self.service().zones[0]
    }

    fn trouble(&self, when: When, trouble: Trouble) -> bool {
        self.trouble(when, trouble, |seconds| {
            let message = "API Rate limit exceeded.";
            let answer = refused((429, "too_many_requests", message.to_owned()));
            Some(match seconds {
                None => answer,
                Some(seconds) => answer.header("retry-after", &seconds.to_string()),
            })
        })
    }

    fn clear_troubles(&self) -> usize {
        self.clear_faults()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen()
    }

    async fn insert_with_extras(&self, _: &str, _: &str) -> bool {
        false
    }

    async fn extras(&self, _: &str) -> String {
        String::new()
    }

    async fn addresses(&self, name: &str, _: &str) -> Vec<String> {
        let state = self.service().state();
        let of_set = |record: &&DoRecord| record.absolute() == name && record.rtype == "A";
        let records = state.records.iter().filter(of_set);
        let mut addresses: Vec<String> = records.map(|record| record.data.clone()).collect();
        addresses.sort();
        addresses
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        let mut state = self.service().state();
        let of_set = |record: &DoRecord| record.absolute() == name && record.rtype == rtype;
        let mut ids = state.records.iter().filter(|r| of_set(r)).map(|r| r.id);
        let first = ids.next().expect("a record of this name and type");
        state
            .records
            .retain(|record| record.id == first || !of_set(record));
        let mut records = state.records.iter_mut();
        let record = records.find(|record| record.id == first);
        record.expect("it was kept").set_content(content);
    }
}
