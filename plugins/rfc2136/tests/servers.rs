//! The provider against BIND and Knot on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use std::slice;

use bench::{Bench, ZONE};
use portolan_plugin::{
    Provider,
    dns::{Error, Features, Outcome, RecordKey, RecordSet},
    testing::{create, delete, set, update},
};
use portolan_rfc2136::Rfc2136;
use portolan_vendors::{Vendor, When};

/// One test for each server.
macro_rules! on_each_server {
    ($($story:ident),* $(,)?) => {
        mod bind {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Bench::bind().await);
            })*
        }
        mod powerdns {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Bench::powerdns().await);
            })*
        }
        mod knot {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Bench::knot().await);
            })*
        }
    };
}

on_each_server! {
    a_record_set_comes_changes_and_goes,
    every_type_reads_back_as_it_was_normalized,
    only_the_set_in_question_is_touched,
    what_moved_meanwhile_is_stale,
    a_set_that_changes_after_it_was_read_is_never_overwritten,
    many_changes_leave_in_one_message,
    a_bad_change_does_not_block_the_others,
    a_large_zone_is_read_and_changed,
    a_cname_never_clashes,
    a_cname_and_an_address_swap_places,
    a_wildcard_is_not_taken_for_what_it_answers,
    what_lies_behind_a_delegation_is_read,
    nameservers_of_the_zone_are_replaced,
    the_case_of_host_names_does_not_matter,
    zones_are_those_that_the_server_has,
    a_wrong_key_is_told,
    a_zone_that_is_not_there_is_told,
}

fn a(name: &str, contents: &[&str]) -> RecordSet {
    set(&format!("{name}.{ZONE}"), "A", contents)
}

