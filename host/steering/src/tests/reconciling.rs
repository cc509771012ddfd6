//! The worker, on a member of its own and a provider in memory.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fixtures::{Rig, data, eventually, key, set, zone};
use crate::provider::ProviderError;
use crate::status::{TroubleKind, ZoneState};
use crate::suite;
use crate::twin::{ApplyFault, Lie, ReadFault, Twin};

#[tokio::test]
async fn the_twin_keeps_the_contract() {
    suite::run(&*Twin::new(&zone()), &zone()).await.unwrap();
    let plain = Twin::new(&zone());
    plain.set_caps(|caps| caps.features.lines = false);
    suite::run(&*plain, &zone()).await.unwrap();
}

#[tokio::test]
async fn records_are_created_updated_and_deleted() {
    let rig = Rig::bound().await;
    rig.twin.put(set("mail A", &["192.0.2.99"]));
    let work = rig.work();

    rig.want(&[
        ("www A", &["192.0.2.1"]),
        ("ftp A", &["192.0.2.2"]),
        ("www A CT", &["192.0.2.3"]),
    ])
    .await;
    rig.in_sync().await;
    assert_eq!(rig.at("www A"), Some(data(300, &["192.0.2.1"])));
    assert_eq!(rig.at("www A CT"), Some(data(300, &["192.0.2.3"])));

    rig.want(&[
        ("www A", &["192.0.2.1", "192.0.2.7"]),
        ("www A CT", &["192.0.2.3"]),
    ])
    .await;
    let status = rig.in_sync().await;
    assert_eq!(
        rig.at("www A"),
        Some(data(300, &["192.0.2.1", "192.0.2.7"]))
    );
    assert_eq!(rig.at("ftp A"), None);
    assert_eq!(
        (status.unmanaged, status.drift_repaired, status.refused),
        (1, 0, 0)
    );

    rig.want(&[]).await;
    rig.in_sync().await;
    assert_eq!(rig.twin.all().len(), 1, "only what was never ours is left");
    assert_eq!(rig.at("mail A"), Some(data(300, &["192.0.2.99"])));

    let history = rig.steering.history("example.com").await.unwrap();
    let told: Vec<&str> = history.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        told,
        [
            "delete", "delete", "delete", "update", "create", "create", "create"
        ]
    );
    work.stop().await;
}

#[tokio::test]
async fn drift_is_put_back_and_counted() {
    let rig = Rig::bound().await;
    let work = rig.work();
    rig.want(&[("www A", &["192.0.2.1"]), ("ftp A", &["192.0.2.2"])])
        .await;
    rig.in_sync().await;

    rig.twin.put(set("www A", &["203.0.113.66"]));
    rig.twin.remove(&key("ftp A"));
    eventually("both are put back", || {
        rig.at("www A") == Some(data(300, &["192.0.2.1"])) && rig.at("ftp A").is_some()
    })
    .await;
    assert_eq!(rig.in_sync().await.drift_repaired, 2);
    assert_eq!(rig.metric("portolan_dns_drift_repaired_total") as u64, 2);
    assert!(rig.metric("portolan_dns_last_good_reconcile_timestamp_seconds") > 1e9);
    let history = rig.steering.history("example.com").await.unwrap();
    let reasons: Vec<&str> = history
        .iter()
        .take(2)
        .map(|entry| entry.reason.as_str())
        .collect();
    assert!(reasons.contains(&"changed outside") && reasons.contains(&"removed outside"));
    work.stop().await;
}

#[tokio::test]
async fn a_zone_in_sync_is_only_read() {
    let rig = Rig::bound().await;
    let work = rig.work();
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    rig.in_sync().await;
    let (applies, reads) = (rig.twin.apply_calls(), rig.twin.read_calls());
    let revision = rig.steering.records("example.com").await.unwrap().revision;
    eventually("ten more rounds", || rig.twin.read_calls() >= reads + 10).await;
    assert_eq!(rig.twin.apply_calls(), applies);
    assert_eq!(
        rig.steering.records("example.com").await.unwrap().revision,
        revision
    );
    work.stop().await;
}

#[tokio::test]
async fn a_ttl_below_the_providers_smallest_does_not_make_an_endless_difference() {
    let rig = Rig::bound().await;
    let work = rig.work();
    let body = serde_json::json!({"records": [
        {"name": "www", "type": "A", "ttl": 5, "values": ["192.0.2.1"]},
    ]});
    rig.steering
        .put_records("example.com", body, None, false)
        .await
        .unwrap();
    rig.in_sync().await;
    assert_eq!(rig.at("www A"), Some(data(60, &["192.0.2.1"])));
    assert_eq!(rig.twin.applied().len(), 1);
    work.stop().await;
}

