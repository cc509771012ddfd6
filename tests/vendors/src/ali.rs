//! A stand-in for Alibaba Cloud DNS: it checks signatures itself, keeps records as the service does, and
//! answers as its documentation says.

mod signature;
mod state;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    front::{Answer, Call, Front, Seen, Service, When},
    text::parameters,
    vendor::{Binding, Trouble, Vendor},
};
use state::{Failure, MIN_TTL, Refusal, State};

/// A record as the service keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliRecord {
    /// The service's id.
    pub id: String,
    /// The zone.
    pub domain: String,
    /// The name relative to the zone; `@` for the apex.
    pub rr: String,
    /// `A`, `CNAME`, …
    pub rtype: String,
    /// Without an MX record's priority.
    pub value: String,
    /// The service's code: `default`, `telecom`, …
    pub line: String,
    /// Seconds.
    pub ttl: u32,
    /// Of an MX record.
    pub priority: Option<u32>,
    /// Served?
    pub enabled: bool,
    /// Protected from changes?
    pub locked: bool,
    /// What someone noted in the console.
    pub remark: Option<String>,
}

/// A running stand-in on loopback. Dropping it stops it.
pub struct AliStub {
    front: Front<Ali>,
    /// The first zone.
    zone: String,
}

/// The service behind the front.
struct Ali(Mutex<State>);

impl Ali {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Service for Ali {
    async fn answer(&self, authority: &str, call: &Call) -> Answer {
        let mut state = self.state();
        let reply = state
            .authenticate(authority, call)
            .and_then(|()| state.handle(&self.name(call), &parameters(&call.query)));
        match reply {
            Ok(json) => answer(200, json),
            Err(refusal) => refused(&refusal),
        }
    }

    fn is_write(&self, call: &Call) -> bool {
        !self.name(call).starts_with("Describe")
    }

    fn name(&self, call: &Call) -> String {
        call.header("x-acs-action").to_owned()
    }
}

fn answer(status: u16, mut json: Value) -> Answer {
    json["RequestId"] = "536E9CAD-DB30-4647-AC87-AA5CC38C5382".into();
    Answer::json(status, &json)
}

fn refused((status, code, message): &Refusal) -> Answer {
    let json = json!({
        "Code": code, "Message": message, "HostId": "alidns.aliyuncs.com",
        "Recommend": format!("https://error-center.aliyun.com/status/search?Keyword={code}"),
    });
    answer(*status, json)
}

impl AliStub {
    /// Starts one for an account with these zones.
    pub async fn start(access_key_id: &str, secret: &str, zones: &[&str]) -> Self {
        let loopback = Ipv4Addr::LOCALHOST;
        Self::start_on(loopback, access_key_id, secret, zones).await
    }

    /// The same on another of this host's addresses.
    pub async fn start_on(
        address: Ipv4Addr,
        access_key_id: &str,
        secret: &str,
        zones: &[&str],
    ) -> Self {
        let state = State {
            access_key_id: access_key_id.to_owned(),
            secret: secret.to_owned(),
            zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
            records: Vec::new(),
            next_id: 9_999_985,
            failures: VecDeque::new(),
            nonces: HashSet::new(),
        };
        let front = Front::start_on(address, Ali(Mutex::new(state))).await;
        let zone = (*zones.first().expect("a zone")).to_owned();
        Self { front, zone }
    }

    /// Its endpoint: `http://<address>:<port>`.
    pub fn url(&self) -> String {
        self.front.url()
    }

    /// The records of all zones, in the order in which they were added.
    pub fn records(&self) -> Vec<AliRecord> {
        self.state().records.clone()
    }

    /// The actions called so far, in order.
    pub fn requests(&self) -> Vec<String> {
        let seen = self.front.seen();
        seen.into_iter().map(|request| request.name).collect()
    }

    /// The next call of `action` (`*` for any) fails with this status and code and changes nothing.
    pub fn fail_next(&self, action: &str, status: u16, code: &str) {
        self.fail(action, status, code, false);
    }

    /// The next call of `action` is carried out, and then answered with this status and code.
    pub fn fail_after_next(&self, action: &str, status: u16, code: &str) {
        self.fail(action, status, code, true);
    }

    /// Puts a record in, past the API, and answers its id. The domain is the first zone where
    /// `record.domain` is empty.
    pub fn insert(&self, record: AliRecord) -> String {
        let mut state = self.state();
        let id = state.new_id();
        let domain = if record.domain.is_empty() {
            state.zones[0].clone()
        } else {
            record.domain
        };
        state.records.push(AliRecord {
            id: id.clone(),
            domain,
            ..record
        });
        id
    }

