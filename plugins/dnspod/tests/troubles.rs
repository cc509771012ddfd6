//! The provider against a stand-in for the service that fails, refuses, or says nothing.

mod bench;

use bench::{SECRET_ID, SECRET_KEY, ZONE, bench, host, set};
use portolan_dnspod::Dnspod;
use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome},
    sets::same,
    settings,
    testing::{TestHost, create, update},
};
use portolan_vendors::{DnspodRecord, DnspodStub, Fault, Trouble, Vendor, When};

fn wanted(n: u32) -> Change {
    let name = format!("n{n}.example.com");
    create(set(&name, "A", "default", &["192.0.2.1"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_else_who_wrote_the_same_is_no_error() {
    let bench = bench().await;
    let exists = || DnspodStub::refusal("InvalidParameter.DomainRecordExist", "记录已经存在");
    // The record is written, but the answer says that it was there already: what a race looks like.
    bench.stub.next(When::Writes, Fault::Disguise(exists()));
    assert_eq!(bench.apply(vec![wanted(1)]), [Ok(Outcome::Already)]);

    // It says so, and the record is not there: no claim that all is well.
    bench.stub.next(When::Writes, Fault::Refuse(exists()));
    let results = bench.apply(vec![wanted(2)]);
    assert!(matches!(results[0], Err(Error::Conflict(_))), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_went_meanwhile_makes_the_change_stale() {
    let bench = bench().await;
    let id = bench
        .stub
        .insert(DnspodRecord::new("www", "A", "192.0.2.1"));
    let before = bench.only("www.example.com");
    let after = set("www.example.com", "A", "default", &["192.0.2.2"]);
    let gone = DnspodStub::refusal("InvalidParameter.RecordIdInvalid", "记录编号错误。");
    bench.stub.next(When::Writes, Fault::Refuse(gone));
    let change = update(before, after);
    assert_eq!(bench.apply(vec![change.clone()]), [Ok(Outcome::Stale)]);

    // Equal contents under another id are another state, too.
    bench.stub.remove(id);
    bench
        .stub
        .insert(DnspodRecord::new("www", "A", "192.0.2.1"));
    assert_eq!(bench.apply(vec![change]), [Ok(Outcome::Stale)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_stops_the_calls_and_keeps_the_wait_that_was_asked_for() {
    let bench = bench().await;
    for (asked, expected) in [(None, None), (Some(3), Some(3_000))] {
        bench.stub.trouble(When::Writes, Trouble::Throttled(asked));
        let since = bench.stub.requests().len();
        let results = bench.apply((1..=3).map(wanted).collect());
        for result in &results {
            let Err(Error::Throttled(throttle)) = result else {
                panic!("{results:?}")
            };
            assert_eq!(throttle.retry_after_ms, expected);
        }
        assert_eq!(bench.writes(since), ["CreateRecord"]);
    }
    bench.stub.trouble(When::Reads, Trouble::Throttled(None));
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(matches!(read, Err(Error::Throttled(_))));
    assert_eq!(
        bench.apply((1..=3).map(wanted).collect()),
        vec![Ok(Outcome::Applied); 3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_says_so_and_the_next_try_finishes() {
    let bench = bench().await;
    bench
        .stub
        .insert(DnspodRecord::new("www", "A", "192.0.2.1"));
    let before = bench.only("www.example.com");
    let after = set(
        "www.example.com",
        "A",
        "default",
        &["-192.0.2.1", "192.0.2.2", "192.0.2.3"],
    );
    let carried_out = || Fault::Disguise(DnspodStub::refusal("InternalError", "内部错误。"));
    // Nothing is wrong with the first one.
    bench.stub.next(When::Writes, Fault::Disguise(ok()));
    bench.stub.next(When::Writes, carried_out());
    let results = bench.apply(vec![update(before, after.clone())]);
    assert!(
        matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("after 1 of 3 steps")),
        "{results:?}"
    );
    let standing = bench.only("www.example.com");
    assert_eq!(
        bench.apply(vec![update(standing, after.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert!(same(&bench.only("www.example.com"), &after));
}

/// The answer to a record that was added.
fn ok() -> portolan_vendors::Answer {
    let body = serde_json::json!({ "Response": { "RecordId": 1, "RequestId": "R" } });
    portolan_vendors::Answer::json(200, &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_a_write_unknown_and_a_read_to_be_repeated() {
    let bench = bench().await;
    for (n, trouble) in [Trouble::Silence, Trouble::Cut, Trouble::Nonsense]
        .into_iter()
        .enumerate()
    {
        let change = wanted(u32::try_from(n).unwrap());
        bench.stub.trouble(When::Writes, trouble);
        let results = bench.apply(vec![change.clone()]);
        assert!(
            matches!(results[0], Err(Error::UnknownOutcome(_))),
            "{trouble:?}: {results:?}"
        );
        assert_eq!(bench.apply(vec![change]), [Ok(Outcome::Already)]);

        bench.stub.trouble(When::Reads, trouble);
        let read = bench.provider.read(&bench.host, ZONE, None, None);
        assert!(matches!(read, Err(Error::Transient(_))), "{trouble:?}");
    }
    // A write whose answer lacks what it always says.
    let empty = portolan_vendors::Answer::json(200, &serde_json::json!({ "Response": {} }));
    bench.stub.next(When::Writes, Fault::Disguise(empty));
    let results = bench.apply(vec![wanted(9)]);
    assert!(matches!(results[0], Err(Error::UnknownOutcome(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_the_whole_call_is_its_error() {
    let bench = bench().await;
    let apply = |host: &TestHost| bench.provider.apply(host, ZONE, vec![wanted(1)]);

    let wrong = apply(&host(SECRET_ID, "wrong"));
    assert!(
        matches!(&wrong, Err(Error::Auth(text)) if text.contains("AuthFailure.SignatureFailure")),
        "{wrong:?}"
    );
    let unknown = apply(&host("nobody", SECRET_KEY));
    assert!(matches!(&unknown, Err(Error::Auth(text)) if text.contains("SecretIdNotFound")));
    let ungranted = apply(&TestHost::on_loopback());
    assert!(matches!(ungranted, Err(Error::Denied(_))));
    let read = bench.provider.read(&bench.host, "example.org", None, None);
    assert!(matches!(&read, Err(Error::NotFound(text)) if text.contains("example.org")));
    assert_eq!(bench.stub.records(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_named() {
    let bench = bench().await;
    bench.stub.set_time(1_700_000_000 + 290);
    assert_eq!(bench.read(None), []);
    bench.stub.set_time(1_700_000_000 + 310);
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(matches!(&read, Err(Error::Auth(text)) if text.contains("clock")));
}

#[test]
fn settings_are_checked_without_the_service() {
    let bind = |text: &str| settings::<Dnspod>(text).err();
    assert_eq!(bind("{}"), None);
    assert_eq!(
        bind(r#"{"endpoint": "https://dnspod.intl.tencentcloudapi.com"}"#),
        None
    );
    assert!(matches!(
        bind(r#"{"endpoint": "dnspod"}"#),
        Some(Error::Invalid(_))
    ));
    assert!(
        matches!(bind(r#"{"region": "x"}"#), Some(Error::Invalid(text)) if text.contains("region"))
    );
}
