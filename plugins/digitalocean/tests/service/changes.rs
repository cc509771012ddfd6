//! What is read, and what becomes of changes, when all goes well.

use portolan_digitalocean::DigitalOcean;
use portolan_plugin::{
    Provider,
    dns::{Change, Error, RecordSet},
    sets::same,
    settings,
    testing::{create, delete, set, update},
};
use portolan_vendors::{DigitalOcean as Service, DoRecord};

use crate::bench::{ALREADY, APPLIED, STALE, bench, on, with_ttl};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_set_comes_changes_and_goes() {
    let bench = bench().await;
    bench.insert("www", "TXT", "a neighbour");
    bench.insert("a.www", "A", "192.0.2.9");
    let wanted = set("www.example.com", "A", &["192.0.2.1", "192.0.2.2"]);
    assert_eq!(bench.apply(vec![create(wanted.clone())]), [APPLIED]);
    assert_eq!(bench.apply(vec![create(wanted.clone())]), [ALREADY]);
    assert_eq!(
        bench.held()[2..],
        ["www A 192.0.2.1 600", "www A 192.0.2.2 600"]
    );
    let of = |rtype: &str| {
        let sets = bench.read(Some("www.example.com"));
        let found = sets.into_iter().find(|set| set.key.rtype == rtype);
        found.unwrap()
    };
    let before = of("A");
    assert!(same(&before, &wanted));

    // One value in the place of another, and one more: no moment without an answer.
    let since = bench.now();
    let more = set(
        "www.example.com",
        "A",
        &["192.0.2.2", "192.0.2.3", "192.0.2.4"],
    );
    let change = update(before.clone(), more.clone());
    assert_eq!(bench.apply(vec![change.clone()]), [APPLIED]);
    assert_eq!(bench.writes(since).len(), 2);
    assert!(!bench.writes(since).contains(&"DELETE".to_owned()));
    assert!(same(&of("A"), &more));
    assert_eq!(bench.apply(vec![change]), [ALREADY]);
    assert_eq!(bench.apply(vec![delete(before)]), [STALE]);

    // The TTL alone.
    let since = bench.now();
    let slower = with_ttl(900, more.clone());
    assert_eq!(
        bench.apply(vec![update(of("A"), slower.clone())]),
        [APPLIED]
    );
    assert_eq!(bench.writes(since), ["PUT"; 3]);
    assert!(same(&of("A"), &slower));

    let last = of("A");
    assert_eq!(bench.apply(vec![delete(last.clone())]), [APPLIED]);
    assert_eq!(bench.apply(vec![delete(last)]), [ALREADY]);
    assert_eq!(
        bench.held(),
        ["www TXT a neighbour 1800", "a.www A 192.0.2.9 1800"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reads_back_as_normalize_says() {
    let bench = bench().await;
    let long = format!("\"{}\"", "x".repeat(300));
    let wanted = vec![
        set("example.com", "A", &["192.0.2.1"]),
        set("*.w.example.com", "A", &["192.0.2.3"]),
        set(
            "xn--bcher-kva.example.com",
            "AAAA",
            &["2001:DB8::0:1", "::1"],
        ),
        set("c.example.com", "CNAME", &["Target.Example.NET."]),
        set("apex.example.com", "CNAME", &["example.com"]),
        set(
            "example.com",
            "MX",
            &[
                "10 mail.example.com.",
                "20 mail.example.com",
                "5 example.com",
            ],
        ),
        set(
            "example.com",
            "CAA",
            &[
                "0 issue letsencrypt.org.",
                "0 issuewild \";\"",
                "128 iodef \"mailto:ca@example.com\"",
            ],
        ),
        set("sub.example.com", "NS", &["ns1.example.net"]),
        set(
            "_s._tcp.example.com",
            "SRV",
            &["1 2 443 host.example.com", "1 3 443 host.example.com"],
        ),
        set("_t._tcp.example.com", "SRV", &["0 0 0 ."]),
        set(
            "t.example.com",
            "TXT",
            &[
                "\"v=spf1 -all\"",
                "\"a\" \"+ ~*%20; \"",
                r#""say \"ah\"""#,
                &long,
            ],
        ),
    ];
    let normalize = |sets| -> Vec<RecordSet> {
        let answers = bench.normalize(sets);
        answers.into_iter().map(Result::unwrap).collect()
    };
    let wanted = normalize(wanted);
    assert_eq!(normalize(wanted.clone()), wanted);

    let changes = || wanted.iter().cloned().map(create).collect::<Vec<_>>();
    assert_eq!(bench.apply(changes()), vec![APPLIED; wanted.len()]);
    let standing = bench.read(None);
    assert_eq!(standing.len(), wanted.len());
    for set in &wanted {
        let found = standing.iter().find(|other| other.key == set.key).unwrap();
        assert!(same(found, set), "{found:?} is not {set:?}");
        let named = bench.read(Some(&set.key.name));
        assert!(named.contains(found), "{named:?} lacks {found:?}");
    }
    assert_eq!(bench.apply(changes()), vec![ALREADY; wanted.len()]);
    let held = bench.held();
    for line in [
        "@ A 192.0.2.1 600",
        "apex CNAME @ 600",
        "c CNAME target.example.net 600",
        "@ CAA letsencrypt.org 600",
        "t TXT a+ ~*%20;  600",
    ] {
        assert!(held.contains(&line.to_owned()), "{line}: {held:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn normalize_clamps_the_ttl_and_refuses_what_cannot_be_held() {
    let bench = bench().await;
    let plain = || set("www.example.com", "A", &["192.0.2.1"]);
    let ttls = [0, 700, u32::MAX].map(|ttl| with_ttl(ttl, plain()));
    let answers = bench.normalize(ttls.to_vec());
    let ttls: Vec<u32> = answers
        .into_iter()
        .map(|answer| answer.unwrap().ttl)
        .collect();
    assert_eq!(ttls, [30, 700, 2_147_483_647]);
    assert_eq!(bench.now(), 0, "it needs no request");

    let mut line = plain();
    line.key.line = "CT".to_owned();
    let too_long = format!("\"{}\"", "x".repeat(510));
    let refused = bench.normalize(vec![
        line,
        set("www.example.com", "A", &["-192.0.2.1"]),
        set("t.example.com", "TXT", &[r#""\255""#]),
        set("t.example.com", "TXT", &[r#""a\\b""#]),
        set("t.example.com", "TXT", &["\"\""]),
        set("t.example.com", "TXT", &[&too_long]),
        set("www.example.com", "MX", &["0 ."]),
        set("www.example.com", "PTR", &["a.example.com"]),
    ]);
    for answer in refused {
        assert!(matches!(answer, Err(Error::Unsupported(_))), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_content_are_one_value_and_a_change_leaves_one() {
    let bench = bench().await;
    let twins: Vec<u64> = (0..3)
        .map(|_| bench.insert("www", "A", "192.0.2.1"))
        .collect();
    let standing = bench.only("www.example.com");
    assert_eq!(standing.values.len(), 1);
    for id in &twins {
        assert!(
            standing.handle.contains(&id.to_string()),
            "{}",
            standing.handle
        );
    }

    // Nothing is wanted that does not stand: nothing is done.
    let since = bench.now();
    let wanted = set("www.example.com", "A", &["192.0.2.1"]);
    let alike = with_ttl(1800, wanted.clone());
    assert_eq!(
        bench.apply(vec![update(standing.clone(), alike)]),
        [ALREADY]
    );
    assert_eq!(bench.writes(since), [""; 0]);

    // A change cleans up: what is too much becomes what is missing, or goes.
    let two = set("www.example.com", "A", &["192.0.2.1", "192.0.2.2"]);
    assert_eq!(bench.apply(vec![update(standing, two)]), [APPLIED]);
    let mut held = bench.held();
    held.sort();
    assert_eq!(held, ["www A 192.0.2.1 600", "www A 192.0.2.2 600"]);

    // So does the removal of all.
    bench.insert("www", "A", "192.0.2.2");
    let standing = bench.only("www.example.com");
    assert_eq!(bench.apply(vec![delete(standing)]), [APPLIED]);
    assert_eq!(bench.held(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_gives_a_set_one_ttl_is_understood() {
    let bench = bench().await;
    bench.front.service().share_ttls();
    let wanted = set("www.example.com", "A", &["192.0.2.1"]);
    bench.apply(vec![create(wanted)]);
    let before = bench.only("www.example.com");
    let after = with_ttl(60, set("www.example.com", "A", &["192.0.2.1", "192.0.2.2"]));
    assert_eq!(bench.apply(vec![update(before, after.clone())]), [APPLIED]);
    assert!(same(&bench.only("www.example.com"), &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_differ_in_ttl_get_one() {
    let bench = bench().await;
    bench.insert("www", "A", "192.0.2.1");
    let id = bench.insert("www", "A", "192.0.2.2");
    bench.front.service().edit(id, |record| record.ttl = 60);
    let before = bench.only("www.example.com");
    assert_eq!(before.ttl, 60, "the smallest");
    let after = set("www.example.com", "A", &["192.0.2.1", "192.0.2.2"]);
    assert_eq!(bench.apply(vec![update(before, after.clone())]), [APPLIED]);
    assert!(same(&bench.only("www.example.com"), &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_gives_way_to_an_address() {
    let bench = bench().await;
    bench.insert("www", "CNAME", "www.example.net");
    let alias = bench.only("www.example.com");
    let address = set("www.example.com", "A", &["192.0.2.1"]);
    let results = bench.apply(vec![create(address.clone()), delete(alias)]);
    assert_eq!(results, [APPLIED, APPLIED]);
    assert!(same(&bench.only("www.example.com"), &address));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_is_read_over_all_its_pages() {
    let bench = bench().await;
    for n in 0..1_203 {
        let address = format!("192.0.{}.{}", n / 250, n % 250);
        bench.insert(&format!("n{}", n % 602), "A", &address);
    }
    let sets = bench.read(None);
    assert_eq!(sets.len(), 602);
    assert_eq!(
        sets.iter().map(|set| set.values.len()).sum::<usize>(),
        1_203
    );
    assert_eq!(bench.now(), 7);

    // A service that gives fewer than it was asked for.
    bench.front.service().cap_pages(20);
    assert_eq!(bench.read(None), sets);
    assert_eq!(bench.now(), 7 + 61);
    for n in 0..45 {
        bench.insert("many", "A", &format!("192.0.2.{n}"));
    }
    assert_eq!(bench.only("many.example.com").values.len(), 45);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_exact_name_is_read_and_changed() {
    let bench = bench().await;
    for name in ["www", "a.www", "awww", "@", "*", "*.www"] {
        bench.insert(name, "A", "192.0.2.1");
    }
    let soa = DoRecord::new("@", "SOA", "1800");
    bench.front.service().insert(soa);
    let elsewhere = DoRecord {
        zone: "example.net".to_owned(),
        ..DoRecord::new("www", "A", "192.0.2.1")
    };
    bench.front.service().insert(elsewhere);
    for name in ["www", "*", "*.www"] {
        let name = format!("{name}.example.com");
        assert_eq!(bench.only(&name).key.name, name);
    }
    assert_eq!(
        bench.only("example.com").key.rtype,
        "A",
        "the SOA is left out"
    );
    assert_eq!(bench.read(None).len(), 6);

    let wildcard = bench.only("*.example.com");
    let after = set("*.example.com", "A", &["192.0.2.5"]);
    assert_eq!(bench.apply(vec![update(wildcard, after)]), [APPLIED]);
    let changed = bench
        .held()
        .into_iter()
        .filter(|held| held.contains("192.0.2.5"));
    assert_eq!(changed.collect::<Vec<_>>(), ["* A 192.0.2.5 600"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changed_names_are_read_with_the_whole_zone() {
    let bench = bench().await;
    let wanted = |n: u32| create(set(&format!("m{n}.example.com"), "A", &["192.0.2.1"]));
    let changes: Vec<Change> = (0..9).map(wanted).collect();
    assert_eq!(bench.apply(changes.clone()), vec![APPLIED; 9]);
    let since = bench.now();
    assert_eq!(bench.apply(changes), vec![ALREADY; 9]);
    assert_eq!(bench.now() - since, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_are_listed_page_by_page() {
    let names: Vec<String> = (0..250).map(|n| format!("zone{n}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bench = on(Service::with_zones(&names)).await;
    let first = bench.provider.zones(&bench.host, None).unwrap();
    assert_eq!((first.zones.len(), first.next.as_deref()), (200, Some("2")));
    assert_eq!(first.zones[0].min_ttl, Some(30));
    let second = bench.provider.zones(&bench.host, Some("2")).unwrap();
    assert_eq!((second.zones.len(), second.next), (50, None));
    let wrong = bench.provider.zones(&bench.host, Some("x"));
    assert!(matches!(wrong, Err(Error::Invalid(_))));
}

#[test]
fn settings_are_checked_without_the_service() {
    let bind = |text: &str| settings::<DigitalOcean>(text).err();
    assert_eq!(bind("{}"), None);
    assert_eq!(bind(r#"{"endpoint": "https://api.example.com"}"#), None);
    assert!(matches!(
        bind(r#"{"endpoint": "api"}"#),
        Some(Error::Invalid(_))
    ));
    assert!(
        matches!(bind(r#"{"token": "x"}"#), Some(Error::Invalid(text)) if text.contains("token"))
    );
}
