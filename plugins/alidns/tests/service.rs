//! The provider against a stand-in for the service that checks signatures itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use portolan_alidns::AliDns;
use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome, RecordSet},
    sets::same,
    settings,
    testing::{self, TestHost, create, delete, update},
};
use portolan_vendors::{AliRecord, AliStub};

const ZONE: &str = "example.com";
const KEY_ID: &str = "LTAI-test";
const SECRET: &str = "test-secret";

struct Bench {
    stub: AliStub,
    provider: AliDns,
    host: TestHost,
}

async fn bench() -> Bench {
    let stub = AliStub::start(KEY_ID, SECRET, &[ZONE, "example.net"]).await;
    let provider = settings(&serde_json::json!({ "endpoint": stub.url() }).to_string()).unwrap();
    Bench {
        stub,
        provider,
        host: host(KEY_ID, SECRET),
    }
}

fn host(id: &str, secret: &str) -> TestHost {
    TestHost::on_loopback()
        .credential("access-key-id", id)
        .credential("access-key-secret", secret)
}

/// `-` before a content means switched off.
fn set(name: &str, rtype: &str, line: &str, contents: &[&str]) -> RecordSet {
    let mut set = testing::set(name, rtype, contents);
    line.clone_into(&mut set.key.line);
    set
}

impl Bench {
    fn apply(&self, changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        self.provider.apply(&self.host, ZONE, changes).unwrap()
    }

    fn read(&self, name: Option<&str>) -> Vec<RecordSet> {
        self.provider
            .read(&self.host, ZONE, name, None)
            .unwrap()
            .sets
    }

    /// The one set of a name.
    fn only(&self, name: &str) -> RecordSet {
        let mut sets = self.read(Some(name));
        assert_eq!(sets.len(), 1, "{sets:?}");
        sets.remove(0)
    }

