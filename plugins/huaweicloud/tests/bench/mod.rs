//! A provider bound to the stand-in, and what tests ask of the two.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

use portolan_huaweicloud::HuaweiCloud;
use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome, RecordSet},
    settings,
    testing::{self, TestHost},
};
use portolan_vendors::{Front, Huawei, Vendor};

pub const ZONE: &str = "example.com";

pub struct Bench {
    pub vendor: Front<Huawei>,
    pub provider: HuaweiCloud,
    pub host: TestHost,
}

pub async fn bench() -> Bench {
    let vendor = Front::start(Huawei::new()).await;
    let provider = provider(&vendor);
    let host = host(vendor.service().access_key(), vendor.service().secret_key());
    Bench {
        vendor,
        provider,
        host,
    }
}

pub fn provider(vendor: &Front<Huawei>) -> HuaweiCloud {
    settings(&vendor.binding().settings.to_string()).unwrap()
}

pub fn host(access_key: &str, secret_key: &str) -> TestHost {
    TestHost::on_loopback()
        .credential("access-key", access_key)
        .credential("secret-key", secret_key)
}

pub fn set(name: &str, rtype: &str, line: &str, contents: &[&str]) -> RecordSet {
    let mut set = testing::set(name, rtype, contents);
    line.clone_into(&mut set.key.line);
    set
}

/// An address for everyone.
pub fn address(name: &str, address: &str) -> RecordSet {
    set(name, "A", "default", &[address])
}

impl Bench {
    pub fn apply(&self, changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        self.provider.apply(&self.host, ZONE, changes).unwrap()
    }

    pub fn read(&self, name: Option<&str>) -> Vec<RecordSet> {
        let page = self.provider.read(&self.host, ZONE, name, None).unwrap();
        assert_eq!(page.next, None);
        page.sets
    }

    /// The one set of a name.
    pub fn only(&self, name: &str) -> RecordSet {
        let mut sets = self.read(Some(name));
        assert_eq!(sets.len(), 1, "{sets:?}");
        sets.remove(0)
    }

    /// How many requests there were.
    pub fn mark(&self) -> usize {
        self.vendor.seen().len()
    }

    /// The requests that change something, since the mark.
    pub fn writes(&self, since: usize) -> Vec<String> {
        let seen = self.vendor.seen().split_off(since);
        let writes = seen.into_iter().filter(|seen| seen.is_write);
        writes.map(|seen| seen.name).collect()
    }

    /// How many requests only read, since the mark.
    pub fn reads(&self, since: usize) -> usize {
        let seen = self.vendor.seen().split_off(since);
        seen.iter().filter(|seen| !seen.is_write).count()
    }
}
