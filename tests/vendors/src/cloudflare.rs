//! A stand-in for Cloudflare's API, version 4: zones and DNS records. It checks tokens, keeps records as
//! the service does, and answers as its documentation says.

mod content;
mod requests;
mod state;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    front::{Answer, Call, Fault, Front, Seen, Service, When},
    vendor::{Binding, Trouble, Vendor},
};
use requests::handle;
use state::{Account, Refusal, Zone};

/// A record as the service keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudflareRecord {
    /// The service's id, 32 hexadecimal digits.
    pub id: String,
    /// The whole name, in A-labels.
    pub name: String,
    /// `A`, `CNAME`, …
    pub rtype: String,
    /// As the service formats it.
    pub content: String,
    /// Of an MX record.
    pub priority: Option<u16>,
    /// The parts of an SRV or CAA record; otherwise null.
    pub data: Value,
    /// Seconds; 1 for automatic.
    pub ttl: u32,
    /// Behind the service's proxy?
    pub proxied: bool,
    /// What someone noted.
    pub comment: Option<String>,
    /// Tags, as `name:value`.
    pub tags: Vec<String>,
    /// Switches of this record: `{"ipv4_only": true}`.
    pub settings: Value,
}

impl CloudflareRecord {
    /// A record that is not behind the proxy, with an automatic TTL.
    pub fn new(name: &str, rtype: &str, content: &str) -> Self {
        Self {
            id: String::new(),
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            content: content.to_owned(),
            priority: None,
            data: Value::Null,
            ttl: 1,
            proxied: false,
            comment: None,
            tags: Vec::new(),
            settings: json!({}),
        }
    }
}

/// A running stand-in on loopback. Dropping it stops it.
pub struct CloudflareStub {
    front: Front<Cloudflare>,
    /// The first zone.
    zone: String,
}

/// The service behind the front.
struct Cloudflare(Mutex<Account>);

impl Cloudflare {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Service for Cloudflare {
    async fn answer(&self, _: &str, call: &Call) -> Answer {
        match handle(&mut self.account(), call) {
            Ok(mut json) => {
                json["success"] = true.into();
                json["errors"] = json!([]);
                json["messages"] = json!([]);
                Answer::json(200, &json)
            }
            Err(refusal) => refused(&refusal),
        }
    }

    fn name(&self, call: &Call) -> String {
        let path = call.path.trim_start_matches("/client/v4/");
        let object = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["zones"] => "zones",
            ["zones", _, "dns_records"] => "records",
            ["zones", _, "dns_records", "batch"] => return "batch".to_owned(),
            ["zones", _, "dns_records", _] => "record",
            _ => "nothing",
        };
        let verb = match call.method {
            Method::GET => "read",
            Method::POST => "create",
            Method::PATCH => "patch",
            Method::PUT => "replace",
            Method::DELETE => "delete",
            _ => "do",
        };
        format!("{verb} {object}")
    }
}

fn refused(refusal: &Refusal) -> Answer {
    let mut error = json!({ "code": refusal.code, "message": refusal.message });
    if !refusal.chain.is_empty() {
        let link = |(code, message): &(u32, String)| json!({ "code": code, "message": message });
        error["error_chain"] = refusal.chain.iter().map(link).collect();
    }
    let json = json!({ "result": null, "success": false, "errors": [error], "messages": [] });
    Answer::json(refusal.status, &json)
}

