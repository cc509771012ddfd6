//! A stand-in for Hetzner DNS, the zones of the Hetzner Cloud API.
//!
//! Changes are actions: a request is answered while its action still runs, and what it asks for stands
//! in the zone once the action has ended. Actions move on with every request that comes in, whatever it
//! asks for, since here is no clock. While one runs, its zone is locked.

mod api;
mod json;
mod rules;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde_json::json;

use crate::front::{Answer, Call, Front, Seen, Service, When};
use crate::vendor::{Binding, Trouble, Vendor};

use state::State;
pub use state::{HetznerRecord, HetznerRrSet};

/// The requests that a project may make within an hour.
const HOURLY: u32 = 3_600;
/// The zone of [`Vendor::zone`].
const ZONE: &str = "example.com";
/// Tokens of the project.
const TOKEN: &str = "hetzner-test-token";
const READ_ONLY: &str = "hetzner-read-only-token";

/// A project of Hetzner Cloud.
#[derive(Clone)]
pub struct Hetzner {
    state: Arc<Mutex<State>>,
}

impl Hetzner {
    /// A project with the primary zones `example.com`, of a default TTL of an hour, and `example.net`,
    /// and the secondary zone `copied.example`.
    pub fn new() -> Self {
        let mut state = State::default();
        state.add_zone(ZONE, "primary");
        state.add_zone("example.net", "primary");
        state.add_zone("copied.example", "secondary");
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The token that may do everything.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// A token that may only read.
    pub fn read_only_token(&self) -> &'static str {
        READ_ONLY
    }

    /// Adds a primary zone.
    pub fn add_zone(&self, name: &str) {
        self.state().add_zone(name, "primary");
    }

    /// After how many requests more an action ends; 1 at first.
    pub fn actions_take(&self, requests: u32) {
        self.state().lag = requests;
    }

    /// Has the next action end with an error, without any change.
    pub fn fail_next_action(&self, code: &str, message: &str) {
        self.state().next_failure = Some((code.to_owned(), message.to_owned()));
    }

    /// The record sets of a zone, in the order of their ids.
    pub fn rrsets(&self, zone: &str) -> Vec<HetznerRrSet> {
        self.state().zone(zone).rrsets.values().cloned().collect()
    }

    /// One record set of `example.com`.
    pub fn rrset(&self, name: &str, rtype: &str) -> Option<HetznerRrSet> {
        let mut state = self.state();
        state
            .zone(ZONE)
            .rrsets
            .get(&state::id(name, rtype))
            .cloned()
    }

    /// Puts a record set into `example.com` past the API, in the place of what stands there.
    pub fn insert(&self, rrset: HetznerRrSet) {
        self.state().zone(ZONE).put(rrset);
    }

    /// Changes a record set of `example.com` past the API.
    pub fn edit(&self, name: &str, rtype: &str, edit: impl FnOnce(&mut HetznerRrSet)) {
        let mut state = self.state();
        let zone = state.zone(ZONE);
        edit(
            zone.rrsets
                .get_mut(&state::id(name, rtype))
                .expect("such a record set"),
        );
    }

    /// Removes a record set of `example.com` past the API.
    pub fn remove(&self, name: &str, rtype: &str) {
        self.state()
            .zone(ZONE)
            .rrsets
            .remove(&state::id(name, rtype));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Hetzner {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Service for Hetzner {
    async fn answer(&self, _: &str, call: &Call) -> Answer {
        let mut state = self.state();
        state.move_on();
        let writes = self.is_write(call);
        let answer = match call.header("authorization").strip_prefix("Bearer ") {
            None | Some("") => Err(api::refuse(401, "unauthorized", "token is required")),
            Some(READ_ONLY) if writes => {
                let only = "token is only allowed to perform GET requests";
                Err(api::refuse(403, "token_readonly", only))
            }
            Some(TOKEN | READ_ONLY) => api::answer(&mut state, call),
            Some(_) => {
                let unknown = "unable to authenticate with the provided token";
                Err(api::refuse(401, "unauthorized", unknown))
            }
        };
        state.requests += 1;
        let left = HOURLY.saturating_sub(state.requests);
        let reset = now() + u64::from(HOURLY - left);
        answer
            .unwrap_or_else(|refusal| refusal)
            .header("RateLimit-Limit", &HOURLY.to_string())
            .header("RateLimit-Remaining", &left.to_string())
            .header("RateLimit-Reset", &reset.to_string())
            .header("X-Correlation-Id", &format!("c-{}", state.requests))
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The answer to one request too many.
fn throttled(seconds: Option<u32>) -> Answer {
    let body = json!({ "error": {
        "code": "rate_limit_exceeded",
        "message": format!("limit of {HOURLY} requests per hour reached"),
        "details": null,
    }});
    let answer = Answer::json(429, &body);
    match seconds {
        None => answer,
        Some(seconds) => answer
            .header("RateLimit-Limit", &HOURLY.to_string())
            .header("RateLimit-Remaining", "0")
            .header("RateLimit-Reset", &(now() + u64::from(seconds)).to_string()),
    }
}

#[async_trait]
impl Vendor for Front<Hetzner> {
    fn binding(&self) -> Binding {
        Binding {
            plugin: "hetzner",
            settings: json!({ "endpoint": self.url() }),
            credentials: BTreeMap::from([("token".to_owned(), TOKEN.to_owned())]),
            hosts: vec![self.url()],
        }
    }

    fn wrong_binding(&self) -> Binding {
        self.binding().with_credential("token", "nobody's")
    }

    fn zone(&self) -> &str {
        ZONE
    }

    fn trouble(&self, when: When, trouble: Trouble) -> bool {
        Front::trouble(self, when, trouble, |seconds| Some(throttled(seconds)))
    }

    fn clear_troubles(&self) -> usize {
        self.clear_faults()
    }

    fn seen(&self) -> Vec<Seen> {
        Front::seen(self)
    }

    async fn insert_with_extras(&self, name: &str, address: &str) -> bool {
        self.service().insert(HetznerRrSet {
            labels: BTreeMap::from([("team".to_owned(), "ops".to_owned())]),
            records: vec![HetznerRecord {
                value: address.to_owned(),
                comment: Some("ask ops first".to_owned()),
            }],
            ..HetznerRrSet::new(relative(name), "A", &[])
        });
        true
    }

    async fn extras(&self, name: &str) -> String {
        let rrset = self.service().rrset(relative(name), "A");
        rrset.map_or_else(String::new, |rrset| {
            let comments: Vec<_> = rrset.records.iter().map(|record| &record.comment).collect();
            format!("{:?} {comments:?} {}", rrset.labels, rrset.protected)
        })
    }

    async fn addresses(&self, name: &str, _: &str) -> Vec<String> {
        let rrset = self.service().rrset(relative(name), "A");
        let records = rrset.into_iter().flat_map(|rrset| rrset.records);
        let mut addresses: Vec<String> = records.map(|record| record.value).collect();
        addresses.sort();
        addresses
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        self.service().edit(relative(name), rtype, |rrset| {
            rrset.records = HetznerRrSet::new("", rtype, &[content]).records;
        });
    }
}

/// A name of the zone as the API calls it.
fn relative(name: &str) -> &str {
    let below = name.strip_suffix(ZONE).expect("a name of the zone");
    below.strip_suffix('.').unwrap_or("@")
}
