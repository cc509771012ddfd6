//! A real PowerDNS whose API fails on demand.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portolan_vendors::{Answer, Binding, Front, Relay, Seen, Trouble, Vendor, When};
use serde_json::json;

use crate::powerdns::{PowerDns, dig_from};

const ZONE: &str = "example.com";
/// A line, its network, and one that is on no line.
const LINE: &str = "CT";
const ON_THE_LINE: &str = "198.51.100.0/24";
const ELSEWHERE: &str = "203.0.113.0/24";
/// Somebody else's comment.
const COMMENT: &str = "asked for by the shop";

/// Debian's server, behind a front that fails on demand.
pub struct FrontedPowerDns {
    server: PowerDns,
    front: Front<Relay>,
    has_lines: bool,
}

impl FrontedPowerDns {
    /// Starts both, with a zone.
    pub async fn start() -> Self {
        let server = PowerDns::start(ZONE).await;
        let front = Front::start(Relay::to(server.api_address())).await;
        Self {
            server,
            front,
            has_lines: false,
        }
    }

    /// The same with a line.
    pub async fn with_lines() -> Self {
        Self {
            has_lines: true,
            ..Self::start().await
        }
    }
}

#[async_trait]
impl Vendor for FrontedPowerDns {
    fn binding(&self) -> Binding {
        let key = ("api-key".to_owned(), self.server.key().to_owned());
        Binding {
            plugin: "powerdns",
            settings: match self.has_lines {
                true => json!({"url": self.front.url(), "lines": {LINE: [ON_THE_LINE]}}),
                false => json!({"url": self.front.url()}),
            },
            credentials: BTreeMap::from([key]),
            hosts: vec![self.front.url()],
        }
    }

    fn wrong_binding(&self) -> Binding {
        self.binding().with_credential("api-key", "wrong")
    }

    fn zone(&self) -> &str {
        ZONE
    }

    fn trouble(&self, when: When, trouble: Trouble) -> bool {
        // The server itself never throttles; what stands before it may.
        self.front.trouble(when, trouble, |seconds| {
            let answer = Answer::new(429, "text/plain", "Too many requests");
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
        let comment = json!({"content": COMMENT, "account": "shop"});
        self.server
            .patch(&json!({
                "name": format!("{name}."), "type": "A", "ttl": 300, "changetype": "REPLACE",
                "records": [{"content": address, "disabled": false}], "comments": [comment],
            }))
            .await;
        true
    }

    async fn extras(&self, name: &str) -> String {
        let zone = self.server.read_zone(ZONE).await.json();
        let sets = zone["rrsets"].as_array().expect("record sets");
        let set = sets.iter().find(|set| set["name"] == format!("{name}."));
        let comments = set.and_then(|set| set["comments"].as_array());
        let told = comments.into_iter().flatten();
        told.map(|comment| format!("{}: {}", comment["account"], comment["content"]))
            .collect()
    }

    async fn addresses(&self, name: &str, line: &str) -> Vec<String> {
        let subnet = if line == LINE { ON_THE_LINE } else { ELSEWHERE };
        dig_from(self.server.dns_address(), subnet, name, "A")
    }

    fn line(&self) -> Option<&'static str> {
        self.has_lines.then_some(LINE)
    }

    async fn meddle(&self, name: &str, rtype: &str, content: &str) {
        self.server.replace(name, rtype, 300, &[content]).await;
    }
}
