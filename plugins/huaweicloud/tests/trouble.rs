//! What the provider makes of failures, of large zones, and of an account's lists.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use std::rc::Rc;

use bench::{ZONE, address, bench, host, provider, set};
use portolan_huaweicloud::HuaweiCloud;
use portolan_plugin::{
    Host, Provider,
    dns::{Change, Error, Outcome},
    settings,
    testing::{TestHost, create, update},
};
use portolan_vendors::{Answer, Fault, Front, Huawei, HuaweiSet, Trouble, Vendor, When};

fn wanted(n: u32) -> Change {
    create(address(&format!("n{n}.example.com"), "192.0.2.1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_stops_the_calls_and_keeps_what_was_done() {
    let bench = bench().await;
    for (seconds, wait) in [(Some(3), Some(3_000)), (None, None)] {
        let from = seconds.unwrap_or(0);
        let changes = || (from..from + 3).map(wanted).collect::<Vec<_>>();
        Vendor::trouble(&bench.vendor, When::Writes, Trouble::Throttled(seconds));
        let since = bench.mark();
        let results = bench.apply(changes());
        for result in &results {
            assert!(
                matches!(result, Err(Error::Throttled(throttle)) if throttle.retry_after_ms == wait),
                "{results:?}"
            );
        }
        assert_eq!(bench.writes(since).len(), 1);
        assert_eq!(bench.apply(changes()), vec![Ok(Outcome::Applied); 3]);
    }

    Vendor::trouble(&bench.vendor, When::Reads, Trouble::Throttled(None));
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(matches!(read, Err(Error::Throttled(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_updates_of_several_sets_are_not_tried_one_by_one() {
    let bench = bench().await;
    bench.apply((0..2).map(wanted).collect());
    let changes = (0..2).map(|n| {
        let before = bench.only(&format!("n{n}.example.com"));
        let mut after = before.clone();
        after.ttl = 60;
        update(before, after)
    });
    let changes: Vec<Change> = changes.collect();
    Vendor::trouble(&bench.vendor, When::Writes, Trouble::Throttled(None));
    let since = bench.mark();
    let results = bench.apply(changes.clone());
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Err(Error::Throttled(_))))
    );
    assert_eq!(bench.writes(since).len(), 1);

    // Nor are those whose answer never came.
    Vendor::trouble(&bench.vendor, When::Writes, Trouble::Silence);
    let since = bench.mark();
    let results = bench.apply(changes.clone());
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Err(Error::UnknownOutcome(_))))
    );
    assert_eq!(bench.writes(since).len(), 1);
    assert_eq!(bench.apply(changes), vec![Ok(Outcome::Already); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_cut_or_nonsense_leaves_a_write_unknown() {
    let bench = bench().await;
    let troubles = [Trouble::Silence, Trouble::Cut, Trouble::Nonsense];
    for (n, trouble) in (0..).zip(troubles) {
        Vendor::trouble(&bench.vendor, When::Writes, trouble);
        let results = bench.apply(vec![wanted(n)]);
        assert!(
            matches!(results[0], Err(Error::UnknownOutcome(_))),
            "{trouble:?}: {results:?}"
        );
        assert_eq!(bench.apply(vec![wanted(n)]), [Ok(Outcome::Already)]);

        Vendor::trouble(&bench.vendor, When::Reads, trouble);
        let read = bench.provider.read(&bench.host, ZONE, None, None);
        assert!(matches!(read, Err(Error::Transient(_))), "{trouble:?}");
        Vendor::trouble(&bench.vendor, When::Reads, trouble);
        let applied = bench.provider.apply(&bench.host, ZONE, vec![wanted(9)]);
        assert!(matches!(applied, Err(Error::Transient(_))), "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_without_its_list_is_not_an_empty_zone() {
    let bench = bench().await;
    let empty = Answer::json(200, &serde_json::json!({}));
    // The first read looks for the zone.
    for reads in [1, 2] {
        if reads == 2 {
            let zones = serde_json::json!({
                "zones": [{ "id": "2c9eb155z", "name": "example.com." }],
                "metadata": { "total_count": 1 },
            });
            bench
                .vendor
                .next(When::Reads, Fault::Refuse(Answer::json(200, &zones)));
        }
        bench.vendor.next(When::Reads, Fault::Refuse(empty.clone()));
        let read = bench.provider.read(&bench.host, ZONE, None, None);
        assert!(matches!(&read, Err(Error::Transient(text)) if text.contains("lacks")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_else_who_wrote_the_same_is_no_error() {
    let bench = bench().await;
    let clash = serde_json::json!({
        "code": "DNS.0312", "message": "This record set already exists.",
    });
    // The set is written, but the answer says that it was there already: what a race looks like.
    bench
        .vendor
        .next(When::Writes, Fault::Disguise(Answer::json(400, &clash)));
    assert_eq!(bench.apply(vec![wanted(1)]), [Ok(Outcome::Already)]);

    // It says so, and the set is not there: no claim that all is well.
    bench
        .vendor
        .next(When::Writes, Fault::Refuse(Answer::json(400, &clash)));
    let results = bench.apply(vec![wanted(2)]);
    assert!(matches!(results[0], Err(Error::Conflict(_))), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_went_meanwhile_makes_the_change_stale() {
    let bench = bench().await;
    bench.apply(vec![wanted(1)]);
    let before = bench.only("n1.example.com");
    let gone = serde_json::json!({
        "code": "DNS.0313", "message": "This record set does not exist.",
    });
    bench
        .vendor
        .next(When::Writes, Fault::Refuse(Answer::json(404, &gone)));
    let after = address("n1.example.com", "192.0.2.2");
    assert_eq!(
        bench.apply(vec![update(before, after)]),
        [Ok(Outcome::Stale)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_leaves_the_outcome_of_a_write_unknown() {
    let bench = bench().await;
    let error = serde_json::json!({ "code": "DNS.0001", "message": "Internal error." });
    bench
        .vendor
        .next(When::Writes, Fault::Disguise(Answer::json(500, &error)));
    let results = bench.apply(vec![wanted(1)]);
    assert!(matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("DNS.0001")));
    assert_eq!(bench.apply(vec![wanted(1)]), [Ok(Outcome::Already)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_is_read_over_all_its_pages() {
    let bench = bench().await;
    for n in 0..1_203 {
        let name = format!("n{n}.example.com");
        bench
            .vendor
            .service()
            .insert(HuaweiSet::new(&name, "A", &["192.0.2.1"]));
    }
    let since = bench.mark();
    assert_eq!(bench.read(None).len(), 1_204);
    assert_eq!(bench.reads(since), 4, "the zone, and three pages");

    // Nine names are read with the whole zone, not one by one.
    let since = bench.mark();
    let changes = (2_000..2_009).map(wanted).collect();
    assert_eq!(bench.apply(changes), vec![Ok(Outcome::Applied); 9]);
    assert_eq!(bench.reads(since), 4);
    assert_eq!(bench.writes(since).len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_changes_between_pages_is_not_taken_for_smaller() {
    let vendor = Front::start(Huawei::new()).await;
    let ids: Vec<String> = (0..600)
        .map(|n| {
            let name = format!("n{n}.example.com");
            vendor
                .service()
                .insert(HuaweiSet::new(&name, "A", &["192.0.2.1"]))
        })
        .collect();
    let provider = provider(&vendor);
    // The newest set goes after the first page, so that one moves from the second page to the first.
    let newest = ids[599].clone();
    let direct = TestHost::on_loopback();
    let (access_key, secret_key) = (vendor.service().access_key(), vendor.service().secret_key());
    let vendor = Rc::new(vendor);
    let watched = vendor.clone();
    let host = TestHost::new(move |request| {
        let reply = direct.send(request);
        if request.url.contains("recordsets") {
            watched.service().remove(&newest);
        }
        reply
    })
    .credential("access-key", access_key)
    .credential("secret-key", secret_key);
    let read = provider.read(&host, ZONE, None, None);
    assert!(
        matches!(&read, Err(Error::Transient(text)) if text.contains("changed meanwhile")),
        "{read:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_are_listed_page_by_page() {
    let bench = bench().await;
    let page = bench.provider.zones(&bench.host, None).unwrap();
    let names: Vec<&str> = page.zones.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!((names, page.next), (vec![ZONE, "example.net"], None));

    for n in 0..600 {
        bench.vendor.service().add_zone(&format!("zone{n}.example"));
    }
    let first = bench.provider.zones(&bench.host, None).unwrap();
    assert_eq!(
        (first.zones.len(), first.next.as_deref()),
        (500, Some("500"))
    );
    let second = bench.provider.zones(&bench.host, Some("500")).unwrap();
    assert_eq!((second.zones.len(), second.next), (102, None));
    let wrong = bench.provider.zones(&bench.host, Some("x"));
    assert!(matches!(wrong, Err(Error::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_whose_name_is_within_another_is_the_right_one() {
    let bench = bench().await;
    for zone in ["myexample.com", "example.com.cn"] {
        bench.vendor.service().add_zone(zone);
        bench.vendor.service().insert(HuaweiSet {
            zone: zone.to_owned(),
            ..HuaweiSet::new(&format!("www.{zone}"), "A", &["192.0.2.1"])
        });
    }
    assert_eq!(bench.read(None).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_listed_with_the_account_s_own() {
    let bench = bench().await;
    let codes = || -> Vec<String> {
        let lines = bench.provider.lines(&bench.host, ZONE).unwrap();
        lines.into_iter().map(|line| line.code).collect()
    };
    let system = [
        "default",
        "CT",
        "Dianxin_Hainan",
        "CU",
        "CMCC",
        "CNEdu",
        "CN",
        "OverSea",
    ];
    let mut all = system.to_vec();
    all.push("CustomLine_office");
    assert_eq!(codes(), all);
    let own = set("www.example.com", "A", "CustomLine_office", &["192.0.2.1"]);
    assert_eq!(bench.apply(vec![create(own)]), [Ok(Outcome::Applied)]);

    bench.vendor.service().show_own_lines(false);
    assert_eq!(codes(), system);
    let logged = bench.host.log_lines();
    assert!(
        logged.iter().any(|line| line.contains("DNS.0013")),
        "{logged:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_the_whole_call_is_its_error() {
    let bench = bench().await;
    let apply = |host: &TestHost, zone: &str| bench.provider.apply(host, zone, vec![wanted(1)]);
    let wrong = apply(&host(bench.vendor.service().access_key(), "wrong"), ZONE);
    assert!(
        matches!(&wrong, Err(Error::Auth(text)) if text.contains("APIGW.0301")),
        "{wrong:?}"
    );
    let unknown = apply(&host("nobody", bench.vendor.service().secret_key()), ZONE);
    assert!(matches!(&unknown, Err(Error::Auth(text)) if text.contains("nobody")));
    let ungranted = apply(&TestHost::on_loopback(), ZONE);
    assert!(matches!(ungranted, Err(Error::Denied(_))));
    for zone in ["example.info", "example.org"] {
        let read = bench.provider.read(&bench.host, zone, None, None);
        assert!(matches!(&read, Err(Error::NotFound(text)) if text.contains(zone)));
    }
    assert_eq!(bench.vendor.service().sets(), []);
}

#[test]
fn settings_are_checked_without_the_service() {
    let bind = |text: &str| settings::<HuaweiCloud>(text).err();
    assert_eq!(bind("{}"), None);
    let full =
        r#"{"endpoint": "https://dns.ap-southeast-3.myhuaweicloud.com", "project-id": "1f"}"#;
    assert_eq!(bind(full), None);
    assert!(matches!(
        bind(r#"{"endpoint": "dns.cn-north-4"}"#),
        Some(Error::Invalid(_))
    ));
    assert!(
        matches!(bind(r#"{"region": "x"}"#), Some(Error::Invalid(text)) if text.contains("region"))
    );
}
