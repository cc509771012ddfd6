//! The provider against a stand-in for the service: what it does when all goes well.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use bench::{ZONE, bench, commented};
use portolan_plugin::{
    dns::{Error, Outcome, RecordSet},
    sets::same,
    testing::{create, delete, set, update},
};
use portolan_vendors::HetznerRrSet;

fn with_ttl(ttl: u32, set: RecordSet) -> RecordSet {
    RecordSet { ttl, ..set }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_set_comes_changes_and_goes() {
    let bench = bench().await;
    let first = set("www.example.com", "A", &["192.0.2.1"]);
    assert_eq!(
        bench.apply(vec![create(first.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(
        bench.apply(vec![create(first.clone())]),
        [Ok(Outcome::Already)]
    );
    let read = bench.only("www.example.com");
    assert!(same(&read, &first), "{read:?}");
    assert_eq!(bench.service().rrset("www", "A").unwrap().ttl, Some(600));

    let since = bench.front.seen().len();
    let second = set("www.example.com", "A", &["192.0.2.2", "192.0.2.3"]);
    let updated = bench.apply(vec![update(first.clone(), second.clone())]);
    assert_eq!(updated, [Ok(Outcome::Applied)]);
    assert_eq!(bench.writes(since), ["POST /www/A/actions/set_records"]);
    assert_eq!(bench.records("www", "A"), ["192.0.2.2", "192.0.2.3"]);

    assert_eq!(
        bench.apply(vec![delete(first.clone())]),
        [Ok(Outcome::Stale)]
    );
    let other = set("www.example.com", "A", &["192.0.2.9"]);
    assert_eq!(
        bench.apply(vec![update(first, other)]),
        [Ok(Outcome::Stale)]
    );
    assert_eq!(
        bench.apply(vec![delete(second.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.apply(vec![delete(second)]), [Ok(Outcome::Already)]);
    assert_eq!(bench.read(Some("www.example.com")), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_come_before_the_ttl_and_each_alone_where_the_other_stays() {
    let bench = bench().await;
    let old = set("www.example.com", "A", &["192.0.2.1"]);
    bench.apply(vec![create(old.clone())]);

    let both = with_ttl(60, set("www.example.com", "A", &["192.0.2.2"]));
    let since = bench.front.seen().len();
    assert_eq!(
        bench.apply(vec![update(old, both.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(
        bench.writes(since),
        [
            "POST /www/A/actions/set_records",
            "POST /www/A/actions/change_ttl"
        ]
    );
    assert!(same(&bench.only("www.example.com"), &both));

    let slower = with_ttl(7_200, both.clone());
    let since = bench.front.seen().len();
    assert_eq!(
        bench.apply(vec![update(both, slower.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), ["POST /www/A/actions/change_ttl"]);
    assert!(same(&bench.only("www.example.com"), &slower));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_without_a_ttl_goes_by_the_zones_and_keeps_doing_so() {
    let bench = bench().await;
    bench
        .service()
        .insert(HetznerRrSet::new("www", "A", &["192.0.2.1"]));
    let standing = bench.only("www.example.com");
    assert_eq!(standing.ttl, 3_600);

    let moved = with_ttl(3_600, set("www.example.com", "A", &["192.0.2.2"]));
    assert_eq!(
        bench.apply(vec![update(standing, moved)]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.service().rrset("www", "A").unwrap().ttl, None);
    assert_eq!(bench.records("www", "A"), ["192.0.2.2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_and_labels_are_preserved() {
    let bench = bench().await;
    let mut rrset = commented("www", "A", &[("192.0.2.1", "rack 1"), ("192.0.2.2", "")]);
    rrset.labels.insert("team".to_owned(), "ops".to_owned());
    bench.service().insert(rrset);

    let standing = bench.only("www.example.com");
    assert_eq!(
        (standing.comment.as_deref(), standing.extras.as_str()),
        (None, "")
    );
    let added = with_ttl(
        3_600,
        set("www.example.com", "A", &["192.0.2.3", "192.0.2.1"]),
    );
    assert_eq!(
        bench.apply(vec![update(standing, added.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(
        bench.records("www", "A"),
        ["192.0.2.3", "192.0.2.1 (rack 1)"]
    );

    // An address that takes another's place is the same record for whoever noted something on it.
    let moved = with_ttl(60, set("www.example.com", "A", &["192.0.2.3", "192.0.2.4"]));
    assert_eq!(
        bench.apply(vec![update(added, moved)]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(
        bench.records("www", "A"),
        ["192.0.2.3", "192.0.2.4 (rack 1)"]
    );
    let labels = bench.service().rrset("www", "A").unwrap().labels;
    assert_eq!(labels["team"], "ops");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reads_back_as_normalize_says() {
    let bench = bench().await;
    let long = format!("\"{}\"", "x".repeat(600));
    let wanted = [
        set("a.example.com", "A", &["192.0.2.1", "192.0.2.2"]),
        set("a.example.com", "AAAA", &["2001:DB8:0:0::1"]),
        set(
            "b.example.com",
            "CAA",
            &["0 ISSUE \"ca.example\"", "128 iodef \"mailto:a@b.example\""],
        ),
        set("c.example.com", "CNAME", &["Target.Example.NET."]),
        set(
            "example.com",
            "MX",
            &["10 Mail.example.com", "20 mail2.example.com.", "0 ."],
        ),
        set("sub.example.com", "NS", &["ns1.example.net"]),
        set("1.example.com", "PTR", &["host.example.net"]),
        set("_s._tcp.example.com", "SRV", &["1 2 443 host.example.com"]),
        set(
            "t.example.com",
            "TXT",
            &[
                "\"v=spf1 -all\"",
                r#""q\"uo\\te; \195\169""#,
                "\"a\" \"b\"",
                "\"\"",
                &long,
            ],
        ),
        set("*.w.example.com", "A", &["192.0.2.9"]),
        set("example.com", "A", &["192.0.2.9"]),
        set(
            "xn--bcher-kva.example.com",
            "CNAME",
            &["xn--fiqs8s.example.net"],
        ),
    ];
    let wanted = wanted.map(|set| bench.normalize(set).unwrap());
    for set in &wanted {
        assert_eq!(bench.normalize(set.clone()).as_ref(), Ok(set));
    }
    let results = bench.apply(wanted.iter().cloned().map(create).collect());
    assert_eq!(results, vec![Ok(Outcome::Applied); wanted.len()]);
    for set in &wanted {
        let standing = bench.read(Some(&set.key.name));
        let standing = standing.iter().find(|other| other.key == set.key).unwrap();
        assert!(same(standing, set), "{standing:?} is not {set:?}");
    }
    let again = bench.apply(wanted.iter().cloned().map(create).collect());
    assert_eq!(again, vec![Ok(Outcome::Already); wanted.len()]);
    assert_eq!(bench.records("@", "MX")[0], "10 mail.example.com.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_cannot_hold_is_said_beforehand() {
    let bench = bench().await;
    let address = || set("www.example.com", "A", &["192.0.2.1"]);
    assert_eq!(bench.normalize(with_ttl(1, address())).unwrap().ttl, 60);
    assert_eq!(
        bench.normalize(with_ttl(u32::MAX, address())).unwrap().ttl,
        2_147_483_647
    );
    let mut comment = address();
    comment.comment = Some("a".to_owned());
    let mut line = address();
    line.key.line = "CT".to_owned();
    let off = set("www.example.com", "A", &["-192.0.2.1"]);
    let other = set("www.example.com", "TLSA", &["3 1 1 00"]);
    for refused in [comment, line, off, other] {
        assert!(matches!(
            bench.normalize(refused),
            Err(Error::Unsupported(_))
        ));
    }
    let plain = set("www.example.com", "TXT", &["v=spf1 -all"]);
    assert!(
        matches!(bench.normalize(plain), Err(Error::Invalid(text)) if text.contains("quotation"))
    );
    assert_eq!(
        bench.front.seen(),
        [],
        "nothing is asked of the service for it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_and_types_stay_untouched() {
    let bench = bench().await;
    for (name, rtype, value) in [
        ("www", "TXT", "\"a\""),
        ("www", "AAAA", "2001:db8::1"),
        ("www", "HTTPS", "1 . alpn=h2"),
        ("a.www", "A", "192.0.2.8"),
        ("awww", "A", "192.0.2.8"),
    ] {
        bench
            .service()
            .insert(commented(name, rtype, &[(value, "others'")]));
    }
    let before = bench.service().rrsets(ZONE);
    let ours = set("www.example.com", "A", &["192.0.2.1"]);
    bench.apply(vec![create(ours.clone())]);
    let types: Vec<String> = bench
        .read(Some("www.example.com"))
        .into_iter()
        .map(|set| set.key.rtype)
        .collect();
    assert_eq!(types, ["A", "AAAA", "TXT"]);
    bench.apply(vec![delete(ours)]);
    assert_eq!(bench.service().rrsets(ZONE), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_change_does_not_keep_the_others_out() {
    let bench = bench().await;
    bench
        .service()
        .insert(commented("alias", "CNAME", &[("web.example.net.", "")]));
    let results = bench.apply(vec![
        create(set("good.example.com", "A", &["192.0.2.1"])),
        create(set("alias.example.com", "A", &["192.0.2.2"])),
        create(set("wrong.example.com", "A", &["not an address"])),
        create(set("fine.example.com", "A", &["192.0.2.3"])),
    ]);
    assert_eq!(results[0], Ok(Outcome::Applied));
    assert!(
        matches!(&results[1], Err(Error::Conflict(text)) if text.contains("CNAME under this name")),
        "{results:?}"
    );
    assert!(matches!(&results[2], Err(Error::Invalid(text)) if text.contains("not an address")));
    assert_eq!(results[3], Ok(Outcome::Applied));
    assert_eq!(bench.service().rrset("alias", "A"), None);
    assert!(bench.service().rrset("fine", "A").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_takes_turns_with_others_in_one_call() {
    let bench = bench().await;
    let alias = set("www.example.com", "CNAME", &["web.example.net"]);
    let address = set("www.example.com", "A", &["192.0.2.1"]);
    let text = set("www.example.com", "TXT", &["\"a\""]);
    bench.apply(vec![create(alias.clone())]);
    let there = bench.apply(vec![
        create(address.clone()),
        create(text.clone()),
        delete(alias.clone()),
    ]);
    assert_eq!(there, vec![Ok(Outcome::Applied); 3]);
    let back = bench.apply(vec![create(alias), delete(address), delete(text)]);
    assert_eq!(back, vec![Ok(Outcome::Applied); 3]);
    assert_eq!(bench.records("www", "CNAME"), ["web.example.net."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_for_a_successor_that_cannot_come() {
    let bench = bench().await;
    let alias = set("www.example.com", "CNAME", &["web.example.net"]);
    bench.apply(vec![create(alias.clone())]);
    let wrong = create(set("www.example.com", "A", &["not an address"]));
    let results = bench.apply(vec![wrong, delete(alias.clone())]);
    assert!(matches!(&results[1], Err(Error::Conflict(text)) if text.contains("was kept")));
    assert!(same(&bench.only("www.example.com"), &alias));

    let address = set("a.example.com", "A", &["192.0.2.1"]);
    let text = set("a.example.com", "TXT", &["\"a\""]);
    bench.apply(vec![create(address.clone()), create(text.clone())]);
    bench
        .service()
        .edit("a", "TXT", |rrset| rrset.protected = true);
    let alias = create(set("a.example.com", "CNAME", &["web.example.net"]));
    let results = bench.apply(vec![delete(address), delete(text), alias]);
    let conflict = |result: &Result<Outcome, Error>| matches!(result, Err(Error::Conflict(_)));
    assert!(results.iter().all(conflict), "{results:?}");
    assert_eq!(bench.records("a", "A"), ["192.0.2.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_set_is_left_alone_and_the_operator_told() {
    let bench = bench().await;
    let old = set("www.example.com", "A", &["192.0.2.1"]);
    let new = set("www.example.com", "A", &["192.0.2.2"]);
    bench.apply(vec![create(old.clone())]);
    bench
        .service()
        .edit("www", "A", |rrset| rrset.protected = true);
    let since = bench.front.seen().len();
    for change in [update(old.clone(), new), delete(old.clone())] {
        let results = bench.apply(vec![change]);
        assert!(
            matches!(&results[0], Err(Error::Conflict(text)) if text.contains("Hetzner Console")),
            "{results:?}"
        );
    }
    assert_eq!(bench.writes(since), [""; 0]);
    assert_eq!(bench.apply(vec![create(old)]), [Ok(Outcome::Already)]);
}
