//! A server, the provider bound to it, and the host between them.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::{cell::RefCell, time::Duration};

use portolan_plugin::{
    Clock, CredentialError, HmacChain, Host, Level, Provider,
    dns::{Change, Error, Outcome, RecordSet},
    http::{RawRequest, RawResponse, SendError},
    message::{MessageError, Request},
    sets, settings,
    testing::TestHost,
};
use portolan_rfc2136::Rfc2136;
use portolan_tests::NameServer;
use portolan_vendors::{Binding, Vendor};

pub const ZONE: &str = "example.com";

pub struct Bench {
    pub server: NameServer,
    pub provider: Rfc2136,
    pub host: TestHost,
}

impl Bench {
    pub async fn bind() -> Self {
        Self::before(NameServer::bind().await)
    }

    pub async fn knot() -> Self {
        Self::before(NameServer::knot().await)
    }

    pub async fn powerdns() -> Self {
        Self::before(NameServer::powerdns().await)
    }

    fn before(server: NameServer) -> Self {
        let binding = server.binding();
        let (provider, host) = bound(binding);
        Self {
            server,
            provider,
            host,
        }
    }

    /// The same server, otherwise bound.
    pub fn with(self, binding: Binding) -> Self {
        let (provider, host) = bound(binding);
        Self {
            server: self.server,
            provider,
            host,
        }
    }

    pub fn apply(&self, changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        self.provider.apply(&self.host, ZONE, changes).unwrap()
    }

    /// The same, where another writer is between the read and the first update.
    pub fn apply_with_slip(
        &self,
        updates: &str,
        changes: Vec<Change>,
    ) -> Vec<Result<Outcome, Error>> {
        let host = Slipping {
            bench: self,
            updates: RefCell::new(Some(updates.to_owned())),
        };
        self.provider.apply(&host, ZONE, changes).unwrap()
    }

    pub fn read(&self, name: &str) -> Vec<RecordSet> {
        let page = self.provider.read(&self.host, ZONE, Some(name), None);
        page.unwrap().sets
    }

    pub fn read_zone(&self) -> Vec<RecordSet> {
        let page = self.provider.read(&self.host, ZONE, None, None);
        page.unwrap().sets
    }

    pub fn normalize(&self, wanted: RecordSet) -> Result<RecordSet, Error> {
        let answers = self.provider.normalize(&self.host, ZONE, vec![wanted]);
        answers.unwrap().remove(0)
    }

    /// What `dig` finds under a name relative to the zone: TTL, type and content, in order.
    pub fn shown(&self, name: &str) -> Vec<String> {
        let name = format!("{name}.{ZONE}");
        let records = self.server.records("default").into_iter();
        records
            .filter(|record| record.name == name)
            .map(|record| format!("{} {} {}", record.ttl, record.rtype, record.content))
            .collect()
    }

    /// All of the zone but its SOA.
    pub fn zone_shown(&self) -> Vec<String> {
        let records = self.server.records("default").into_iter();
        records
            .filter(|record| record.rtype != "SOA")
            .map(|record| format!("{} {} {}", record.name, record.rtype, record.content))
            .collect()
    }

    pub fn serial(&self) -> u32 {
        let records = self.server.records("default");
        let soa = records.iter().find(|record| record.rtype == "SOA").unwrap();
        soa.content.split(' ').nth(2).unwrap().parse().unwrap()
    }

    /// How many messages came that were to change something.
    pub fn updates(&self) -> usize {
        self.server
            .seen()
            .iter()
            .filter(|seen| seen.is_write)
            .count()
    }
}

fn bound(binding: Binding) -> (Rfc2136, TestHost) {
    let provider = settings(&binding.settings.to_string()).unwrap();
    let host = binding
        .credentials
        .iter()
        .fold(TestHost::on_loopback(), |host, (name, value)| {
            host.credential(name, value)
        });
    (provider, host)
}

pub fn assert_same(stands: Option<&RecordSet>, wanted: &RecordSet) {
    let same = stands.is_some_and(|stands| sets::same(stands, wanted));
    assert!(same, "{stands:?}\nis not\n{wanted:?}");
}

/// Lets another writer in right before the first update that changes something.
struct Slipping<'a> {
    bench: &'a Bench,
    updates: RefCell<Option<String>>,
}

impl Host for Slipping<'_> {
    fn exchange(&self, request: &Request) -> Result<Vec<u8>, MessageError> {
        let opcode = request.message[2] >> 3 & 15;
        let changes = opcode == 5 && request.message[8..10] != [0, 0];
        if changes && let Some(updates) = self.updates.take() {
            self.bench.server.nsupdate("default", &updates);
        }
        self.bench.host.exchange(request)
    }

    fn transfer(&self, request: &Request) -> Result<Vec<Vec<u8>>, MessageError> {
        self.bench.host.transfer(request)
    }

    fn send(&self, request: &RawRequest) -> Result<RawResponse, SendError> {
        self.bench.host.send(request)
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
