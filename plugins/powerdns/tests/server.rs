//! The provider against a real PowerDNS on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use std::slice;

use portolan_plugin::{
    Host, Provider,
    dns::{Change, Error, Outcome, RecordSet},
    http::{Method, RawRequest, SendError},
    sets, settings,
    testing::{self, TestHost, create, delete, update},
};
use portolan_powerdns::PowerDns;
use portolan_tests::{dig, dig_from};
use serde_json::json;

const ZONE: &str = "example.com";

/// A server with one zone, the provider bound to it, and the host between them.
struct Bench {
    server: portolan_tests::PowerDns,
    provider: PowerDns,
    host: TestHost,
}

async fn bench() -> Bench {
    let server = portolan_tests::PowerDns::start(ZONE).await;
    let provider = bind(&server.api_address());
    let host = TestHost::on_loopback().credential("api-key", server.key());
    Bench {
        server,
        provider,
        host,
    }
}

fn bind(address: &str) -> PowerDns {
    settings(&json!({ "url": format!("http://{address}") }).to_string()).unwrap()
}

fn set(name: &str, rtype: &str, ttl: u32, contents: &[&str]) -> RecordSet {
    RecordSet {
        ttl,
        ..testing::set(name, rtype, contents)
    }
}

impl Bench {
    fn apply(&self, changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        self.provider.apply(&self.host, ZONE, changes).unwrap()
    }

    /// What stands under a name.
    fn read(&self, name: &str) -> Vec<RecordSet> {
        self.provider
            .read(&self.host, ZONE, Some(name), None)
            .unwrap()
            .sets
    }

    fn normalize(&self, wanted: RecordSet) -> RecordSet {
        let mut answers = self
            .provider
            .normalize(&self.host, ZONE, vec![wanted])
            .unwrap();
        answers.remove(0).unwrap()
    }

    fn dig(&self, name: &str, rtype: &str) -> Vec<String> {
        dig(self.server.dns_address(), name, rtype)
    }

    /// Asks the server past the provider.
    fn api(&self, method: Method, path: &str, body: serde_json::Value) -> u16 {
        let request = RawRequest {
            method,
            url: format!(
                "http://{}/api/v1/servers/localhost{path}",
                self.server.api_address()
            ),
            headers: vec![("x-api-key".to_owned(), self.server.key().to_owned())],
            body: body.to_string().into_bytes(),
        };
        TestHost::on_loopback().send(&request).unwrap().status
    }
}

