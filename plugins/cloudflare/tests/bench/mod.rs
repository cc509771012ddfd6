//! The provider and a stand-in for the service.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, of which each file uses some"
)]

use portolan_cloudflare::Cloudflare;
use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome, RecordSet},
    settings,
    testing::TestHost,
};
use portolan_vendors::CloudflareStub;

pub(crate) const ZONE: &str = "example.com";
pub(crate) const TOKEN: &str = "token-of-a-test";

pub(crate) struct Bench {
    pub(crate) stub: CloudflareStub,
    pub(crate) provider: Cloudflare,
    pub(crate) host: TestHost,
}

pub(crate) async fn bench() -> Bench {
    let stub = CloudflareStub::start(TOKEN, &[ZONE, "example.net"]).await;
    Bench {
        provider: provider(&stub.url()),
        host: host(TOKEN),
        stub,
    }
}

pub(crate) fn provider(url: &str) -> Cloudflare {
    settings(&serde_json::json!({ "endpoint": url }).to_string()).unwrap()
}

pub(crate) fn host(token: &str) -> TestHost {
    TestHost::on_loopback().credential("api-token", token)
}

impl Bench {
    pub(crate) fn apply(&self, changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        self.provider.apply(&self.host, ZONE, changes).unwrap()
    }

    pub(crate) fn read(&self, name: Option<&str>) -> Vec<RecordSet> {
        self.provider
            .read(&self.host, ZONE, name, None)
            .unwrap()
            .sets
    }

    /// The one set of a name.
    pub(crate) fn only(&self, name: &str) -> RecordSet {
        let mut sets = self.read(Some(name));
        assert_eq!(sets.len(), 1, "{sets:?}");
        sets.remove(0)
    }

    pub(crate) fn normalize(&self, wanted: Vec<RecordSet>) -> Vec<RecordSet> {
        let answers = self.provider.normalize(&self.host, ZONE, wanted).unwrap();
        answers.into_iter().map(Result::unwrap).collect()
    }

    /// How many batches were sent since.
    pub(crate) fn batches(&self, since: usize) -> usize {
        let requests = self.stub.requests().split_off(since);
        assert!(
            requests
                .iter()
                .all(|name| name == "batch" || name.starts_with("read ")),
            "{requests:?}"
        );
        requests.iter().filter(|name| *name == "batch").count()
    }

    /// How many requests there were so far.
    pub(crate) fn now(&self) -> usize {
        self.stub.requests().len()
    }
}
