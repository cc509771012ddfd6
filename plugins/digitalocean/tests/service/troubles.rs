//! What becomes of changes when something goes wrong, or someone else changes the zone, too.

use std::rc::Rc;

use portolan_plugin::{
    Host, Provider,
    dns::{Error, Outcome},
    sets::same,
    testing::{TestHost, create, delete, set, update},
};
use portolan_vendors::{Answer, Fault, Trouble, Vendor, When};

use crate::bench::{ALREADY, APPLIED, STALE, ZONE, bench};

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_change_does_not_keep_the_others_out() {
    let bench = bench().await;
    bench.insert("alias", "CNAME", "www.example.net");
    let results = bench.apply(vec![
        create(set("good.example.com", "A", &["192.0.2.1"])),
        create(set("alias.example.com", "A", &["192.0.2.2"])),
        create(set("wrong.example.com", "A", &["nonsense"])),
        create(set("t.example.com", "TXT", &[r#""\255""#])),
        create(set("good.example.com", "CNAME", &["a.example.net"])),
        create(set("fine.example.com", "A", &["192.0.2.3"])),
    ]);
    assert_eq!(results[0], APPLIED);
    assert!(
        matches!(&results[1], Err(Error::Conflict(text)) if text.contains("share a name with a CNAME")),
        "{results:?}"
    );
    assert!(matches!(&results[2], Err(Error::Invalid(text)) if text.contains("nonsense")));
    assert!(matches!(&results[3], Err(Error::Unsupported(text)) if text.contains("ASCII")));
    assert!(
        matches!(&results[4], Err(Error::Conflict(text)) if text.contains("unprocessable_entity"))
    );
    assert_eq!(results[5], APPLIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_contents_under_another_id_are_another_state() {
    let bench = bench().await;
    let id = bench.insert("www", "A", "192.0.2.1");
    let before = bench.only("www.example.com");
    bench.front.service().remove(id);
    bench.insert("www", "A", "192.0.2.1");
    let after = set("www.example.com", "A", &["192.0.2.2"]);
    assert_eq!(bench.apply(vec![update(before, after)]), [STALE]);

    let before = bench.only("www.example.com");
    bench
        .front
        .meddle("www.example.com", "A", "192.0.2.8")
        .await;
    assert_eq!(bench.apply(vec![delete(before)]), [STALE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_went_meanwhile_makes_the_change_stale() {
    let bench = bench().await;
    bench.insert("www", "A", "192.0.2.1");
    let before = bench.only("www.example.com");
    let body = serde_json::json!({ "id": "not_found", "message": "no such record" });
    let gone = Fault::Refuse(Answer::json(404, &body));
    let after = set("www.example.com", "A", &["192.0.2.2"]);
    bench.front.next(When::Writes, gone.clone());
    assert_eq!(bench.apply(vec![update(before.clone(), after)]), [STALE]);
    bench.front.next(When::Writes, gone);
    let results = bench.apply(vec![delete(before)]);
    assert!(
        matches!(results[0], Ok(Outcome::Stale | Outcome::Applied)),
        "{results:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_stops_the_calls_and_says_when_to_go_on() {
    let bench = bench().await;
    let changes = || {
        let wanted = |n: u32| set(&format!("n{n}.example.com"), "A", &["192.0.2.1"]);
        (1..=3).map(|n| create(wanted(n))).collect::<Vec<_>>()
    };
    for (seconds, wait) in [(Some(3), Some(3_000)), (None, None)] {
        assert!(Vendor::trouble(
            &bench.front,
            When::Writes,
            Trouble::Throttled(seconds)
        ));
        let since = bench.now();
        for result in bench.apply(changes()) {
            let Err(Error::Throttled(throttle)) = result else {
                panic!("{result:?}")
            };
            assert_eq!(throttle.retry_after_ms, wait);
            assert!(throttle.message.contains("too_many_requests"));
        }
        assert_eq!(bench.writes(since), ["POST"]);
    }
    // The hour's quota: when it grows again, in seconds since 1970.
    let body =
        serde_json::json!({ "id": "too_many_requests", "message": "API Rate limit exceeded." });
    let reset = Answer::json(429, &body).header("ratelimit-reset", "1700000042");
    bench.front.next(When::Reads, Fault::Refuse(reset));
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(
        matches!(&read, Err(Error::Throttled(throttle)) if throttle.retry_after_ms == Some(42_000)),
        "{read:?}"
    );
    assert_eq!(bench.apply(changes()), vec![APPLIED; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_says_so_and_the_next_try_finishes() {
    let bench = bench().await;
    bench.insert("www", "A", "192.0.2.1");
    let before = bench.only("www.example.com");
    let wanted = set("www.example.com", "A", &["192.0.2.2", "192.0.2.3"]);
    let fine = Fault::Disguise(Answer::json(
        200,
        &serde_json::json!({ "domain_record": { "id": 1, "type": "A", "name": "www", "ttl": 600 } }),
    ));
    bench.front.next(When::Writes, fine);
    let body = serde_json::json!({ "id": "service_unavailable", "message": "later" });
    bench
        .front
        .next(When::Writes, Fault::Refuse(Answer::json(503, &body)));
    let results = bench.apply(vec![update(before, wanted.clone())]);
    assert!(
        matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("after 1 of 2 steps")),
        "{results:?}"
    );
    let standing = bench.only("www.example.com");
    assert_eq!(
        bench.apply(vec![update(standing, wanted.clone())]),
        [APPLIED]
    );
    assert!(same(&bench.only("www.example.com"), &wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_unknown_after_a_write_and_transient_after_a_read() {
    let bench = bench().await;
    let wanted = |n: usize| set(&format!("n{n}.example.com"), "A", &["192.0.2.1"]);
    let troubles = [Trouble::Silence, Trouble::Cut, Trouble::Nonsense];
    for (n, trouble) in troubles.into_iter().enumerate() {
        assert!(Vendor::trouble(&bench.front, When::Reads, trouble));
        let read = bench.provider.read(&bench.host, ZONE, None, None);
        assert!(
            matches!(read, Err(Error::Transient(_))),
            "{trouble:?}: {read:?}"
        );
        assert!(Vendor::trouble(&bench.front, When::Reads, trouble));
        let apply = bench
            .provider
            .apply(&bench.host, ZONE, vec![create(wanted(n))]);
        assert!(
            matches!(apply, Err(Error::Transient(_))),
            "{trouble:?}: {apply:?}"
        );

        assert!(Vendor::trouble(&bench.front, When::Writes, trouble));
        let results = bench.apply(vec![create(wanted(n))]);
        assert!(
            matches!(&results[0], Err(Error::UnknownOutcome(_))),
            "{trouble:?}: {results:?}"
        );
        assert_eq!(
            bench.apply(vec![create(wanted(n))]),
            [ALREADY],
            "{trouble:?}"
        );
        let standing = bench.only(&format!("n{n}.example.com"));
        if trouble != Trouble::Cut {
            // The answer to a deletion has no body that could break off.
            assert!(Vendor::trouble(&bench.front, When::Writes, trouble));
            let results = bench.apply(vec![delete(standing.clone())]);
            assert!(
                matches!(&results[0], Err(Error::UnknownOutcome(_))),
                "{trouble:?}: {results:?}"
            );
            assert_eq!(bench.apply(vec![delete(standing)]), [ALREADY]);
        }
    }
    assert_eq!(bench.front.clear_troubles(), 0);
    let body =
        serde_json::json!({ "id": "server_error", "message": "Unexpected server-side error" });
    bench
        .front
        .next(When::Writes, Fault::Disguise(Answer::json(500, &body)));
    let results = bench.apply(vec![create(wanted(9))]);
    assert!(
        matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("server_error"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_changes_between_pages_is_not_taken_for_smaller() {
    let bench = bench().await;
    let ids: Vec<u64> = (0..600)
        .map(|n| bench.insert(&format!("n{n}"), "A", "192.0.2.1"))
        .collect();
    let token = bench.front.service().token().to_owned();
    // The oldest record goes after the first page, so that one moves from the second page to the first.
    let front = Rc::new(bench.front);
    let (watched, direct) = (front.clone(), TestHost::on_loopback());
    let host = TestHost::new(move |request| {
        let reply = direct.send(request);
        watched.service().remove(ids[0]);
        reply
    })
    .credential("token", &token);
    let read = bench.provider.read(&host, ZONE, None, None);
    assert!(
        matches!(&read, Err(Error::Transient(text)) if text.contains("changed meanwhile")),
        "{read:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_the_whole_call_is_its_error() {
    let bench = bench().await;
    let apply = |host: &TestHost, zone: &str| {
        let change = create(set(&format!("www.{zone}"), "A", &["192.0.2.1"]));
        bench.provider.apply(host, zone, vec![change])
    };
    let wrong = bench.front.wrong_binding().credentials["token"].clone();
    let wrong = apply(&TestHost::on_loopback().credential("token", &wrong), ZONE);
    assert!(
        matches!(&wrong, Err(Error::Auth(text)) if text.contains("unauthorized")),
        "{wrong:?}"
    );
    let ungranted = apply(&TestHost::on_loopback(), ZONE);
    assert!(matches!(ungranted, Err(Error::Denied(_))));
    let unknown = apply(&bench.host, "example.org");
    assert!(matches!(&unknown, Err(Error::NotFound(text)) if text.contains("example.org")));
    let read = bench.provider.read(&bench.host, "example.org", None, None);
    assert!(matches!(&read, Err(Error::NotFound(text)) if text.contains("not_found")));
    assert_eq!(bench.held(), [""; 0]);
}
