//! What the provider does to the zone, against a stand-in for the service that checks signatures itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use bench::{ZONE, address, bench, set};
use portolan_plugin::{
    Provider,
    dns::{Error, Outcome, RecordSet},
    sets::same,
    testing::{create, delete, update},
};
use portolan_vendors::HuaweiSet;

const CREATE: &str = "POST /v2.1/zones/{id}/recordsets";
const UPDATE: &str = "PUT /v2.1/zones/{id}/recordsets/{id}";
const UPDATE_SEVERAL: &str = "PUT /v2.1/zones/{id}/recordsets";
const ENABLE: &str = "PUT /v2.1/recordsets/{id}/statuses/set";
const DELETE: &str = "DELETE /v2.1/zones/{id}/recordsets/{id}";

#[tokio::test(flavor = "multi_thread")]
async fn a_record_set_comes_changes_and_goes_on_its_own_line() {
    let bench = bench().await;
    let everyone = address("www.example.com", "192.0.2.1");
    let telecom = set("www.example.com", "A", "CT", &["192.0.2.2"]);
    let six = set("www.example.com", "AAAA", "default", &["2001:db8::1"]);
    let results = bench.apply(vec![
        create(everyone.clone()),
        create(telecom.clone()),
        create(six),
    ]);
    assert_eq!(results, vec![Ok(Outcome::Applied); 3]);
    let lines: Vec<String> = bench
        .vendor
        .service()
        .sets()
        .into_iter()
        .map(|set| set.line)
        .collect();
    assert_eq!(lines, ["default_view", "Dianxin", "default_view"]);

    let standing = bench.read(Some("www.example.com"));
    let before = standing.iter().find(|set| set.key == telecom.key).unwrap();
    assert!(same(before, &telecom));
    assert_eq!(
        bench.apply(vec![create(telecom.clone())]),
        [Ok(Outcome::Already)]
    );

    let mut moved = set("www.example.com", "A", "CT", &["192.0.2.3", "192.0.2.4"]);
    moved.ttl = 900;
    let since = bench.mark();
    assert_eq!(
        bench.apply(vec![update(before.clone(), moved.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), [UPDATE]);
    let sets = bench.vendor.service().sets();
    assert_eq!((sets[1].line.as_str(), sets[1].ttl), ("Dianxin", 900));
    assert_eq!(sets[1].records, ["192.0.2.3", "192.0.2.4"]);
    assert_eq!(
        sets[0].records,
        ["192.0.2.1"],
        "the other line is untouched"
    );
    assert_eq!(sets[2].records, ["2001:db8::1"], "so is the other type");

    assert_eq!(
        bench.apply(vec![delete(before.clone())]),
        [Ok(Outcome::Stale)]
    );
    let read = bench.read(Some("www.example.com"));
    let standing = read.iter().find(|set| set.key == moved.key).unwrap();
    let since = bench.mark();
    assert_eq!(
        bench.apply(vec![delete(standing.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), [DELETE]);
    assert_eq!(
        bench.apply(vec![delete(standing.clone())]),
        [Ok(Outcome::Already)]
    );
    assert_eq!(bench.read(Some("www.example.com")).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_ttl_alone_is_written_in_place() {
    let bench = bench().await;
    bench.apply(vec![create(address("www.example.com", "192.0.2.1"))]);
    let before = bench.only("www.example.com");
    let after = RecordSet {
        ttl: 60,
        ..before.clone()
    };
    assert_eq!(
        bench.apply(vec![update(before, after.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert!(same(&bench.only("www.example.com"), &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reads_back_as_normalize_says() {
    let bench = bench().await;
    let long = format!("\"{}\"", "x".repeat(300));
    let wanted = vec![
        set(ZONE, "A", "default", &["192.0.2.1", "192.0.2.2"]),
        set(
            "a.example.com",
            "AAAA",
            "Dianxin_Hainan",
            &["2001:DB8::0:1"],
        ),
        set(
            "c.example.com",
            "CNAME",
            "OverSea",
            &["Target.Example.NET."],
        ),
        set(
            ZONE,
            "MX",
            "default",
            &["10 mail.example.com", "20 b.example.net."],
        ),
        set(ZONE, "CAA", "default", &["0 issue \"letsencrypt.org\""]),
        set("sub.example.com", "NS", "default", &["ns1.example.net"]),
        set(
            "_s._tcp.example.com",
            "SRV",
            "CMCC",
            &["1 2 443 host.example.com"],
        ),
        set(
            "t.example.com",
            "TXT",
            "default",
            &["\"v=spf1 -all\"", "\"a\" \"+ ~*%20;\"", &long],
        ),
        set("*.w.example.com", "A", "CNEdu", &["192.0.2.3"]),
        set("xn--fiqs8s.example.com", "A", "CU", &["192.0.2.4"]),
        set(
            "i.example.com",
            "CNAME",
            "default",
            &["xn--fiqs8s.example.net"],
        ),
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
    // The service's own NS set stands beside them.
    assert_eq!(standing.len(), wanted.len() + 1);
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
async fn normalize_clamps_ttls_and_refuses_what_cannot_be_held() {
    let bench = bench().await;
    let one = |set: RecordSet| {
        let answers = bench.provider.normalize(&bench.host, ZONE, vec![set]);
        answers.unwrap().remove(0)
    };
    for (given, kept) in [(0, 1), (60, 60), (u32::MAX, 2_147_483_647)] {
        let given = RecordSet {
            ttl: given,
            ..address("www.example.com", "192.0.2.1")
        };
        assert_eq!(one(given).unwrap().ttl, kept);
    }
    for refused in [
        set("t.example.com", "TXT", "default", &[r#""a \"b\"""#]),
        set("t.example.com", "TXT", "default", &["\"é\""]),
        set("t.example.com", "TXT", "default", &["\"\""]),
        set("www.example.com", "A", "default", &["-192.0.2.1"]),
        set("www.example.com", "PTR", "default", &["a.example.net"]),
    ] {
        let answer = one(refused);
        assert!(matches!(answer, Err(Error::Unsupported(_))), "{answer:?}");
    }
    let many: Vec<String> = (0..51).map(|n| format!("192.0.2.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answer = one(set("www.example.com", "A", "default", &many));
    assert!(matches!(answer, Err(Error::Invalid(text)) if text.contains("50")));
    assert_eq!(bench.mark(), 0, "none of it needs the service");
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_of_several_sets_leave_together_and_keep_what_is_not_managed() {
    let bench = bench().await;
    for (line, weight) in [("default_view", 7), ("Dianxin", 0), ("Abroad", 1)] {
        bench.vendor.service().insert(HuaweiSet {
            line: line.to_owned(),
            weight: Some(weight),
            description: format!("rack {weight}"),
            tags: vec![("team".to_owned(), "web".to_owned())],
            ..HuaweiSet::new("www.example.com", "A", &["192.0.2.1"])
        });
    }
    let standing = bench.read(Some("www.example.com"));
    assert_eq!(standing.len(), 3);
    assert!(standing.iter().all(|set| set.extras.contains("rack")));
    let changes = standing.into_iter().map(|before| {
        let mut after = before.clone();
        after.values[0].content = "192.0.2.9".to_owned();
        after.ttl = 120;
        update(before, after)
    });
    let since = bench.mark();
    assert_eq!(
        bench.apply(changes.collect()),
        vec![Ok(Outcome::Applied); 3]
    );
    assert_eq!(bench.writes(since), [UPDATE_SEVERAL]);
    assert_eq!(bench.reads(since), 2, "the zone, and one name");
    for (set, weight) in bench.vendor.service().sets().iter().zip([7, 0, 1]) {
        assert_eq!((set.ttl, set.weight), (120, Some(weight)));
        assert_eq!(set.records, ["192.0.2.9"]);
        assert_eq!(set.description, format!("rack {weight}"));
        assert_eq!(set.tags.len(), 1);
    }

    // One alone goes the other way.
    let before = bench.read(Some("www.example.com")).remove(0);
    let mut after = before.clone();
    after.values[0].content = "192.0.2.10".to_owned();
    assert_eq!(
        bench.apply(vec![update(before, after)]),
        [Ok(Outcome::Applied)]
    );
    for (set, weight) in bench.vendor.service().sets().iter().zip([7, 0, 1]) {
        assert_eq!(set.weight, Some(weight));
        assert_eq!(set.description, format!("rack {weight}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_update_does_not_keep_the_others_out() {
    let bench = bench().await;
    for n in 0..3 {
        bench.apply(vec![create(address(
            &format!("n{n}.example.com"),
            "192.0.2.1",
        ))]);
    }
    let before: Vec<RecordSet> = (0..3)
        .map(|n| bench.only(&format!("n{n}.example.com")))
        .collect();
    // The service says so only when it is asked: nothing that is read tells.
    let id = before[1].handle.clone();
    bench.vendor.service().edit(&id, |set| set.system = true);
    let changes = before.into_iter().map(|before| {
        let mut after = before.clone();
        after.values[0].content = "192.0.2.2".to_owned();
        update(before, after)
    });
    let since = bench.mark();
    let results = bench.apply(changes.collect());
    assert_eq!(
        bench.writes(since),
        [UPDATE_SEVERAL, UPDATE, UPDATE, UPDATE]
    );
    assert_eq!(results[0], Ok(Outcome::Applied));
    assert!(
        matches!(&results[1], Err(Error::Unsupported(text)) if text.contains("DNS.0318")),
        "{results:?}"
    );
    assert_eq!(results[2], Ok(Outcome::Applied));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_change_does_not_keep_the_others_out() {
    let bench = bench().await;
    let alias = HuaweiSet::new("alias.example.com", "CNAME", &["www.example.com."]);
    bench.vendor.service().insert(alias);
    let results = bench.apply(vec![
        create(address("good.example.com", "192.0.2.1")),
        create(address("alias.example.com", "192.0.2.2")),
        create(address("wrong.example.com", "nonsense")),
        create(set("t.example.com", "TXT", "default", &[r#""\255""#])),
        create(set("l.example.com", "A", "Nowhere", &["192.0.2.1"])),
        create(address("fine.example.com", "192.0.2.3")),
    ]);
    assert_eq!(results[0], Ok(Outcome::Applied));
    assert!(matches!(&results[1], Err(Error::Conflict(text)) if text.contains("DNS.0312")));
    assert!(matches!(&results[2], Err(Error::Invalid(text)) if text.contains("nonsense")));
    assert!(matches!(&results[3], Err(Error::Unsupported(text)) if text.contains("backslash")));
    assert!(matches!(&results[4], Err(Error::Invalid(text)) if text.contains("DNS.0806")));
    assert_eq!(results[5], Ok(Outcome::Applied));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_was_switched_off_shows_so_and_is_switched_on_where_it_is_wanted() {
    let bench = bench().await;
    let paused = HuaweiSet {
        status: "DISABLE".to_owned(),
        ttl: 600,
        ..HuaweiSet::new("www.example.com", "A", &["192.0.2.1"])
    };
    bench.vendor.service().insert(paused);
    let before = bench.only("www.example.com");
    assert!(!before.values[0].enabled);
    let after = address("www.example.com", "192.0.2.1");
    let since = bench.mark();
    assert_eq!(
        bench.apply(vec![update(before, after.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), [ENABLE]);
    assert!(same(&bench.only("www.example.com"), &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_set_gets_its_new_values_before_it_is_switched_on() {
    let bench = bench().await;
    let paused = HuaweiSet {
        status: "DISABLE".to_owned(),
        ..HuaweiSet::new("www.example.com", "A", &["192.0.2.1"])
    };
    bench.vendor.service().insert(paused);
    let before = bench.only("www.example.com");
    let after = address("www.example.com", "192.0.2.2");
    // The set is still busy with the first step when the second comes.
    bench.vendor.service().changes_take(2);
    let results = bench.apply(vec![update(before, after.clone())]);
    assert!(
        matches!(&results[0], Err(Error::UnknownOutcome(text))
            if text.contains("after 1 of 2 steps") && text.contains("DNS.0314")),
        "{results:?}"
    );
    let standing = bench.only("www.example.com");
    assert_eq!(standing.values[0].content, "192.0.2.2");
    assert!(!standing.values[0].enabled);
    assert_eq!(
        bench.apply(vec![update(standing, after.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert!(same(&bench.only("www.example.com"), &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_cannot_express_is_neither_shown_nor_touched() {
    let bench = bench().await;
    for (address, weight) in [("192.0.2.1", 80), ("192.0.2.2", 20)] {
        bench.vendor.service().insert(HuaweiSet {
            weight: Some(weight),
            ..HuaweiSet::new("www.example.com", "A", &[address])
        });
    }
    bench.vendor.service().insert(HuaweiSet {
        alias: Some("cdn.example.net.".to_owned()),
        ..HuaweiSet::new("cdn.example.com", "A", &["192.0.2.7"])
    });
    assert_eq!(bench.read(Some("www.example.com")), []);
    assert_eq!(bench.read(Some("cdn.example.com")), []);
    let stood = bench.vendor.service().sets();
    let since = bench.mark();
    for name in ["www.example.com", "cdn.example.com"] {
        let wanted = address(name, "192.0.2.3");
        for change in [create(wanted.clone()), delete(wanted)] {
            let results = bench.apply(vec![change]);
            assert!(
                matches!(&results[0], Err(Error::Conflict(text)) if text.contains(name)),
                "{results:?}"
            );
        }
    }
    assert_eq!(bench.writes(since), [""; 0]);
    assert_eq!(bench.vendor.service().sets(), stood);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_set_is_left_alone() {
    let bench = bench().await;
    bench.vendor.service().insert(HuaweiSet {
        status: "FREEZE".to_owned(),
        ..HuaweiSet::new("www.example.com", "A", &["192.0.2.1"])
    });
    let before = bench.only("www.example.com");
    let since = bench.mark();
    let results = bench.apply(vec![update(
        before,
        address("www.example.com", "192.0.2.2"),
    )]);
    assert!(matches!(&results[0], Err(Error::Conflict(text)) if text.contains("frozen")));
    assert_eq!(bench.writes(since), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sets_that_the_service_made_cannot_be_deleted() {
    let bench = bench().await;
    let servers = bench.only(ZONE);
    assert_eq!(servers.key.rtype, "NS");
    let results = bench.apply(vec![delete(servers)]);
    assert!(matches!(&results[0], Err(Error::Unsupported(text)) if text.contains("DNS.0317")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_in_a_pending_state_stands_and_cannot_be_written_yet() {
    let bench = bench().await;
    bench.vendor.service().changes_take(6);
    bench.apply(vec![create(address("www.example.com", "192.0.2.1"))]);
    let before = bench.only("www.example.com");
    assert!(before.values[0].enabled, "what is being created stands");
    let after = address("www.example.com", "192.0.2.2");
    let results = bench.apply(vec![update(before.clone(), after.clone())]);
    assert!(
        matches!(&results[0], Err(Error::Transient(text)) if text.contains("DNS.0314")),
        "{results:?}"
    );
    assert_eq!(
        bench.apply(vec![update(before, after)]),
        [Ok(Outcome::Applied)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_being_deleted_does_not_stand_and_is_in_the_way_for_a_while() {
    let bench = bench().await;
    bench.apply(vec![create(address("www.example.com", "192.0.2.1"))]);
    let before = bench.only("www.example.com");
    bench.vendor.service().changes_take(30);
    assert_eq!(bench.apply(vec![delete(before)]), [Ok(Outcome::Applied)]);
    assert_eq!(bench.read(Some("www.example.com")), []);
    let again = address("www.example.com", "192.0.2.2");
    let since = bench.mark();
    let results = bench.apply(vec![create(again.clone())]);
    assert!(
        matches!(&results[0], Err(Error::Transient(text)) if text.contains("being deleted")),
        "{results:?}"
    );
    assert_eq!(bench.writes(since), [CREATE]);
    for _ in 0..10 {
        assert_eq!(bench.read(Some("www.example.com")), []);
    }
    assert_eq!(bench.apply(vec![create(again)]), [Ok(Outcome::Applied)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_deleted_is_waited_for_where_another_takes_its_place() {
    let bench = bench().await;
    let alias = HuaweiSet::new("www.example.com", "CNAME", &["www.example.net."]);
    bench.vendor.service().insert(alias);
    let alias = bench.only("www.example.com");
    let wanted = address("www.example.com", "192.0.2.1");
    bench.vendor.service().changes_take(5);
    let since = bench.mark();
    let results = bench.apply(vec![create(wanted.clone()), delete(alias)]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(bench.writes(since), [DELETE, CREATE, CREATE]);
    assert!(same(&bench.only("www.example.com"), &wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_gives_way_to_an_address() {
    let bench = bench().await;
    let alias = HuaweiSet::new("www.example.com", "CNAME", &["www.example.net."]);
    bench.vendor.service().insert(alias);
    let alias = bench.only("www.example.com");
    let wanted = address("www.example.com", "192.0.2.1");
    let since = bench.mark();
    let results = bench.apply(vec![create(wanted.clone()), delete(alias)]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(bench.writes(since), [DELETE, CREATE]);
    assert!(same(&bench.only("www.example.com"), &wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_values_under_another_id_are_another_state() {
    let bench = bench().await;
    bench.apply(vec![create(address("www.example.com", "192.0.2.1"))]);
    let before = bench.only("www.example.com");
    bench.vendor.service().remove(&before.handle);
    bench.apply(vec![create(address("www.example.com", "192.0.2.1"))]);
    assert_eq!(
        bench.apply(vec![update(
            before,
            address("www.example.com", "192.0.2.2")
        )]),
        [Ok(Outcome::Stale)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_exact_name_is_read() {
    let bench = bench().await;
    for name in ["www.example.com", "a.www.example.com", "awww.example.com"] {
        bench
            .vendor
            .service()
            .insert(HuaweiSet::new(name, "A", &["192.0.2.1"]));
    }
    bench.vendor.service().insert(HuaweiSet {
        zone: "example.net".to_owned(),
        ..HuaweiSet::new("www.example.net", "A", &["192.0.2.1"])
    });
    assert_eq!(bench.only("www.example.com").key.name, "www.example.com");
    let names: Vec<String> = bench.read(None).into_iter().map(|s| s.key.name).collect();
    assert_eq!(
        names,
        [
            "a.www.example.com",
            "awww.example.com",
            ZONE,
            "www.example.com"
        ]
    );
}
