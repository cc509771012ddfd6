//! The provider against a stand-in for the service that checks signatures itself: what it writes.

mod bench;

use bench::{ZONE, bench, set};
use portolan_plugin::{
    Provider,
    dns::{Error, Outcome, RecordSet},
    sets::same,
    testing::{create, delete, update},
};
use portolan_vendors::DnspodRecord;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_set_comes_changes_and_goes_on_its_own_line() {
    let bench = bench().await;
    let everyone = set("www.example.com", "A", "default", &["192.0.2.1"]);
    let telecom = set("www.example.com", "A", "CT", &["192.0.2.2"]);
    // The other line comes first here; the service wants the default line before it.
    let results = bench.apply(vec![create(telecom.clone()), create(everyone.clone())]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    let lines: Vec<String> = bench
        .stub
        .records()
        .into_iter()
        .map(|record| record.line_id)
        .collect();
    assert_eq!(lines, ["0", "10=0"]);

    let before = bench.on_line("www.example.com", "CT");
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
    assert_eq!(bench.writes(since), ["ModifyRecord"]);
    let records = bench.stub.records();
    let now = (&*records[1].line_id, records[1].ttl, &*records[1].value);
    assert_eq!(now, ("10=0", 900, "192.0.2.3"));
    assert_eq!(records[0].value, "192.0.2.1", "the other line is untouched");

    assert_eq!(bench.apply(vec![delete(before)]), [Ok(Outcome::Stale)]);
    let standing = bench.on_line("www.example.com", "CT");
    assert_eq!(
        bench.apply(vec![delete(standing.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.apply(vec![delete(standing)]), [Ok(Outcome::Already)]);
    assert_eq!(bench.stub.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_differs_is_written() {
    let bench = bench().await;
    let one = set("www.example.com", "A", "default", &["192.0.2.1"]);
    let two = set(
        "www.example.com",
        "A",
        "default",
        &["192.0.2.1", "192.0.2.2"],
    );
    bench.stub.insert(DnspodRecord::new("www", "TXT", "note"));
    bench
        .stub
        .insert(DnspodRecord::new("web", "A", "192.0.2.7"));
    assert_eq!(
        bench.apply(vec![create(one.clone())]),
        [Ok(Outcome::Applied)]
    );

    let since = bench.stub.requests().len();
    let before = bench.of_type("www.example.com", "A");
    assert_eq!(
        bench.apply(vec![update(before, two.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), ["CreateRecord"]);

    let since = bench.stub.requests().len();
    let before = bench.of_type("www.example.com", "A");
    let slower = RecordSet { ttl: 1_200, ..two };
    assert_eq!(
        bench.apply(vec![update(before, slower.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), ["ModifyRecord", "ModifyRecord"]);
    assert!(same(&bench.of_type("www.example.com", "A"), &slower));

    let records = bench.stub.records();
    assert_eq!(&*records[0].value, "note", "another type");
    assert_eq!(&*records[1].value, "192.0.2.7", "another name");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reads_back_as_normalize_says() {
    let bench = bench().await;
    let long = format!("\"{}\"", "x".repeat(300));
    let wanted = [
        (
            "a.example.com",
            "A",
            "default",
            &["192.0.2.1", "-192.0.2.2"][..],
        ),
        ("b.example.com", "AAAA", "default", &["2001:DB8::0:1"]),
        ("b.example.com", "AAAA", "浙江电信", &["2001:DB8::0:2"]),
        ("b.example.com", "AAAA", "80=7", &["2001:DB8::0:3"]),
        (
            "c.example.com",
            "CNAME",
            "default",
            &["Target.Example.NET."],
        ),
        ("c.example.com", "CNAME", "OverSea", &["o.example.net"]),
        (
            "example.com",
            "MX",
            "default",
            &["10 mail.example.com.", "0 mail2.example.com"],
        ),
        (
            "example.com",
            "CAA",
            "default",
            &["0 issue \"letsencrypt.org\""],
        ),
        (
            "sub.example.com",
            "NS",
            "default",
            &["ns1.xn--bcher-kva.example"],
        ),
        (
            "_s._tcp.example.com",
            "SRV",
            "default",
            &["1 2 443 host.example.com"],
        ),
        (
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
        ("*.w.example.com", "A", "default", &["192.0.2.3"]),
        ("xn--bcher-kva.example.com", "A", "default", &["192.0.2.4"]),
    ];
    let wanted = wanted.map(|(name, rtype, line, values)| set(name, rtype, line, values));
    let normalize = |sets: Vec<RecordSet>| -> Vec<RecordSet> {
        let answers = bench.provider.normalize(&bench.host, ZONE, sets).unwrap();
        answers.into_iter().map(Result::unwrap).collect()
    };
    let wanted = normalize(wanted.to_vec());
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
async fn normalize_clamps_the_ttl_to_the_package_of_the_zone() {
    let bench = bench().await;
    let ttls = |zone: &str| -> Vec<u32> {
        let with_ttl = |ttl| RecordSet {
            ttl,
            ..set(&format!("www.{zone}"), "A", "default", &["192.0.2.1"])
        };
        let wanted = vec![with_ttl(60), with_ttl(700), with_ttl(1_000_000)];
        let answers = bench.provider.normalize(&bench.host, zone, wanted).unwrap();
        answers
            .into_iter()
            .map(|answer| answer.unwrap().ttl)
            .collect()
    };
    assert_eq!(ttls(ZONE), [60, 700, 604_800]);
    assert_eq!(ttls("example.net"), [600, 700, 604_800]);
    let nothing = bench.provider.normalize(&bench.host, ZONE, Vec::new());
    assert_eq!(nothing, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn remarks_survive_updates_of_all_kinds() {
    let bench = bench().await;
    bench.stub.insert(DnspodRecord {
        remark: "rack 7".to_owned(),
        weight: Some(20),
        enabled: false,
        ..DnspodRecord::new("www", "A", "192.0.2.1")
    });
    let before = bench.only("www.example.com");
    assert!(before.extras.contains("rack 7"), "{}", before.extras);

    let mut after = before.clone();
    "192.0.2.2".clone_into(&mut after.values[0].content);
    after.ttl = 1_200;
    let results = bench.apply(vec![update(before, after.clone())]);
    assert_eq!(results, [Ok(Outcome::Applied)]);
    let record = bench.stub.records().remove(0);
    assert_eq!((&*record.remark, record.weight), ("rack 7", Some(20)));
    assert!(!record.enabled, "an update does not switch it on");

    let before = bench.only("www.example.com");
    after.values[0].enabled = true;
    let since = bench.stub.requests().len();
    let results = bench.apply(vec![update(before, after)]);
    assert_eq!(results, [Ok(Outcome::Applied)]);
    assert_eq!(bench.writes(since), ["ModifyRecordStatus"]);
    let record = bench.stub.records().remove(0);
    assert_eq!((&*record.remark, record.enabled), ("rack 7", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_set_changed_and_taken_away() {
    let bench = bench().await;
    let weighted = |weights: [Option<u32>; 2]| {
        let mut set = set(
            "www.example.com",
            "A",
            "default",
            &["192.0.2.1", "192.0.2.2"],
        );
        set.values[0].weight = weights[0];
        set.values[1].weight = weights[1];
        set
    };
    let kept = || -> Vec<Option<u32>> {
        let records = bench.stub.records();
        records.into_iter().map(|record| record.weight).collect()
    };
    bench.apply(vec![create(weighted([Some(1), Some(3)]))]);
    assert_eq!(kept(), [Some(1), Some(3)]);

    let since = bench.stub.requests().len();
    let before = bench.only("www.example.com");
    let results = bench.apply(vec![update(before, weighted([Some(1), Some(9)]))]);
    assert_eq!(results, [Ok(Outcome::Applied)]);
    assert_eq!(bench.writes(since), ["ModifyRecord"]);
    assert_eq!(kept(), [Some(1), Some(9)]);

    let before = bench.only("www.example.com");
    bench.apply(vec![update(before, weighted([None, None]))]);
    assert_eq!(kept(), [None, None]);
    assert!(same(
        &bench.only("www.example.com"),
        &weighted([None, None])
    ));

    let wrong = vec![weighted([Some(0), None]), weighted([Some(101), None])];
    let answers = bench.provider.normalize(&bench.host, ZONE, wrong).unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(Error::Invalid(_)))),
        "{answers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_switched_without_being_deleted() {
    let bench = bench().await;
    let with = |contents| set("www.example.com", "A", "default", contents);
    let since = bench.stub.requests().len();
    bench.apply(vec![create(with(&["192.0.2.1", "-192.0.2.2"]))]);
    assert_eq!(bench.writes(since), ["CreateRecord", "CreateRecord"]);

    let before = bench.only("www.example.com");
    let since = bench.stub.requests().len();
    let after = with(&["-192.0.2.1", "192.0.2.2"]);
    assert_eq!(
        bench.apply(vec![update(before, after.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(
        bench.writes(since),
        ["ModifyRecordStatus", "ModifyRecordStatus"]
    );
    assert!(same(&bench.only("www.example.com"), &after));

    // The record of the other state is reused: never is the new content served before it may be.
    let before = bench.only("www.example.com");
    let after = with(&["-192.0.2.1", "-192.0.2.3"]);
    assert_eq!(
        bench.apply(vec![update(before, after.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert!(same(&bench.only("www.example.com"), &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zones_own_name_servers_are_refused_before_anything_is_written() {
    let bench = bench().await;
    bench.stub.insert(DnspodRecord {
        default_ns: true,
        ..DnspodRecord::new("@", "NS", "ns3.dnsv5.com")
    });
    let before = bench.only("example.com");
    let since = bench.stub.requests().len();
    let after = set("example.com", "NS", "default", &["ns1.example.net"]);
    let results = bench.apply(vec![update(before.clone(), after)]);
    assert!(
        matches!(&results[0], Err(Error::Conflict(text)) if text.contains("own name servers")),
        "{results:?}"
    );
    assert_eq!(bench.writes(since), [""; 0]);
    let more = set(
        "example.com",
        "NS",
        "default",
        &["ns3.dnsv5.com", "ns1.example.net"],
    );
    assert_eq!(
        bench.apply(vec![update(before, more)]),
        [Ok(Outcome::Applied)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_change_does_not_keep_the_others_out() {
    let bench = bench().await;
    bench
        .stub
        .insert(DnspodRecord::new("alias", "CNAME", "www.example.com"));
    let one = |name: &str, line: &str, content: &str| {
        create(set(&format!("{name}.example.com"), "A", line, &[content]))
    };
    let results = bench.apply(vec![
        one("good", "default", "192.0.2.1"),
        one("alias", "default", "192.0.2.2"),
        one("wrong", "default", "nonsense"),
        create(set("t.example.com", "TXT", "default", &[r#""\255""#])),
        one("alone", "CT", "192.0.2.2"),
        one("good", "no such line", "192.0.2.2"),
        one("fine", "default", "192.0.2.3"),
    ]);
    assert_eq!(results[0], Ok(Outcome::Applied));
    assert!(
        matches!(&results[1], Err(Error::Conflict(text)) if text.contains("冲突")),
        "{results:?}"
    );
    assert!(matches!(&results[2], Err(Error::Invalid(text)) if text.contains("nonsense")));
    assert!(matches!(&results[3], Err(Error::Unsupported(text)) if text.contains("UTF-8")));
    assert!(
        matches!(&results[4], Err(Error::Conflict(text)) if text.contains("MustAddDefaultLineFirst"))
    );
    assert!(matches!(&results[5], Err(Error::Invalid(text)) if text.contains("RecordLineInvalid")));
    assert_eq!(results[6], Ok(Outcome::Applied));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_values_than_the_package_allows_are_a_quota() {
    let bench = bench().await;
    let wanted = set(
        "www.example.net",
        "A",
        "default",
        &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    );
    let results = bench
        .provider
        .apply(&bench.host, "example.net", vec![create(wanted)])
        .unwrap();
    assert!(
        matches!(&results[0], Err(Error::Quota(text)) if text.contains("after 2 of 3 steps")),
        "{results:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_gives_way_to_an_address() {
    let bench = bench().await;
    bench
        .stub
        .insert(DnspodRecord::new("www", "CNAME", "www.example.net"));
    let alias = bench.only("www.example.com");
    let address = set("www.example.com", "A", "default", &["192.0.2.1"]);
    let results = bench.apply(vec![create(address.clone()), delete(alias)]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert!(same(&bench.only("www.example.com"), &address));
}
