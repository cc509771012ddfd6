//! What the provider makes of refusals, of throttling and of answers that do not arrive.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use bench::{ZONE, bench, host};
use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome, Throttle},
    sets::same,
    testing::{TestHost, create, delete, set, update},
};
use portolan_vendors::{CloudflareRecord, CloudflareStub, Fault, When};
use portolan_vendors::{Trouble, Vendor};

fn address(name: &str, content: &str) -> Change {
    create(set(name, "A", &[content]))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_change_does_not_keep_the_others_out() {
    let bench = bench().await;
    bench.stub.insert(CloudflareRecord::new(
        "alias.example.com",
        "CNAME",
        "www.example.com",
    ));
    let mut changes = vec![
        address("good.example.com", "192.0.2.1"),
        address("alias.example.com", "192.0.2.2"),
        address("wrong.example.com", "nonsense"),
        create(set(
            "bad.example.com",
            "CAA",
            &["0 nonsense \"ca.example\""],
        )),
    ];
    changes.extend((0..60).map(|n| address(&format!("n{n}.example.com"), "192.0.2.3")));
    let count = changes.len();
    let since = bench.now();
    let results = bench.apply(changes);
    assert!(matches!(&results[1], Err(Error::Conflict(text)) if text.contains("81054")));
    assert!(matches!(&results[2], Err(Error::Invalid(text)) if text.contains("nonsense")));
    assert!(
        matches!(&results[3], Err(Error::Invalid(text)) if text.contains("1004") && text.contains("9101")),
        "{:?}",
        results[3]
    );
    let applied = results
        .iter()
        .filter(|result| **result == Ok(Outcome::Applied));
    assert_eq!(applied.count(), count - 3);
    assert_eq!(bench.stub.records().len(), 1 + count - 3);
    let batches = bench.batches(since);
    assert!(batches < 20, "two bad ones of 63 took {batches} batches");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_stays_where_nothing_can_take_its_place() {
    let bench = bench().await;
    for name in ["kept.example.com", "www.example.com"] {
        bench
            .stub
            .insert(CloudflareRecord::new(name, "CNAME", "www.example.net"));
    }
    let (kept, alias) = (
        bench.only("kept.example.com"),
        bench.only("www.example.com"),
    );
    let bad = |name: &str| create(set(name, "NS", &["bad name.example.net"]));
    let results = bench.apply(vec![
        delete(kept),
        create(set("kept.example.com", "AAAA", &["2001:db8::1"])),
        delete(alias),
        address("www.example.com", "192.0.2.1"),
        bad("www.example.com"),
    ]);
    assert_eq!(results[..4], vec![Ok(Outcome::Applied); 4]);
    assert!(matches!(&results[4], Err(Error::Invalid(_))));

    // Both ways of taking its place are refused, so the CNAME stays.
    let id = bench.stub.insert(CloudflareRecord::new(
        "a.example.com",
        "CNAME",
        "www.example.net",
    ));
    let alias = bench.only("a.example.com");
    let wanted = || {
        vec![
            delete(alias.clone()),
            address("a.example.com", "192.0.2.1"),
            create(set("a.example.com", "AAAA", &["2001:db8::1"])),
        ]
    };
    for _ in 0..3 {
        bench.stub.refuse_next(400, 1004);
    }
    let results = bench.apply(wanted());
    assert!(matches!(&results[0], Err(Error::Conflict(text)) if text.contains("it was kept")));
    assert!(matches!(&results[1], Err(Error::Invalid(_))));
    assert!(matches!(&results[2], Err(Error::Invalid(_))));
    assert!(bench.stub.records().iter().any(|record| record.id == id));

    // The first is refused, so it goes with the second.
    for _ in 0..2 {
        bench.stub.refuse_next(400, 1004);
    }
    let results = bench.apply(wanted());
    assert_eq!(results[0], Ok(Outcome::Applied));
    assert!(matches!(&results[1], Err(Error::Invalid(_))));
    assert_eq!(results[2], Ok(Outcome::Applied));
    assert!(same(
        &bench.only("a.example.com"),
        &set("a.example.com", "AAAA", &["2001:db8::1"])
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_else_who_wrote_the_same_is_no_error() {
    let bench = bench().await;
    // The record is written, but the answer says that it was there already: what a race looks like.
    bench.stub.disguise_next(400, 81058);
    let wanted = address("www.example.com", "192.0.2.1");
    assert_eq!(bench.apply(vec![wanted]), [Ok(Outcome::Already)]);

    // It says so, and the record is not there: no claim that all is well.
    bench.stub.refuse_next(400, 81057);
    let results = bench.apply(vec![address("other.example.com", "192.0.2.1")]);
    assert!(matches!(results[0], Err(Error::Conflict(_))), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_went_meanwhile_makes_the_change_stale() {
    let bench = bench().await;
    let id = bench
        .stub
        .insert(CloudflareRecord::new("www.example.com", "A", "192.0.2.1"));
    let before = bench.only("www.example.com");
    let after = set("www.example.com", "A", &["192.0.2.2"]);
    bench.stub.refuse_next(404, 81044);
    assert_eq!(
        bench.apply(vec![update(before.clone(), after.clone())]),
        [Ok(Outcome::Stale)]
    );

    // Equal contents under another id are another state, too.
    bench.stub.remove(&id);
    bench
        .stub
        .insert(CloudflareRecord::new("www.example.com", "A", "192.0.2.1"));
    assert_eq!(
        bench.apply(vec![update(before, after)]),
        [Ok(Outcome::Stale)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_stops_the_batches() {
    let bench = bench().await;
    let changes = |from: u32| -> Vec<Change> {
        let names = (from..from + 250).map(|n| format!("n{n}.example.com"));
        names.map(|name| address(&name, "192.0.2.1")).collect()
    };
    for (seconds, expected) in [(Some(7), Some(7_000)), (None, None)] {
        bench.stub.next(
            When::Writes,
            Fault::Refuse(CloudflareStub::throttled(seconds)),
        );
        let since = bench.now();
        let results = bench.apply(changes(0));
        assert_eq!(bench.batches(since), 1, "nothing after the first");
        for result in &results {
            assert!(
                matches!(result, Err(Error::Throttled(Throttle { retry_after_ms, message }))
                    if *retry_after_ms == expected && message.contains("971")),
                "{result:?}"
            );
        }
    }
    assert_eq!(bench.apply(changes(0)), vec![Ok(Outcome::Applied); 250]);

    bench.stub.next(
        When::Reads,
        Fault::Refuse(CloudflareStub::throttled(Some(1))),
    );
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(matches!(read, Err(Error::Throttled(_))), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_arrive_leaves_a_write_unknown() {
    for trouble in [Trouble::Silence, Trouble::Cut, Trouble::Nonsense] {
        let bench = bench().await;
        let wanted: Vec<Change> = (0..250)
            .map(|n| address(&format!("n{n}.example.com"), "192.0.2.1"))
            .collect();
        assert!(bench.stub.trouble(When::Writes, trouble));
        let results = bench.apply(wanted.clone());
        for (n, result) in results.iter().enumerate() {
            match result {
                Err(Error::UnknownOutcome(_)) if n < 200 => {}
                Err(Error::Transient(text)) if n >= 200 && text.contains("not sent") => {}
                other => panic!("{trouble:?}: change {n}: {other:?}"),
            }
        }
        let again = bench.apply(wanted);
        assert_eq!(again[..200], vec![Ok(Outcome::Already); 200]);
        assert_eq!(again[200..], vec![Ok(Outcome::Applied); 50]);

        for reads_before in 0..2 {
            let fault = match trouble {
                Trouble::Silence => Fault::Silence,
                Trouble::Cut => Fault::Cut,
                _ => Fault::Refuse(portolan_vendors::Answer::new(502, "text/html", "<html>")),
            };
            if reads_before == 1 {
                // The zone's id is read, its records are not.
                let zones = bench.provider.zones(&bench.host, None);
                assert!(zones.is_ok());
            }
            bench.stub.next(When::Reads, fault);
            let read = bench.provider.read(&bench.host, ZONE, None, None);
            assert!(matches!(read, Err(Error::Transient(_))), "{read:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_leaves_the_outcome_of_a_write_unknown() {
    let bench = bench().await;
    bench.stub.disguise_next(500, 1000);
    let wanted = address("www.example.com", "192.0.2.1");
    let results = bench.apply(vec![wanted.clone()]);
    assert!(matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("1000")));
    assert_eq!(bench.apply(vec![wanted]), [Ok(Outcome::Already)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_made_wholly_or_not_at_all() {
    let bench = bench().await;
    for content in ["192.0.2.1", "192.0.2.2"] {
        bench
            .stub
            .insert(CloudflareRecord::new("www.example.com", "A", content));
    }
    let before = bench.only("www.example.com");
    let after = set(
        "www.example.com",
        "A",
        &["192.0.2.3", "192.0.2.4", "192.0.2.5"],
    );
    // The quota is met by the third record; the two that would be updated stay as they are.
    for n in 0..998 {
        bench.stub.insert(CloudflareRecord::new(
            &format!("n{n}.example.com"),
            "A",
            "192.0.2.1",
        ));
    }
    let results = bench.apply(vec![update(before.clone(), after)]);
    assert!(matches!(&results[0], Err(Error::Quota(text)) if text.contains("81045")));
    assert!(same(&bench.only("www.example.com"), &before));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_the_whole_call_is_its_error() {
    let bench = bench().await;
    let changes = || vec![address("www.example.com", "192.0.2.1")];
    let apply = |host: &TestHost, zone: &str| bench.provider.apply(host, zone, changes());

    let wrong = apply(&host("wrong"), ZONE);
    assert!(
        matches!(&wrong, Err(Error::Auth(text)) if text.contains("9109")),
        "{wrong:?}"
    );
    let ungranted = apply(&TestHost::on_loopback(), ZONE);
    assert!(matches!(ungranted, Err(Error::Denied(_))));
    let read = bench.provider.read(&bench.host, "example.org", None, None);
    assert!(matches!(&read, Err(Error::NotFound(text)) if text.contains("example.org")));
    let normal = bench.provider.normalize(
        &bench.host,
        "example.org",
        vec![set("www.example.org", "A", &["192.0.2.1"])],
    );
    assert!(matches!(normal, Err(Error::NotFound(_))));
    assert_eq!(bench.stub.records(), []);

    // A token that can read but not write.
    bench.stub.refuse_next(403, 10000);
    let results = bench.apply(changes());
    assert!(matches!(&results[0], Err(Error::Auth(text)) if text.contains("10000")));
}
