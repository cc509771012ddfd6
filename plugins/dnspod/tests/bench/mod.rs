//! A provider that is bound to a stand-in.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "helpers of tests, not all of which each test needs"
)]

use portolan_dnspod::Dnspod;
use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome, RecordSet},
    settings,
    testing::{self, TestHost},
};
use portolan_vendors::DnspodStub;

pub(crate) const ZONE: &str = "example.com";
pub(crate) const SECRET_ID: &str = "AKID-test";
pub(crate) const SECRET_KEY: &str = "test-secret";

pub(crate) struct Bench {
    pub(crate) stub: DnspodStub,
    pub(crate) provider: Dnspod,
    pub(crate) host: TestHost,
}

pub(crate) async fn bench() -> Bench {
    bench_with(&[ZONE, "example.net"]).await
}

pub(crate) async fn bench_with(zones: &[&str]) -> Bench {
    let stub = DnspodStub::start(SECRET_ID, SECRET_KEY, zones).await;
    let provider = settings(&serde_json::json!({ "endpoint": stub.url() }).to_string()).unwrap();
    Bench {
        stub,
        provider,
        host: host(SECRET_ID, SECRET_KEY),
    }
}

pub(crate) fn host(id: &str, key: &str) -> TestHost {
    TestHost::on_loopback()
        .credential("secret-id", id)
        .credential("secret-key", key)
}

/// `-` before a content means switched off.
pub(crate) fn set(name: &str, rtype: &str, line: &str, contents: &[&str]) -> RecordSet {
    let mut set = testing::set(name, rtype, contents);
    line.clone_into(&mut set.key.line);
    set
}

impl Bench {
    pub(crate) fn apply(&self, changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        self.provider.apply(&self.host, ZONE, changes).unwrap()
    }

    pub(crate) fn read(&self, name: Option<&str>) -> Vec<RecordSet> {
        let page = self.provider.read(&self.host, ZONE, name, None).unwrap();
        assert_eq!(page.next, None);
        page.sets
    }

    /// The one set of a name.
    pub(crate) fn only(&self, name: &str) -> RecordSet {
        let mut sets = self.read(Some(name));
        assert_eq!(sets.len(), 1, "{sets:?}");
        sets.remove(0)
    }

    /// The set of a name on a line.
    pub(crate) fn on_line(&self, name: &str, line: &str) -> RecordSet {
        let sets = self.read(Some(name));
        sets.into_iter().find(|set| set.key.line == line).unwrap()
    }

    /// The set of a name and type.
    pub(crate) fn of_type(&self, name: &str, rtype: &str) -> RecordSet {
        let sets = self.read(Some(name));
        sets.into_iter().find(|set| set.key.rtype == rtype).unwrap()
    }

    /// The actions that change something, since so many requests.
    pub(crate) fn writes(&self, since: usize) -> Vec<String> {
        let requests = self.stub.requests().split_off(since);
        requests
            .into_iter()
            .filter(|action| !action.starts_with("Describe"))
            .collect()
    }
}
