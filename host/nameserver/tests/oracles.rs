//! The server as two others see it: `dig` (BIND's) and dnspython, which share no code with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;

use portolan_consensus::{Limits, Member, RaftOptions, StartMode};
use portolan_nameserver::{LocalProviders, Nameserver, Options, RateOptions};
use portolan_steering::twin::{Twin, Twins};
use portolan_steering::{
    Account, BindingName, Change, DnsProvider, DomainName, LineCode, Outcome, Providers,
    RecordData, RecordKey, RecordSet, RecordType, RecordValue, SetId, ZoneName, canonical,
};
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A question to both.
#[derive(Debug, Clone, Default, Serialize)]
struct Question {
    name: &'static str,
    #[serde(rename = "type")]
    rtype: &'static str,
    tcp: bool,
    subnet: Option<&'static str>,
    /// What the client offers to take over UDP; none is a client without EDNS.
    bytes: Option<u16>,
}

/// What one of them sees of an answer.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Seen {
    status: String,
    aa: bool,
    tc: bool,
    answer: Vec<String>,
    authority: Vec<String>,
    additional: Vec<String>,
    scope: Option<u8>,
}

fn zone() -> ZoneName {
    ZoneName::parse("example.com").unwrap()
}

/// `www A 192.0.2.1`, `www A@CT 192.0.2.1, 192.0.2.2`.
fn set(text: &str) -> RecordSet {
    let mut words = text.splitn(3, ' ');
    let mut word = || words.next().unwrap();
    let (name, rtype, contents) = (word(), word(), word());
    let (rtype, line) = rtype.split_once('@').unwrap_or((rtype, "default"));
    let rtype = RecordType::parse(rtype).unwrap();
    let value = |content: &str| RecordValue {
        content: canonical(&rtype, content).unwrap(),
        weight: None,
        enabled: true,
    };
    let data = RecordData {
        ttl: 300,
        values: contents.split(", ").map(value).collect(),
    };
    let key = RecordKey {
        name: DomainName::in_zone(name, &zone()).unwrap(),
        rtype: rtype.clone(),
        line: LineCode::parse(line).unwrap(),
        set_id: SetId::none(),
    };
    RecordSet::wanted(key, data)
}

/// A member that serves a zone with some of everything.
struct World {
    address: SocketAddr,
    provider: Arc<dyn DnsProvider>,
    python: String,
    _member: Member,
    _data: TempDir,
}

