//! A stand-in for Tencent Cloud DNSPod (API 3.0, 2021-03-23): it checks signatures itself, keeps records
//! as the service does, and answers as its documentation says: nearly always with status 200.

mod checks;
mod parameters;
mod signature;
mod state;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    front::{Answer, Call, Fault, Front, Seen, Service, When},
    vendor::{Binding, Trouble, Vendor},
};
use state::State;

/// A record as the service keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnspodRecord {
    /// The service's id.
    pub id: u64,
    /// The zone.
    pub domain: String,
    /// The name relative to the zone; `@` for the apex.
    pub name: String,
    /// `A`, `CNAME`, …
    pub rtype: String,
    /// Without an MX record's preference, host names with their trailing dot.
    pub value: String,
    /// The id of the line: `0`, `10=0`, …
    pub line_id: String,
    /// Seconds.
    pub ttl: u32,
    /// Of an MX record; 0 for others.
    pub mx: u16,
    /// None where weights are not used.
    pub weight: Option<u32>,
    /// Served?
    pub enabled: bool,
    /// What someone noted in the console.
    pub remark: String,
    /// One of the two name servers that the service gave the zone?
    pub default_ns: bool,
}

impl DnspodRecord {
    /// An enabled record of the first zone on the default line, with a TTL that every package accepts.
    pub fn new(name: &str, rtype: &str, value: &str) -> Self {
        Self {
            id: 0,
            domain: String::new(),
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            value: checks::as_kept(rtype, value),
            line_id: "0".to_owned(),
            ttl: 600,
            mx: 0,
            weight: None,
            enabled: true,
            remark: String::new(),
            default_ns: false,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "RecordId": self.id, "Name": self.name, "Type": self.rtype, "Value": self.value,
            "Line": checks::line_name(&self.line_id), "LineId": self.line_id, "TTL": self.ttl,
            "MX": self.mx, "Weight": self.weight, "Remark": self.remark, "MonitorStatus": "",
            "Status": if self.enabled { "ENABLE" } else { "DISABLE" },
            "UpdatedOn": "2021-03-28 11:27:09", "DefaultNS": self.default_ns,
        })
    }

    /// Do the two stand at the same name and line?
    fn beside(&self, other: &Self) -> bool {
        self.same_name(other) && self.line_id == other.line_id
    }

    fn same_name(&self, other: &Self) -> bool {
        self.id != other.id
            && self.domain == other.domain
            && self.name.eq_ignore_ascii_case(&other.name)
    }
}

/// A running stand-in on loopback. Dropping it stops it.
pub struct DnspodStub {
    front: Front<Dnspod>,
    /// The first zone.
    zone: String,
}

/// The service behind the front.
struct Dnspod(Mutex<State>);

impl Dnspod {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Service for Dnspod {
    async fn answer(&self, authority: &str, call: &Call) -> Answer {
        let mut state = self.state();
        let reply = state
            .authenticate(authority, call)
            .and_then(|()| state.handle(&self.name(call), &call.body));
        match reply {
            Ok(json) => answer(json),
            Err((code, message)) => refused(&code, &message),
        }
    }

    fn is_write(&self, call: &Call) -> bool {
        !self.name(call).starts_with("Describe")
    }

