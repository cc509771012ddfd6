//! The wire format against itself and against anything at all.

use portolan_plugin::{
    content::canonical,
    dns::{Change, RecordSet},
    testing::{create, delete, set, update},
};
use proptest::prelude::*;

use crate::{
    message::{Answer, Update, query},
    name, rdata,
    update::{Write, by_name, is_swap, message},
    view::Stood,
};

const ZONE: &str = "example.com";

#[test]
fn names_are_read_as_they_were_written() {
    let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    for text in [
        ".",
        "com",
        "*.www.example.com",
        "_a._tcp.xn--fiq228c",
        &long,
    ] {
        let wire = name::encode(text).unwrap();
        assert_eq!(name::decode(&wire, 0), Some((wire.clone(), wire.len())));
        assert_eq!(name::text(&wire).as_deref(), Some(text));
    }
    for text in ["", "a..b", ".a", "a.", &format!("{long}b"), &"a".repeat(64)] {
        assert_eq!(name::encode(text), None, "{text}");
    }
    assert_eq!(name::text(b"\x03WwW\x00").as_deref(), Some("www"));
    assert_eq!(name::text(b"\x03a.b\x00"), None);
    assert_eq!(name::text(b"\x02a\xc3\x00"), None);
}

#[test]
fn pointers_are_followed_backwards_alone() {
    let message = b"\x03com\x00\x03www\xc0\x00\xc0\x05";
    assert_eq!(
        name::decode(message, 5),
        Some((b"\x03www\x03com\x00".to_vec(), 11))
    );
    assert_eq!(
        name::decode(message, 11),
        Some((b"\x03www\x03com\x00".to_vec(), 13))
    );
    for circle in [
        &b"\xc0\x00"[..],
        b"\x01a\xc0\x00",
        b"\xc0\x02\xc0\x00",
        b"\xc0",
        b"\x05a",
    ] {
        assert_eq!(name::decode(circle, 0), None);
    }
}

#[test]
fn contents_travel_there_and_back() {
    let long = format!("\"{}\"", "x".repeat(600));
    for (rtype, given) in [
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
        ("AAAA", "::ffff:192.0.2.1"),
        ("CAA", "0 issue \"ca.example; account=1\""),
        ("CAA", "128 issue \"\""),
        ("CNAME", "target.example.net"),
        ("MX", "10 mail.example.net"),
        ("MX", "0 ."),
        ("NS", "ns1.example.net"),
        ("PTR", "host.example.net"),
        ("SRV", "1 2 443 host.example.net"),
        ("TXT", "\"two\" \"strings\" \"\""),
        ("TXT", r#""\195\169 \"q\" \\""#),
        ("TXT", &long),
    ] {
        let content = canonical(rtype, given).unwrap();
        let data = rdata::encode(rtype, &content).unwrap();
        assert_eq!(
            rdata::content(rtype, &data).as_deref(),
            Some(&*content),
            "{rtype}"
        );
        assert_eq!(rdata::expand(rtype, &data, 0, data.len()), Some(data));
    }
}

/// A set of these contents on its way to this one.
fn write(change: &Change) -> Write<'_> {
    let data = |set: &RecordSet| {
        let contents = set.values.iter().map(|value| &value.content);
        contents
            .map(|content| rdata::encode(&set.key.rtype, content).unwrap())
            .collect()
    };
    let code = rdata::code(&change.key.rtype).unwrap();
    Write {
        index: 0,
        code,
        standing: change.before.as_ref().map(|set| Stood {
            set: set.clone(),
            code,
            data: data(set),
        }),
        wanted: change.after.as_ref().map(data),
        change,
    }
}

/// The prerequisites and the updates of a message, as `name type class [ttl data]`.
fn shown(changes: &[Change]) -> (Vec<String>, Vec<String>) {
    let writes: Vec<Write> = changes.iter().map(write).collect();
    let writes: Vec<&Write> = writes.iter().collect();
    let mut bytes = message(ZONE, &writes).unwrap();
    assert_eq!(bytes[2] >> 3 & 15, 5, "an update");
    let classes = [(1, "IN"), (254, "NONE"), (255, "ANY")];
    // The sections as if they were answers, one after the other, with all classes made Internet's.
    let counts = [
        u16::from_be_bytes([bytes[6], bytes[7]]),
        u16::from_be_bytes([bytes[8], bytes[9]]),
    ];
    bytes[6..10].copy_from_slice(&[0; 4]);
    let mut at = name::decode(&bytes, 12).unwrap().1 + 4;
    let mut sections = counts.map(|count| {
        let mut records = Vec::new();
        for _ in 0..count {
            let (owner, fixed) = name::decode(&bytes, at).unwrap();
            let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let (code, class, ttl) = (number(fixed), number(fixed + 2), number(fixed + 6));
            let end = fixed + 10 + usize::from(number(fixed + 8));
            let rtype = rdata::rtype(code).map_or(code.to_string(), str::to_owned);
            let (_, class) = classes.iter().find(|(number, _)| *number == class).unwrap();
            let mut text = format!("{} {rtype} {class}", name::text(&owner).unwrap());
            if end > fixed + 10 {
                let content = rdata::content(&rtype, &bytes[fixed + 10..end]).unwrap();
                text.push_str(&format!(" {ttl} {content}"));
            }
            records.push(text);
            at = end;
        }
        records
    });
    assert_eq!(at, bytes.len());
    let updates = std::mem::take(&mut sections[1]);
    (std::mem::take(&mut sections[0]), updates)
}

fn a(contents: &[&str]) -> RecordSet {
    set("www.example.com", "A", contents)
}

