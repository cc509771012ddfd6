use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use proptest::prelude::*;

use super::fixtures::{add_zone, shown};
use crate::lines::Lines;
use crate::picture::Picture;
use crate::respond::{Knowledge, Reply, Response, Transport, respond};

const UDP: Transport = Transport::Udp { longest: 1232 };

fn picture() -> Picture {
    let mut picture = Picture::default();
    let many: Vec<String> = (0..200).map(|host| format!("198.51.100.{host}")).collect();
    let many = format!("many A {}", many.join(" "));
    let some: Vec<String> = (0..40).map(|host| format!("198.51.100.{host}")).collect();
    let some = format!("some A {}", some.join(" "));
    let sets = [
        "www A 192.0.2.80",
        "www A@CT 192.0.2.81",
        "plain A 192.0.2.82",
        &many,
        &some,
    ];
    add_zone(&mut picture, "example.com", &sets);
    picture
}

/// What comes back from `source`.
fn send(packet: &[u8], source: &str, transport: Transport) -> Response {
    let lines = Lines::parse("CT 10.0.0.0/8\nCT 127.0.0.2/32\nCT 2001:db8::/32").unwrap();
    let knowledge = Knowledge {
        picture: &picture(),
        lines: &lines,
        dice: 0,
    };
    respond(&knowledge, packet, source.parse().unwrap(), transport)
}

fn query(name: &str, rtype: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    message
}