impl World {
    async fn start() -> Self {
        let data = TempDir::new().unwrap();
        let member = Member::start(portolan_consensus::Options {
            id: None,
            advertise: "127.0.0.1:8420".to_owned(),
            data: data.path().to_owned(),
            start: StartMode::Bootstrap,
            raft: RaftOptions::default(),
            limits: Limits::default(),
            registry: Registry::new(),
        })
        .await
        .unwrap();
        let twins = Arc::new(Twins(Twin::new(&zone())));
        let account = Account {
            binding: BindingName::parse("main").unwrap(),
            plugin: "local".to_owned(),
            settings: json!({"ns": ["ns1", "ns2.example.net"], "contact": "dns.admin@example.com"}),
            credentials: BTreeMap::new(),
            hosts: Vec::new(),
            calls_per_second: None,
        };
        let provider = LocalProviders::new(member.clone(), twins)
            .connect(account)
            .unwrap();
        let lines = data.path().join("lines.txt");
        std::fs::write(&lines, "CT 10.0.0.0/8\nCT 2001:db8::/32\nCU 10.128.0.0/9\n").unwrap();
        let mut world = Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            provider,
            python: python(),
            _member: member.clone(),
            _data: data,
        };
        world.write().await;
        let options = Options {
            listen: Some(world.address),
            lines: Some(lines),
            transfer: vec!["127.0.0.1/32".parse().unwrap()],
            rate: RateOptions {
                answers_per_second: 0,
                ..RateOptions::default()
            },
            ..Options::default()
        };
        let started = Nameserver::start(member, options, &Registry::new()).await;
        let server = started.unwrap().unwrap();
        world.address = server.address();
        tokio::spawn(server.run(CancellationToken::new()));
        world
    }

    async fn write(&self) {
        let many: Vec<String> = (0..200).map(|host| format!("198.51.100.{host}")).collect();
        let many = format!("many A {}", many.join(", "));
        let sets = [
            "@ A 192.0.2.1",
            "@ MX 10 mail.example.com, 20 mail.example.net",
            "@ CAA 0 issue \"ca.example.net\", 128 iodef \"mailto:x@example.com\"",
            "@ TXT \"v=spf1 -all\", \"say \\\"hi\\\" \\\\ \\195\\169\" \"two\"",
            "ns1 A 192.0.2.53",
            "www A 192.0.2.80, 192.0.2.81",
            "www AAAA 2001:db8::80",
            "www A@CT 192.0.2.82",
            "www A@CU 192.0.2.83",
            "ct A@CT 192.0.2.84",
            "alias CNAME www.example.com",
            "out CNAME www.example.net",
            "*.wild A 192.0.2.7",
            "deep.ent TXT x",
            "_sip._tcp SRV 1 2 5060 sip.example.com, 0 0 0 .",
            "1.rev PTR host.example.com",
            "sub NS ns.sub.example.com",
            "ns.sub A 192.0.2.99",
            &many,
        ];
        let change = |text: &&str| {
            let set = set(text);
            Change {
                key: set.key.clone(),
                before: None,
                after: Some(set),
            }
        };
        let changes: Vec<Change> = sets.iter().map(change).collect();
        let results = self.provider.apply(&zone(), &changes).await.unwrap();
        for (result, text) in results.iter().zip(sets) {
            assert_eq!(*result, Ok(Outcome::Applied), "{text}");
        }
    }

    fn dig(&self, arguments: &[String]) -> String {
        let output = Command::new("dig")
            .arg("-r")
            .arg(format!("@{}", self.address.ip()))
            .args(["-p", &self.address.port().to_string()])
            .args(["+norecurse", "+nocookie", "+time=10", "+tries=1"])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The question as `dig` asks it, without going over to TCP by itself.
    fn by_dig(&self, question: &Question) -> Seen {
        let mut arguments = vec![
            "+ignore".to_owned(),
            question.name.to_owned(),
            question.rtype.to_owned(),
        ];
        arguments.extend(question.tcp.then(|| "+tcp".to_owned()));
        arguments.extend(question.subnet.map(|subnet| format!("+subnet={subnet}")));
        arguments.push(match (question.bytes, question.subnet) {
            (Some(bytes), _) => format!("+bufsize={bytes}"),
            (None, Some(_)) => "+bufsize=1232".to_owned(),
            (None, None) => "+noedns".to_owned(),
        });
        read_dig(&self.dig(&arguments))
    }

    /// What dnspython prints of each question.
    fn by_dnspython<T: for<'a> Deserialize<'a>>(&self, questions: &[Question]) -> Vec<T> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dnspython/ask.py");
        let mut python = Command::new(&self.python)
            .arg(script)
            .arg(self.address.ip().to_string())
            .arg(self.address.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = python.stdin.take().unwrap();
        for question in questions {
            writeln!(stdin, "{}", serde_json::to_string(question).unwrap()).unwrap();
        }
        drop(stdin);
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success());
        let printed = String::from_utf8(output.stdout).unwrap();
        printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Where a Python with dnspython stands.
fn python() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dnspython/install.sh");
    let output = Command::new(script)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "dnspython could not be installed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn read_dig(printed: &str) -> Seen {
    let mut seen = Seen::default();
    let mut section = None;
    for line in printed.lines() {
        if let Some((_, rest)) = line.split_once("status: ") {
            seen.status = rest.split(',').next().unwrap().to_owned();
        } else if let Some(rest) = line.strip_prefix(";; flags: ") {
            let flags: Vec<&str> = rest.split(';').next().unwrap().split(' ').collect();
            (seen.aa, seen.tc) = (flags.contains(&"aa"), flags.contains(&"tc"));
        } else if let Some(subnet) = line.strip_prefix("; CLIENT-SUBNET: ") {
            seen.scope = subnet.rsplit('/').next().unwrap().parse().ok();
        } else if line.starts_with(";; ") {
            section = line.strip_suffix(" SECTION:");
        } else if !line.is_empty() && !line.starts_with(';') {
            let record = line.split_whitespace().collect::<Vec<_>>().join(" ");
            match section {
                Some(";; ANSWER") => seen.answer.push(record),
                Some(";; AUTHORITY") => seen.authority.push(record),
                Some(";; ADDITIONAL") => seen.additional.push(record),
                other => panic!("{record} in {other:?}"),
            }
        }
    }
    seen.answer.sort();
    seen.authority.sort();
    seen.additional.sort();
    seen
}

fn plain(name: &'static str, rtype: &'static str) -> Question {
    Question {
        name,
        rtype,
        ..Question::default()
    }
}

