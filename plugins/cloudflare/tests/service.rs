//! The provider against a stand-in for the service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use bench::{ZONE, bench, host, provider};
use portolan_cloudflare::Cloudflare;
use portolan_plugin::{
    Provider,
    dns::{Change, Error, Outcome, RecordSet},
    sets::same,
    settings,
    testing::{TestHost, create, delete, set, update},
};
use portolan_vendors::CloudflareRecord;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_set_comes_changes_and_goes() {
    let bench = bench().await;
    let wanted = set("www.example.com", "A", &["192.0.2.1", "192.0.2.2"]);
    let neighbour = set("www.example.com", "TXT", &["\"x\""]);
    let since = bench.now();
    assert_eq!(
        bench.apply(vec![create(wanted.clone()), create(neighbour)]),
        [Ok(Outcome::Applied), Ok(Outcome::Applied)]
    );
    assert_eq!(bench.batches(since), 1, "both sets in one batch");
    assert_eq!(
        bench.apply(vec![create(wanted.clone())]),
        [Ok(Outcome::Already)]
    );

    let read = bench.read(Some("www.example.com"));
    let before = read[0].clone();
    assert!(same(&before, &wanted));
    let mut moved = set(
        "www.example.com",
        "A",
        &["192.0.2.2", "192.0.2.3", "192.0.2.4"],
    );
    moved.ttl = 900;
    let ids = |bench: &bench::Bench| -> Vec<String> {
        let records = bench.stub.records().into_iter();
        let addresses = records.filter(|record| record.rtype == "A");
        addresses.map(|record| record.id).collect()
    };
    let were = ids(&bench);
    let since = bench.now();
    assert_eq!(
        bench.apply(vec![update(before.clone(), moved.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.batches(since), 1);
    assert_eq!(ids(&bench)[..2], were, "updated in place");
    let records = bench.stub.records();
    assert!(
        records
            .iter()
            .all(|record| record.ttl == if record.rtype == "A" { 900 } else { 600 })
    );

    assert_eq!(bench.apply(vec![delete(before)]), [Ok(Outcome::Stale)]);
    let standing = bench.read(Some("www.example.com"))[0].clone();
    assert!(same(&standing, &moved));
    assert_eq!(
        bench.apply(vec![delete(standing.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.apply(vec![delete(standing)]), [Ok(Outcome::Already)]);
    assert_eq!(bench.stub.records().len(), 1, "the neighbour is untouched");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reads_back_as_normalize_says() {
    let bench = bench().await;
    let long = format!("\"{}\"", "x".repeat(600));
    let wanted = bench.normalize(vec![
        set("a.example.com", "A", &["192.0.2.1", "192.0.2.2"]),
        set("a.example.com", "AAAA", &["2001:DB8::0:1"]),
        set("c.example.com", "CNAME", &["Target.Example.NET."]),
        set(
            "example.com",
            "MX",
            &["10 mail.example.com.", "20 mail.example.com"],
        ),
        set("none.example.com", "MX", &["0 ."]),
        set(
            "example.com",
            "CAA",
            &[
                "0 issue \"letsencrypt.org\"",
                "128 iodef \"mailto:a@example.com\"",
            ],
        ),
        set("example.com", "CNAME", &["elsewhere.example.net"]),
        set(
            "sub.example.com",
            "NS",
            &["ns1.example.net", "ns2.example.net"],
        ),
        set("1.sub2.example.com", "PTR", &["host.example.net"]),
        set(
            "_s._tcp.example.com",
            "SRV",
            &["1 2 443 host.example.com", "1 3 443 b.example.com"],
        ),
        set(
            "t.example.com",
            "TXT",
            &[
                "\"v=spf1 -all\"",
                "\"a\" \"+ ~*%20\"",
                r#""\195\169 \"q\" \\""#,
                &long,
                "\"\"",
            ],
        ),
        set("*.w.example.com", "A", &["192.0.2.3"]),
        set("xn--bcher-kva.example.com", "A", &["192.0.2.4"]),
    ]);
    assert_eq!(bench.normalize(wanted.clone()), wanted);

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
        assert!(bench.read(Some(&set.key.name)).contains(found));
    }
    let since = bench.now();
    assert_eq!(
        bench.apply(changes()),
        vec![Ok(Outcome::Already); wanted.len()]
    );
    assert_eq!(bench.batches(since), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_cannot_hold_is_refused_with_the_reason() {
    let bench = bench().await;
    let many: Vec<String> = (0..201)
        .map(|n| format!("192.0.{}.{}", n / 250, n % 250))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let huge = format!("\"{}\"", "x".repeat(9_000));
    let mut on_line = set("www.example.com", "A", &["192.0.2.1"]);
    on_line.key.line = "CT".to_owned();
    let answers = bench.provider.normalize(
        &bench.host,
        ZONE,
        vec![
            set("www.example.com", "A", &many),
            set("t.example.com", "TXT", &[&huge]),
            set("c.example.com", "CAA", &[r#"0 issue "\255""#]),
            set("www.example.com", "A", &["-192.0.2.1"]),
            set("www.example.org", "A", &["192.0.2.1"]),
            on_line,
        ],
    );
    let answers = answers.unwrap();
    assert!(matches!(&answers[0], Err(Error::Invalid(text)) if text.contains("201 values")));
    assert!(matches!(&answers[1], Err(Error::Invalid(text)) if text.contains("8192")));
    assert!(matches!(&answers[2], Err(Error::Unsupported(text)) if text.contains("UTF-8")));
    assert!(matches!(&answers[3], Err(Error::Unsupported(_))));
    assert!(matches!(&answers[4], Err(Error::Invalid(text)) if text.contains("example.org")));
    assert!(matches!(&answers[5], Err(Error::Unsupported(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn ttls_are_clamped_to_the_bounds_of_the_plan() {
    let bench = bench().await;
    let ttls = || {
        let wanted = [0, 1, 45, 700, 100_000].map(|ttl| RecordSet {
            ttl,
            ..set("www.example.com", "A", &["192.0.2.1"])
        });
        let sets = bench.normalize(wanted.to_vec());
        sets.into_iter().map(|set| set.ttl).collect::<Vec<_>>()
    };
    assert_eq!(ttls(), [60, 1, 60, 700, 86_400]);
    bench.stub.set_plan(ZONE, "enterprise");
    assert_eq!(ttls(), [30, 1, 45, 700, 86_400]);
    let since = bench.now();
    assert_eq!(
        bench.provider.normalize(&bench.host, ZONE, Vec::new()),
        Ok(Vec::new())
    );
    assert_eq!(bench.now(), since);

    let mut wanted = set("www.example.com", "A", &["192.0.2.1"]);
    wanted.ttl = 1;
    bench.apply(vec![create(wanted.clone())]);
    let before = bench.only("www.example.com");
    assert_eq!(before.ttl, 1);
    wanted.ttl = 300;
    assert_eq!(
        bench.apply(vec![update(before, wanted.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert!(
        same(&bench.only("www.example.com"), &wanted),
        "the TTL alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxied_set_has_the_automatic_ttl_and_no_perpetual_difference() {
    let bench = bench().await;
    bench.stub.insert(CloudflareRecord {
        proxied: true,
        ..CloudflareRecord::new("www.example.com", "A", "192.0.2.1")
    });
    let before = bench.only("www.example.com");
    assert_eq!((before.ttl, before.extras.contains("proxied")), (1, true));

    let wanted = set("www.example.com", "A", &["192.0.2.1"]);
    let beside = set("www.example.com", "TXT", &["\"x\""]);
    let other = set("other.example.com", "A", &["192.0.2.1"]);
    let since = bench.now();
    let normal = bench.normalize(vec![wanted.clone(), beside, other]);
    assert_eq!(
        bench.now() - since,
        2,
        "the zone's id and its proxied records"
    );
    assert_eq!(
        normal.iter().map(|set| set.ttl).collect::<Vec<_>>(),
        [1, 600, 600]
    );
    assert!(same(&before, &normal[0]));
    assert_eq!(bench.normalize(normal.clone()), normal);
    // Nor is there one for who did not ask how it reads back.
    assert_eq!(bench.apply(vec![create(wanted)]), [Ok(Outcome::Already)]);

    let more = set("www.example.com", "A", &["192.0.2.2", "192.0.2.3"]);
    assert_eq!(
        bench.apply(vec![update(before, more)]),
        [Ok(Outcome::Applied)]
    );
    let records = bench.stub.records();
    assert!(
        records.len() == 2
            && records
                .iter()
                .all(|record| record.proxied && record.ttl == 1),
        "an added record is behind the proxy as the set is: {records:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_managed_survives_an_update() {
    let bench = bench().await;
    bench.stub.insert(CloudflareRecord {
        proxied: true,
        comment: Some("rack 7".to_owned()),
        tags: vec!["owner:dns".to_owned()],
        settings: json!({ "ipv4_only": true }),
        ..CloudflareRecord::new("www.example.com", "A", "192.0.2.1")
    });
    let before = bench.only("www.example.com");
    for part in ["proxied", "rack 7", "owner:dns", "ipv4-only"] {
        assert!(before.extras.contains(part), "{}", before.extras);
    }
    let after = set("www.example.com", "A", &["192.0.2.2"]);
    assert_eq!(
        bench.apply(vec![update(before, after)]),
        [Ok(Outcome::Applied)]
    );
    let record = bench.stub.records().remove(0);
    assert_eq!(record.content, "192.0.2.2");
    assert!(record.proxied);
    assert_eq!(record.comment.as_deref(), Some("rack 7"));
    assert_eq!(record.tags, ["owner:dns"]);
    assert_eq!(record.settings, json!({ "ipv4_only": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_and_an_address_change_places_in_one_transaction() {
    let bench = bench().await;
    bench.stub.insert(CloudflareRecord::new(
        "www.example.com",
        "CNAME",
        "www.example.net",
    ));
    let alias = bench.only("www.example.com");
    let address = set("www.example.com", "A", &["192.0.2.1"]);
    let since = bench.now();
    let results = bench.apply(vec![create(address.clone()), delete(alias)]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(bench.batches(since), 1);
    let standing = bench.only("www.example.com");
    assert!(same(&standing, &address));

    let alias = set("www.example.com", "CNAME", &["www.example.net"]);
    let results = bench.apply(vec![create(alias.clone()), delete(standing)]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert!(same(&bench.only("www.example.com"), &alias));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_batch_takes_several() {
    let bench = bench().await;
    let change = |n: u32| {
        create(set(
            &format!("n{n}.example.com"),
            "A",
            &["192.0.2.1", "192.0.2.2"],
        ))
    };
    let changes: Vec<Change> = (0..150).map(change).collect();
    let since = bench.now();
    assert_eq!(
        bench.apply(changes.clone()),
        vec![Ok(Outcome::Applied); 150]
    );
    assert_eq!(bench.batches(since), 2, "300 records, 200 at once");

    bench.stub.set_plan(ZONE, "pro");
    let goes = bench.read(None).into_iter().map(delete).collect::<Vec<_>>();
    let since = bench.now();
    assert_eq!(bench.apply(goes), vec![Ok(Outcome::Applied); 150]);
    assert_eq!(bench.batches(since), 1);

    let wide: Vec<String> = (0..201)
        .map(|n| format!("192.0.{}.{}", n / 250, n % 250))
        .collect();
    for content in &wide {
        bench
            .stub
            .insert(CloudflareRecord::new("wide.example.com", "A", content));
    }
    bench.stub.set_plan(ZONE, "free");
    let before = bench.only("wide.example.com");
    let since = bench.now();
    let results = bench.apply(vec![delete(before)]);
    assert!(
        matches!(&results[0], Err(Error::Unsupported(text)) if text.contains("201 records")),
        "never in pieces: {results:?}"
    );
    assert_eq!(bench.batches(since), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_is_read_whole() {
    let bench = bench().await;
    for n in 0..5_500 {
        let name = format!("n{}.example.com", n / 2);
        bench.stub.insert(CloudflareRecord::new(
            &name,
            "A",
            &format!("192.0.2.{}", n % 2),
        ));
    }
    bench
        .stub
        .insert(CloudflareRecord::new("n1.example.net", "A", "192.0.2.1"));
    let sets = bench.read(None);
    assert_eq!(sets.len(), 2_750);
    assert!(sets.iter().all(|set| set.values.len() == 2), "none is torn");
    let since = bench.now();
    assert_eq!(bench.only("n2.example.com").values.len(), 2);
    assert_eq!(
        bench.now() - since,
        2,
        "the zone's id and the name's records"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_changes_between_pages_is_not_taken_for_smaller() {
    let bench::Bench { stub, provider, .. } = bench().await;
    let ids: Vec<String> = (0..5_100)
        .map(|n| {
            stub.insert(CloudflareRecord::new(
                &format!("n{n}.example.com"),
                "A",
                "192.0.2.1",
            ))
        })
        .collect();
    let direct = TestHost::on_loopback();
    let stub = std::rc::Rc::new(stub);
    let watched = stub.clone();
    // A record of the first page goes once that is read, so that another moves there.
    let host = TestHost::new(move |request| {
        let reply = portolan_plugin::Host::send(&direct, request);
        if request.url.contains("dns_records") {
            watched.remove(&ids[0]);
        }
        reply
    })
    .credential("api-token", bench::TOKEN);
    let read = provider.read(&host, ZONE, None, None);
    assert!(
        matches!(&read, Err(Error::Transient(text)) if text.contains("changed meanwhile")),
        "{read:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_exact_name_is_read_and_only_known_types() {
    let bench = bench().await;
    for name in ["www", "a.www", "awww"] {
        bench.stub.insert(CloudflareRecord::new(
            &format!("{name}.example.com"),
            "A",
            "192.0.2.1",
        ));
    }
    bench
        .stub
        .insert(CloudflareRecord::new("example.com", "A", "192.0.2.1"));
    bench
        .stub
        .insert(CloudflareRecord::new("www.example.com", "TLSA", "3 1 1 00"));
    assert_eq!(bench.only("www.example.com").key.name, "www.example.com");
    assert_eq!(bench.only("example.com").key.name, "example.com");
    assert_eq!(bench.read(None).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_are_listed_in_a_labels_and_found_by_them() {
    let names: Vec<String> = (0..59).map(|n| format!("zone{n}.example")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("xn--bcher-kva.example");
    let stub = portolan_vendors::CloudflareStub::start(bench::TOKEN, &names).await;
    stub.show_zone_as("xn--bcher-kva.example", "bücher.example");
    stub.set_kind("zone1.example", "secondary");
    stub.set_plan("zone2.example", "enterprise");
    let (provider, host) = (provider(&stub.url()), host(bench::TOKEN));

    let first = provider.zones(&host, None).unwrap();
    assert_eq!((first.zones.len(), first.next.as_deref()), (49, Some("2")));
    assert!(!first.zones.iter().any(|zone| zone.name == "zone1.example"));
    let min_ttls: Vec<_> = first.zones[..2].iter().map(|zone| zone.min_ttl).collect();
    assert_eq!(min_ttls, [Some(60), Some(30)]);
    let second = provider.zones(&host, Some("2")).unwrap();
    assert_eq!((second.zones.len(), second.next), (10, None));
    let idn = &second.zones[9].name;
    assert_eq!(idn, "xn--bcher-kva.example");
    let wanted = set("www.xn--bcher-kva.example", "A", &["192.0.2.1"]);
    assert_eq!(
        provider.apply(&host, idn, vec![create(wanted)]).unwrap(),
        [Ok(Outcome::Applied)]
    );
    assert!(matches!(
        provider.zones(&host, Some("x")),
        Err(Error::Invalid(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_zones_of_one_name_the_active_one_is_meant() {
    let stub = portolan_vendors::CloudflareStub::start(bench::TOKEN, &[ZONE, ZONE]).await;
    let (provider, host) = (provider(&stub.url()), host(bench::TOKEN));
    let read = provider.read(&host, ZONE, None, None);
    assert!(matches!(&read, Err(Error::Conflict(text)) if text.contains("more than one")));
    stub.set_status(ZONE, "pending");
    assert!(provider.read(&host, ZONE, None, None).is_ok());
}

#[test]
fn settings_are_checked_without_the_service() {
    let bind = |text: &str| settings::<Cloudflare>(text).err();
    assert_eq!(bind("{}"), None);
    assert!(matches!(
        bind(r#"{"endpoint": "https://api.cloudflare.com/client/v4"}"#),
        Some(Error::Invalid(_))
    ));
    assert!(
        matches!(bind(r#"{"token": "x"}"#), Some(Error::Invalid(text)) if text.contains("token"))
    );
}
