//! The provider bound to a stand-in for the service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "helpers of several test files, in which it is allowed"
)]

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use portolan_hetzner::Hetzner;
use portolan_plugin::{
    Clock, CredentialError, HmacChain, Host, Level, Provider,
    dns::{Change, Error, Outcome, RecordSet},
    http::{Method, RawRequest, RawResponse, SendError},
    message::{MessageError, Request as Message},
    settings,
    testing::TestHost,
};
use portolan_vendors::{Fault, Front, Hetzner as Service, HetznerRecord, HetznerRrSet, When};
use serde_json::json;

pub(crate) const ZONE: &str = "example.com";

pub(crate) struct Bench {
    pub(crate) front: Front<Service>,
    pub(crate) provider: Hetzner,
    pub(crate) host: TestHost,
}

pub(crate) async fn bench() -> Bench {
    let front = Front::start(Service::new()).await;
    let provider = bind(&front.url());
    let host = host(front.service().token());
    Bench {
        front,
        provider,
        host,
    }
}

pub(crate) fn bind(endpoint: &str) -> Hetzner {
    settings(&json!({ "endpoint": endpoint }).to_string()).unwrap()
}

pub(crate) fn host(token: &str) -> TestHost {
    TestHost::on_loopback().credential("token", token)
}

/// A set as the service keeps it, with comments on its records; `""` for none.
pub(crate) fn commented(name: &str, rtype: &str, records: &[(&str, &str)]) -> HetznerRrSet {
    let record = |&(value, comment): &(&str, &str)| HetznerRecord {
        value: value.to_owned(),
        comment: (!comment.is_empty()).then(|| comment.to_owned()),
    };
    HetznerRrSet {
        records: records.iter().map(record).collect(),
        ..HetznerRrSet::new(name, rtype, &[])
    }
}

impl Bench {
    pub(crate) fn service(&self) -> &Service {
        self.front.service()
    }

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

    pub(crate) fn normalize(&self, wanted: RecordSet) -> Result<RecordSet, Error> {
        let answers = self.provider.normalize(&self.host, ZONE, vec![wanted]);
        answers.unwrap().remove(0)
    }

    /// The requests since the last look that change something: method and path below the zone.
    pub(crate) fn writes(&self, since: usize) -> Vec<String> {
        let seen = self.front.seen().split_off(since);
        let writes = seen.into_iter().filter(|seen| seen.is_write);
        writes
            .map(|seen| seen.name.replace("/v1/zones/example.com/rrsets", ""))
            .collect()
    }

    /// Makes changes, and has the fault happen to the read or write that follows so many good ones.
    pub(crate) fn apply_with(
        &self,
        (good, when, fault): (usize, When, Fault),
        changes: Vec<Change>,
    ) -> Vec<Result<Outcome, Error>> {
        let host = Faulty {
            bench: self,
            when,
            good: Cell::new(good),
            fault: RefCell::new(Some(fault)),
        };
        let results = self.provider.apply(&host, ZONE, changes).unwrap();
        assert_eq!(*host.fault.borrow(), None, "the fault met no request");
        results
    }

    /// The values of a set at the service, with their comments.
    pub(crate) fn records(&self, name: &str, rtype: &str) -> Vec<String> {
        let rrset = self.service().rrset(name, rtype).unwrap();
        let shown = |record: HetznerRecord| match record.comment {
            Some(comment) => format!("{} ({comment})", record.value),
            None => record.value,
        };
        rrset.records.into_iter().map(shown).collect()
    }
}

/// The bench's host, which has one request go wrong.
struct Faulty<'a> {
    bench: &'a Bench,
    when: When,
    /// The requests of that kind before it.
    good: Cell<usize>,
    fault: RefCell<Option<Fault>>,
}

impl Host for Faulty<'_> {
    fn send(&self, request: &RawRequest) -> Result<RawResponse, SendError> {
        let is_read = matches!(request.method, Method::Get);
        if (self.when == When::Reads) == is_read {
            match self.good.get() {
                0 => {
                    let fault = self.fault.take();
                    fault
                        .into_iter()
                        .for_each(|fault| self.bench.front.next(When::Any, fault));
                }
                more => self.good.set(more - 1),
            }
        }
        self.bench.host.send(request)
    }

    fn exchange(&self, request: &Message) -> Result<Vec<u8>, MessageError> {
        self.bench.host.exchange(request)
    }

    fn transfer(&self, request: &Message) -> Result<Vec<Vec<u8>>, MessageError> {
        self.bench.host.transfer(request)
    }

    fn hmac(&self, chain: &HmacChain) -> Result<Vec<u8>, CredentialError> {
        self.bench.host.hmac(chain)
    }

    fn now(&self) -> Clock {
        self.bench.host.now()
    }

    fn sleep(&self, pause: Duration) {
        self.bench.host.sleep(pause);
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.bench.host.log(level, message, fields);
    }
}
