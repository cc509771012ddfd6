//! What all tests begin with.

use portolan_digitalocean::DigitalOcean;
use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome, RecordSet},
    settings,
    testing::TestHost,
};
use portolan_vendors::{DigitalOcean as Service, DoRecord, Front, Vendor};

/// The zone that the tests change.
pub(crate) const ZONE: &str = "example.com";

/// A provider that is bound to a stand-in.
pub(crate) struct Bench {
    pub(crate) front: Front<Service>,
    pub(crate) provider: DigitalOcean,
    pub(crate) host: TestHost,
}

pub(crate) async fn bench() -> Bench {
    on(Service::new()).await
}

pub(crate) async fn on(service: Service) -> Bench {
    let front = Front::start(service).await;
    let binding = front.binding();
    let host = TestHost::on_loopback().credential("token", &binding.credentials["token"]);
    Bench {
        provider: settings(&binding.settings.to_string()).unwrap(),
        front,
        host,
    }
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

    pub(crate) fn normalize(&self, sets: Vec<RecordSet>) -> Vec<Result<RecordSet, Error>> {
        self.provider.normalize(&self.host, ZONE, sets).unwrap()
    }

    pub(crate) fn insert(&self, name: &str, rtype: &str, data: &str) -> u64 {
        self.front
            .service()
            .insert(DoRecord::new(name, rtype, data))
    }

    /// What the service holds, in its own words: name, type, value, TTL.
    pub(crate) fn held(&self) -> Vec<String> {
        let shown = |record: DoRecord| {
            let DoRecord {
                name,
                rtype,
                data,
                ttl,
                ..
            } = record;
            format!("{name} {rtype} {data} {ttl}")
        };
        let records = self.front.service().records();
        records.into_iter().map(shown).collect()
    }

    /// How many requests there were so far.
    pub(crate) fn now(&self) -> usize {
        self.front.seen().len()
    }

    /// The methods of those that changed something, since then.
    pub(crate) fn writes(&self, since: usize) -> Vec<String> {
        let seen = self.front.seen().split_off(since);
        let writes = seen.into_iter().filter(|seen| seen.is_write);
        writes
            .map(|seen| seen.name.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    }
}

pub(crate) fn with_ttl(ttl: u32, set: RecordSet) -> RecordSet {
    RecordSet { ttl, ..set }
}

pub(crate) const APPLIED: Result<Outcome, Error> = Ok(Outcome::Applied);
pub(crate) const ALREADY: Result<Outcome, Error> = Ok(Outcome::Already);
pub(crate) const STALE: Result<Outcome, Error> = Ok(Outcome::Stale);