#[tokio::test]
async fn a_record_set_comes_changes_and_goes() {
    let bench = bench().await;
    let first = set("www.example.com", "A", 60, &["192.0.2.1"]);
    let second = set("www.example.com", "A", 30, &["192.0.2.2", "192.0.2.3"]);

    assert_eq!(
        bench.apply(vec![create(first.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.dig("www.example.com", "A"), ["192.0.2.1"]);
    assert_eq!(bench.read("www.example.com"), slice::from_ref(&first));
    assert_eq!(
        bench.apply(vec![create(first.clone())]),
        [Ok(Outcome::Already)]
    );

    assert_eq!(
        bench.apply(vec![update(first.clone(), second.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(
        bench.dig("www.example.com", "A"),
        ["192.0.2.2", "192.0.2.3"]
    );
    assert_eq!(bench.apply(vec![delete(first)]), [Ok(Outcome::Stale)]);

    assert_eq!(
        bench.apply(vec![delete(second.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.dig("www.example.com", "A"), [""; 0]);
    assert_eq!(bench.apply(vec![delete(second)]), [Ok(Outcome::Already)]);
}

#[tokio::test]
async fn every_type_reads_back_as_normalize_says() {
    let bench = bench().await;
    let long = format!("\"{}\"", "x".repeat(600));
    let wanted = [
        set("a.example.com", "A", 60, &["192.0.2.1", "192.0.2.2"]),
        set("a.example.com", "AAAA", 60, &["2001:DB8:0:0::1"]),
        set(
            "b.example.com",
            "CAA",
            60,
            &[
                "0 ISSUE \"letsencrypt.org\"",
                "128 iodef \"mailto:a@b.example\"",
            ],
        ),
        set("c.example.com", "CNAME", 60, &["Target.Example.NET."]),
        set(
            "example.com",
            "MX",
            60,
            &["10 Mail.example.com", "20 mail2.example.com."],
        ),
        set("sub.example.com", "NS", 60, &["ns1.example.net"]),
        set("1.example.com", "PTR", 60, &["host.example.net"]),
        set(
            "_s._tcp.example.com",
            "SRV",
            60,
            &["1 2 443 host.example.com"],
        ),
        set(
            "t.example.com",
            "TXT",
            60,
            &[
                "\"v=spf1 -all\"",
                r#""q\"uo\\te; \195\169""#,
                "\"a\" \"b\"",
                &long,
            ],
        ),
        set("*.w.example.com", "A", 0, &["192.0.2.9"]),
        set("_under_score.example.com", "TXT", 60, &["\"\""]),
    ];
    let wanted: Vec<RecordSet> = wanted.into_iter().map(|set| bench.normalize(set)).collect();
    for set in &wanted {
        assert_eq!(&bench.normalize(set.clone()), set);
    }

    let results = bench.apply(wanted.iter().cloned().map(create).collect());
    assert_eq!(results, vec![Ok(Outcome::Applied); wanted.len()]);
    for set in &wanted {
        let standing = bench.read(&set.key.name);
        let standing = standing.iter().find(|other| other.key == set.key).unwrap();
        assert!(
            portolan_plugin::sets::same(standing, set),
            "{standing:?} is not {set:?}"
        );
    }
    let again = bench.apply(wanted.iter().cloned().map(create).collect());
    assert_eq!(again, vec![Ok(Outcome::Already); wanted.len()]);
}

#[tokio::test]
async fn one_bad_record_set_does_not_keep_the_others_out() {
    let bench = bench().await;
    let alias = set("alias.example.com", "CNAME", 60, &["www.example.com"]);
    assert_eq!(
        bench.apply(vec![create(alias.clone())]),
        [Ok(Outcome::Applied)]
    );

    let results = bench.apply(vec![
        create(set("good.example.com", "A", 60, &["192.0.2.1"])),
        create(set("alias.example.com", "A", 60, &["192.0.2.2"])),
        create(set("wrong.example.com", "A", 60, &["not an address"])),
        create(set("fine.example.com", "A", 60, &["192.0.2.3"])),
    ]);
    assert_eq!(results[0], Ok(Outcome::Applied));
    assert!(
        matches!(&results[1], Err(Error::Conflict(text)) if text.contains("alias.example.com")),
        "{results:?}"
    );
    assert!(matches!(&results[2], Err(Error::Invalid(text)) if text.contains("not an address")));
    assert_eq!(results[3], Ok(Outcome::Applied));
    assert_eq!(bench.dig("good.example.com", "A"), ["192.0.2.1"]);
    assert_eq!(bench.dig("fine.example.com", "A"), ["192.0.2.3"]);
    assert_eq!(bench.read("alias.example.com"), [alias]);
}

#[tokio::test]
async fn a_cname_gives_way_to_an_address_in_one_step_even_beside_a_bad_change() {
    let bench = bench().await;
    let alias = set("a.example.com", "CNAME", 60, &["www.example.com"]);
    let other = set("b.example.com", "CNAME", 60, &["www.example.com"]);
    bench.apply(vec![create(alias.clone()), create(other)]);

    let results = bench.apply(vec![
        create(set("a.example.com", "A", 60, &["192.0.2.1"])),
        delete(alias),
        create(set("b.example.com", "A", 60, &["192.0.2.2"])),
    ]);
    assert_eq!(results[..2], [Ok(Outcome::Applied), Ok(Outcome::Applied)]);
    assert!(matches!(results[2], Err(Error::Conflict(_))));
    assert_eq!(bench.dig("a.example.com", "A"), ["192.0.2.1"]);
}

#[tokio::test]
async fn a_cname_stays_where_its_successor_is_refused() {
    let bench = bench().await;
    let alias = set("a.example.com", "CNAME", 60, &["www.example.com"]);
    bench.apply(vec![create(alias.clone())]);

    // PowerDNS does not take an IPv4 address inside an IPv6 address.
    let changes = vec![
        create(set("a.example.com", "AAAA", 60, &["::ffff:192.0.2.1"])),
        delete(alias),
    ];
    let results = bench.apply(changes);
    assert!(
        matches!(&results[0], Err(Error::Invalid(text)) if text.contains("Invalid IPv6 address")),
        "{results:?}"
    );
    assert!(matches!(&results[1], Err(Error::Conflict(text)) if text.contains("was kept")));
    assert_eq!(bench.dig("a.example.com", "CNAME"), ["www.example.com."]);
}

#[tokio::test]
async fn a_disabled_value_is_kept_but_not_served() {
    let bench = bench().await;
    let on = set("www.example.com", "A", 60, &["192.0.2.1", "192.0.2.2"]);
    let mut off = on.clone();
    off.values[0].enabled = false;
    bench.apply(vec![create(on.clone())]);

    assert_eq!(
        bench.apply(vec![update(on, off.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.dig("www.example.com", "A"), ["192.0.2.2"]);
    assert!(portolan_plugin::sets::same(
        &bench.read("www.example.com")[0],
        &off
    ));
}

#[tokio::test]
async fn our_comment_changes_and_others_stay() {
    let bench = bench().await;
    let path = format!("/zones/{ZONE}.");
    let rrset = json!({ "rrsets": [{
        "name": "www.example.com.", "type": "A", "ttl": 60, "changetype": "REPLACE",
        "records": [{ "content": "192.0.2.1", "disabled": false }],
        "comments": [{ "content": "ask ops first", "account": "admin" }],
    }]});
    assert_eq!(bench.api(Method::Patch, &path, rrset), 204);

    let plain = set("www.example.com", "A", 60, &["192.0.2.1"]);
    assert_eq!(bench.read("www.example.com"), slice::from_ref(&plain));
    let ours = RecordSet {
        comment: Some("site a".to_owned()),
        ..plain.clone()
    };
    let moved = set("www.example.com", "A", 60, &["192.0.2.2"]);
    assert_eq!(
        bench.apply(vec![update(plain, ours.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.read("www.example.com"), slice::from_ref(&ours));
    assert_eq!(
        bench.apply(vec![update(ours, moved.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.read("www.example.com"), [moved]);

    let url = format!(
        "http://{}/api/v1/servers/localhost{path}",
        bench.server.api_address()
    );
    let headers = vec![("x-api-key".to_owned(), bench.server.key().to_owned())];
    let request = RawRequest {
        method: Method::Get,
        url,
        headers,
        body: Vec::new(),
    };
    let zone = TestHost::on_loopback().send(&request).unwrap();
    let zone = String::from_utf8(zone.body).unwrap();
    assert!(
        zone.contains("ask ops first") && !zone.contains("site a"),
        "{zone}"
    );
}

#[tokio::test]
async fn zones_that_are_copied_from_elsewhere_are_not_offered() {
    let bench = bench().await;
    let copied = json!({ "name": "copied.example.", "kind": "Slave", "masters": ["192.0.2.1"] });
    assert_eq!(bench.api(Method::Post, "/zones", copied), 201);

    let page = bench.provider.zones(&bench.host, None).unwrap();
    let names: Vec<&str> = page.zones.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!(names, [ZONE]);
    assert_eq!(page.next, None);
    let lines = bench.provider.lines(&bench.host, ZONE).unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].code, "default");
}

#[tokio::test]
async fn any_number_of_changes_takes_one_read_and_one_write() {
    let bench = bench().await;
    let sets: Vec<RecordSet> = (1..=20)
        .map(|n| set(&format!("n{n}.example.com"), "A", 60, &["192.0.2.1"]))
        .collect();
    let results = bench.apply(sets.iter().cloned().map(create).collect());
    assert_eq!(results, vec![Ok(Outcome::Applied); 20]);
    assert_eq!(bench.host.requests().len(), 2);
    let all = bench
        .provider
        .read(&bench.host, ZONE, None, None)
        .unwrap()
        .sets;
    assert_eq!(all.iter().filter(|set| set.key.rtype == "A").count(), 20);
}

#[tokio::test]
async fn what_concerns_the_whole_call_is_its_error() {
    let bench = bench().await;
    let change = || vec![create(set("www.example.com", "A", 60, &["192.0.2.1"]))];

    let wrong_key = TestHost::on_loopback().credential("api-key", "wrong");
    let result = bench.provider.apply(&wrong_key, ZONE, change());
    assert!(
        matches!(&result, Err(Error::Auth(text)) if text.contains("401")),
        "{result:?}"
    );
    let no_key = TestHost::on_loopback();
    assert!(matches!(
        bench.provider.apply(&no_key, ZONE, change()),
        Err(Error::Denied(_))
    ));

    let result = bench.provider.read(&bench.host, "example.org", None, None);
    assert!(
        matches!(&result, Err(Error::NotFound(text)) if text.contains("example.org")),
        "{result:?}"
    );

    let port = portolan_tests::Port::reserve();
    let nobody = bind(&port.address());
    assert!(matches!(
        nobody.zones(&bench.host, None),
        Err(Error::Transient(_))
    ));
}

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_unknown() {
    let bench = bench().await;
    let server = TestHost::on_loopback();
    let losing = TestHost::new(
        move |request| match (request.method, server.send(request)) {
            (Method::Patch, Ok(_)) => Err(SendError::Interrupted("cut".to_owned())),
            (_, reply) => reply,
        },
    )
    .credential("api-key", bench.server.key());
    let wanted = set("www.example.com", "A", 60, &["192.0.2.1"]);

    let results = bench
        .provider
        .apply(&losing, ZONE, vec![create(wanted.clone())])
        .unwrap();
    assert_eq!(results, [Err(Error::UnknownOutcome("cut".to_owned()))]);
    assert_eq!(bench.apply(vec![create(wanted)]), [Ok(Outcome::Already)]);
}

#[test]
fn settings_are_checked_without_the_server() {
    let bind = |text: &str| settings::<PowerDns>(text).err();
    assert_eq!(bind(r#"{"url": "http://127.0.0.1:8081/"}"#), None);
    assert!(matches!(
        bind(r#"{"url": "127.0.0.1:8081"}"#),
        Some(Error::Invalid(_))
    ));
    assert!(
        matches!(bind(r#"{"url": "http://a/api/v1"}"#), Some(Error::Invalid(text)) if text.contains("leave out"))
    );
    assert!(
        matches!(bind(r#"{"url": "http://a", "uri": 1}"#), Some(Error::Invalid(text)) if text.contains("uri"))
    );
    assert!(matches!(bind("{}"), Some(Error::Invalid(text)) if text.contains("url")));
}

/// Another server of the same kind, with a line for one network of loopback.
async fn bench_with_lines(networks: &[&str]) -> Bench {
    let bench = bench().await;
    bench.with_lines(networks)
}

impl Bench {
    fn with_lines(self, networks: &[&str]) -> Self {
        let url = format!("http://{}", self.server.api_address());
        let settings = json!({ "url": url, "lines": { "CT": networks } }).to_string();
        Self {
            provider: portolan_plugin::settings(&settings).unwrap(),
            ..self
        }
    }

    /// What clients in this network are told, in order.
    fn told(&self, subnet: &str, name: &str, rtype: &str) -> Vec<String> {
        dig_from(self.server.dns_address(), subnet, name, rtype)
    }

    fn on_line(&self, line: &str, name: &str) -> Option<RecordSet> {
        let mut sets = self.read(name).into_iter();
        sets.find(|set| set.key.line == line)
    }
}

fn on(line: &str, set: RecordSet) -> RecordSet {
    let key = portolan_plugin::dns::RecordKey {
        line: line.to_owned(),
        ..set.key
    };
    RecordSet { key, ..set }
}

const TELECOM: &str = "198.51.100.0/24";
const ELSEWHERE: &str = "203.0.113.0/24";

#[tokio::test]
async fn lines_are_told_apart_by_the_clients_network() {
    let bench = bench_with_lines(&[TELECOM, "2001:db8:1::/48"]).await;
    let name = "www.example.com";
    let default = set(name, "A", 300, &["192.0.2.1", "192.0.2.2"]);
    let telecom = on("CT", set(name, "A", 60, &["192.0.2.9"]));
    let v6 = on("CT", set(name, "AAAA", 60, &["2001:db8::9"]));
    assert_eq!(
        bench.apply(vec![create(default.clone())]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.told(TELECOM, name, "A"), ["192.0.2.1", "192.0.2.2"]);

    let changes = vec![create(telecom.clone()), create(v6.clone())];
    assert_eq!(bench.apply(changes.clone()), vec![Ok(Outcome::Applied); 2]);
    assert_eq!(bench.apply(changes), vec![Ok(Outcome::Already); 2]);
    assert_eq!(bench.told(TELECOM, name, "A"), ["192.0.2.9"]);
    assert_eq!(bench.told(ELSEWHERE, name, "A"), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(bench.told("2001:db8:1::/64", name, "AAAA"), ["2001:db8::9"]);
    assert!(bench.told(ELSEWHERE, name, "AAAA").is_empty());
    for wanted in [&default, &telecom, &v6] {
        let sets = bench.read(name);
        let stands = sets.iter().find(|set| set.key == wanted.key).unwrap();
        assert!(sets::same(stands, wanted), "{stands:?}");
    }

    // One line changes, the others stay.
    let before = bench.on_line("default", name).unwrap();
    let moved = set(name, "A", 300, &["192.0.2.3"]);
    assert_eq!(
        bench.apply(vec![update(before, moved)]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.told(TELECOM, name, "A"), ["192.0.2.9"]);
    assert_eq!(bench.told(ELSEWHERE, name, "A"), ["192.0.2.3"]);

    // With the last line the record is again one like any other.
    let sets = bench.read(name).into_iter();
    let lines = sets
        .filter(|set| set.key.line == "CT")
        .map(delete)
        .collect();
    assert_eq!(bench.apply(lines), vec![Ok(Outcome::Applied); 2]);
    let kinds: Vec<_> = bench.server.record_sets().await.into_keys().collect();
    assert_eq!(kinds, [(name.to_owned(), "A".to_owned())]);
    assert_eq!(bench.told(TELECOM, name, "A"), ["192.0.2.3"]);
}

#[tokio::test]
async fn new_networks_of_a_line_are_written() {
    let bench = bench_with_lines(&[ELSEWHERE]).await;
    let name = "www.example.com";
    let telecom = on("CT", set(name, "A", 60, &["192.0.2.9"]));
    bench.apply(vec![create(telecom.clone())]);
    assert!(bench.told(TELECOM, name, "A").is_empty());

    let bench = bench.with_lines(&[TELECOM]);
    let stands = bench.on_line("CT", name).unwrap();
    assert!(!sets::same(&stands, &telecom), "it is not served as wanted");
    assert_eq!(
        bench.apply(vec![update(stands, telecom)]),
        [Ok(Outcome::Applied)]
    );
    assert_eq!(bench.told(TELECOM, name, "A"), ["192.0.2.9"]);
}

#[tokio::test]
async fn computed_records_of_others_stay() {
    let bench = bench_with_lines(&[TELECOM]).await;
    let name = "www.example.com";
    let theirs = r#"TXT ";return {'theirs'}""#;
    bench.server.replace(name, "LUA", 30, &[theirs]).await;
    let telecom = on("CT", set(name, "A", 60, &["192.0.2.9"]));
    assert_eq!(bench.apply(vec![create(telecom)]), [Ok(Outcome::Applied)]);
    assert_eq!(bench.told(TELECOM, name, "A"), ["192.0.2.9"]);
    assert_eq!(bench.told(TELECOM, name, "TXT"), ["\"theirs\""]);
    let stands = bench.on_line("CT", name).unwrap();
    assert_eq!(bench.apply(vec![delete(stands)]), [Ok(Outcome::Applied)]);
    let left = bench.server.record_set(name, "LUA").await.unwrap();
    assert_eq!(left.values, [theirs]);

    let clash = "clash.example.com";
    let theirs = r#"A ";return {'192.0.2.7'}""#;
    bench.server.replace(clash, "LUA", 30, &[theirs]).await;
    let results = bench.apply(vec![create(on("CT", set(clash, "A", 60, &["192.0.2.9"])))]);
    assert!(
        matches!(&results[0], Err(Error::Conflict(text)) if text.contains("somebody else")),
        "{results:?}"
    );
}

#[tokio::test]
async fn what_cannot_stand_on_a_line_says_why() {
    let bench = bench_with_lines(&[TELECOM]).await;
    let name = "www.example.com";
    let refused = |wanted: RecordSet| {
        let answers = bench.provider.normalize(&bench.host, ZONE, vec![wanted]);
        answers.unwrap().remove(0).unwrap_err()
    };
    let unknown = refused(on("CU", set(name, "A", 60, &["192.0.2.9"])));
    assert!(matches!(unknown, Error::Invalid(text) if text.contains("name them in `lines`")));
    let text = refused(on("CT", set(name, "TXT", 60, &["\"a\""])));
    assert!(matches!(text, Error::Unsupported(text) if text.contains("only A and AAAA")));
}