#[test]
fn a_change_is_a_compare_and_set() {
    let (old, new) = (a(&["192.0.2.1", "192.0.2.2"]), a(&["192.0.2.3"]));
    assert_eq!(
        shown(&[create(new.clone())]),
        (
            vec![
                "www.example.com A NONE".to_owned(),
                "www.example.com CNAME NONE".to_owned()
            ],
            vec!["www.example.com A IN 600 192.0.2.3".to_owned()]
        )
    );
    let as_it_stood = vec![
        "www.example.com A IN 0 192.0.2.1".to_owned(),
        "www.example.com A IN 0 192.0.2.2".to_owned(),
    ];
    let gone = "www.example.com A ANY".to_owned();
    assert_eq!(
        shown(&[update(old.clone(), new)]),
        (
            as_it_stood.clone(),
            vec![
                gone.clone(),
                "www.example.com A IN 600 192.0.2.3".to_owned()
            ]
        )
    );
    assert_eq!(shown(&[delete(old)]), (as_it_stood, vec![gone]));
}

#[test]
fn a_cname_never_comes_beside_other_records() {
    let alias = set("www.example.com", "CNAME", &["target.example.net"]);
    let (needs, _) = shown(&[create(alias.clone())]);
    assert_eq!(
        needs,
        ["www.example.com CNAME NONE", "www.example.com 255 NONE"]
    );

    // Deletes come first, whatever the order of the changes.
    let (needs, updates) = shown(&[create(alias.clone()), delete(a(&["192.0.2.1"]))]);
    assert!(!needs.contains(&"www.example.com 255 NONE".to_owned()));
    for other in ["AAAA", "TXT", "NS", "44", "65"] {
        assert!(
            needs.contains(&format!("www.example.com {other} NONE")),
            "{other}: {needs:?}"
        );
    }
    assert!(!needs.contains(&"www.example.com A NONE".to_owned()));
    assert_eq!(
        updates,
        [
            "www.example.com A ANY",
            "www.example.com CNAME IN 600 target.example.net"
        ]
    );

    let (needs, _) = shown(&[delete(alias), create(a(&["192.0.2.1"]))]);
    assert_eq!(
        needs,
        [
            "www.example.com CNAME IN 0 target.example.net",
            "www.example.com A NONE"
        ]
    );
}

#[test]
fn nameservers_of_the_zone_itself_are_never_all_gone() {
    let ns = |contents: &[&str]| set(ZONE, "NS", contents);
    let change = update(
        ns(&["ns1.example.com", "ns2.example.com"]),
        ns(&["ns2.example.com", "ns3.example.com"]),
    );
    let (_, updates) = shown(&[change]);
    assert_eq!(
        updates,
        [
            "example.com NS IN 600 ns2.example.com",
            "example.com NS IN 600 ns3.example.com",
            "example.com NS NONE 0 ns1.example.com",
        ]
    );

    let slow = RecordSet {
        ttl: 60,
        ..ns(&["ns1.example.com"])
    };
    let (_, updates) = shown(&[update(ns(&["ns1.example.com"]), slow)]);
    assert_eq!(
        updates,
        [
            "example.com NS IN 60 ns1.example.com",
            "example.com NS IN 60 passing.portolan.invalid",
            "example.com NS NONE 0 passing.portolan.invalid",
        ]
    );
}

#[test]
fn what_depends_on_each_other_is_found() {
    let alias = || set("www.example.com", "CNAME", &["target.example.net"]);
    let changes = [
        delete(alias()),
        create(set("mail.example.com", "A", &["192.0.2.1"])),
        create(a(&["192.0.2.1"])),
    ];
    let writes: Vec<Write> = changes.iter().map(write).collect();
    let writes: Vec<&Write> = writes.iter().collect();
    let names = by_name(&writes);
    assert_eq!(names.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert!(is_swap(&names[0]) && !is_swap(&names[1]));
}

#[test]
fn what_does_not_fit_in_a_message_is_not_written() {
    let addresses: Vec<String> = (0..5_000)
        .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
        .collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let change = create(a(&addresses));
    assert_eq!(message(ZONE, &[&write(&change)]), None);
    let mut outside = Update::of(ZONE);
    outside.delete_set("www.example.org", 1);
    assert_eq!(outside.finish(), None);
}

proptest! {
    // What fails is printed, not kept in a file.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_server_sends_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Answer::parse(&bytes);
        let _ = name::decode(&bytes, 0).map(|(wire, _)| name::text(&wire));
        for (rtype, _) in rdata::TYPES {
            if let Some(content) = rdata::content(rtype, &bytes) {
                // What is shown can be written, and is the same again.
                prop_assert_eq!(canonical(rtype, &content), Ok(content.clone()));
                let data = rdata::encode(rtype, &content);
                prop_assert!(data.is_some(), "{} {}", rtype, content);
                let again = data.and_then(|data| rdata::content(rtype, &data));
                prop_assert_eq!(again, Some(content));
            }
        }
    }

    /// Messages that are nearly right, which get further than noise.
    #[test]
    fn a_damaged_answer_does_no_harm(at in 0..80_usize, octet in any::<u8>(), cut in 0..80_usize) {
        let mut message = query("www.example.com", 1).unwrap();
        message[7] = 2;
        message.extend(b"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x09\x00\x0a\x04mail\xc0\x10");
        message.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01");
        let whole = Answer::parse(&message).unwrap();
        prop_assert_eq!(whole.records.len(), 2);
        prop_assert_eq!(&whole.records[0].data, b"\x00\x0a\x04mail\x07example\x03com\x00");
        let at = at % message.len();
        message[at] = octet;
        let _ = Answer::parse(&message);
        message.truncate(cut);
        let _ = Answer::parse(&message);
    }
}
