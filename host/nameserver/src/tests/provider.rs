use portolan_consensus::{Consistency, Revision, Scan, Space};
use portolan_steering::{Change, DomainName, Outcome, ProviderError, RecordSet, ZoneName, suite};
use serde_json::json;

use super::fixtures::{Rig, set, zone};
use crate::delete_zone;
use crate::documents::{ZoneDocument, zone_key};
use crate::follow;

async fn serial(rig: &Rig) -> Option<u32> {
    let key = zone_key(&zone());
    let record = rig
        .member
        .get(Space::Steering, &key, Consistency::Linearizable)
        .await
        .unwrap()?;
    let document: ZoneDocument =
        portolan_consensus::documents::decode(&key, &record.value).unwrap();
    Some(document.serial.0)
}

async fn revision(rig: &Rig) -> Revision {
    let scan = Scan::prefix("local-");
    let page = rig
        .member
        .scan(Space::Steering, scan, Consistency::Linearizable);
    let items = page.await.unwrap().items;
    items
        .iter()
        .map(|(_, record)| record.modified)
        .max()
        .unwrap_or_default()
}

async fn all(rig: &Rig) -> Vec<RecordSet> {
    let provider = rig.local();
    let (mut sets, mut cursor) = (Vec::new(), None);
    loop {
        let page = provider
            .read(&zone(), None, cursor.as_deref())
            .await
            .unwrap();
        sets.extend(page.sets);
        match page.next {
            None => return sets,
            next => cursor = next,
        }
    }
}

