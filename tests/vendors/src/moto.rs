//! Amazon Route 53 as moto plays it: a real server of AWS's API that checks signatures and permissions,
//! with what its record sets lack put in by `moto/strict.py`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use async_trait::async_trait;
use hyper::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::front::{Answer, Call, Front, Relay, Seen, Service, When};
use crate::vendor::{Binding, Trouble, Vendor};

/// The zone to be changed.
const ZONE: &str = "example.com";
/// The identifier of a set that somebody else made.
const FOREIGN_IDENTIFIER: &str = "everyone, by hand";

/// A running moto with the zones `example.com` and `example.net`, and a front before it. Dropping it
/// ends it.
pub struct Moto {
    // Before the server: it goes on listening until nobody asks any more.
    front: Front<Relay>,
    control: Relay,
    server: Server,
    access_key_id: String,
    secret: String,
    reader: (String, String),
}

/// The server's process.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where it has been reaped already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Moto {
    /// Starts it on a free port of loopback; the first time ever, moto is fetched.
    pub async fn start() -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("moto");
        let installed = Command::new(home.join("install.sh"))
            .stderr(Stdio::inherit())
            .output()
            .expect("run moto/install.sh");
        assert!(
            installed.status.success(),
            "moto/install.sh failed (it needs python3 with venv)"
        );
        let python = String::from_utf8(installed.stdout).expect("a path in UTF-8");
        let mut server = Command::new(python.trim())
            // No file of compiled code beside the scripts.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(home.join("serve.py"))
            .args([ZONE, "example.net"])
            // It ends when this end is closed, also where the test is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It logs each request there.
            .stderr(Stdio::null())
            .spawn()
            .expect("start moto");
        let said = server.stdout.take().expect("its output is piped");
        let server = Server(server);
        let mut line = String::new();
        BufReader::new(said)
            .read_line(&mut line)
            .expect("read what moto says");
        let said: Value = serde_json::from_str(&line).expect("moto says where it listens");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let upstream = format!("127.0.0.1:{}", said["port"]);
        Self {
            front: Front::start(Relay::to(upstream.clone())).await,
            control: Relay::to(upstream),
            server,
            access_key_id: text(&said["access_key_id"]),
            secret: text(&said["secret"]),
            reader: (
                text(&said["reader"]["access_key_id"]),
                text(&said["reader"]["secret"]),
            ),
        }
    }

    /// What listens before it.
    pub fn front(&self) -> &Front<Relay> {
        &self.front
    }

    /// The id of the access key and its secret.
    pub fn key(&self) -> (&str, &str) {
        (&self.access_key_id, &self.secret)
    }

    /// The same of a key that may read alone.
    pub fn reading_key(&self) -> (&str, &str) {
        (&self.reader.0, &self.reader.1)
    }

    /// Puts a record set in a zone, in place of one of its name, type and identifier. `set` has the
    /// fields of the API's `ResourceRecordSet`, with `ResourceRecords` as a list of texts.
    pub async fn insert(&self, zone: &str, set: Value) {
        self.insert_all(zone, vec![set]).await;
    }

    /// The same for many.
    pub async fn insert_all(&self, zone: &str, sets: Vec<Value>) {
        self.order(&json!({ "zone": zone, "put": sets })).await;
    }

    /// Removes the sets of this name and type.
    pub async fn remove(&self, zone: &str, name: &str, rtype: &str) {
        self.order(&json!({ "zone": zone, "remove": [name, rtype] }))
            .await;
    }

    /// Makes more hosted zones and answers the ids of all.
    pub async fn create_zones(&self, names: &[&str], private: bool) -> Vec<String> {
        let ids = self
            .order(&json!({ "zones": names, "private": private }))
            .await;
        let text = |id: &Value| id.as_str().expect("an id").to_owned();
        ids.iter().map(text).collect()
    }

    /// The zone's record sets but those of NS and SOA at its own name, in the service's order.
    pub async fn sets(&self, zone: &str) -> Vec<Value> {
        let mut sets = self.order(&json!({ "zone": zone })).await;
        let apex = format!("{zone}.");
        sets.retain(|set| {
            set["Name"] != apex.as_str() || (set["Type"] != "NS" && set["Type"] != "SOA")
        });
        sets
    }

    /// The sets of one name, as the service spells it: `\052.example.com.`
    pub async fn sets_of(&self, name: &str) -> Vec<Value> {
        let mut sets = self.sets(ZONE).await;
        sets.retain(|set| set["Name"] == name);
        sets
    }

    /// Past the API and the front.
    async fn order(&self, order: &Value) -> Vec<Value> {
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().expect("a header's value"));
        let call = Call {
            method: Method::POST,
            path: "/test-control".to_owned(),
            query: String::new(),
            headers,
            body: order.to_string().into(),
        };
        let answer = self.control.answer("", &call).await;
        assert_eq!(answer.status, 200, "moto refused {order}");
        serde_json::from_slice(&answer.body).expect("a list")
    }

    /// The process id of the server.
    pub fn id(&self) -> u32 {
        self.server.0.id()
    }

    fn binding_with(&self, secret: &str) -> Binding {
        Binding {
            plugin: "route53",
            settings: json!({ "endpoint": self.front.url() }),
            credentials: [
                ("access-key-id".to_owned(), self.access_key_id.clone()),
                ("secret-access-key".to_owned(), secret.to_owned()),
            ]
            .into(),
            hosts: vec![self.front.url()],
        }
    }
}