    /// The actions that change something, since the last look.
    fn writes(&self, since: usize) -> Vec<String> {
        let requests = self.stub.requests().split_off(since);
        requests
            .into_iter()
            .filter(|action| !action.starts_with("Describe"))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_set_comes_changes_and_goes_on_its_own_line() {
    let bench = bench().await;
    let everyone = set("www.example.com", "A", "default", &["192.0.2.1"]);
    let telecom = set("www.example.com", "A", "CT", &["192.0.2.2"]);
    let results = bench.apply(vec![create(everyone.clone()), create(telecom.clone())]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    let lines: Vec<String> = bench
        .stub
        .records()
        .into_iter()
        .map(|record| record.line)
        .collect();
    assert_eq!(lines, ["default", "telecom"]);

    let standing = bench.read(Some("www.example.com"));
    let before = standing
        .iter()
        .find(|set| set.key == telecom.key)
        .unwrap()
        .clone();
    assert!(same(&before, &telecom));
    assert_eq!(
        bench.apply(vec![create(telecom.clone())]),
        [Ok(Outcome::Already)]
    );

    let mut moved = set("www.example.com", "A", "CT", &["192.0.2.3"]);
    moved.ttl = 900;
    let since = bench.stub.requests().len();
    assert_eq!(
        bench.apply(vec![update(before.clone(), moved.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), ["UpdateDomainRecord"]);
    let records = bench.stub.records();
    assert_eq!(
        (
            records[1].line.as_str(),
            records[1].ttl,
            records[1].value.as_str()
        ),
        ("telecom", 900, "192.0.2.3")
    );
    assert_eq!(records[0].value, "192.0.2.1", "the other line is untouched");

    assert_eq!(bench.apply(vec![delete(before)]), [Ok(Outcome::Stale)]);
    let read = bench.read(Some("www.example.com"));
    let standing = read
        .iter()
        .find(|set| set.key == moved.key)
        .unwrap()
        .clone();
    assert_eq!(
        bench.apply(vec![delete(standing.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.apply(vec![delete(standing)]), [Ok(Outcome::Already)]);
    assert_eq!(bench.stub.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reads_back_as_normalize_says() {
    let bench = bench().await;
    let long = format!("\"{}\"", "x".repeat(300));
    let wanted = vec![
        set(
            "a.example.com",
            "A",
            "default",
            &["192.0.2.1", "-192.0.2.2"],
        ),
        set(
            "a.example.com",
            "AAAA",
            "cn_unicom_hainan",
            &["2001:DB8::0:1"],
        ),
        set(
            "c.example.com",
            "CNAME",
            "OverSea",
            &["Target.Example.NET."],
        ),
        set(
            "example.com",
            "MX",
            "default",
            &["10 mail.example.com.", "20 mail2.example.com"],
        ),
        set(
            "example.com",
            "CAA",
            "default",
            &["0 issue \"letsencrypt.org\""],
        ),
        set("sub.example.com", "NS", "default", &["ns1.example.net"]),
        set(
            "_s._tcp.example.com",
            "SRV",
            "default",
            &["1 2 443 host.example.com"],
        ),
        set(
            "t.example.com",
            "TXT",
            "default",
            &[
                "\"v=spf1 -all\"",
                "\"a\" \"+ ~*%20\"",
                r#""\195\169 \"q\"""#,
                &long,
            ],
        ),
        set("*.w.example.com", "A", "CNEdu", &["192.0.2.3"]),
    ];
    let normalize = |sets: Vec<RecordSet>| -> Vec<RecordSet> {
        let answers = bench.provider.normalize(&bench.host, ZONE, sets).unwrap();
        answers.into_iter().map(Result::unwrap).collect()
    };
    let wanted = normalize(wanted);
    assert_eq!(normalize(wanted.clone()), wanted);

    let changes = || wanted.iter().cloned().map(create).collect::<Vec<_>>();
    assert_eq!(
        bench.apply(changes()),
        vec![Ok(Outcome::Applied); wanted.len()]
    );
    let standing = bench.read(None);
    assert_eq!(standing.len(), wanted.len());
    for set in &wanted {
        let found = standing.iter().find(|other| other.key == set.key).unwrap();
        assert!(same(found, set), "{found:?} is not {set:?}");
    }
    assert_eq!(
        bench.apply(changes()),
        vec![Ok(Outcome::Already); wanted.len()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn normalize_clamps_the_ttl_to_the_zone_edition() {
    let bench = bench().await;
    let with_ttl = |ttl| RecordSet {
        ttl,
        ..set("www.example.com", "A", "default", &["192.0.2.1"])
    };
    let wanted = vec![with_ttl(60), with_ttl(700), with_ttl(100_000)];
    let answers = bench.provider.normalize(&bench.host, ZONE, wanted).unwrap();
    let ttls: Vec<u32> = answers
        .into_iter()
        .map(|answer| answer.unwrap().ttl)
        .collect();
    assert_eq!(ttls, [600, 700, 86_400]);
    assert_eq!(
        bench.provider.normalize(&bench.host, ZONE, Vec::new()),
        Ok(Vec::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn remarks_survive_an_update() {
    let bench = bench().await;
    let noted = AliRecord {
        remark: Some("rack 7".to_owned()),
        ..AliRecord::new("www", "A", "192.0.2.1")
    };
    bench.stub.insert(noted);
    let before = bench.only("www.example.com");
    assert!(before.extras.contains("rack 7"), "{}", before.extras);
    let after = set(
        "www.example.com",
        "A",
        "default",
        &["192.0.2.2", "192.0.2.3"],
    );
    assert_eq!(
        bench.apply(vec![update(before, after)]),
        [Ok(Outcome::Applied)]
    );
    let records = bench.stub.records();
    assert_eq!(records[0].remark.as_deref(), Some("rack 7"));
    assert_eq!(records.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_switched_without_being_deleted() {
    let bench = bench().await;
    bench.apply(vec![create(set(
        "www.example.com",
        "A",
        "default",
        &["192.0.2.1", "-192.0.2.2"],
    ))]);
    let before = bench.only("www.example.com");
    let since = bench.stub.requests().len();
    let after = set(
        "www.example.com",
        "A",
        "default",
        &["-192.0.2.1", "192.0.2.2"],
    );
    assert_eq!(
        bench.apply(vec![update(before, after.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(
        bench.writes(since),
        ["SetDomainRecordStatus", "SetDomainRecordStatus"]
    );
    assert!(same(&bench.only("www.example.com"), &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_record_is_refused_before_anything_is_written() {
    let bench = bench().await;
    let id = bench.stub.insert(AliRecord {
        locked: true,
        ..AliRecord::new("www", "A", "192.0.2.1")
    });
    let before = bench.only("www.example.com");
    let after = set(
        "www.example.com",
        "A",
        "default",
        &["192.0.2.2", "192.0.2.3"],
    );
    let since = bench.stub.requests().len();
    let results = bench.apply(vec![update(before.clone(), after)]);
    assert!(
        matches!(&results[0], Err(Error::Conflict(text)) if text.contains(&id) && text.contains("locked"))
    );
    assert_eq!(bench.writes(since), [""; 0]);

    let more = set(
        "www.example.com",
        "A",
        "default",
        &["192.0.2.1", "192.0.2.2"],
    );
    assert_eq!(
        bench.apply(vec![update(before, more)]),
        [Ok(Outcome::Applied)],
        "a locked record can stay"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_change_does_not_keep_the_others_out() {
    let bench = bench().await;
    bench
        .stub
        .insert(AliRecord::new("alias", "CNAME", "www.example.com"));
    let results = bench.apply(vec![
        create(set("good.example.com", "A", "default", &["192.0.2.1"])),
        create(set("alias.example.com", "A", "default", &["192.0.2.2"])),
        create(set("wrong.example.com", "A", "default", &["nonsense"])),
        create(set("t.example.com", "TXT", "default", &[r#""\255""#])),
        create(set("fine.example.com", "A", "default", &["192.0.2.3"])),
    ]);
    assert_eq!(results[0], Ok(Outcome::Applied));
    assert!(
        matches!(&results[1], Err(Error::Conflict(text)) if text.contains("DomainRecordConflict"))
    );
    assert!(matches!(&results[2], Err(Error::Invalid(text)) if text.contains("nonsense")));
    assert!(matches!(&results[3], Err(Error::Unsupported(text)) if text.contains("UTF-8")));
    assert_eq!(results[4], Ok(Outcome::Applied));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_gives_way_to_an_address() {
    let bench = bench().await;
    bench
        .stub
        .insert(AliRecord::new("www", "CNAME", "www.example.net"));
    let alias = bench.only("www.example.com");
    let address = set("www.example.com", "A", "default", &["192.0.2.1"]);
    let results = bench.apply(vec![create(address.clone()), delete(alias)]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert!(same(&bench.only("www.example.com"), &address));
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_else_who_wrote_the_same_is_no_error() {
    let bench = bench().await;
    // The record is written, but the answer says that it was there already: what a race looks like.
    bench
        .stub
        .fail_after_next("AddDomainRecord", 400, "DomainRecordDuplicate");
    let wanted = set("www.example.com", "A", "default", &["192.0.2.1"]);
    assert_eq!(bench.apply(vec![create(wanted)]), [Ok(Outcome::Already)]);

    // It says so, and the record is not there: no claim that all is well.
    bench
        .stub
        .fail_next("AddDomainRecord", 400, "DomainRecordDuplicate");
    let other = set("other.example.com", "A", "default", &["192.0.2.1"]);
    let results = bench.apply(vec![create(other)]);
    assert!(matches!(results[0], Err(Error::Conflict(_))), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_went_meanwhile_makes_the_change_stale() {
    let bench = bench().await;
    bench.stub.insert(AliRecord::new("www", "A", "192.0.2.1"));
    let before = bench.only("www.example.com");
    bench
        .stub
        .fail_next("UpdateDomainRecord", 400, "DomainRecordNotBelongToUser");
    let after = set("www.example.com", "A", "default", &["192.0.2.2"]);
    assert_eq!(
        bench.apply(vec![update(before.clone(), after.clone())]),
        [Ok(Outcome::Stale)]
    );

    // Equal contents under another id are another state, too.
    let id = bench.stub.records()[0].id.clone();
    bench.stub.remove(&id);
    bench.stub.insert(AliRecord::new("www", "A", "192.0.2.1"));
    assert_eq!(
        bench.apply(vec![update(before, after)]),
        [Ok(Outcome::Stale)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_stops_the_calls_and_keeps_what_was_done() {
    let bench = bench().await;
    let wanted = |n: u32| {
        create(set(
            &format!("n{n}.example.com"),
            "A",
            "default",
            &["192.0.2.1"],
        ))
    };
    bench
        .stub
        .fail_next("AddDomainRecord", 400, "Throttling.User");
    let since = bench.stub.requests().len();
    let results = bench.apply((1..=3).map(wanted).collect());
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Err(Error::Throttled(_)))),
        "{results:?}"
    );
    assert_eq!(bench.writes(since), ["AddDomainRecord"]);
    assert_eq!(
        bench.apply((1..=3).map(wanted).collect()),
        vec![Ok(Outcome::Applied); 3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_says_so_and_the_next_try_finishes() {
    let bench = bench().await;
    let wanted = set(
        "www.example.com",
        "A",
        "default",
        &["192.0.2.1", "-192.0.2.2"],
    );
    bench
        .stub
        .fail_next("SetDomainRecordStatus", 503, "ServiceUnavailable");
    let results = bench.apply(vec![create(wanted.clone())]);
    assert!(
        matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("after 1 of 2 steps")),
        "{results:?}"
    );
    let standing = bench.only("www.example.com");
    assert_eq!(
        bench.apply(vec![update(standing, wanted.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert!(same(&bench.only("www.example.com"), &wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_leaves_the_outcome_of_a_write_unknown() {
    let bench = bench().await;
    bench
        .stub
        .fail_after_next("AddDomainRecord", 500, "InternalError");
    let wanted = set("www.example.com", "A", "default", &["192.0.2.1"]);
    let results = bench.apply(vec![create(wanted.clone())]);
    assert!(
        matches!(&results[0], Err(Error::UnknownOutcome(text)) if text.contains("InternalError"))
    );
    assert_eq!(bench.apply(vec![create(wanted)]), [Ok(Outcome::Already)]);

    bench
        .stub
        .fail_next("DescribeDomainRecords", 500, "InternalError");
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(matches!(read, Err(Error::Transient(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_is_read_over_all_its_pages() {
    let bench = bench().await;
    for n in 0..1_203 {
        bench.stub.insert(AliRecord::new(
            &format!("n{}", n / 2),
            "A",
            &format!("192.0.{}.{}", n / 250, n % 250),
        ));
    }
    let sets = bench.read(None);
    assert_eq!(sets.len(), 602);
    assert_eq!(
        sets.iter().map(|set| set.values.len()).sum::<usize>(),
        1_203
    );
    assert_eq!(bench.stub.requests(), vec!["DescribeDomainRecords"; 3]);

    let wanted = |n: u32| {
        create(set(
            &format!("m{n}.example.com"),
            "A",
            "default",
            &["192.0.2.1"],
        ))
    };
    assert_eq!(
        bench.apply((0..9).map(wanted).collect()),
        vec![Ok(Outcome::Applied); 9]
    );
    let reads = bench.stub.requests().split_off(3);
    assert_eq!(
        reads
            .iter()
            .filter(|action| action.starts_with("Describe"))
            .count(),
        3,
        "{reads:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_changes_between_pages_is_not_taken_for_smaller() {
    let stub = AliStub::start(KEY_ID, SECRET, &[ZONE]).await;
    let ids: Vec<String> = (0..600)
        .map(|n| stub.insert(AliRecord::new(&format!("n{n}"), "A", "192.0.2.1")))
        .collect();
    let provider: AliDns =
        settings(&serde_json::json!({ "endpoint": stub.url() }).to_string()).unwrap();
    let direct = TestHost::on_loopback();
    // The newest record goes after the first page, so that one moves from the second page to the first.
    let (url, newest) = (stub.url(), ids[599].clone());
    let stub = std::rc::Rc::new(stub);
    let watched = stub.clone();
    let host = TestHost::new(move |request| {
        assert!(request.url.starts_with(&url));
        let reply = portolan_plugin::Host::send(&direct, request);
        watched.remove(&newest);
        reply
    })
    .credential("access-key-id", KEY_ID)
    .credential("access-key-secret", SECRET);
    let read = provider.read(&host, ZONE, None, None);
    assert!(
        matches!(&read, Err(Error::Transient(text)) if text.contains("changed meanwhile")),
        "{read:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_exact_name_is_read() {
    let bench = bench().await;
    for rr in ["www", "a.www", "awww", "@"] {
        bench.stub.insert(AliRecord::new(rr, "A", "192.0.2.1"));
    }
    assert_eq!(bench.only("www.example.com").key.name, "www.example.com");
    assert_eq!(bench.only("example.com").key.name, "example.com");
    assert_eq!(bench.read(None).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_and_lines_are_listed() {
    let bench = bench().await;
    let page = bench.provider.zones(&bench.host, None).unwrap();
    let names: Vec<&str> = page.zones.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!((names, page.next), (vec![ZONE, "example.net"], None));
    let codes: Vec<String> = bench
        .provider
        .lines(&bench.host, ZONE)
        .unwrap()
        .into_iter()
        .map(|line| line.code)
        .collect();
    assert_eq!(
        codes,
        [
            "default",
            "CT",
            "CU",
            "CMCC",
            "CNEdu",
            "OverSea",
            "cn_unicom_hainan"
        ]
    );

    let many: Vec<String> = (0..150).map(|n| format!("zone{n}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let stub = AliStub::start(KEY_ID, SECRET, &many).await;
    let provider: AliDns =
        settings(&serde_json::json!({ "endpoint": stub.url() }).to_string()).unwrap();
    let first = provider.zones(&bench.host, None).unwrap();
    assert_eq!((first.zones.len(), first.next.as_deref()), (100, Some("2")));
    let second = provider.zones(&bench.host, Some("2")).unwrap();
    assert_eq!((second.zones.len(), second.next), (50, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_the_whole_call_is_its_error() {
    let bench = bench().await;
    let changes = || {
        vec![create(set(
            "www.example.com",
            "A",
            "default",
            &["192.0.2.1"],
        ))]
    };
    let apply = |host: &TestHost, zone: &str| bench.provider.apply(host, zone, changes());

    let wrong = apply(&host(KEY_ID, "wrong"), ZONE);
    assert!(
        matches!(&wrong, Err(Error::Auth(text)) if text.contains("SignatureDoesNotMatch")),
        "{wrong:?}"
    );
    let unknown = apply(&host("nobody", SECRET), ZONE);
    assert!(matches!(&unknown, Err(Error::Auth(text)) if text.contains("InvalidAccessKeyId")));
    let ungranted = apply(&TestHost::on_loopback(), ZONE);
    assert!(matches!(ungranted, Err(Error::Denied(_))));
    let read = bench.provider.read(&bench.host, "example.org", None, None);
    assert!(matches!(&read, Err(Error::NotFound(text)) if text.contains("example.org")));
    assert_eq!(bench.stub.records(), []);
}

#[test]
fn settings_are_checked_without_the_service() {
    let bind = |text: &str| settings::<AliDns>(text).err();
    assert_eq!(bind("{}"), None);
    assert_eq!(
        bind(r#"{"endpoint": "https://alidns.cn-hangzhou.aliyuncs.com"}"#),
        None
    );
    assert!(matches!(
        bind(r#"{"endpoint": "alidns"}"#),
        Some(Error::Invalid(_))
    ));
    assert!(
        matches!(bind(r#"{"region": "x"}"#), Some(Error::Invalid(text)) if text.contains("region"))
    );
}