#[tokio::test]
async fn what_is_foreign_stays_and_is_refused_until_adopted() {
    let rig = Rig::bound().await;
    let foreign = set("www A", &["192.0.2.50"]);
    rig.twin.put(foreign.clone());
    let work = rig.work();
    rig.want(&[("www A", &["192.0.2.1"]), ("ftp A", &["192.0.2.2"])])
        .await;
    let status = rig.in_sync().await;
    assert_eq!(rig.at("www A"), Some(foreign.data));
    assert_eq!(status.refused, 1);
    assert_eq!(status.troubles[0].kind, TroubleKind::Refused);
    assert!(status.troubles[0].reason.contains("adopt"));
    assert!(rig.at("ftp A").is_some(), "the others are not held up");

    let body = serde_json::json!({"records": [
        {"name": "www", "type": "A", "ttl": 300, "values": ["192.0.2.1"], "adopt": true},
    ]});
    rig.steering
        .put_records("example.com", body, None, false)
        .await
        .unwrap();
    let status = rig.in_sync().await;
    assert_eq!(rig.at("www A"), Some(data(300, &["192.0.2.1"])));
    assert_eq!((status.refused, status.drift_repaired), (0, 0));
    work.stop().await;
}

#[tokio::test]
async fn a_zone_that_is_not_read_to_its_end_loses_nothing() {
    for fault in [
        ReadFault::Refuse(ProviderError::Transient("connection reset".into())),
        ReadFault::Circle,
    ] {
        let rig = Rig::bound().await;
        let names = ["a A", "b A", "c A", "d A", "e A"];
        let all: Vec<(&str, &[&str])> = names
            .iter()
            .map(|name| (*name, &["192.0.2.1"][..]))
            .collect();
        rig.want(&all).await;
        let work = rig.work();
        rig.in_sync().await;
        let made = rig.twin.applied().len();

        // The second of two pages fails, again and again, while one set is no longer wanted.
        for _ in 0..1_000 {
            rig.twin.fail_read_after(1, fault.clone());
        }
        rig.want(&all[1..]).await;
        let reads = rig.twin.read_calls();
        eventually("several failed rounds", || {
            rig.twin.read_calls() >= reads + 6
        })
        .await;
        assert_eq!(rig.twin.applied().len(), made, "{fault:?}");
        let status = rig.status().await;
        assert_eq!(status.state, ZoneState::Failing);
        assert!(status.error.is_some());

        rig.twin.heal();
        rig.in_sync().await;
        assert_eq!(rig.at("a A"), None);
        assert_eq!(rig.twin.all().len(), 4);
        work.stop().await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_not_repeated() {
    let rig = Rig::bound().await;
    rig.twin.fail_apply(ApplyFault::LoseAnswer);
    rig.want(&[("www A", &["192.0.2.1"]), ("ftp A", &["192.0.2.2"])])
        .await;
    let work = rig.work();
    let status = rig.in_sync().await;
    assert_eq!(rig.twin.applied().len(), 2, "each was made once");
    assert_eq!((status.refused, status.drift_repaired), (0, 0));

    rig.twin.fail_apply(ApplyFault::LoseAnswer);
    rig.want(&[("www A", &["192.0.2.9"])]).await;
    let status = rig.in_sync().await;
    assert_eq!(rig.at("www A"), Some(data(300, &["192.0.2.9"])));
    assert_eq!(rig.at("ftp A"), None);
    assert_eq!(
        status.drift_repaired, 0,
        "our own half-known change is no drift"
    );
    work.stop().await;
}

#[tokio::test]
async fn a_throttling_provider_is_left_alone_as_long_as_it_asks() {
    let rig = Rig::bound().await;
    let retry_after = Some(Duration::from_millis(600));
    let throttled = ProviderError::Throttled {
        message: "slow down".into(),
        retry_after,
    };
    rig.twin.fail_apply(ApplyFault::Refuse(throttled.clone()));
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    let work = rig.work();
    eventually("the first try", || rig.twin.apply_calls() == 1).await;
    let (began, reads) = (Instant::now(), rig.twin.read_calls());
    eventually("the second try", || rig.twin.apply_calls() == 2).await;
    assert!(
        began.elapsed() >= Duration::from_millis(550),
        "{:?}",
        began.elapsed()
    );
    assert!(
        rig.twin.read_calls() <= reads + 1,
        "it is not read meanwhile either"
    );
    rig.in_sync().await;

    // The same when a single change is throttled.
    rig.twin.refuse_set(&key("ftp A"), throttled);
    let calls = rig.twin.apply_calls();
    rig.want(&[("www A", &["192.0.2.1"]), ("ftp A", &["192.0.2.2"])])
        .await;
    eventually("the next try", || rig.twin.apply_calls() > calls).await;
    let (began, reads) = (Instant::now(), rig.twin.read_calls());
    eventually("a read after it", || rig.twin.read_calls() > reads).await;
    assert!(
        began.elapsed() >= Duration::from_millis(550),
        "{:?}",
        began.elapsed()
    );
    work.stop().await;
}

#[tokio::test]
async fn a_bad_record_holds_up_no_other_and_is_tried_ever_more_seldom() {
    let rig = Rig::bound().await;
    rig.twin.refuse_set(
        &key("bad A"),
        ProviderError::Invalid("the vendor says no".into()),
    );
    let work = rig.work();
    rig.want(&[
        ("bad A", &["192.0.2.1"]),
        ("good A", &["192.0.2.2"]),
        ("z A", &["192.0.2.3"]),
    ])
    .await;
    eventually("the good ones stand", || {
        rig.at("good A").is_some() && rig.at("z A").is_some()
    })
    .await;
    let reads = rig.twin.read_calls();
    eventually("twenty more rounds", || rig.twin.read_calls() >= reads + 20).await;
    assert!(
        rig.twin.apply_calls() <= 10,
        "{} tries",
        rig.twin.apply_calls()
    );
    let status = rig.status().await;
    assert_eq!((status.state, status.pending), (ZoneState::Pending, 1));
    assert_eq!(status.troubles[0].key, key("bad A"));
    assert!(status.troubles[0].reason.contains("the vendor says no"));

    rig.twin.heal();
    rig.want(&[("bad A", &["192.0.2.4"])]).await;
    rig.in_sync().await;
    assert_eq!(
        rig.at("bad A"),
        Some(data(300, &["192.0.2.4"])),
        "a new wish is tried at once"
    );
    work.stop().await;
}

#[tokio::test]
async fn an_all_or_nothing_provider_is_held_up_by_no_bad_record_either() {
    let mut rig = Rig::bound().await;
    rig.succeed_and_never_retry();
    rig.twin.set_caps(|caps| caps.features.atomic_zone = true);
    rig.twin
        .refuse_set(&key("bad A"), ProviderError::Invalid("no".into()));
    let work = rig.work();
    rig.want(&[("bad A", &["192.0.2.1"]), ("good A", &["192.0.2.2"])])
        .await;
    eventually("the good one stands", || rig.at("good A").is_some()).await;
    assert_eq!(rig.at("bad A"), None);
    work.stop().await;
}

#[tokio::test]
async fn nothing_is_deleted_at_a_name_whose_new_record_failed() {
    let rig = Rig::bound().await;
    let work = rig.work();
    rig.want(&[("www A", &["192.0.2.1"]), ("ftp A", &["192.0.2.1"])])
        .await;
    rig.in_sync().await;
    rig.twin
        .refuse_set(&key("www AAAA"), ProviderError::Quota("1 of 1 used".into()));
    rig.want(&[("www AAAA", &["2001:db8::1"])]).await;
    eventually("the other delete is made", || rig.at("ftp A").is_none()).await;
    let reads = rig.twin.read_calls();
    eventually("five more rounds", || rig.twin.read_calls() >= reads + 5).await;
    assert!(rig.at("www A").is_some());
    rig.twin.heal();
    rig.want(&[("www AAAA", &["2001:db8::2"])]).await;
    rig.in_sync().await;
    assert_eq!(rig.at("www A"), None);
    work.stop().await;
}

#[tokio::test]
async fn a_change_that_does_not_stay_is_not_repeated_for_ever() {
    let rig = Rig::bound().await;
    rig.twin.lie(Lie::ChangesNothing);
    let work = rig.work();
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    eventually("thirty rounds", || rig.twin.read_calls() >= 30).await;
    assert!(
        rig.twin.apply_calls() <= 10,
        "{} tries",
        rig.twin.apply_calls()
    );
    let status = rig.status().await;
    assert!(
        status.troubles[0].reason.contains("does not stay"),
        "{status:?}"
    );
    work.stop().await;
}

#[tokio::test]
async fn a_zone_that_changes_under_a_change_is_read_again() {
    let rig = Rig::bound().await;
    let work = rig.work();
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    rig.in_sync().await;
    rig.twin.fail_apply(ApplyFault::Overtake(Box::new(set(
        "www A",
        &["192.0.2.66"],
    ))));
    rig.want(&[("www A", &["192.0.2.2"])]).await;
    rig.in_sync().await;
    assert_eq!(rig.at("www A"), Some(data(300, &["192.0.2.2"])));
    let last = rig.twin.applied().pop().unwrap();
    assert_eq!(last.before.unwrap().data, data(300, &["192.0.2.66"]));
    work.stop().await;
}

#[tokio::test]
async fn a_leader_killed_in_the_middle_of_an_apply_leaves_nothing_that_is_not_ours() {
    for made in 0..=3 {
        let mut rig = Rig::bound().await;
        rig.twin.fail_apply(ApplyFault::HangAfter(made));
        rig.want(&[
            ("a A", &["192.0.2.1"]),
            ("b A", &["192.0.2.2"]),
            ("c A", &["192.0.2.3"]),
        ])
        .await;
        let work = rig.work();
        rig.twin.hanging.acquire().await.unwrap().forget();
        work.kill().await;
        assert_eq!(rig.twin.all().len(), made);

        // What it was about to write is no longer wanted when the next one leads, save one.
        rig.want(&[("b A", &["192.0.2.9"])]).await;
        rig.succeed();
        let work = rig.work();
        let status = rig.in_sync().await;
        assert_eq!(rig.twin.all().len(), 1);
        assert_eq!(rig.at("b A"), Some(data(300, &["192.0.2.9"])));
        assert_eq!(
            (status.refused, status.unmanaged, status.drift_repaired),
            (0, 0, 0)
        );
        work.stop().await;
    }
}

#[tokio::test]
async fn what_somebody_else_made_while_we_were_dead_stays_theirs() {
    let mut rig = Rig::bound().await;
    rig.twin.fail_apply(ApplyFault::HangAfter(0));
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    let work = rig.work();
    rig.twin.hanging.acquire().await.unwrap().forget();
    work.kill().await;

    rig.twin.put(set("www A", &["192.0.2.50"]));
    rig.succeed();
    let work = rig.work();
    let status = rig.in_sync().await;
    assert_eq!(rig.at("www A"), Some(data(300, &["192.0.2.50"])));
    assert_eq!(status.refused, 1);
    work.stop().await;
}

#[tokio::test]
async fn a_binding_made_anew_owns_only_what_it_recognises() {
    let rig = Rig::bound().await;
    let work = rig.work();
    rig.want(&[("a A", &["192.0.2.1"]), ("b A", &["192.0.2.2"])])
        .await;
    rig.in_sync().await;
    rig.steering
        .delete_binding("main", None, true)
        .await
        .unwrap();
    assert_eq!(rig.twin.all().len(), 2, "forced away, the records stay");
    rig.twin.put(set("b A", &["192.0.2.50"]));

    let body = serde_json::json!({"plugin": "twin", "zones": ["example.com"]});
    rig.steering
        .put_binding("other", body, None, false)
        .await
        .unwrap();
    let status = rig.in_sync().await;
    assert_eq!(status.refused, 1, "b is somebody's at this account");
    assert_eq!(rig.at("b A"), Some(data(300, &["192.0.2.50"])));
    rig.want(&[]).await;
    rig.in_sync().await;
    assert_eq!(rig.at("a A"), None, "a is recognised");
    assert!(rig.at("b A").is_some());
    work.stop().await;
}

#[tokio::test]
async fn without_a_worker_a_plan_changes_nothing() {
    let rig = Rig::bound().await;
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    let plan = rig
        .steering
        .plan(Some("example.com"))
        .await
        .unwrap()
        .remove(0);
    let shown = serde_json::to_value(&plan).unwrap();
    assert_eq!(
        shown["actions"][0],
        serde_json::json!({
            "action": "create",
            "key": {"name": "www.example.com", "type": "A", "line": "default", "set_id": ""},
            "after": {"ttl": 300, "values": [{"content": "192.0.2.1", "enabled": true}]},
            "reason": "not in the zone",
        })
    );
    sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.twin.apply_calls(), 0);
    assert!(rig.twin.all().is_empty());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_provider_that_hangs() {
    let rig = Rig::bound().await;
    rig.twin.fail_apply(ApplyFault::HangAfter(0));
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    let work = rig.work();
    rig.twin.hanging.acquire().await.unwrap().forget();
    let began = Instant::now();
    work.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(7),
        "{:?}",
        began.elapsed()
    );
}