impl CloudflareStub {
    /// Starts one for an account with these zones, all on the free plan.
    pub async fn start(token: &str, zones: &[&str]) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST, token, zones).await
    }

    /// The same on another of this host's addresses.
    pub async fn start_on(address: Ipv4Addr, token: &str, zones: &[&str]) -> Self {
        let account = Account::new(token, zones);
        let front = Front::start_on(address, Cloudflare(Mutex::new(account))).await;
        let zone = (*zones.first().expect("a zone")).to_owned();
        Self { front, zone }
    }

    /// Its endpoint: `http://<address>:<port>`.
    pub fn url(&self) -> String {
        self.front.url()
    }

    /// The records of all zones, in the order in which they were added.
    pub fn records(&self) -> Vec<CloudflareRecord> {
        let account = self.account();
        let zones = account.zones.iter();
        zones.flat_map(|zone| zone.records.clone()).collect()
    }

    /// The requests so far: `read zones`, `read records`, `batch`, `patch record`, …
    pub fn requests(&self) -> Vec<String> {
        let seen = self.front.seen();
        seen.into_iter().map(|request| request.name).collect()
    }

    /// The next request that changes something fails with this status and code and changes nothing.
    pub fn refuse_next(&self, status: u16, code: u32) {
        self.front
            .next(When::Writes, Fault::Refuse(asked_for(status, code)));
    }

    /// The next request that changes something is carried out, and then answered with this.
    pub fn disguise_next(&self, status: u16, code: u32) {
        self.front
            .next(When::Writes, Fault::Disguise(asked_for(status, code)));
    }

    /// Has this go wrong with the next request that it is for.
    pub fn next(&self, when: When, fault: Fault) {
        self.front.next(when, fault);
    }

    /// The service's answer to too many requests.
    pub fn throttled(seconds: Option<u32>) -> Answer {
        let message = "Please wait and consider throttling your request speed";
        let answer = refused(&Refusal::new(429, 971, message));
        match seconds {
            Some(seconds) => answer.header("retry-after", &seconds.to_string()),
            None => answer,
        }
    }

    /// Puts a record in, past the API, into the zone that its name is in. Answers its id.
    pub fn insert(&self, record: CloudflareRecord) -> String {
        let mut account = self.account();
        let id = account.new_id();
        let below = |zone: &Zone| format!(".{}", zone.name);
        let zone = account
            .zones
            .iter_mut()
            .find(|zone| record.name == zone.name || record.name.ends_with(&below(zone)));
        zone.expect("a zone for the name")
            .records
            .push(CloudflareRecord {
                id: id.clone(),
                ..record
            });
        id
    }

    /// Changes a record, past the API.
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut CloudflareRecord)) {
        let mut account = self.account();
        let mut records = account.zones.iter_mut().flat_map(|zone| &mut zone.records);
        let record = records.find(|record| record.id == id);
        change(record.expect("a record with this id"));
    }

    /// Removes a record, past the API.
    pub fn remove(&self, id: &str) {
        for zone in &mut self.account().zones {
            zone.records.retain(|record| record.id != id);
        }
    }

    /// Puts a zone on a plan: `free`, `pro`, `business` or `enterprise`.
    pub fn set_plan(&self, zone: &str, plan: &str) {
        self.edit_zone(zone, |zone| plan.clone_into(&mut zone.plan));
    }

    /// Gives the first zone of this name a status: `active`, `pending`, `moved`.
    pub fn set_status(&self, zone: &str, status: &str) {
        self.edit_zone(zone, |zone| status.clone_into(&mut zone.status));
    }

    /// Makes a zone `full`, `partial` or `secondary`.
    pub fn set_kind(&self, zone: &str, kind: &str) {
        self.edit_zone(zone, |zone| kind.clone_into(&mut zone.kind));
    }

    /// Calls a zone by another name in lists of zones: in its own script.
    pub fn show_zone_as(&self, zone: &str, name: &str) {
        self.edit_zone(zone, |zone| zone.shown = name.to_owned());
    }

    fn edit_zone(&self, name: &str, change: impl FnOnce(&mut Zone)) {
        let mut account = self.account();
        let zone = account.zones.iter_mut().find(|zone| zone.name == name);
        change(zone.expect("a zone of this name"));
    }

    /// The records of a name of the first zone.
    fn standing(&self, name: &str) -> Vec<CloudflareRecord> {
        let records = self.account().zones[0].records.clone();
        let here = records.into_iter().filter(|record| record.name == name);
        here.collect()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.front.service().account()
    }
}

fn asked_for(status: u16, code: u32) -> Answer {
    refused(&Refusal::new(
        status,
        code,
        "A failure that the test asked for.",
    ))
}

#[async_trait]
impl Vendor for CloudflareStub {
    fn binding(&self) -> Binding {
        Binding {
            plugin: "cloudflare",
            settings: json!({ "endpoint": self.url() }),
            credentials: BTreeMap::from([("api-token".to_owned(), self.account().token.clone())]),
            hosts: vec![self.url()],
        }
    }

    fn wrong_binding(&self) -> Binding {
        self.binding().with_credential("api-token", "wrong")
    }

    fn zone(&self) -> &str {
        &self.zone
    }

    fn trouble(&self, when: When, trouble: Trouble) -> bool {
        let throttled = |seconds| Some(Self::throttled(seconds));
        self.front.trouble(when, trouble, throttled)
    }

    fn clear_troubles(&self) -> usize {
        self.front.clear_faults()
    }

    fn seen(&self) -> Vec<Seen> {
        self.front.seen()
    }

    async fn insert_with_extras(&self, name: &str, address: &str) -> bool {
        let rtype = if address.contains(':') { "AAAA" } else { "A" };
        self.insert(CloudflareRecord {
            proxied: true,
            comment: Some("rack 7".to_owned()),
            tags: vec!["owner:dns".to_owned()],
            settings: json!({ "ipv4_only": true }),
            ..CloudflareRecord::new(name, rtype, address)
        });
        true
    }

    async fn extras(&self, name: &str) -> String {
        let shown = |record: CloudflareRecord| {
            let CloudflareRecord {
                proxied,
                comment,
                tags,
                settings,
                ..
            } = record;
            format!("{proxied} {comment:?} {tags:?} {settings}")
        };
        let records = self.standing(name).into_iter().map(shown);
        records.collect::<Vec<_>>().join("\n")
    }

    async fn addresses(&self, name: &str, _: &str) -> Vec<String> {
        let records = self.standing(name).into_iter();
        let of_type = records.filter(|record| record.rtype == "A");
        let mut addresses: Vec<String> = of_type.map(|record| record.content).collect();
        addresses.sort();
        addresses
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        let mut ids = self
            .standing(name)
            .into_iter()
            .filter(|record| record.rtype == rtype)
            .map(|record| record.id);
        let kept = ids.next().expect("a set to meddle with");
        for other in ids {
            self.remove(&other);
        }
        self.edit(&kept, |record| match content.split_once(' ') {
            Some((priority, host)) if rtype == "MX" => {
                record.priority = priority.parse().ok();
                host.clone_into(&mut record.content);
            }
            _ => content.clone_into(&mut record.content),
        });
    }
}