fn change(before: Option<&RecordSet>, after: Option<&RecordSet>) -> Change {
    Change {
        key: after.or(before).unwrap().key.clone(),
        before: before.cloned(),
        after: after.cloned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_of_providers() {
    let rig = Rig::start().await;
    let provider = rig.local();
    // A binding that serves the zone has looked at it.
    provider.read(&zone(), None, None).await.unwrap();
    suite::run(provider.as_ref(), &zone()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_comes_to_be_at_the_first_look_and_nothing_is_written_without_a_change() {
    let rig = Rig::start().await;
    let provider = rig.local();
    assert_eq!(serial(&rig).await, None);
    assert!(
        provider
            .read(&zone(), None, None)
            .await
            .unwrap()
            .sets
            .is_empty()
    );
    let first = serial(&rig).await.unwrap();
    assert!(first > 1_700_000_000, "it begins at the clock: {first}");

    let quiet = revision(&rig).await;
    provider.read(&zone(), None, None).await.unwrap();
    assert_eq!(provider.apply(&zone(), &[]).await.unwrap(), []);
    let nothing = change(Some(&set(&zone(), "www A 192.0.2.1")), None);
    assert_eq!(
        provider.apply(&zone(), &[nothing]).await.unwrap(),
        [Ok(Outcome::Already)]
    );
    assert_eq!(revision(&rig).await, quiet);

    // One transaction is one serial, and other settings are a change too.
    rig.create(&["www A 192.0.2.1", "www TXT x"]).await;
    assert_eq!(serial(&rig).await, Some(first + 1));
    assert_eq!(
        rig.create(&["www A 192.0.2.1"]).await,
        [Ok(Outcome::Already)]
    );
    assert_eq!(serial(&rig).await, Some(first + 1));
    let other = rig
        .connect("local", json!({"ns": ["ns1", "ns2.example.net"]}))
        .unwrap();
    other.read(&zone(), None, None).await.unwrap();
    assert_eq!(serial(&rig).await, Some(first + 2));
    other.read(&zone(), None, None).await.unwrap();
    assert_eq!(serial(&rig).await, Some(first + 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_has_its_own_result() {
    let rig = Rig::start().await;
    rig.create(&["alias CNAME www.example.com", "www A 192.0.2.1"])
        .await;
    let bad = |text: &str, content: &str| {
        let mut set = set(&zone(), text);
        set.data.values[0].content = content.to_owned();
        set
    };
    let outside = {
        let other = ZoneName::parse("example.org").unwrap();
        set(&other, "www A 192.0.2.1")
    };
    let mut twice = set(&zone(), "twice A 192.0.2.1 192.0.2.2");
    twice.data.values[1].content = "192.0.2.1".to_owned();
    let mut lua = set(&zone(), "lua A 192.0.2.1");
    lua.key.rtype = portolan_steering::RecordType::parse("LUA").unwrap();
    let refused = [
        (
            set(&zone(), "alias A 192.0.2.1"),
            "alias.example.com CNAME stands there",
        ),
        (
            set(&zone(), "www CNAME a.example.com"),
            "www.example.com A stands there",
        ),
        (bad("x A 192.0.2.1", "not an address"), "not an IPv4"),
        (set(&zone(), "@ NS ns.example.net"), "settings.ns"),
        (
            set(&zone(), "@ CNAME a.example.net"),
            "a CNAME stands alone",
        ),
        (
            set(&zone(), "sub NS@CT ns.example.net"),
            "the same on all lines",
        ),
        (outside, "not within the zone example.com"),
        (twice, "a value twice"),
        (lua, "serves A, AAAA"),
    ];
    let good = set(&zone(), "good A 192.0.2.1");
    let mut changes: Vec<Change> = refused
        .iter()
        .map(|(set, _)| change(None, Some(set)))
        .collect();
    changes.push(change(None, Some(&good)));
    let mut results = rig.local().apply(&zone(), &changes).await.unwrap();
    assert_eq!(results.pop(), Some(Ok(Outcome::Applied)));
    for (result, (set, words)) in results.iter().zip(&refused) {
        let error = result.as_ref().unwrap_err().to_string();
        assert!(error.contains(words), "{}: {error}", set.key);
    }
    // On another line a CNAME is beside nothing.
    assert_eq!(
        rig.create(&["www CNAME@CT a.example.com"]).await,
        [Ok(Outcome::Applied)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_and_what_it_replaces_change_in_one_call() {
    let rig = Rig::start().await;
    rig.create(&["www A 192.0.2.1"]).await;
    let before = all(&rig).await.remove(0);
    let cname = set(&zone(), "www CNAME a.example.com");
    let changes = [change(Some(&before), None), change(None, Some(&cname))];
    let results = rig.local().apply(&zone(), &changes).await.unwrap();
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(all(&rig).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_at_once_lose_nothing() {
    let rig = Rig::start().await;
    let first = rig.create(&["www A 192.0.2.1"]).await;
    assert_eq!(first, [Ok(Outcome::Applied)]);
    let before = serial(&rig).await.unwrap();
    let standing = all(&rig).await.remove(0);
    let (one, other) = (
        set(&zone(), "www A 192.0.2.2"),
        set(&zone(), "www A 192.0.2.3"),
    );
    let (left, right) = (rig.local(), rig.local());
    let (in_zone, changes) = (
        zone(),
        [
            change(Some(&standing), Some(&one)),
            change(Some(&standing), Some(&other)),
        ],
    );
    let (left, right) = tokio::join!(
        left.apply(&in_zone, &changes[..1]),
        right.apply(&in_zone, &changes[1..])
    );
    let mut outcomes = [
        left.unwrap().remove(0).unwrap(),
        right.unwrap().remove(0).unwrap(),
    ];
    outcomes.sort_by_key(|outcome| *outcome == Outcome::Stale);
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Stale]);
    assert_eq!(serial(&rig).await, Some(before + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_is_written_read_and_deleted() {
    const SETS: usize = 2_500;
    let rig = Rig::start().await;
    let sets: Vec<RecordSet> = (0..SETS)
        .map(|host| set(&zone(), &format!("host-{host} A 192.0.2.1")))
        .collect();
    let changes: Vec<Change> = sets.iter().map(|set| change(None, Some(set))).collect();
    let results = rig.local().apply(&zone(), &changes).await.unwrap();
    assert!(results.iter().all(|result| *result == Ok(Outcome::Applied)));
    assert_eq!(all(&rig).await.len(), SETS);
    let name = DomainName::in_zone("host-7", &zone()).unwrap();
    let one = rig.local().read(&zone(), Some(&name), None).await.unwrap();
    assert_eq!(one.sets.len(), 1, "not host-70 and the like");

    let (picture, _) = follow::read(&rig.member).await.unwrap();
    assert_eq!(picture.served().count(), 1);
    assert_eq!(delete_zone(&rig.member, &zone()).await.unwrap(), SETS);
    assert_eq!(serial(&rig).await, None);
    assert_eq!(delete_zone(&rig.member, &zone()).await.unwrap(), 0);
    let (picture, _) = follow::read(&rig.member).await.unwrap();
    assert_eq!(picture.served().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_that_no_message_can_hold_are_refused() {
    let rig = Rig::start().await;
    let mut huge = set(&zone(), "huge TXT x");
    let value = huge.data.values[0].clone();
    let text = |number: usize| format!("{number:03}{}", "a".repeat(4_000));
    huge.data.values = (0..20)
        .map(|number| portolan_steering::RecordValue {
            content: text(number),
            ..value.clone()
        })
        .collect();
    let results = rig
        .local()
        .apply(&zone(), &[change(None, Some(&huge))])
        .await
        .unwrap();
    let Err(ProviderError::Invalid(error)) = &results[0] else {
        panic!("{results:?}");
    };
    assert!(error.contains("more than a message can hold"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_does_not_fit_is_refused_with_the_path() {
    let rig = Rig::start().await;
    let refused = |plugin, settings| rig.connect(plugin, settings).err().unwrap();
    assert_eq!(refused("local", json!({"ns": []})).at, "settings.ns");
    assert_eq!(
        refused("other", json!({})).message,
        "there is no plugin other"
    );
    assert!(rig.connect("twin", json!({})).is_ok());
}
