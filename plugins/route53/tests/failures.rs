//! The provider against moto: what goes wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use bench::{Bench, WWW, ZONE, bench, set, www};
use portolan_plugin::{
    Host, Provider,
    dns::{Error, Outcome},
    sets::same,
    testing::{TestHost, create, delete, update},
};
use portolan_vendors::{Answer, Fault, Trouble, Vendor, When};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_change_does_not_keep_the_others_out() {
    let bench = bench().await;
    let alias = json!({ "Name": "alias.example.com", "Type": "CNAME", "TTL": 60, "ResourceRecords": ["www.example.com."] });
    bench.moto.insert(ZONE, alias).await;
    let mut changes = vec![
        create(set("good.example.com", "A", "default", &["192.0.2.1"])),
        create(set("alias.example.com", "A", "default", &["192.0.2.2"])),
        create(set("wrong.example.com", "A", "default", &["nonsense"])),
        create(set("far.example.com", "A", "OverSea", &["192.0.2.4"])),
        create(set("fine.example.com", "A", "default", &["192.0.2.3"])),
    ];
    let more = (0..100).map(|n| {
        create(set(
            &format!("n{n}.example.com"),
            "A",
            "default",
            &["192.0.2.1"],
        ))
    });
    changes.extend(more);
    let since = bench.moto.seen().len();
    let results = bench.apply(changes);
    assert_eq!(results[0], Ok(Outcome::Applied));
    assert!(
        matches!(&results[1], Err(Error::Conflict(text)) if text.contains("InvalidChangeBatch") && text.contains("CNAME")),
        "{results:?}"
    );
    assert!(matches!(&results[2], Err(Error::Invalid(text)) if text.contains("nonsense")));
    assert!(matches!(&results[3], Err(Error::Unsupported(_))));
    assert!(
        results[4..]
            .iter()
            .all(|result| *result == Ok(Outcome::Applied))
    );
    assert!(bench.writes(since) < 20, "{} writes", bench.writes(since));
    assert!(
        bench
            .host
            .log_lines()
            .iter()
            .any(|line| line.contains("batch refused"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_and_what_takes_its_place_change_together() {
    let bench = bench().await;
    let alias = set(WWW, "CNAME", "default", &["www.example.net"]);
    bench.apply(vec![create(alias.clone())]);
    let since = bench.moto.seen().len();
    let results = bench.apply(vec![create(www(&["192.0.2.1"])), delete(bench.only(WWW))]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(bench.writes(since), 1);
    assert!(same(&bench.only(WWW), &www(&["192.0.2.1"])));

    // And back; with a bad neighbour nothing is left without an answer.
    bench
        .moto
        .insert(
            ZONE,
            json!({ "Name": WWW, "Type": "SPF", "TTL": 60, "ResourceRecords": ["\"x\""] }),
        )
        .await;
    let address = bench.only(WWW);
    let results = bench.apply(vec![delete(address.clone()), create(alias)]);
    assert!(
        matches!(&results[0], Err(Error::Conflict(text)) if text.contains("was kept")),
        "{results:?}"
    );
    assert!(matches!(&results[1], Err(Error::Conflict(_))));
    assert!(same(&bench.only(WWW), &address));
}

/// A host that does something right before the first request that changes anything.
fn just_before_writing(bench: &Bench, act: impl Fn() + 'static) -> TestHost {
    let direct = TestHost::on_loopback();
    let done = std::cell::Cell::new(false);
    let (id, secret) = bench.moto.key();
    TestHost::new(move |request| {
        if !request.body.is_empty() && !done.replace(true) {
            act();
        }
        direct.send(request)
    })
    .credential("access-key-id", id)
    .credential("secret-access-key", secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_else_who_is_faster_is_not_overwritten() {
    let bench = std::rc::Rc::new(bench().await);
    let meddling = |content: &'static str| {
        let watched = bench.clone();
        just_before_writing(&bench, move || {
            let sets = watched.moto.meddle(WWW, "A", content);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(sets));
        })
    };
    bench.apply(vec![create(www(&["192.0.2.1"]))]);
    let before = bench.only(WWW);
    let change = update(before, www(&["192.0.2.2"]));
    let other = create(set("other.example.com", "A", "default", &["192.0.2.9"]));
    let results = bench
        .provider
        .apply(&meddling("192.0.2.7"), ZONE, vec![change, other])
        .unwrap();
    assert_eq!(results, [Ok(Outcome::Stale), Ok(Outcome::Applied)]);
    assert!(same(&bench.only(WWW), &www(&["192.0.2.7"])));

    // Who wrote the same is no error.
    let change = update(bench.only(WWW), www(&["192.0.2.8"]));
    let results = bench
        .provider
        .apply(&meddling("192.0.2.8"), ZONE, vec![change])
        .unwrap();
    assert_eq!(results, [Ok(Outcome::Already)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_stops_the_calls() {
    let bench = bench().await;
    let wanted = |n: u32| {
        create(set(
            &format!("n{n}.example.com"),
            "A",
            "default",
            &["192.0.2.1"],
        ))
    };
    let all = || (0..1_200).map(wanted).collect::<Vec<_>>();
    for (seconds, wait) in [(None, None), (Some(3), Some(3_000))] {
        assert!(
            bench
                .moto
                .trouble(When::Writes, Trouble::Throttled(seconds))
        );
        let since = bench.moto.seen().len();
        let results = bench.apply(all());
        assert!(
            results
                .iter()
                .all(|result| matches!(result, Err(Error::Throttled(throttle)) if throttle.retry_after_ms == wait)),
            "{:?}",
            results[0]
        );
        assert_eq!(bench.writes(since), 1);
    }
    assert!(bench.moto.trouble(When::Reads, Trouble::Throttled(None)));
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(
        matches!(&read, Err(Error::Throttled(throttle)) if throttle.message.contains("Rate exceeded"))
    );

    // The service is busy with the zone.
    let busy = "<ErrorResponse><Error><Type>Sender</Type><Code>PriorRequestNotComplete</Code><Message>The request was rejected because Route 53 was still processing a prior request.</Message></Error><RequestId>R</RequestId></ErrorResponse>";
    bench.moto.front().next(
        When::Writes,
        Fault::Refuse(Answer::new(400, "text/xml", busy)),
    );
    let results = bench.apply(all());
    assert!(matches!(&results[1_199], Err(Error::Throttled(_))));
    assert_eq!(bench.apply(all()), vec![Ok(Outcome::Applied); 1_200]);
    assert_eq!(bench.moto.clear_troubles(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_the_outcome_of_a_write_unknown() {
    let bench = bench().await;
    for (n, trouble) in [Trouble::Silence, Trouble::Cut, Trouble::Nonsense]
        .into_iter()
        .enumerate()
    {
        let wanted = set(&format!("n{n}.example.com"), "A", "default", &["192.0.2.1"]);
        assert!(bench.moto.trouble(When::Writes, trouble));
        let results = bench.apply(vec![create(wanted.clone())]);
        assert!(
            matches!(&results[0], Err(Error::UnknownOutcome(_))),
            "{trouble:?}: {results:?}"
        );
        assert_eq!(
            bench.apply(vec![create(wanted.clone())]),
            [Ok(Outcome::Already)]
        );

        assert!(bench.moto.trouble(When::Reads, trouble));
        let read = bench.provider.read(&bench.host, ZONE, None, None);
        assert!(
            matches!(read, Err(Error::Transient(_))),
            "{trouble:?}: {read:?}"
        );
        assert!(bench.moto.trouble(When::Reads, trouble));
        let apply = bench
            .provider
            .apply(&bench.host, ZONE, vec![delete(wanted)]);
        assert!(
            matches!(apply, Err(Error::Transient(_))),
            "{trouble:?}: {apply:?}"
        );
    }

    // What was not sent after it was certainly not carried out.
    let wanted = |n: u32| {
        create(set(
            &format!("m{n}.example.com"),
            "A",
            "default",
            &["192.0.2.1"],
        ))
    };
    assert!(bench.moto.trouble(When::Writes, Trouble::Silence));
    let results = bench.apply((0..1_200).map(wanted).collect());
    assert!(matches!(&results[0], Err(Error::UnknownOutcome(_))));
    assert!(matches!(&results[1_199], Err(Error::Transient(text)) if text.contains("not tried")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_service_s_own_words_is_understood() {
    let bench = bench().await;
    // The form without `ErrorResponse`, in which moto does not answer.
    let refusal = "<?xml version=\"1.0\"?><InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Messages><Message>Protected by someone: resource record set protection</Message></Messages><RequestId>R</RequestId></InvalidChangeBatch>";
    bench.moto.front().next(
        When::Writes,
        Fault::Refuse(Answer::new(400, "text/xml", refusal)),
    );
    let results = bench.apply(vec![create(www(&["192.0.2.1"]))]);
    assert!(
        matches!(&results[0], Err(Error::Conflict(text)) if text.contains("resource record set protection")),
        "{results:?}"
    );
    bench.moto.front().next(
        When::Writes,
        Fault::Refuse(Answer::new(500, "text/xml", "")),
    );
    let results = bench.apply(vec![create(www(&["192.0.2.1"]))]);
    assert!(matches!(&results[0], Err(Error::UnknownOutcome(_))));
    bench.moto.front().next(
        When::Writes,
        Fault::Refuse(Answer::new(503, "text/xml", "")),
    );
    let results = bench.apply(vec![create(www(&["192.0.2.1"]))]);
    assert!(matches!(&results[0], Err(Error::Transient(_))));
}