    fn name(&self, call: &Call) -> String {
        call.header("x-tc-action").to_owned()
    }
}

fn answer(mut response: Value) -> Answer {
    response["RequestId"] = "ab4f1426-ea15-42ea-8183-dc1b44151166".into();
    Answer::json(200, &json!({ "Response": response }))
}

fn refused(code: &str, message: &str) -> Answer {
    answer(json!({ "Error": { "Code": code, "Message": message } }))
}

impl DnspodStub {
    /// Starts one for an account with these zones. The first has the package DP_ULTRA, the others have
    /// the free one.
    pub async fn start(secret_id: &str, secret_key: &str, zones: &[&str]) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST, secret_id, secret_key, zones).await
    }

    /// The same on another of this host's addresses.
    pub async fn start_on(
        address: Ipv4Addr,
        secret_id: &str,
        secret_key: &str,
        zones: &[&str],
    ) -> Self {
        let state = State::new(secret_id, secret_key, zones);
        let front = Front::start_on(address, Dnspod(Mutex::new(state))).await;
        let zone = (*zones.first().expect("a zone")).to_owned();
        Self { front, zone }
    }

    /// Its endpoint: `http://<address>:<port>`.
    pub fn url(&self) -> String {
        self.front.url()
    }

    /// Has this go wrong with the next request that it is for.
    pub fn next(&self, when: When, fault: Fault) {
        self.front.next(when, fault);
    }

    /// The answer with which the service refuses a call.
    pub fn refusal(code: &str, message: &str) -> Answer {
        refused(code, message)
    }

    /// The records of all zones, in the order in which they were added.
    pub fn records(&self) -> Vec<DnspodRecord> {
        self.state().records.clone()
    }

    /// The actions called so far, in order.
    pub fn requests(&self) -> Vec<String> {
        let seen = self.front.seen();
        seen.into_iter().map(|request| request.name).collect()
    }

    /// From now on the service's clock stands at so many seconds after 1970 began, and requests that
    /// are signed for more than five minutes before or after are refused. Until then any moment is
    /// fine.
    pub fn set_time(&self, seconds: u64) {
        self.state().now = Some(seconds);
    }

    /// Puts a record in, past the API, and answers its id. The domain is the first zone where
    /// `record.domain` is empty.
    pub fn insert(&self, record: DnspodRecord) -> u64 {
        let mut state = self.state();
        let id = state.new_id();
        let domain = if record.domain.is_empty() {
            self.zone.clone()
        } else {
            record.domain
        };
        state.records.push(DnspodRecord {
            id,
            domain,
            ..record
        });
        id
    }

    /// Changes a record, past the API.
    pub fn edit(&self, id: u64, change: impl FnOnce(&mut DnspodRecord)) {
        let mut state = self.state();
        let record = state.records.iter_mut().find(|record| record.id == id);
        change(record.expect("a record with this id"));
    }

    /// Removes a record, past the API.
    pub fn remove(&self, id: u64) {
        self.state().records.retain(|record| record.id != id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.front.service().state()
    }

    /// What the service calls a name of the first zone.
    fn relative<'a>(&self, name: &'a str) -> &'a str {
        match name.strip_suffix(&self.zone) {
            Some("") => "@",
            Some(below) => below.trim_end_matches('.'),
            None => panic!("{name} is not in {}", self.zone),
        }
    }

    /// The records of a name of the first zone.
    fn standing(&self, name: &str) -> impl Iterator<Item = DnspodRecord> {
        let (zone, name) = (self.zone.clone(), self.relative(name).to_owned());
        let here = move |record: &DnspodRecord| record.domain == zone && record.name == name;
        self.records().into_iter().filter(here)
    }
}

#[async_trait]
impl Vendor for DnspodStub {
    fn binding(&self) -> Binding {
        let state = self.state();
        Binding {
            plugin: "dnspod",
            settings: json!({ "endpoint": self.url() }),
            credentials: BTreeMap::from([
                ("secret-id".to_owned(), state.secret_id.clone()),
                ("secret-key".to_owned(), state.secret_key.clone()),
            ]),
            hosts: vec![self.url()],
        }
    }

    fn wrong_binding(&self) -> Binding {
        self.binding().with_credential("secret-key", "wrong")
    }

    fn zone(&self) -> &str {
        &self.zone
    }

    fn trouble(&self, when: When, trouble: Trouble) -> bool {
        self.front.trouble(when, trouble, |seconds| {
            let answer = refused("RequestLimitExceeded", "请求的次数超过了频率限制。");
            Some(match seconds {
                Some(seconds) => answer.header("retry-after", &seconds.to_string()),
                None => answer,
            })
        })
    }

    fn clear_troubles(&self) -> usize {
        self.front.clear_faults()
    }

    fn seen(&self) -> Vec<Seen> {
        self.front.seen()
    }

    async fn insert_with_extras(&self, name: &str, address: &str) -> bool {
        let rtype = if address.contains(':') { "AAAA" } else { "A" };
        self.insert(DnspodRecord {
            remark: "rack 7".to_owned(),
            ..DnspodRecord::new(self.relative(name), rtype, address)
        });
        true
    }

    async fn extras(&self, name: &str) -> String {
        let remarks: Vec<String> = self.standing(name).map(|record| record.remark).collect();
        remarks.join("\n")
    }

    fn line(&self) -> Option<&'static str> {
        Some("CT")
    }

    async fn addresses(&self, name: &str, line: &str) -> Vec<String> {
        let line_id = if line == "CT" { "10=0" } else { "0" };
        let of_set = |record: &DnspodRecord| record.rtype == "A" && record.line_id == line_id;
        let records = self.standing(name).filter(of_set);
        let mut addresses: Vec<String> = records.map(|record| record.value).collect();
        addresses.sort();
        addresses
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        let ids: Vec<u64> = self
            .standing(name)
            .filter(|record| record.rtype == rtype && record.line_id == "0")
            .map(|record| record.id)
            .collect();
        let (kept, others) = ids.split_first().expect("a set to meddle with");
        self.edit(*kept, |record| {
            let value = match content.split_once(' ') {
                Some((preference, host)) if rtype == "MX" => {
                    record.mx = preference.parse().expect("a preference");
                    host
                }
                _ => content.trim_matches('"'),
            };
            record.value = checks::as_kept(rtype, value);
        });
        others.iter().for_each(|id| self.remove(*id));
    }
}
