//! What the tests are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hickory_proto::rr::Record as WireRecord;
use portolan_consensus::documents::encode;
use portolan_consensus::{Limits, Member, Options, RaftOptions, Record, Revision, StartMode};
use portolan_steering::twin::{Twin, Twins};
use portolan_steering::{
    Account, BindingName, Change, ConnectError, DnsProvider, DomainName, LineCode, Outcome,
    PerItem, Providers, RecordData, RecordKey, RecordSet, RecordType, RecordValue, SetId, ZoneName,
    canonical,
};
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::documents::{SetDocument, ZoneDocument, set_key, zone_key};
use crate::picture::Picture;
use crate::providers::LocalProviders;
use crate::serial::Serial;
use crate::settings::Settings;

pub(crate) fn zone() -> ZoneName {
    ZoneName::parse("example.com").unwrap()
}

/// A set: `www A 192.0.2.1 192.0.2.2`, `www A@CT 192.0.2.1`, `w A 1*192.0.2.1 3*192.0.2.2`,
/// `off A !192.0.2.1`, `t TXT a`.
pub(crate) fn set(zone: &ZoneName, text: &str) -> RecordSet {
    let (name, rest) = text.split_once(' ').unwrap();
    let (rtype, contents) = rest.split_once(' ').unwrap();
    let (rtype, line) = rtype.split_once('@').unwrap_or((rtype, "default"));
    let rtype = RecordType::parse(rtype).unwrap();
    let words: Vec<&str> = match rtype.as_str() {
        "A" | "AAAA" | "NS" => contents.split(' ').collect(),
        _ => vec![contents],
    };
    let value = |word: &str| {
        let (enabled, word) = (!word.starts_with('!'), word.trim_start_matches('!'));
        let (weight, content) = match word.split_once('*') {
            Some((weight, content)) => (weight.parse().ok(), content),
            None => (None, word),
        };
        RecordValue {
            content: canonical(&rtype, content).unwrap(),
            weight,
            enabled,
        }
    };
    let data = RecordData {
        ttl: 300,
        values: words.into_iter().map(value).collect(),
    };
    let key = RecordKey {
        name: DomainName::in_zone(name, zone).unwrap(),
        rtype: rtype.clone(),
        line: LineCode::parse(line).unwrap(),
        set_id: SetId::none(),
    };
    RecordSet::wanted(key, data)
}

fn record(value: Bytes) -> Record {
    Record {
        value,
        created: Revision(1),
        modified: Revision(1),
    }
}

/// Adds a zone with these sets, with serial 7 and a negative TTL of a minute.
pub(crate) fn add_zone(picture: &mut Picture, name: &str, sets: &[&str]) {
    let zone = ZoneName::parse(name).unwrap();
    let document = ZoneDocument {
        serial: Serial(7),
        authority: Settings::default().authority(&zone).unwrap(),
    };
    let (key, document) = (zone_key(&zone).into(), record(encode(&document)));
    picture.take(&key, Some(&document)).unwrap();
    for text in sets {
        let set = set(&zone, text);
        let document = record(encode(&SetDocument::new(&set.data)));
        let key = set_key(&zone, &set.key).into();
        picture.take(&key, Some(&document)).unwrap();
    }
}

/// Records as text, in order: `www.example.com. 300 A 192.0.2.1`.
pub(crate) fn shown(records: &[WireRecord]) -> Vec<String> {
    let show = |it: &WireRecord| format!("{} {} {} {}", it.name, it.ttl, it.record_type(), it.data);
    records.iter().map(show).collect()
}

/// A member of its own, with the provider on top.
pub(crate) struct Rig {
    pub(crate) member: Member,
    pub(crate) providers: LocalProviders,
    pub(crate) data: TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let data = TempDir::new().unwrap();
        let options = Options {
            id: None,
            advertise: "127.0.0.1:8420".to_owned(),
            data: data.path().to_owned(),
            start: StartMode::Bootstrap,
            raft: RaftOptions::default(),
            limits: Limits::default(),
            registry: Registry::new(),
        };
        let member = Member::start(options).await.unwrap();
        let twins = Arc::new(Twins(Twin::new(&zone())));
        Self {
            providers: LocalProviders::new(member.clone(), twins),
            member,
            data,
        }
    }

    pub(crate) fn connect(
        &self,
        plugin: &str,
        settings: Value,
    ) -> Result<Arc<dyn DnsProvider>, ConnectError> {
        self.providers.connect(Account {
            binding: BindingName::parse("main").unwrap(),
            plugin: plugin.to_owned(),
            settings,
            credentials: BTreeMap::new(),
            hosts: Vec::new(),
            calls_per_second: None,
        })
    }

    pub(crate) fn local(&self) -> Arc<dyn DnsProvider> {
        self.connect("local", json!({})).unwrap()
    }

    /// Creates sets that are not there yet.
    pub(crate) async fn create(&self, sets: &[&str]) -> PerItem<Outcome> {
        let create = |text: &&str| {
            let set = set(&zone(), text);
            Change {
                key: set.key.clone(),
                before: None,
                after: Some(set),
            }
        };
        let changes: Vec<Change> = sets.iter().map(create).collect();
        self.local().apply(&zone(), &changes).await.unwrap()
    }
}