fn reply(message: &Message, source: &str, transport: Transport) -> Reply {
    match send(&message.to_vec().unwrap(), source, transport) {
        Response::Reply(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn ask(message: &Message, source: &str, transport: Transport) -> Message {
    Message::from_vec(&reply(message, source, transport).encode()).unwrap()
}

fn with_edns(name: &str, change: impl FnOnce(&mut Edns)) -> Message {
    let mut message = query(name, RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    change(&mut edns);
    message.set_edns(edns);
    message
}

fn with_subnet(name: &str, address: &str, source: u8, scope: u8) -> Message {
    let address: IpAddr = address.parse().unwrap();
    let subnet = EdnsOption::Subnet(ClientSubnet::new(address, source, scope));
    with_edns(name, |edns| edns.options_mut().insert(subnet))
}

#[test]
fn a_reply_repeats_the_question_and_says_who_answers() {
    let asked = query("wWw.example.com.", RecordType::A);
    let got = ask(&asked, "192.0.2.1", UDP);
    assert_eq!(got.metadata.id, 4711);
    assert_eq!(got.queries, asked.queries);
    assert_eq!(got.queries[0].name.to_string(), "wWw.example.com.");
    assert!(got.metadata.authoritative && got.metadata.recursion_desired);
    assert!(!got.metadata.recursion_available && got.edns.is_none());
    assert_eq!(shown(&got.answers), ["wWw.example.com. 300 A 192.0.2.80"]);
}

#[test]
fn the_client_subnet_decides_and_otherwise_the_source() {
    let subnet = |message: &Message| match message.edns.as_ref()?.option(EdnsCode::Subnet)? {
        EdnsOption::Subnet(subnet) => Some(*subnet),
        _ => None,
    };
    let address = |message: &Message| {
        shown(&message.answers)[0]
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let plain = query("www.example.com.", RecordType::A);
    for (source, expected) in [
        ("10.1.2.3", "192.0.2.81"),
        ("::ffff:10.1.2.3", "192.0.2.81"),
        ("2001:db8::5", "192.0.2.81"),
        ("192.0.2.1", "192.0.2.80"),
    ] {
        assert_eq!(address(&ask(&plain, source, UDP)), expected, "{source}");
    }
    // The scope says for whom else the answer holds; 0 where that is everybody.
    let cases = [
        ("www.example.com.", "10.1.2.0", 24, "192.0.2.81", 8),
        ("www.example.com.", "10.0.0.0", 7, "192.0.2.81", 8),
        ("www.example.com.", "192.0.2.0", 24, "192.0.2.80", 1),
        ("www.example.com.", "2001:db8::", 48, "192.0.2.81", 32),
        ("plain.example.com.", "10.1.2.0", 24, "192.0.2.82", 0),
        // It does not tell its client: the source counts.
        ("www.example.com.", "0.0.0.0", 0, "192.0.2.81", 0),
    ];
    for (name, network, prefix, expected, scope) in cases {
        let got = ask(&with_subnet(name, network, prefix, 0), "127.0.0.2", UDP);
        assert_eq!(address(&got), expected, "{name} {network}/{prefix}");
        let echoed = subnet(&got).unwrap();
        assert_eq!(echoed.addr(), network.parse::<IpAddr>().unwrap());
        assert_eq!(
            (echoed.source_prefix(), echoed.scope_prefix()),
            (prefix, scope),
            "{name} {network}"
        );
    }
    // Bits beyond the prefix, and a scope in a query, are malformed.
    for (network, prefix, scope) in [("10.1.0.0", 12, 0), ("10.0.0.0", 8, 8)] {
        let got = ask(
            &with_subnet("www.example.com.", network, prefix, scope),
            "::1",
            UDP,
        );
        assert_eq!(
            got.metadata.response_code,
            ResponseCode::FormErr,
            "{network}"
        );
    }
}

#[test]
fn edns_is_answered_with_edns() {
    let got = ask(
        &with_edns("www.example.com.", |edns| {
            edns.set_dnssec_ok(true);
        }),
        "::1",
        UDP,
    );
    let edns = got.edns.unwrap();
    assert_eq!((edns.version(), edns.max_payload()), (0, 1232));
    assert!(edns.flags().dnssec_ok);
    let newer = with_edns("www.example.com.", |edns| {
        edns.set_version(1);
    });
    let got = ask(&newer, "::1", UDP);
    // BADSIG has the same number.
    assert_eq!(u16::from(got.metadata.response_code), 16);
    assert_eq!(got.edns.unwrap().version(), 0);
    assert!(got.answers.is_empty());
}

#[test]
fn what_does_not_fit_is_truncated_and_comes_whole_over_tcp() {
    let plain = query("many.example.com.", RecordType::A);
    let some = query("some.example.com.", RecordType::A);
    let offered = |bytes: u16| {
        with_edns("some.example.com.", |edns| {
            edns.set_max_payload(bytes);
        })
    };
    // 40 addresses take some 680 bytes, 200 some 3,250.
    let cases = [
        (&plain, UDP, 0),
        (&some, UDP, 0),
        (&offered(100), UDP, 0),
        (&offered(700), UDP, 40),
        (&offered(4096), UDP, 40),
        (&with_edns("many.example.com.", |_| {}), UDP, 0),
        (&plain, Transport::Tcp, 200),
    ];
    for (asked, transport, answers) in cases {
        let reply = reply(asked, "::1", transport);
        let bytes = reply.encode();
        let got = Message::from_vec(&bytes).unwrap();
        assert_eq!(got.answers.len(), answers, "{asked}");
        assert_eq!(got.metadata.truncation, answers == 0, "{asked}");
        assert_eq!(got.edns.is_some(), asked.edns.is_some());
        assert!(transport == Transport::Tcp || bytes.len() <= 1232);
    }
    let slipped = reply(&query("www.example.com.", RecordType::A), "::1", UDP).encode_truncated();
    let slipped = Message::from_vec(&slipped).unwrap();
    assert!(slipped.metadata.truncation && slipped.answers.is_empty());
}

#[test]
fn what_is_no_query_is_refused_or_ignored() {
    let good = query("www.example.com.", RecordType::A).to_vec().unwrap();
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        edit(&mut bytes);
        bytes
    };
    let rcode = |packet: Vec<u8>| match send(&packet, "::1", UDP) {
        Response::Reply(reply) => {
            let got = Message::from_vec(&reply.encode()).unwrap();
            assert_eq!(got.metadata.id, 4711);
            Some(got.metadata.response_code)
        }
        Response::Silence => None,
        Response::Transfer(_) => panic!("a transfer"),
    };
    let mut chaos = query("www.example.com.", RecordType::A);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let cases = [
        ("empty", Vec::new(), None),
        ("short", good[..11].to_vec(), None),
        ("a response", edited(&|it| it[2] |= 0x80), None),
        (
            "status",
            edited(&|it| it[2] |= 2 << 3),
            Some(ResponseCode::NotImp),
        ),
        (
            "notify",
            edited(&|it| it[2] |= 4 << 3),
            Some(ResponseCode::NotImp),
        ),
        (
            "update",
            edited(&|it| it[2] |= 5 << 3),
            Some(ResponseCode::NotImp),
        ),
        (
            "no question",
            edited(&|it| it[5] = 0),
            Some(ResponseCode::FormErr),
        ),
        (
            "two questions",
            edited(&|it| it[5] = 2),
            Some(ResponseCode::FormErr),
        ),
        (
            "many questions",
            edited(&|it| it[4] = 255),
            Some(ResponseCode::FormErr),
        ),
        (
            "an answer",
            edited(&|it| it[7] = 1),
            Some(ResponseCode::FormErr),
        ),
        (
            "cut",
            edited(&|it| it.truncate(20)),
            Some(ResponseCode::FormErr),
        ),
        (
            "chaos",
            chaos.to_vec().unwrap(),
            Some(ResponseCode::Refused),
        ),
        (
            "not ours",
            query("example.net.", RecordType::A).to_vec().unwrap(),
            Some(ResponseCode::Refused),
        ),
        ("fine", good.clone(), Some(ResponseCode::NoError)),
    ];
    for (what, packet, expected) in cases {
        assert_eq!(rcode(packet), expected, "{what}");
    }
}

proptest! {
    /// Whatever comes, what goes back is a response to it or nothing.
    #[test]
    fn any_bytes_get_a_response_or_nothing(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        survives(&packet)?;
    }

    /// The same for what is almost a query.
    #[test]
    fn mutated_queries_get_a_response_or_nothing(
        name in prop::sample::select(vec!["www", "many", "*", "a.b.c", "."]),
        rtype in any::<u16>(),
        subnet in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let name = if name == "." { name.to_owned() } else { format!("{name}.example.com.") };
        let mut message = match subnet {
            true => with_subnet(&name, "10.1.0.0", 16, 0),
            false => query(&name, RecordType::A),
        };
        message.queries[0].set_query_type(RecordType::from(rtype));
        let mut packet = message.to_vec().unwrap();
        for (at, byte) in edits {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        if !keep {
            packet.truncate(cut.index(packet.len()));
        }
        survives(&packet)?;
    }
}

fn survives(packet: &[u8]) -> Result<(), TestCaseError> {
    for transport in [UDP, Transport::Tcp] {
        let reply = match send(packet, "10.0.0.1", transport) {
            Response::Silence => continue,
            Response::Reply(reply) => reply,
            Response::Transfer(transfer) => transfer.reply,
        };
        for bytes in [reply.encode(), reply.encode_truncated()] {
            prop_assert!(bytes.len() >= 12 && bytes.len() <= 65_535);
            prop_assert!(transport == Transport::Tcp || bytes.len() <= 1232);
            prop_assert_eq!(&bytes[..2], &packet[..2]);
            prop_assert!(bytes[2] & 0x80 != 0);
        }
    }
    Ok(())
}
