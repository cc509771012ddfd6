//! The provider against moto: what it reads and writes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use bench::{WWW, ZONE, bench, host, set, www};
use portolan_plugin::{
    Provider,
    dns::{Error, Outcome, RecordSet},
    sets::same,
    settings,
    testing::{create, delete, update},
};
use portolan_route53::Route53;
use portolan_vendors::Vendor;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_set_comes_changes_and_goes() {
    let bench = bench().await;
    let first = www(&["192.0.2.1"]);
    let text = set(WWW, "TXT", "default", &["\"stays\""]);
    let results = bench.apply(vec![create(first.clone()), create(text.clone())]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert_eq!(bench.apply(vec![create(first)]), [Ok(Outcome::Already)]);

    let read = |rtype: &str| {
        let sets = bench.read(Some(WWW));
        sets.into_iter().find(|set| set.key.rtype == rtype).unwrap()
    };
    let before = read("A");
    let mut after = www(&["192.0.2.1", "192.0.2.2"]);
    after.ttl = 60;
    let since = bench.moto.seen().len();
    assert_eq!(
        bench.apply(vec![update(before.clone(), after.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), 1);
    assert!(same(&read("A"), &after));

    let mut slower = after.clone();
    slower.ttl = 900;
    assert_eq!(
        bench.apply(vec![update(read("A"), slower.clone())]),
        [Ok(Outcome::Applied)]
    );
    let late = bench.apply(vec![
        update(before.clone(), www(&["192.0.2.7"])),
        update(after, www(&["192.0.2.8"])),
        delete(before),
        create(www(&["192.0.2.9"])),
    ]);
    assert_eq!(late, vec![Ok(Outcome::Stale); 4]);
    assert!(same(&read("A"), &slower));

    let standing = read("A");
    assert_eq!(
        bench.apply(vec![delete(standing.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.apply(vec![delete(standing)]), [Ok(Outcome::Already)]);
    assert!(same(&bench.only(WWW), &text));
    // What once stood there can come back.
    assert_eq!(
        bench.apply(vec![create(www(&["192.0.2.1"]))]),
        [Ok(Outcome::Applied)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reads_back_as_normalize_says() {
    let bench = bench().await;
    let long = format!("\"{}\"", "x".repeat(600));
    let wanted = vec![
        set("a.example.com", "A", "default", &["192.0.2.1", "192.0.2.2"]),
        set("a.example.com", "AAAA", "continent-AS", &["2001:DB8::0:1"]),
        set(
            "c.example.com",
            "CNAME",
            "country-CN",
            &["Target.Example.NET."],
        ),
        set(ZONE, "A", "default", &["192.0.2.5"]),
        set(
            ZONE,
            "MX",
            "default",
            &["10 mail.example.com.", "20 mail2.example.com"],
        ),
        set(ZONE, "CAA", "default", &["0 issue \"letsencrypt.org\""]),
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
                "\"a\" \"<+ ~*%20>&\"",
                r#""\195\169 \"q\" \\""#,
                r#""""#,
                &long,
            ],
        ),
        set("*.w.example.com", "A", "country-US-WA", &["192.0.2.3"]),
        set("*.w.example.com", "A", "default", &["192.0.2.4"]),
        set("xn--fiqs8s.example.com", "A", "default", &["192.0.2.6"]),
    ];
    let normalize = |sets: Vec<RecordSet>| -> Vec<RecordSet> {
        let answers = bench.provider.normalize(&bench.host, ZONE, sets).unwrap();
        answers.into_iter().map(Result::unwrap).collect()
    };
    let wanted = normalize(wanted);
    assert_eq!(normalize(wanted.clone()), wanted);

    let changes = || wanted.iter().cloned().map(create).collect::<Vec<_>>();
    let since = bench.moto.seen().len();
    assert_eq!(
        bench.apply(changes()),
        vec![Ok(Outcome::Applied); wanted.len()]
    );
    assert_eq!(bench.writes(since), 1);
    // Besides the zone's own NS set.
    let standing = bench.read(None);
    assert_eq!(standing.len(), wanted.len() + 1, "{standing:?}");
    for set in &wanted {
        let found = standing.iter().find(|other| other.key == set.key).unwrap();
        assert!(same(found, set), "{found:?} is not {set:?}");
    }
    assert_eq!(
        bench.apply(changes()),
        vec![Ok(Outcome::Already); wanted.len()]
    );
    for name in ["*.w.example.com", "t.example.com", ZONE] {
        let of_name = wanted.iter().filter(|set| set.key.name == name).count();
        let of_name = of_name + usize::from(name == ZONE);
        assert_eq!(bench.read(Some(name)).len(), of_name, "{name}");
    }
    let gone: Vec<_> = standing
        .into_iter()
        .filter(|set| set.key.name != ZONE || set.key.rtype != "NS")
        .map(delete)
        .collect();
    assert_eq!(bench.apply(gone), vec![Ok(Outcome::Applied); wanted.len()]);
    assert_eq!(bench.moto.sets(ZONE).await, [json!(null); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_places_and_the_rest_of_the_world_is_default() {
    let bench = bench().await;
    let everyone = www(&["192.0.2.1"]);
    bench.apply(vec![create(everyone.clone())]);
    assert_eq!(
        bench.moto.sets_of("www.example.com.").await[0].get("SetIdentifier"),
        None
    );

    // The first place turns the simple set into the one of everyone else, in the same transaction.
    let china = set(WWW, "A", "country-CN", &["192.0.2.2"]);
    let since = bench.moto.seen().len();
    assert_eq!(
        bench.apply(vec![create(china.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.writes(since), 1);
    let standing = bench.moto.sets_of("www.example.com.").await;
    assert_eq!(standing.len(), 2);
    assert_eq!(standing[0]["GeoLocation"], json!({ "CountryCode": "CN" }));
    assert_eq!(standing[1]["GeoLocation"], json!({ "CountryCode": "*" }));
    let read = |line: &str| {
        let sets = bench.read(Some(WWW));
        sets.into_iter().find(|set| set.key.line == line).unwrap()
    };
    assert!(same(&read("default"), &everyone));
    assert!(same(&read("country-CN"), &china));

    // Each changes by itself, another name's set of the same line stays.
    let other = set("other.example.com", "A", "country-CN", &["192.0.2.8"]);
    bench.apply(vec![create(other.clone())]);
    let next = set(WWW, "A", "country-CN", &["192.0.2.3"]);
    assert_eq!(
        bench.apply(vec![update(read("country-CN"), next.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert!(same(&read("default"), &everyone));
    assert!(same(&read("country-CN"), &next));
    assert_eq!(
        bench.apply(vec![delete(read("country-CN"))]),
        [Ok(Outcome::Applied)]
    );
    assert!(same(&bench.only(WWW), &everyone));
    assert!(same(&bench.only("other.example.com"), &other));
    let last = bench.only(WWW);
    assert_eq!(
        bench.apply(vec![update(last, www(&["192.0.2.4"]))]),
        [Ok(Outcome::Applied)]
    );
    assert!(same(&bench.only(WWW), &www(&["192.0.2.4"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identifier_that_someone_gave_a_set_stays() {
    let bench = bench().await;
    assert!(bench.moto.insert_with_extras(WWW, "192.0.2.1").await);
    let kept = bench.moto.extras(WWW).await;
    let before = bench.only(WWW);
    assert_eq!(before.extras, "everyone, by hand");
    assert_eq!(
        bench.apply(vec![update(before, www(&["192.0.2.2"]))]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.moto.extras(WWW).await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_managed_is_neither_shown_nor_touched() {
    let bench = bench().await;
    let geo = |code: &str| json!({ "CountryCode": code });
    let alias = json!({ "HostedZoneId": "Z2", "DNSName": "lb.example.net.", "EvaluateTargetHealth": false });
    let foreign = vec![
        json!({ "Name": "alias.example.com", "Type": "A", "AliasTarget": alias }),
        json!({ "Name": "w.example.com", "Type": "A", "TTL": 60, "SetIdentifier": "a", "Weight": 1, "ResourceRecords": ["192.0.2.1"] }),
        json!({ "Name": "w.example.com", "Type": "A", "TTL": 60, "SetIdentifier": "b", "Weight": 0, "ResourceRecords": ["192.0.2.2"] }),
        json!({ "Name": "l.example.com", "Type": "A", "TTL": 60, "SetIdentifier": "a", "Region": "eu-west-1", "ResourceRecords": ["192.0.2.1"] }),
        json!({ "Name": "f.example.com", "Type": "A", "TTL": 60, "SetIdentifier": "a", "Failover": "PRIMARY", "ResourceRecords": ["192.0.2.1"] }),
        json!({ "Name": "m.example.com", "Type": "A", "TTL": 60, "SetIdentifier": "a", "MultiValueAnswer": true, "ResourceRecords": ["192.0.2.1"] }),
        json!({ "Name": "g.example.com", "Type": "A", "TTL": 60, "SetIdentifier": "a", "GeoLocation": geo("CN"), "HealthCheckId": "h", "ResourceRecords": ["192.0.2.1"] }),
        json!({ "Name": "spf.example.com", "Type": "SPF", "TTL": 60, "ResourceRecords": ["\"x\""] }),
    ];
    bench.moto.insert_all(ZONE, foreign).await;
    let before = bench.moto.sets(ZONE).await;
    let read = bench.read(None);
    assert_eq!(read.len(), 1, "only the zone's NS set: {read:?}");

    let names = ["alias", "w", "l", "f", "m"].map(|name| format!("{name}.example.com"));
    let mut changes: Vec<_> = names
        .iter()
        .map(|name| create(set(name, "A", "default", &["192.0.2.9"])))
        .collect();
    changes.push(create(set(
        "g.example.com",
        "A",
        "country-CN",
        &["192.0.2.9"],
    )));
    changes.push(create(set(
        "w.example.com",
        "A",
        "country-CN",
        &["192.0.2.9"],
    )));
    let results = bench.apply(changes);
    assert!(
        results.iter().all(
            |result| matches!(result, Err(Error::Conflict(text)) if text.contains("not managed"))
        ),
        "{results:?}"
    );
    assert_eq!(bench.moto.sets(ZONE).await, before);

    // Beside a place that is not managed another one can stand, and another type beside anything.
    let results = bench.apply(vec![
        create(set("g.example.com", "A", "default", &["192.0.2.9"])),
        create(set("w.example.com", "TXT", "default", &["\"x\""])),
    ]);
    assert_eq!(results, [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    let after = bench.moto.sets(ZONE).await;
    assert_eq!(after.len(), before.len() + 2);
    assert!(before.iter().all(|set| after.contains(set)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_is_read_over_all_its_pages() {
    let bench = bench().await;
    let mut many: Vec<_> = (0..1_203)
        .map(|n| {
            let address = format!("192.0.{}.{}", n / 250, n % 250);
            json!({ "Name": format!("n{n}.example.com"), "Type": "A", "TTL": 60, "ResourceRecords": [address] })
        })
        .collect();
    // The first page ends among the sets of one name: they come before all `n…`.
    many.extend((0..300).map(|n| {
        let code = format!(
            "{}{}",
            char::from(b'A' + (n / 26) as u8),
            char::from(b'A' + (n % 26) as u8)
        );
        json!({
            "Name": "a.example.com", "Type": "A", "TTL": 60, "ResourceRecords": ["192.0.2.1"],
            "SetIdentifier": format!("number {n:03}"), "GeoLocation": { "CountryCode": code },
        })
    }));
    bench.moto.insert_all(ZONE, many).await;
    let sets = bench.read(None);
    assert_eq!(sets.len(), 1_204 + 300);
    let mut keys: Vec<_> = sets.iter().map(|set| format!("{:?}", set.key)).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), sets.len(), "each once");
    // The zone is looked for once.
    assert_eq!(bench.moto.seen().len(), 1 + 6);
    assert_eq!(bench.read(Some("a.example.com")).len(), 300);

    // A set that goes between two pages takes no other one along.
    let first = bench.provider.read(&bench.host, ZONE, None, None).unwrap();
    bench.moto.remove(ZONE, "n100.example.com", "A").await;
    let rest = bench
        .provider
        .read(&bench.host, ZONE, None, first.next.as_deref())
        .unwrap();
    assert_eq!(
        first.sets.len() + rest.sets.len() + 1,
        600,
        "SOA is not managed"
    );

    let wanted = |n: u32| {
        create(set(
            &format!("m{n}.example.com"),
            "A",
            "default",
            &["192.0.2.1"],
        ))
    };
    let since = bench.moto.seen().len();
    assert_eq!(
        bench.apply((0..1_500).map(wanted).collect()),
        vec![Ok(Outcome::Applied); 1_500]
    );
    assert_eq!(bench.writes(since), 2, "1,000 values fit one request");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_exact_name_is_read() {
    let bench = bench().await;
    for name in [
        "www.example.com",
        "a.www.example.com",
        "awww.example.com",
        "www-2.example.com",
        "example.com",
    ] {
        let set = json!({ "Name": name, "Type": "A", "TTL": 60, "ResourceRecords": ["192.0.2.1"] });
        bench.moto.insert(ZONE, set).await;
    }
    let odd = json!({ "Name": "ex\\344mple.example.com", "Type": "A", "TTL": 60, "ResourceRecords": ["192.0.2.1"] });
    bench.moto.insert(ZONE, odd).await;
    assert_eq!(bench.only(WWW).key.name, WWW);
    assert_eq!(bench.read(Some(ZONE)).len(), 2);
    assert_eq!(bench.read(Some("nothing.example.com")), []);
    assert_eq!(
        bench.read(None).len(),
        6,
        "a name that cannot be written is left out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_and_lines_are_listed() {
    let bench = bench().await;
    let names = |provider: &Route53, cursor: Option<&str>| {
        let page = provider.zones(&bench.host, cursor).unwrap();
        let names: Vec<String> = page.zones.into_iter().map(|zone| zone.name).collect();
        (names, page.next)
    };
    let all = vec!["example.com".to_owned(), "example.net".to_owned()];
    assert_eq!(names(&bench.provider, None), (all.clone(), None));
    bench.moto.create_zones(&["inside.example"], true).await;
    assert_eq!(
        names(&bench.provider, None).0,
        all,
        "private ones are left out"
    );
    let read = bench
        .provider
        .read(&bench.host, "inside.example", None, None);
    assert!(matches!(read, Err(Error::NotFound(_))), "{read:?}");

    let codes: Vec<String> = bench
        .provider
        .lines(&bench.host, ZONE)
        .unwrap()
        .into_iter()
        .map(|line| format!("{}: {}", line.code, line.label))
        .collect();
    assert_eq!(codes[0], "default: Everyone else");
    assert_eq!(codes.len(), 11, "{codes:?}");
    assert!(codes.contains(&"continent-AS: Asia".to_owned()));
    assert!(codes.contains(&"country-CN: China".to_owned()));
    assert!(codes.contains(&"country-US-WA: United States, Washington".to_owned()));

    let many: Vec<String> = (0..150).map(|n| format!("zone{n}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    bench.moto.create_zones(&many, false).await;
    let (first, next) = names(&bench.provider, None);
    let (second, last) = names(&bench.provider, next.as_deref());
    assert_eq!((first.len() + second.len(), last), (152, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_zones_of_one_name_the_settings_name_one() {
    let bench = bench().await;
    let ids = bench.moto.create_zones(&[ZONE], false).await;
    let read = bench.provider.read(&bench.host, ZONE, None, None);
    assert!(
        matches!(&read, Err(Error::Invalid(text)) if ids.iter().any(|id| text.contains(id)) && text.contains("hosted_zone_ids")),
        "{read:?}"
    );
    let mut chosen = bench.moto.binding().settings;
    chosen["hosted_zone_ids"] = json!([ids[0]]);
    let provider: Route53 = settings(&chosen.to_string()).unwrap();
    let changes = vec![create(www(&["192.0.2.1"]))];
    assert_eq!(
        provider.apply(&bench.host, ZONE, changes),
        Ok(vec![Ok(Outcome::Applied)])
    );
    assert_eq!(bench.moto.sets(ZONE).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_the_whole_call_is_its_error() {
    let bench = bench().await;
    let (id, secret) = bench.moto.key();
    let apply = |id: &str, secret: &str, zone: &str| {
        let changes = vec![create(www(&["192.0.2.1"]))];
        bench.provider.apply(&host(id, secret), zone, changes)
    };
    let wrong = apply(id, "wrong", ZONE);
    assert!(
        matches!(&wrong, Err(Error::Auth(text)) if text.contains("SignatureDoesNotMatch")),
        "{wrong:?}"
    );
    let unknown = apply("AKIANOBODY", secret, ZONE);
    assert!(matches!(&unknown, Err(Error::Auth(text)) if text.contains("InvalidClientTokenId")));
    let ungranted = bench
        .provider
        .zones(&portolan_plugin::testing::TestHost::on_loopback(), None);
    assert!(matches!(ungranted, Err(Error::Denied(_))));
    let nowhere = bench.provider.read(&bench.host, "example.org", None, None);
    assert!(matches!(&nowhere, Err(Error::NotFound(text)) if text.contains("example.org")));

    // A key that may read alone.
    let (id, secret) = bench.moto.reading_key();
    let denied = apply(id, secret, ZONE).unwrap();
    assert!(
        matches!(&denied[0], Err(Error::Auth(text)) if text.contains("AccessDenied")),
        "{denied:?}"
    );
    assert_eq!(bench.moto.sets(ZONE).await, [json!(null); 0]);
}

#[test]
fn what_the_service_cannot_hold_is_refused() {
    let provider: Route53 = settings("{}").unwrap();
    let nobody = host("", "");
    let normalize = |set: RecordSet| {
        let mut answers = provider.normalize(&nobody, ZONE, vec![set]).unwrap();
        answers.remove(0)
    };
    let unsupported = |set: RecordSet| matches!(normalize(set), Err(Error::Unsupported(_)));
    let invalid = |set: RecordSet| matches!(normalize(set), Err(Error::Invalid(_)));
    for line in ["OverSea", "CT", "CMCC", "country-cn", "country-*"] {
        assert!(unsupported(set(WWW, "A", line, &["192.0.2.1"])), "{line}");
    }
    assert!(unsupported(set(
        "s.example.com",
        "NS",
        "country-CN",
        &["ns.example.net"]
    )));
    assert!(unsupported(set(
        "*.s.example.com",
        "NS",
        "default",
        &["ns.example.net"]
    )));
    assert!(unsupported(set(WWW, "PTR", "default", &["a.example.net"])));
    assert!(invalid(set(ZONE, "CNAME", "default", &["a.example.net"])));
    assert!(invalid(set(WWW, "A", "default", &["nonsense"])));
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    assert!(invalid(set(WWW, "TXT", "default", &[&text(4_100)])));
    let many: Vec<String> = (0..5).map(|n| text(3_500 + n)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(invalid(set(WWW, "TXT", "default", &many)));
    assert!(normalize(set(WWW, "TXT", "default", &many[..4])).is_ok());
    let mut identified = www(&["192.0.2.1"]);
    identified.key.set_id = "a".to_owned();
    assert!(unsupported(identified));
    let mut long = www(&["192.0.2.1"]);
    long.ttl = u32::MAX;
    assert_eq!(normalize(long).unwrap().ttl, i32::MAX as u32);
    let mut none = www(&["192.0.2.1"]);
    none.ttl = 0;
    assert_eq!(normalize(none).unwrap().ttl, 0);
}

#[test]
fn settings_are_checked_without_the_service() {
    let bind = |text: &str| settings::<Route53>(text).err();
    assert_eq!(bind("{}"), None);
    assert_eq!(
        bind(
            r#"{"endpoint": "https://route53.amazonaws.com.cn", "region": "cn-northwest-1", "hosted_zone_ids": ["Z1"]}"#
        ),
        None
    );
    assert!(matches!(
        bind(r#"{"endpoint": "route53"}"#),
        Some(Error::Invalid(_))
    ));
    assert!(matches!(bind(r#"{"region": ""}"#), Some(Error::Invalid(_))));
    assert!(
        matches!(bind(r#"{"zone": "x"}"#), Some(Error::Invalid(text)) if text.contains("zone"))
    );
}