fn a_record_set_comes_changes_and_goes(bench: Bench) {
    let (one, two) = (
        a("www", &["192.0.2.1"]),
        a("www", &["192.0.2.1", "192.0.2.2"]),
    );
    let slow = RecordSet {
        ttl: 7_200,
        ..two.clone()
    };
    assert_eq!(
        bench.apply(vec![create(one.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.shown("www"), ["600 A 192.0.2.1"]);
    assert_eq!(
        bench.apply(vec![create(one.clone())]),
        [Ok(Outcome::Already)]
    );
    assert_eq!(bench.apply(vec![create(two.clone())]), [Ok(Outcome::Stale)]);

    assert_eq!(
        bench.apply(vec![update(one.clone(), two.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.shown("www"), ["600 A 192.0.2.1", "600 A 192.0.2.2"]);
    assert_eq!(
        bench.apply(vec![update(two.clone(), slow.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.shown("www"), ["7200 A 192.0.2.1", "7200 A 192.0.2.2"]);
    assert_eq!(
        bench.apply(vec![update(two.clone(), slow.clone())]),
        [Ok(Outcome::Already)]
    );
    assert_eq!(bench.apply(vec![delete(one)]), [Ok(Outcome::Stale)]);
    assert_eq!(
        bench.apply(vec![delete(two)]),
        [Ok(Outcome::Stale)],
        "another TTL"
    );

    assert_eq!(
        bench.apply(vec![delete(slow.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.shown("www"), [""; 0]);
    assert_eq!(bench.apply(vec![delete(slow)]), [Ok(Outcome::Already)]);
}

fn every_type_reads_back_as_it_was_normalized(bench: Bench) {
    let long = format!("\"{}\"", "x".repeat(600));
    let name = |name: &str| match name {
        "@" => ZONE.to_owned(),
        name => format!("{name}.{ZONE}"),
    };
    for (owner, rtype, contents) in [
        ("@", "A", &["192.0.2.1", "192.0.2.2"][..]),
        ("@", "TXT", &["\"v=spf1 -all\""]),
        ("v6", "AAAA", &["2001:DB8::0:1", "::ffff:192.0.2.1"]),
        (
            "caa",
            "CAA",
            &["0 ISSUE ca.example", "128 iodef \"mailto:a@b.example\""],
        ),
        ("alias", "CNAME", &["Target.example.net."]),
        ("mx", "MX", &["10 mail.example.net", "0 ."]),
        ("sub", "NS", &["ns1.example.net"]),
        ("1", "PTR", &["host.example.net"]),
        ("_sip._tcp", "SRV", &["1 2 443 host.example.net"]),
        (
            "text",
            "TXT",
            &[r#""a \"b\" \\ ; , \195\169" "" "second""#, &long],
        ),
        ("*", "A", &["192.0.2.1"]),
        ("xn--fiq228c", "A", &["192.0.2.1"]),
    ] {
        let mut wanted = set(&name(owner), rtype, contents);
        wanted.ttl = u32::MAX;
        let normal = bench.normalize(wanted).unwrap();
        assert_eq!(normal.ttl, i32::MAX as u32);
        assert_eq!(bench.normalize(normal.clone()), Ok(normal.clone()));
        assert_eq!(
            bench.apply(vec![create(normal.clone())]),
            [Ok(Outcome::Applied)],
            "{rtype}"
        );
        for read in [bench.read(&normal.key.name), bench.read_zone()] {
            let stands = read.into_iter().find(|set| set.key == normal.key);
            bench::assert_same(stands.as_ref(), &normal);
        }
        assert_eq!(
            bench.apply(vec![delete(normal)]),
            [Ok(Outcome::Applied)],
            "{rtype}"
        );
    }
}

fn only_the_set_in_question_is_touched(bench: Bench) {
    bench.server.nsupdate(
        "default",
        "update add www.example.com. 60 AAAA 2001:db8::1\n\
         update add www.example.com. 60 TXT \"mine\"\n\
         update add www.example.com. 60 SSHFP 1 1 0123456789abcdef0123456789abcdef01234567\n\
         update add www.sub.example.com. 60 A 192.0.2.7",
    );
    let others = bench.zone_shown();
    let (old, new) = (a("www", &["192.0.2.1"]), a("www", &["192.0.2.2"]));
    let steps = [create(old.clone()), update(old, new.clone()), delete(new)];
    for change in steps {
        assert_eq!(bench.apply(vec![change]), [Ok(Outcome::Applied)]);
        let mut shown = bench.zone_shown();
        shown.retain(|line| !line.contains(" A 192.0.2.1") && !line.contains(" A 192.0.2.2"));
        assert_eq!(shown, others);
    }
    let types: Vec<String> = bench
        .read_zone()
        .into_iter()
        .map(|set| set.key.rtype)
        .collect();
    assert!(!types.contains(&"SSHFP".to_owned()) && !types.contains(&"SOA".to_owned()));
}

fn what_moved_meanwhile_is_stale(bench: Bench) {
    let (ours, wanted) = (a("www", &["192.0.2.1"]), a("www", &["192.0.2.2"]));
    bench.apply(vec![create(ours.clone())]);
    bench
        .server
        .nsupdate("default", "update add www.example.com. 600 A 192.0.2.99");
    assert_eq!(
        bench.apply(vec![update(ours.clone(), wanted)]),
        [Ok(Outcome::Stale)]
    );
    assert_eq!(bench.apply(vec![delete(ours)]), [Ok(Outcome::Stale)]);
    assert_eq!(bench.shown("www"), ["600 A 192.0.2.1", "600 A 192.0.2.99"]);
}

/// Between the read of an `apply` and its update there is a moment. Here the other writer comes exactly
/// then, which a host that reads in its place makes sure of.
fn a_set_that_changes_after_it_was_read_is_never_overwritten(bench: Bench) {
    let (ours, wanted) = (a("www", &["192.0.2.1"]), a("www", &["192.0.2.2"]));
    let other = a("new", &["192.0.2.1"]);
    bench.apply(vec![create(ours.clone())]);
    let slips_in = "update add www.example.com. 600 A 192.0.2.99\n\
                    update add new.example.com. 600 A 192.0.2.99";
    let changes = vec![
        update(ours, wanted),
        create(other),
        create(a("good", &["192.0.2.1"])),
    ];
    let results = bench.apply_with_slip(slips_in, changes);
    assert_eq!(
        results,
        [Ok(Outcome::Stale), Ok(Outcome::Stale), Ok(Outcome::Applied)]
    );
    assert_eq!(bench.shown("www"), ["600 A 192.0.2.1", "600 A 192.0.2.99"]);
    assert_eq!(bench.shown("new"), ["600 A 192.0.2.99"]);

    // And one who wanted the same is no enemy.
    let same = "update add same.example.com. 600 A 192.0.2.1";
    let results = bench.apply_with_slip(same, vec![create(a("same", &["192.0.2.1"]))]);
    assert_eq!(results, [Ok(Outcome::Already)]);
}

fn many_changes_leave_in_one_message(bench: Bench) {
    let serial = bench.serial();
    let changes = (0..50).map(|number| create(a(&format!("many-{number}"), &["192.0.2.1"])));
    let results = bench.apply(changes.collect());
    assert_eq!(results, vec![Ok(Outcome::Applied); 50]);
    assert_eq!(bench.updates(), 1);
    assert_eq!(bench.serial(), serial + 1);
}

fn a_bad_change_does_not_block_the_others(bench: Bench) {
    bench.apply(vec![create(set(
        "alias.example.com",
        "CNAME",
        &["target.example.net"],
    ))]);
    let mut changes: Vec<_> = (0..20)
        .map(|number| create(a(&format!("good-{number}"), &["192.0.2.1"])))
        .collect();
    changes.insert(7, create(a("alias", &["192.0.2.1"])));
    changes.insert(9, create(set("www.example.org", "A", &["192.0.2.1"])));
    let mut results = bench.apply(changes);
    assert!(matches!(results.remove(9), Err(Error::Invalid(_))));
    let clash = results.remove(7);
    assert!(
        matches!(&clash, Err(Error::Conflict(text)) if text.contains("alias.example.com is a CNAME")),
        "{clash:?}"
    );
    assert_eq!(results, vec![Ok(Outcome::Applied); 20]);
    assert!(
        bench.updates() <= 12,
        "in halves, not one by one: {}",
        bench.updates()
    );
}

fn a_large_zone_is_read_and_changed(bench: Bench) {
    let names: Vec<String> = (0..1_050)
        .map(|number| format!("large-{number:04}"))
        .collect();
    let text = format!("\"{}\"", "t".repeat(200));
    let sets: Vec<RecordSet> = names
        .iter()
        .map(|name| set(&format!("{name}.{ZONE}"), "TXT", &[&text]))
        .collect();
    for sets in sets.chunks(350) {
        let results = bench.apply(sets.iter().cloned().map(create).collect());
        assert!(results.iter().all(|result| *result == Ok(Outcome::Applied)));
    }
    let read = bench.read_zone();
    let large: Vec<&RecordSet> = read
        .iter()
        .filter(|set| set.key.name.starts_with("large-"))
        .collect();
    assert_eq!(large.len(), 1_050, "of several messages");
    let results = bench.apply(sets.into_iter().map(delete).collect());
    assert!(results.iter().all(|result| *result == Ok(Outcome::Applied)));
}

fn a_cname_never_clashes(bench: Bench) {
    let alias = |name: &str| set(&format!("{name}.{ZONE}"), "CNAME", &["target.example.net"]);
    bench.server.nsupdate(
        "default",
        "update add host.example.com. 60 SSHFP 1 1 0123456789abcdef0123456789abcdef01234567\n\
         update add plain.example.com. 60 A 192.0.2.1",
    );
    for name in ["host", "plain"] {
        let [Err(Error::Conflict(text))] = &bench.apply(vec![create(alias(name))])[..] else {
            panic!("a CNAME stands at {name}")
        };
        assert!(text.contains("has other records"), "{text}");
    }
    assert_eq!(
        bench.apply(vec![create(alias("alias"))]),
        [Ok(Outcome::Applied)]
    );
    let [Err(Error::Conflict(_))] = &bench.apply(vec![create(a("alias", &["192.0.2.1"]))])[..]
    else {
        panic!("an address stands beside a CNAME")
    };
    let at_the_zone = bench.normalize(set(ZONE, "CNAME", &["target.example.net"]));
    assert!(matches!(at_the_zone, Err(Error::Invalid(_))));
}

fn a_cname_and_an_address_swap_places(bench: Bench) {
    let alias = set("www.example.com", "CNAME", &["target.example.net"]);
    let address = RecordSet {
        ttl: 60,
        ..a("www", &["192.0.2.1"])
    };
    bench.apply(vec![create(alias.clone())]);
    let swapped = bench.apply(vec![create(address.clone()), delete(alias.clone())]);
    assert_eq!(swapped, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(bench.shown("www"), ["60 A 192.0.2.1"]);
    let swapped = bench.apply(vec![delete(address.clone()), create(alias.clone())]);
    assert_eq!(swapped, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(bench.shown("www"), ["600 CNAME target.example.net"]);
    assert_eq!(bench.updates(), 3);

    // With something unmanaged at the name the address stays: else nothing would be left.
    bench.apply(vec![delete(alias.clone()), create(address.clone())]);
    bench.server.nsupdate(
        "default",
        "update add www.example.com. 60 SSHFP 1 1 0123456789abcdef0123456789abcdef01234567",
    );
    let kept = bench.apply(vec![delete(address), create(alias)]);
    assert!(
        kept.iter()
            .all(|result| matches!(result, Err(Error::Conflict(_)))),
        "{kept:?}"
    );
    assert!(bench.shown("www").contains(&"60 A 192.0.2.1".to_owned()));
}

fn a_wildcard_is_not_taken_for_what_it_answers(bench: Bench) {
    let everyone = a("*", &["192.0.2.1"]);
    bench.apply(vec![create(everyone.clone())]);
    assert_eq!(bench.read("www.example.com"), []);
    assert_eq!(bench.read("*.example.com"), [everyone]);
    let ours = a("www", &["192.0.2.1"]);
    assert_eq!(
        bench.apply(vec![create(ours.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.read("www.example.com"), slice::from_ref(&ours));
    assert_eq!(
        bench.apply(vec![delete(ours.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.apply(vec![delete(ours)]), [Ok(Outcome::Already)]);
}

fn what_lies_behind_a_delegation_is_read(bench: Bench) {
    let delegation = set("sub.example.com", "NS", &["ns.sub.example.com"]);
    let glue = a("ns.sub", &["192.0.2.1"]);
    let made = bench.apply(vec![create(delegation.clone()), create(glue.clone())]);
    assert_eq!(made, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(bench.read("sub.example.com"), slice::from_ref(&delegation));
    assert_eq!(bench.read("ns.sub.example.com"), slice::from_ref(&glue));
    let gone = bench.apply(vec![delete(glue), delete(delegation)]);
    assert_eq!(gone, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
}

fn nameservers_of_the_zone_are_replaced(bench: Bench) {
    let stands = || {
        bench
            .read(ZONE)
            .into_iter()
            .find(|set| set.key.rtype == "NS")
            .unwrap()
    };
    let old = stands();
    assert_eq!((old.ttl, old.values.len()), (3_600, 1));
    for wanted in [
        RecordSet {
            ttl: 900,
            ..old.clone()
        },
        set(ZONE, "NS", &["ns1.example.com", "ns2.example.net"]),
        set(ZONE, "NS", &["ns3.example.net"]),
    ] {
        assert_eq!(
            bench.apply(vec![update(stands(), wanted.clone())]),
            [Ok(Outcome::Applied)]
        );
        bench::assert_same(Some(&stands()), &wanted);
    }
    let [Err(Error::Invalid(text))] = &bench.apply(vec![delete(stands())])[..] else {
        panic!("a zone without nameservers")
    };
    assert!(text.contains("a zone always has nameservers"), "{text}");
}

fn the_case_of_host_names_does_not_matter(bench: Bench) {
    bench.server.nsupdate(
        "default",
        "update add Mixed.example.com. 600 MX 10 Mail.Example.NET.",
    );
    let old = set("mixed.example.com", "MX", &["10 mail.example.net"]);
    let new = set(
        "mixed.example.com",
        "MX",
        &["10 mail.example.net", "20 other.example.net"],
    );
    assert_eq!(bench.read("mixed.example.com"), slice::from_ref(&old));
    assert_eq!(
        bench.apply(vec![update(old, new.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.apply(vec![delete(new)]), [Ok(Outcome::Applied)]);
}

fn zones_are_those_that_the_server_has(bench: Bench) {
    let zones = |bench: &Bench| {
        let page = bench.provider.zones(&bench.host, None).unwrap();
        page.zones
            .into_iter()
            .map(|zone| zone.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(zones(&bench), [ZONE, "example.org"]);
}

fn a_wrong_key_is_told(bench: Bench) {
    keys_are_told(bench, ["`default-key`", "`nobody`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_of_a_key_is_passed_on() {
    for bench in [Bench::bind().await, Bench::knot().await] {
        let unknown = "BADKEY: the server does not know the key `nobody`";
        keys_are_told(bench, ["BADSIG", unknown]);
    }
}

/// Tries a wrong secret and an unknown key, whose errors say these words.
fn keys_are_told(bench: Bench, [of_secret, of_name]: [&str; 2]) {
    let binding = bench.server.wrong_binding();
    let wrong = bench.with(binding);
    let Err(Error::Auth(text)) = wrong.provider.read(&wrong.host, ZONE, None, None) else {
        panic!("a wrong secret is taken")
    };
    assert!(text.contains(of_secret), "{text}");
    let changed = wrong
        .provider
        .apply(&wrong.host, ZONE, vec![create(a("www", &["192.0.2.1"]))]);
    assert!(matches!(changed, Err(Error::Auth(_))), "{changed:?}");

    let mut other = wrong.server.binding();
    other.settings["key-name"] = "nobody".into();
    let other = wrong.with(other);
    let Err(Error::Auth(text)) = other.provider.read(&other.host, ZONE, None, None) else {
        panic!("an unknown key is taken")
    };
    assert!(text.contains(of_name), "{text}");
}

fn a_zone_that_is_not_there_is_told(bench: Bench) {
    let read = bench.provider.read(&bench.host, "example.net", None, None);
    assert!(matches!(read, Err(Error::NotFound(_))), "{read:?}");
    let change = create(set("www.example.net", "A", &["192.0.2.1"]));
    let made = bench
        .provider
        .apply(&bench.host, "example.net", vec![change]);
    assert!(
        matches!(made, Err(Error::NotFound(_) | Error::Auth(_))),
        "{made:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_refuses_does_not_block_the_others() {
    let bench = Bench::bind().await;
    let mut changes: Vec<_> = (0..10)
        .map(|number| create(a(&format!("free-{number}"), &["192.0.2.1"])))
        .collect();
    changes.insert(3, create(set(bench.server.locked(), "A", &["192.0.2.1"])));
    let mut results = bench.apply(changes);
    let refused = results.remove(3);
    assert!(
        matches!(&refused, Err(Error::Auth(text)) if text.contains("REFUSED")),
        "{refused:?}"
    );
    assert_eq!(results, vec![Ok(Outcome::Applied); 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_a_line() {
    let bench = Bench::bind().await;
    let lines = bench.provider.lines(&bench.host, ZONE).unwrap();
    let codes: Vec<&str> = lines.iter().map(|line| line.code.as_str()).collect();
    assert_eq!(codes, ["default", "CT"]);

    let on = |line: &str, address: &str| {
        let mut set = a("www", &[address]);
        set.key.line = line.to_owned();
        set
    };
    let changes = vec![
        create(on("CT", "192.0.2.2")),
        create(on("default", "192.0.2.1")),
    ];
    assert_eq!(
        bench.apply(changes),
        [Ok(Outcome::Applied), Ok(Outcome::Applied)]
    );
    let asked_from = |client: [u8; 4]| {
        bench
            .server
            .answers_to(client.into(), "www.example.com", "A")
    };
    assert_eq!(asked_from([127, 0, 0, 2]), ["192.0.2.2"]);
    assert_eq!(asked_from([127, 0, 0, 1]), ["192.0.2.1"]);
    assert_eq!(
        bench.read("www.example.com"),
        [on("default", "192.0.2.1"), on("CT", "192.0.2.2")]
    );

    let moved = update(on("CT", "192.0.2.2"), on("CT", "192.0.2.3"));
    assert_eq!(bench.apply(vec![moved]), [Ok(Outcome::Applied)]);
    assert_eq!(asked_from([127, 0, 0, 2]), ["192.0.2.3"]);
    assert_eq!(
        asked_from([127, 0, 0, 1]),
        ["192.0.2.1"],
        "another line is left alone"
    );

    let nowhere = bench.normalize(on("CU", "192.0.2.1"));
    assert!(
        matches!(&nowhere, Err(Error::Invalid(text)) if text.contains("line `CU`")),
        "{nowhere:?}"
    );
    let key = RecordKey {
        line: "CU".to_owned(),
        ..on("CT", "192.0.2.3").key
    };
    let mut gone = delete(on("CT", "192.0.2.3"));
    gone.key = key;
    assert!(matches!(
        bench.apply(vec![gone])[..],
        [Err(Error::Invalid(_))]
    ));
}

/// A view whose key is wrong is no reason not to serve the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_fails_fails_alone() {
    let bench = Bench::bind().await;
    let binding = bench
        .server
        .binding()
        .with_credential("tsig-key-CT", "d3Jvbmc=");
    let bench = bench.with(binding);
    let mut on_ct = a("www", &["192.0.2.2"]);
    on_ct.key.line = "CT".to_owned();
    let results = bench.apply(vec![create(on_ct), create(a("www", &["192.0.2.1"]))]);
    assert!(
        matches!(results[..], [Err(Error::Auth(_)), Ok(Outcome::Applied)]),
        "{results:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_it_can_do() {
    let caps = Rfc2136::describe();
    assert!(caps.record_types.contains(&"TXT".to_owned()));
    assert_eq!((caps.hosts.len(), caps.settle_ms), (0, 0));
    for (bench, has_lines) in [(Bench::bind().await, true), (Bench::knot().await, false)] {
        let caps = bench.provider.caps();
        let lines = caps.features & Features::LINES;
        assert_eq!(lines == Features::LINES, has_lines);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_told() {
    let bench = Bench::knot().await;
    let mut binding = bench.server.binding();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    binding.settings["server"] = closed.to_string().into();
    let bench = bench.with(binding);
    let made = bench
        .provider
        .apply(&bench.host, ZONE, vec![create(a("www", &["192.0.2.1"]))]);
    assert!(matches!(made, Err(Error::Transient(_))), "{made:?}");
    assert_eq!(
        bench
            .server
            .seen()
            .iter()
            .filter(|seen| seen.is_write)
            .count(),
        0
    );
    assert!(
        !bench
            .server
            .trouble(When::Any, portolan_vendors::Trouble::Throttled(None))
    );
}