fn from(name: &'static str, subnet: &'static str) -> Question {
    Question {
        subnet: Some(subnet),
        ..plain(name, "A")
    }
}

/// An authoritative answer with these records.
fn answer(records: &[&str]) -> Seen {
    let mut answer: Vec<String> = records.iter().map(ToString::to_string).collect();
    answer.sort();
    Seen {
        status: "NOERROR".to_owned(),
        aa: true,
        answer,
        ..Seen::default()
    }
}

/// Asks both, and expects the same of both; `SERIAL` stands for the zone's.
fn check(world: &World, cases: &[(Question, Seen)]) {
    let questions: Vec<Question> = cases.iter().map(|(question, _)| question.clone()).collect();
    let by_dnspython: Vec<Seen> = world.by_dnspython(&questions);
    assert_eq!(by_dnspython.len(), cases.len());
    for ((question, expected), mut second) in cases.iter().zip(by_dnspython) {
        let mut first = world.by_dig(question);
        for seen in [&mut first, &mut second] {
            for record in seen.answer.iter_mut().chain(&mut seen.authority) {
                *record = without_serial(record);
            }
        }
        assert_eq!(first, *expected, "dig: {question:?}");
        assert_eq!(second, *expected, "dnspython: {question:?}");
    }
}

fn without_serial(record: &str) -> String {
    let mut words: Vec<&str> = record.split(' ').collect();
    if let ["SOA", _, _, serial, ..] = words.get_mut(3..).unwrap_or_default() {
        assert!(serial.parse::<u32>().unwrap() > 1_700_000_000, "{record}");
        *serial = "SERIAL";
    }
    words.join(" ")
}

const SOA: &str = "IN SOA ns1.example.com. dns\\.admin.example.com. SERIAL 3600 600 1209600 60";