/// The answer to too many requests. The documentation knows no `retry-after`; what stands in between may
/// add one.
pub(crate) fn throttled(seconds: Option<u32>) -> Answer {
    let body = "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
        <Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error>\
        <RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>";
    let answer = Answer::new(400, "text/xml", body);
    match seconds {
        Some(seconds) => answer.header("retry-after", &seconds.to_string()),
        None => answer,
    }
}

#[async_trait]
impl Vendor for Moto {
    fn binding(&self) -> Binding {
        self.binding_with(&self.secret)
    }

    fn wrong_binding(&self) -> Binding {
        self.binding_with("not-the-secret")
    }

    fn zone(&self) -> &str {
        ZONE
    }

    fn trouble(&self, when: When, trouble: Trouble) -> bool {
        self.front
            .trouble(when, trouble, |seconds| Some(throttled(seconds)))
    }

    fn clear_troubles(&self) -> usize {
        self.front.clear_faults()
    }

    fn seen(&self) -> Vec<Seen> {
        self.front.seen()
    }

    /// A set keeps the identifier that whoever made it gave it.
    async fn insert_with_extras(&self, name: &str, address: &str) -> bool {
        let set = json!({
            "Name": name, "Type": "A", "TTL": 600, "ResourceRecords": [address],
            "SetIdentifier": FOREIGN_IDENTIFIER, "GeoLocation": { "CountryCode": "*" },
        });
        self.insert(ZONE, set).await;
        true
    }

    async fn extras(&self, name: &str) -> String {
        let sets = self.sets_of(&format!("{name}.")).await;
        let kept = |set: &Value| format!("{} {};", set["SetIdentifier"], set["GeoLocation"]);
        sets.iter().map(kept).collect()
    }

    fn line(&self) -> Option<&'static str> {
        Some("country-CN")
    }

    async fn addresses(&self, name: &str, line: &str) -> Vec<String> {
        let country = if line == "country-CN" { "CN" } else { "*" };
        let sets = self.sets_of(&format!("{name}.")).await.into_iter();
        let of_line = sets.filter(|set| {
            let place = &set["GeoLocation"];
            let is_there = place["CountryCode"] == country || place.is_null() && country == "*";
            set["Type"] == "A" && is_there
        });
        let values = of_line.flat_map(|set| set["ResourceRecords"].as_array().cloned());
        let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut addresses: Vec<String> = values.flatten().map(text).collect();
        addresses.sort();
        addresses
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        let sets = self.sets_of(&format!("{name}.")).await;
        let standing = sets.into_iter().find(|set| {
            let place = &set["GeoLocation"];
            set["Type"] == rtype && (place.is_null() || place["CountryCode"] == "*")
        });
        let fresh = json!({ "Name": name, "Type": rtype, "TTL": 600 });
        let mut set = standing.unwrap_or(fresh);
        set["ResourceRecords"] = json!([content]);
        self.insert(ZONE, set).await;
    }
}
