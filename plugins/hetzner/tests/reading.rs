//! The provider against a stand-in for the service: what it reads, and what it asks for to do so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use std::cell::Cell;

use bench::{ZONE, bench, commented, host};
use portolan_hetzner::Hetzner;
use portolan_plugin::{
    Host, Provider,
    dns::{Error, Outcome},
    settings,
    testing::{TestHost, create, set},
};
use portolan_vendors::{Hetzner as Service, HetznerRrSet};

#[tokio::test(flavor = "multi_thread")]
async fn names_without_a_dot_are_read_as_the_zones() {
    let bench = bench().await;
    bench
        .service()
        .insert(commented("www", "CNAME", &[("web", "")]));
    bench
        .service()
        .insert(commented("@", "MX", &[("10 mail", ""), ("20 @", "")]));
    assert_eq!(
        bench.only("www.example.com").values[0].content,
        "web.example.com"
    );
    let apex = bench.read(Some("example.com"));
    let mx = apex.iter().find(|set| set.key.rtype == "MX").unwrap();
    let contents: Vec<&str> = mx
        .values
        .iter()
        .map(|value| value.content.as_str())
        .collect();
    assert_eq!(contents, ["10 mail.example.com", "20 example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_is_read_over_all_its_pages() {
    let bench = bench().await;
    for n in 0..1_203 {
        bench.service().insert(HetznerRrSet {
            ttl: Some(60),
            ..HetznerRrSet::new(&format!("n{n}"), "A", &["192.0.2.1"])
        });
    }
    // The name servers of the zone itself are one set more, its SOA another that is left out.
    assert_eq!(bench.read(None).len(), 1_204);
    let names = bench.front.seen().into_iter().map(|seen| seen.name);
    let pages = names.filter(|name| name == "GET /v1/zones/example.com/rrsets");
    assert_eq!(pages.count(), 13);

    // Before a change: name by name where that takes fewer requests, and all pages where it does not.
    let apply = |numbers: std::ops::Range<usize>| {
        let since = bench.front.seen().len();
        let wanted = |n: usize| create(set(&format!("m{n}.example.com"), "A", &["192.0.2.1"]));
        let count = numbers.len();
        let results = bench.apply(numbers.map(wanted).collect());
        assert_eq!(results, vec![Ok(Outcome::Applied); count]);
        // Each change is asked after once.
        bench.front.seen().len() - since - 2 * count
    };
    assert_eq!(apply(0..1), 1);
    // The first page says how many there are.
    assert_eq!(apply(1..10), 1 + 9);
    // One more for the zone's own TTL, by which its name servers go.
    assert_eq!(apply(10..23), 13 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_changes_between_pages_is_not_taken_for_smaller() {
    let bench = bench().await;
    for n in 0..250 {
        let rrset = HetznerRrSet::new(&format!("n{n:03}"), "A", &["192.0.2.1"]);
        bench.service().insert(rrset);
    }
    let read_with = |after_the_first_page: fn(&Service)| {
        let service = bench.service().clone();
        let direct = host(service.token());
        let pages = Cell::new(0);
        let meddling = TestHost::new(move |request| {
            let reply = direct.send(request);
            pages.set(pages.get() + 1);
            if pages.get() == 1 {
                after_the_first_page(&service);
            }
            reply
        });
        let meddling = meddling.credential("token", bench.service().token());
        bench.provider.read(&meddling, ZONE, None, None)
    };
    let fewer = read_with(|service| service.remove("n000", "A"));
    // The number stays the same, but what was read moves on to the next page.
    let shifted = read_with(|service| {
        service.insert(HetznerRrSet::new("a", "A", &["192.0.2.1"]));
        service.remove("n249", "A");
    });
    for read in [fewer, shifted] {
        assert!(
            matches!(&read, Err(Error::Transient(text)) if text.contains("changed meanwhile")),
            "{read:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn primary_zones_are_listed_page_by_page() {
    let bench = bench().await;
    let zones = |cursor: Option<&str>| {
        let page = bench.provider.zones(&bench.host, cursor).unwrap();
        let names: Vec<String> = page.zones.into_iter().map(|zone| zone.name).collect();
        (names, page.next)
    };
    assert_eq!(
        zones(None),
        (vec![ZONE.to_owned(), "example.net".to_owned()], None)
    );
    let lines = bench.provider.lines(&bench.host, ZONE).unwrap();
    assert_eq!((lines.len(), lines[0].code.as_str()), (1, "default"));

    for n in 0..50 {
        bench.service().add_zone(&format!("zone{n}.example"));
    }
    let (first, next) = zones(None);
    // The secondary zone is on the first page and is left out.
    assert_eq!((first.len(), next.as_deref()), (49, Some("2")));
    let (second, next) = zones(Some("2"));
    assert_eq!((second.len(), next), (3, None));
    let page = bench.provider.zones(&bench.host, None).unwrap();
    assert_eq!(page.zones[0].min_ttl, Some(60));
    assert!(matches!(
        bench.provider.zones(&bench.host, Some("x")),
        Err(Error::Invalid(_))
    ));
}

#[test]
fn settings_are_checked_without_the_service() {
    let check = |text: &str| settings::<Hetzner>(text).err();
    assert_eq!(check("{}"), None);
    assert!(matches!(
        check(r#"{"endpoint": "https://a/v1"}"#),
        Some(Error::Invalid(_))
    ));
    assert!(
        matches!(check(r#"{"token": "x"}"#), Some(Error::Invalid(text)) if text.contains("token"))
    );
}
