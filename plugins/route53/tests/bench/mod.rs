//! The provider bound to a moto of its own.

use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome, RecordSet},
    settings,
    testing::{self, TestHost},
};
use portolan_route53::Route53;
use portolan_vendors::{Moto, Vendor};

pub const ZONE: &str = "example.com";
pub const WWW: &str = "www.example.com";

pub struct Bench {
    pub moto: Moto,
    pub provider: Route53,
    pub host: TestHost,
}

pub async fn bench() -> Bench {
    let moto = Moto::start().await;
    let (id, secret) = moto.key();
    Bench {
        provider: settings(&moto.binding().settings.to_string()).unwrap(),
        host: host(id, secret),
        moto,
    }
}

pub fn host(id: &str, secret: &str) -> TestHost {
    TestHost::on_loopback()
        .credential("access-key-id", id)
        .credential("secret-access-key", secret)
}

pub fn set(name: &str, rtype: &str, line: &str, contents: &[&str]) -> RecordSet {
    let mut set = testing::set(name, rtype, contents);
    line.clone_into(&mut set.key.line);
    set
}

/// Addresses of `www` on the line `default`.
pub fn www(contents: &[&str]) -> RecordSet {
    set(WWW, "A", "default", contents)
}

impl Bench {
    pub fn apply(&self, changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        self.provider.apply(&self.host, ZONE, changes).unwrap()
    }

    pub fn read(&self, name: Option<&str>) -> Vec<RecordSet> {
        let mut sets = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self
                .provider
                .read(&self.host, ZONE, name, cursor.as_deref())
                .unwrap();
            sets.extend(page.sets);
            cursor = page.next;
            if cursor.is_none() {
                return sets;
            }
        }
    }

    /// The one set of a name.
    pub fn only(&self, name: &str) -> RecordSet {
        let mut sets = self.read(Some(name));
        assert_eq!(sets.len(), 1, "{sets:?}");
        sets.remove(0)
    }

    /// The requests that changed something or tried to, since the last look.
    pub fn writes(&self, since: usize) -> usize {
        let seen = self.moto.seen();
        seen[since..].iter().filter(|seen| seen.is_write).count()
    }
}