    /// Changes a record, past the API.
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut AliRecord)) {
        let mut state = self.state();
        let record = state.records.iter_mut().find(|record| record.id == id);
        change(record.expect("a record with this id"));
    }

    /// Removes a record, past the API.
    pub fn remove(&self, id: &str) {
        self.state().records.retain(|record| record.id != id);
    }

    fn fail(&self, action: &str, status: u16, code: &str, after: bool) {
        let (action, code) = (action.to_owned(), code.to_owned());
        self.state().failures.push_back(Failure {
            action,
            status,
            code,
            after,
        });
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
    fn standing(&self, name: &str) -> impl Iterator<Item = AliRecord> {
        let (zone, rr) = (self.zone.clone(), self.relative(name).to_owned());
        let here = move |record: &AliRecord| record.domain == zone && record.rr == rr;
        self.records().into_iter().filter(here)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.front.service().state()
    }
}

#[async_trait]
impl Vendor for AliStub {
    fn binding(&self) -> Binding {
        let state = self.state();
        Binding {
            plugin: "alidns",
            settings: json!({ "endpoint": self.url() }),
            credentials: BTreeMap::from([
                ("access-key-id".to_owned(), state.access_key_id.clone()),
                ("access-key-secret".to_owned(), state.secret.clone()),
            ]),
            hosts: vec![self.url()],
        }
    }

    fn wrong_binding(&self) -> Binding {
        self.binding().with_credential("access-key-secret", "wrong")
    }

    fn zone(&self) -> &str {
        &self.zone
    }

    fn trouble(&self, when: When, trouble: Trouble) -> bool {
        self.front.trouble(when, trouble, |seconds| {
            let message = "Request was denied due to user flow control.".to_owned();
            let answer = refused(&(400, "Throttling.User".to_owned(), message));
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
        self.insert(AliRecord {
            remark: Some("rack 7".to_owned()),
            ..AliRecord::new(self.relative(name), rtype, address)
        });
        true
    }

    async fn extras(&self, name: &str) -> String {
        let remarks = self.standing(name).map(|record| record.remark);
        remarks
            .map(Option::unwrap_or_default)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn line(&self) -> Option<&'static str> {
        Some("CT")
    }

    async fn addresses(&self, name: &str, line: &str) -> Vec<String> {
        let line = if line == "CT" { "telecom" } else { line };
        let of_set = |record: &AliRecord| record.rtype == "A" && record.line == line;
        let records = self.standing(name).filter(of_set);
        let mut addresses: Vec<String> = records.map(|record| record.value).collect();
        addresses.sort();
        addresses
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        let ids: Vec<String> = self
            .standing(name)
            .filter(|record| record.rtype == rtype && record.line == "default")
            .map(|record| record.id)
            .collect();
        let (kept, others) = ids.split_first().expect("a set to meddle with");
        self.edit(kept, |record| {
            let (priority, value) = match content.split_once(' ') {
                Some((priority, host)) if rtype == "MX" => (priority.parse().ok(), host),
                _ => (record.priority, content.trim_matches('"')),
            };
            record.priority = priority;
            value.clone_into(&mut record.value);
        });
        others.iter().for_each(|id| self.remove(id));
    }
}

impl AliRecord {
    /// An enabled, unlocked record of the first zone, with the smallest TTL, on the default line.
    pub fn new(rr: &str, rtype: &str, value: &str) -> Self {
        Self {
            id: String::new(),
            domain: String::new(),
            rr: rr.to_owned(),
            rtype: rtype.to_owned(),
            value: value.to_owned(),
            line: "default".to_owned(),
            ttl: MIN_TTL,
            priority: None,
            enabled: true,
            locked: false,
            remark: None,
        }
    }

    fn to_json(&self) -> Value {
        let mut json = json!({
            "RecordId": self.id, "DomainName": self.domain, "RR": self.rr, "Type": self.rtype,
            "Value": self.value, "Line": self.line, "TTL": self.ttl, "Locked": self.locked,
            "Status": if self.enabled { "ENABLE" } else { "DISABLE" }, "Weight": 1,
        });
        if let Some(priority) = self.priority {
            json["Priority"] = priority.into();
        }
        if let Some(remark) = &self.remark {
            json["Remark"] = remark.as_str().into();
        }
        json
    }

    /// Do the two stand at the same name and line?
    fn beside(&self, other: &Self) -> bool {
        self.id != other.id
            && self.domain == other.domain
            && self.rr.eq_ignore_ascii_case(&other.rr)
            && self.line == other.line
    }
}