fn denied(status: &str) -> Seen {
    Seen {
        status: status.to_owned(),
        aa: true,
        authority: vec![format!("example.com. 60 {SOA}")],
        ..Seen::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_and_dnspython_see_what_stands_there() {
    let world = World::start().await;
    let soa = format!("example.com. 3600 {SOA}");
    let ns = [
        "example.com. 3600 IN NS ns1.example.com.",
        "example.com. 3600 IN NS ns2.example.net.",
    ];
    let www = [
        "www.example.com. 300 IN A 192.0.2.80",
        "www.example.com. 300 IN A 192.0.2.81",
    ];
    let cases = [
        (plain("example.com.", "SOA"), answer(&[&soa])),
        (plain("example.com.", "NS"), answer(&ns)),
        (plain("www.example.com.", "A"), answer(&www)),
        (
            Question {
                tcp: true,
                ..plain("www.example.com.", "A")
            },
            answer(&www),
        ),
        (
            plain("www.example.com.", "AAAA"),
            answer(&["www.example.com. 300 IN AAAA 2001:db8::80"]),
        ),
        (
            plain("example.com.", "MX"),
            answer(&[
                "example.com. 300 IN MX 10 mail.example.com.",
                "example.com. 300 IN MX 20 mail.example.net.",
            ]),
        ),
        (
            plain("example.com.", "CAA"),
            answer(&[
                "example.com. 300 IN CAA 0 issue \"ca.example.net\"",
                "example.com. 300 IN CAA 128 iodef \"mailto:x@example.com\"",
            ]),
        ),
        (
            plain("example.com.", "TXT"),
            answer(&[
                "example.com. 300 IN TXT \"v=spf1 -all\"",
                "example.com. 300 IN TXT \"say \\\"hi\\\" \\\\ \\195\\169\" \"two\"",
            ]),
        ),
        (
            plain("_sip._tcp.example.com.", "SRV"),
            answer(&[
                "_sip._tcp.example.com. 300 IN SRV 0 0 0 .",
                "_sip._tcp.example.com. 300 IN SRV 1 2 5060 sip.example.com.",
            ]),
        ),
        (
            plain("1.rev.example.com.", "PTR"),
            answer(&["1.rev.example.com. 300 IN PTR host.example.com."]),
        ),
        (
            plain("alias.example.com.", "A"),
            answer(&[
                "alias.example.com. 300 IN CNAME www.example.com.",
                www[0],
                www[1],
            ]),
        ),
        (
            plain("out.example.com.", "A"),
            answer(&["out.example.com. 300 IN CNAME www.example.net."]),
        ),
        (
            plain("a.b.wild.example.com.", "A"),
            answer(&["a.b.wild.example.com. 300 IN A 192.0.2.7"]),
        ),
        (plain("example.com.", "ANY"), answer(&[&soa])),
        (plain("www.example.com.", "MX"), denied("NOERROR")),
        (plain("ent.example.com.", "A"), denied("NOERROR")),
        (plain("ct.example.com.", "A"), denied("NOERROR")),
        (plain("no.example.com.", "A"), denied("NXDOMAIN")),
        (
            plain("www.sub.example.com.", "A"),
            Seen {
                status: "NOERROR".to_owned(),
                authority: vec!["sub.example.com. 300 IN NS ns.sub.example.com.".to_owned()],
                additional: vec!["ns.sub.example.com. 300 IN A 192.0.2.99".to_owned()],
                ..Seen::default()
            },
        ),
        (
            plain("www.example.org.", "A"),
            Seen {
                status: "REFUSED".to_owned(),
                ..Seen::default()
            },
        ),
    ];
    check(&world, &cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn they_get_the_answer_of_the_line_that_they_ask_for() {
    let world = World::start().await;
    let scoped = |scope, seen: Seen| Seen {
        scope: Some(scope),
        ..seen
    };
    let www = |host: u8| answer(&[&format!("www.example.com. 300 IN A 192.0.2.{host}")]);
    let default = answer(&[
        "www.example.com. 300 IN A 192.0.2.80",
        "www.example.com. 300 IN A 192.0.2.81",
    ]);
    let cases = [
        (from("www.example.com.", "10.1.0.0/16"), scoped(9, www(82))),
        (
            from("www.example.com.", "10.200.0.0/16"),
            scoped(9, www(83)),
        ),
        (
            from("www.example.com.", "2001:db8:1::/48"),
            scoped(32, www(82)),
        ),
        (from("www.example.com.", "192.0.2.0/24"), scoped(1, default)),
        (
            from("ns1.example.com.", "10.1.0.0/16"),
            scoped(0, answer(&["ns1.example.com. 300 IN A 192.0.2.53"])),
        ),
        (
            from("ct.example.com.", "10.1.0.0/16"),
            scoped(9, answer(&["ct.example.com. 300 IN A 192.0.2.84"])),
        ),
        (
            from("ct.example.com.", "10.200.0.0/16"),
            scoped(9, denied("NOERROR")),
        ),
    ];
    check(&world, &cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_for_udp_comes_over_tcp() {
    let world = World::start().await;
    let question = plain("many.example.com.", "A");
    let truncated = Seen {
        tc: true,
        ..answer(&[])
    };
    let all: Vec<String> = (0..200)
        .map(|host| format!("many.example.com. 300 IN A 198.51.100.{host}"))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let cases = [
        (question.clone(), truncated),
        (
            Question {
                bytes: Some(4096),
                ..question.clone()
            },
            Seen {
                tc: true,
                ..answer(&[])
            },
        ),
        (
            Question {
                tcp: true,
                ..question.clone()
            },
            answer(&all),
        ),
    ];
    check(&world, &cases);
    // And by itself, as a resolver does it.
    let printed = world.dig(&[question.name.to_owned(), "A".to_owned()]);
    assert!(
        printed.contains("Truncated, retrying in TCP mode"),
        "{printed}"
    );
    assert_eq!(
        printed.matches(" 198.51.100.").count() + printed.matches("\t198.51.100.").count(),
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_transfer_the_same_zone() {
    #[derive(Deserialize)]
    struct Transferred {
        records: Vec<String>,
    }
    let world = World::start().await;
    let printed = world.dig(&[
        "+onesoa".to_owned(),
        "+noall".to_owned(),
        "+answer".to_owned(),
        "example.com.".to_owned(),
        "AXFR".to_owned(),
    ]);
    let lines = printed
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(';'));
    let mut first: Vec<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    first.sort();
    let second: Vec<Transferred> = world.by_dnspython(&[plain("example.com.", "AXFR")]);
    let mut second = second.into_iter().next().unwrap().records;
    second.sort();
    for (of_dig, of_dnspython) in first.iter().zip(&second) {
        assert_eq!(of_dig, of_dnspython);
    }
    assert_eq!(first.len(), second.len());
    // 200 of many, two of www, and nothing of the other lines.
    assert!(
        first
            .iter()
            .any(|record| record == "www.example.com. 300 IN A 192.0.2.81")
    );
    assert!(
        !first
            .iter()
            .any(|record| record.ends_with("192.0.2.82") || record.starts_with("ct."))
    );
    assert_eq!(
        first
            .iter()
            .filter(|record| record.starts_with("many."))
            .count(),
        200
    );
}
