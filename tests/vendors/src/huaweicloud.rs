//! A stand-in for Huawei Cloud DNS, its public zones and their record sets with lines (API version 2.1).
//!
//! A write is answered while the set is still in one of its pending states, in which it can be read but
//! not written again. Sets move on with every request that comes in, whatever it asks for, since here is
//! no clock.

mod api;
mod rules;
mod signature;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::json;

use crate::front::{Answer, Call, Front, Seen, Service, When};
use crate::vendor::{Binding, Trouble, Vendor};

pub use state::HuaweiSet;
use state::{Refusal, State};

/// The zone of [`Vendor::zone`].
const ZONE: &str = "example.com";
/// The account's keys.
const ACCESS_KEY: &str = "HPUATESTACCESSKEY";
const SECRET_KEY: &str = "huawei-test-secret";

/// An account of Huawei Cloud.
#[derive(Clone)]
pub struct Huawei {
    state: Arc<Mutex<State>>,
}

impl Huawei {
    /// An account with the public zones `example.com` and `example.net`, and the private `example.org`.
    pub fn new() -> Self {
        let mut state = State::new();
        state.add_zone(ZONE, "public");
        state.add_zone("example.net", "public");
        state.add_zone("example.org", "private");
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The access key.
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret access key.
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Adds a public zone.
    pub fn add_zone(&self, name: &str) {
        self.state().add_zone(name, "public");
    }

    /// After how many requests more a set has left its pending state; 1 at first.
    pub fn changes_take(&self, requests: u64) {
        self.state().lag = requests;
    }

    /// Whether the account's user may see its own lines; so it is at first.
    pub fn show_own_lines(&self, show: bool) {
        self.state().shows_own_lines = show;
    }

    /// The record sets of all zones in the order in which they were added, without those that the
    /// service made itself.
    pub fn sets(&self) -> Vec<HuaweiSet> {
        let state = self.state();
        let sets = state.sets.iter().filter(|set| !set.system);
        sets.cloned().collect()
    }

    /// Puts a record set in, past the API, and answers its id.
    pub fn insert(&self, set: HuaweiSet) -> String {
        self.state().add(set)
    }

    /// Changes a record set, past the API.
    pub fn edit(&self, id: &str, edit: impl FnOnce(&mut HuaweiSet)) {
        edit(self.state().set(id).expect("a record set with this id"));
    }

    /// Removes a record set, past the API.
    pub fn remove(&self, id: &str) {
        self.state().sets.retain(|set| set.id != id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Huawei {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Service for Huawei {
    async fn answer(&self, authority: &str, call: &Call) -> Answer {
        let mut state = self.state();
        state.move_on();
        let request = format!("req-{}", state.requests);
        let answered = match signature::check(call, authority, ACCESS_KEY, SECRET_KEY) {
            Ok(()) => api::answer(&mut state, call),
            Err(reason) => {
                let message = format!("Incorrect IAM authentication information: {reason}");
                let body = json!({
                    "error_code": "APIGW.0301", "error_msg": message, "request_id": request,
                });
                return Answer::json(401, &body);
            }
        };
        let answer = match answered {
            Ok((status, body)) => Answer::json(status, &body),
            Err(Refusal {
                status,
                code,
                message,
            }) => Answer::json(status, &json!({ "code": code, "message": message })),
        };
        answer.header("x-request-id", &request)
    }

    fn name(&self, call: &Call) -> String {
        let path = state::shorten(&call.path);
        format!("{} {path}", call.method)
    }
}

/// The answer to too many requests: of the gateway, which can say for how long, or of the service.
fn throttled(seconds: Option<u32>) -> Answer {
    match seconds {
        Some(seconds) => {
            let body = json!({
                "error_code": "APIGW.0308", "request_id": "req-throttled",
                "error_msg": "The throttling threshold has been reached: policy user over ratelimit",
            });
            Answer::json(429, &body).header("retry-after", &seconds.to_string())
        }
        None => {
            let message = "Request forbidden by flow control.";
            Answer::json(403, &json!({ "code": "DNS.0014", "message": message }))
        }
    }
}

#[async_trait]
impl Vendor for Front<Huawei> {
    fn binding(&self) -> Binding {
        let credentials = [("access-key", ACCESS_KEY), ("secret-key", SECRET_KEY)];
        Binding {
            plugin: "huaweicloud",
            settings: json!({ "endpoint": self.url() }),
            credentials: credentials
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            hosts: vec![self.url()],
        }
    }

    fn wrong_binding(&self) -> Binding {
        self.binding().with_credential("secret-key", "wrong")
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
        let set = HuaweiSet {
            description: "rack 7".to_owned(),
            weight: Some(7),
            tags: vec![("team".to_owned(), "web".to_owned())],
            ..HuaweiSet::new(name, "A", &[address])
        };
        self.service().insert(set);
        true
    }

    async fn extras(&self, name: &str) -> String {
        let sets = self.service().sets();
        let of_name = sets.iter().filter(|set| set.name == format!("{name}."));
        of_name
            .map(|set| format!("{} {:?} {:?}\n", set.description, set.weight, set.tags))
            .collect()
    }

    fn line(&self) -> Option<&'static str> {
        Some("CT")
    }

    async fn addresses(&self, name: &str, line: &str) -> Vec<String> {
        let (name, line) = match line {
            "CT" => (format!("{name}."), "Dianxin"),
            _ => (format!("{name}."), "default_view"),
        };
        let sets = self.service().sets().into_iter();
        let of_line = sets.filter(|set| set.name == name && set.rtype == "A" && set.line == line);
        let mut addresses: Vec<String> = of_line.flat_map(|set| set.records).collect();
        addresses.sort();
        addresses
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        let sets = self.service().sets();
        let set = sets.iter().find(|set| {
            set.name == format!("{name}.") && set.rtype == rtype && set.line == "default_view"
        });
        let id = &set.expect("a record set to meddle with").id;
        let content = content.to_owned();
        self.service().edit(id, |set| set.records = vec![content]);
    }
}
