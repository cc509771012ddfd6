//! The provider against a stand-in for the service: what it says when something goes wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use std::{
    cell::Cell,
    time::{SystemTime, UNIX_EPOCH},
};

use bench::{ZONE, bench, bind, host};
use portolan_plugin::{
    Host, Provider,
    dns::{Change, Error, Outcome, RecordSet, Throttle},
    testing::{TestHost, create, delete, set, update},
};
use portolan_vendors::{Answer, Fault, Hetzner, HetznerRrSet, Trouble, Vendor, When};
use serde_json::json;

/// A refusal of the service.
fn refusal(status: u16, code: &str) -> Fault {
    let error = json!({ "code": code, "message": "because", "details": null });
    Fault::Refuse(Answer::json(status, &json!({ "error": error })))
}

fn address(name: &str) -> RecordSet {
    set(&format!("{name}.example.com"), "A", &["192.0.2.1"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_transient_in_reading_and_unknown_in_writing() {
    let bench = bench().await;
    for trouble in [Trouble::Silence, Trouble::Cut, Trouble::Nonsense] {
        Vendor::trouble(&bench.front, When::Reads, trouble);
        let read = bench.provider.read(&bench.host, ZONE, None, None);
        assert!(
            matches!(read, Err(Error::Transient(_))),
            "{trouble:?}: {read:?}"
        );
        let wanted = address(&format!("{trouble:?}").to_lowercase());
        Vendor::trouble(&bench.front, When::Writes, trouble);
        let results = bench.apply(vec![create(wanted.clone())]);
        assert!(
            matches!(results[0], Err(Error::UnknownOutcome(_))),
            "{trouble:?}: {results:?}"
        );
        assert_eq!(bench.apply(vec![create(wanted)]), [Ok(Outcome::Already)]);
    }
    assert_eq!(bench.front.clear_troubles(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_within_the_service_is_unknown_after_a_write_only() {
    let bench = bench().await;
    let error = json!({ "error": { "code": "server_error", "message": "because" } });
    bench
        .front
        .next(When::Writes, Fault::Disguise(Answer::json(500, &error)));
    let results = bench.apply(vec![create(address("www"))]);
    assert!(
        matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("server_error")),
        "{results:?}"
    );
    assert_eq!(
        bench.apply(vec![create(address("www"))]),
        [Ok(Outcome::Already)]
    );
    bench.front.next(When::Reads, refusal(500, "server_error"));
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(matches!(read, Err(Error::Transient(_))), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_followed_to_its_end() {
    let bench = bench().await;
    bench.service().actions_take(7);
    // The zone is locked as long as an action runs, so only waiting lets the second one in.
    let changes = vec![create(address("a")), create(address("b"))];
    let before = bench.host.now().seconds;
    assert_eq!(bench.apply(changes), vec![Ok(Outcome::Applied); 2]);
    let waited = bench.host.now().seconds - before;
    assert!(
        (5..10).contains(&waited),
        "it pauses ever longer: {waited} s"
    );

    bench.service().actions_take(1_000);
    let results = bench.apply(vec![create(address("c")), create(address("d"))]);
    assert!(
        matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("still runs")),
        "{results:?}"
    );
    assert!(
        matches!(&results[1], Err(Error::Transient(text)) if text.contains("locked")),
        "{results:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_fails_says_why() {
    let bench = bench().await;
    for (code, expected) in [
        ("invalid_input", "Invalid"),
        ("resource_limit_exceeded", "Quota"),
        // It had begun, so nobody knows how far it came.
        ("conflict", "UnknownOutcome"),
        ("server_error", "UnknownOutcome"),
    ] {
        bench.service().fail_next_action(code, "because");
        let results = bench.apply(vec![create(address("www"))]);
        let shown = format!("{results:?}");
        assert!(shown.contains(expected) && shown.contains(code), "{shown}");
    }
    assert_eq!(
        bench.apply(vec![create(address("www"))]),
        [Ok(Outcome::Applied)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_cannot_be_followed_leaves_the_outcome_unknown() {
    let bench = bench().await;
    for (number, fault) in [
        refusal(503, "unavailable"),
        refusal(404, "not_found"),
        Fault::Silence,
    ]
    .into_iter()
    .enumerate()
    {
        // The first read of the call is of the name, the second of the action.
        let wanted = address(&format!("n{number}"));
        let results = bench.apply_with((1, When::Reads, fault), vec![create(wanted.clone())]);
        assert!(
            matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("not be followed")),
            "{results:?}"
        );
        assert_eq!(bench.apply(vec![create(wanted)]), [Ok(Outcome::Already)]);
    }
    // Too many requests: unknown for this change, and no request for the rest.
    let since = bench.front.seen().len();
    let results = bench.apply_with(
        (2, When::Reads, refusal(429, "rate_limit_exceeded")),
        vec![create(address("a")), create(address("b"))],
    );
    assert!(
        matches!(results[0], Err(Error::UnknownOutcome(_))),
        "{results:?}"
    );
    assert!(
        matches!(results[1], Err(Error::Throttled(_))),
        "{results:?}"
    );
    assert_eq!(bench.writes(since), ["POST "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_between_contents_and_ttl_never_claims_that_nothing_was_changed() {
    let bench = bench().await;
    for (number, fault) in [
        refusal(423, "locked"),
        refusal(409, "conflict"),
        refusal(503, "maintenance"),
        Fault::Cut,
    ]
    .into_iter()
    .enumerate()
    {
        let old = address(&format!("n{number}"));
        let mut new = set(&old.key.name, "A", &["192.0.2.2"]);
        new.ttl = 60;
        bench.apply(vec![create(old.clone())]);
        let change = vec![update(old, new.clone())];
        let results = bench.apply_with((1, When::Writes, fault), change);
        assert!(
            matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.starts_with("after 1 of 2 steps")),
            "{results:?}"
        );
        // The contents are right already; the next try goes on from what stands there.
        let standing = bench.only(&new.key.name);
        assert_eq!(standing.values, new.values);
        if standing.ttl != new.ttl {
            assert_eq!(
                bench.apply(vec![update(standing, new)]),
                [Ok(Outcome::Applied)]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_would_take_another_time_is_transient() {
    let bench = bench().await;
    for (status, code) in [
        (423, "locked"),
        (409, "conflict"),
        (503, "maintenance"),
        (503, "unavailable"),
    ] {
        bench.front.next(When::Writes, refusal(status, code));
        let results = bench.apply(vec![create(address("www"))]);
        assert!(
            matches!(&results[0], Err(Error::Transient(text)) if text.contains(code)),
            "{results:?}"
        );
    }
    assert_eq!(bench.service().rrset("www", "A"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_faster_is_seen() {
    let bench = bench().await;
    let theirs = |ttl: u32| HetznerRrSet {
        ttl: Some(ttl),
        ..HetznerRrSet::new("www", "A", &["192.0.2.1"])
    };
    // The read shows the zone as it was expected, and then someone else is there before the write.
    let race = |change: Change, meddle: Box<dyn Fn(&Hetzner)>| {
        let service = bench.service().clone();
        let direct = host(service.token());
        let reads = Cell::new(0);
        let racing = TestHost::new(move |request| {
            let reply = direct.send(request);
            reads.set(reads.get() + 1);
            if reads.get() == 1 {
                meddle(&service);
            }
            reply
        });
        let racing = racing.credential("token", bench.service().token());
        let results = bench.provider.apply(&racing, ZONE, vec![change]);
        results.unwrap().remove(0)
    };
    let made = race(create(address("www")), {
        let same = theirs(600);
        Box::new(move |service| service.insert(same.clone()))
    });
    assert_eq!(made, Ok(Outcome::Already));
    bench.service().remove("www", "A");
    let made = race(create(address("www")), {
        let other = theirs(61);
        Box::new(move |service| service.insert(other.clone()))
    });
    assert_eq!(made, Ok(Outcome::Stale));

    bench.service().insert(theirs(600));
    let gone = |change: Change| race(change, Box::new(|service| service.remove("www", "A")));
    assert_eq!(gone(delete(address("www"))), Ok(Outcome::Already));
    bench.service().insert(theirs(600));
    let new = set("www.example.com", "A", &["192.0.2.2"]);
    assert_eq!(gone(update(address("www"), new)), Ok(Outcome::Stale));
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_ends_the_work_of_a_call_and_says_until_when() {
    let bench = bench().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    bench.host.set_time(now.as_secs());
    let told = |error: &Error| match error {
        Error::Throttled(Throttle { retry_after_ms, .. }) => *retry_after_ms,
        other => panic!("{other:?} is not throttled"),
    };
    for (asked, expected) in [
        (None, None),
        (Some(7), Some(6_000..=8_000)),
        // By then every request of an hour would be there again; some are much sooner.
        (Some(3_000), Some(60_000..=60_000)),
    ] {
        let fits = |told: Option<u32>| match (&expected, told) {
            (None, None) => true,
            (Some(range), Some(told)) => range.contains(&told),
            _ => false,
        };
        Vendor::trouble(&bench.front, When::Reads, Trouble::Throttled(asked));
        let read = bench.provider.read(&bench.host, ZONE, None, None);
        assert!(fits(told(&read.unwrap_err())), "{asked:?}");

        Vendor::trouble(&bench.front, When::Writes, Trouble::Throttled(asked));
        let since = bench.front.seen().len();
        let changes = ["a", "b", "c"].map(|name| create(address(name)));
        let results = bench.apply(changes.to_vec());
        for result in results {
            assert!(fits(told(&result.unwrap_err())), "{asked:?}");
        }
        assert_eq!(bench.writes(since), ["POST "]);
    }
    assert_eq!(bench.service().rrset("a", "A"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_in_seconds_counts_more_than_the_moment_of_full_recovery() {
    let bench = bench().await;
    let error = json!({ "error": { "code": "rate_limit_exceeded", "message": "slow" } });
    let answer = Answer::json(429, &error)
        .header("retry-after", "3")
        .header("ratelimit-reset", "9999999999");
    bench.front.next(When::Any, Fault::Refuse(answer));
    let zones = bench.provider.zones(&bench.host, None);
    assert!(
        matches!(&zones, Err(Error::Throttled(throttle)) if throttle.retry_after_ms == Some(3_000)),
        "{zones:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_the_whole_call_is_its_error() {
    let bench = bench().await;
    let apply = |host: &TestHost, zone: &str| {
        bench
            .provider
            .apply(host, zone, vec![create(address("www"))])
    };
    let wrong = apply(&host("nobody's"), ZONE);
    assert!(
        matches!(&wrong, Err(Error::Auth(text)) if text.contains("unauthorized") && text.contains("c-")),
        "{wrong:?}"
    );
    assert!(matches!(
        apply(&TestHost::on_loopback(), ZONE),
        Err(Error::Denied(_))
    ));
    for read in [
        bench.provider.read(&bench.host, "example.org", None, None),
        bench
            .provider
            .read(&bench.host, "example.org", Some("example.org"), None),
    ] {
        assert!(
            matches!(&read, Err(Error::NotFound(text)) if text.contains("example.org")),
            "{read:?}"
        );
    }
    let copied = bench
        .provider
        .read(&bench.host, "copied.example", None, None);
    assert!(
        matches!(&copied, Err(Error::Unsupported(text)) if text.contains("incorrect_zone_mode")),
        "{copied:?}"
    );
    let nobody = bind("http://127.0.0.1:9");
    assert!(matches!(
        nobody.zones(&bench.host, None),
        Err(Error::Transient(_))
    ));
    assert_eq!(bench.service().rrset("www", "A"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_read_is_tried_once() {
    let bench = bench().await;
    let since = bench.front.seen().len();
    let changes = ["a", "b"].map(|name| create(address(name))).to_vec();
    let reader = host(bench.service().read_only_token());
    let results = bench.provider.apply(&reader, ZONE, changes).unwrap();
    let told = |result: &Result<Outcome, Error>| matches!(result, Err(Error::Auth(text)) if text.contains("Read & Write"));
    assert!(results.iter().all(told), "{results:?}");
    assert_eq!(bench.writes(since), ["POST "]);
}
