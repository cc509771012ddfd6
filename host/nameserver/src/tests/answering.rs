use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};
use portolan_steering::LineCode;

use super::fixtures::{add_zone, shown};
use crate::answer::{Answer, Kind, Question, answer};
use crate::picture::Picture;

fn picture() -> Picture {
    let mut picture = Picture::default();
    let sets = [
        "@ A 192.0.2.1",
        "@ MX 10 mail",
        "mail A 192.0.2.25",
        "www A 192.0.2.80",
        "www A@CT 192.0.2.81",
        "www TXT all",
        "ct A@CT 192.0.2.82",
        "alias CNAME www.example.com",
        "out CNAME www.example.net",
        "chain CNAME alias.example.com",
        "lost CNAME nowhere.example.com",
        "loop CNAME pool.example.com",
        "pool CNAME loop.example.com",
        "below CNAME www.sub.example.com",
        "a.b.c TXT deep",
        "*.wild A 192.0.2.7",
        "x.wild TXT x",
        "deep.ent.wild TXT y",
        "sub NS ns.sub.example.com ns.example.net",
        "ns.sub A 192.0.2.53",
        "ns.sub AAAA 2001:db8::53",
        "hidden.sub A 192.0.2.99",
        "w A 1*192.0.2.1 3*192.0.2.2",
        "zero A 0*192.0.2.1 0*192.0.2.2",
        "off A !192.0.2.1",
        "half A !192.0.2.1 192.0.2.2",
        "mixed A 192.0.2.10",
        "mixed CNAME@CT www.example.com",
        "mixed2 CNAME www.example.com",
        "mixed2 A@CT 192.0.2.11",
    ];
    add_zone(&mut picture, "example.com", &sets);
    add_zone(&mut picture, "child.example.com", &["www A 192.0.2.120"]);
    picture
}

fn ask(picture: &Picture, name: &str, rtype: RecordType, line: &str, dice: u64) -> Answer {
    let name = Name::from_ascii(name).unwrap();
    let line = LineCode::parse(line).unwrap();
    let question = Question {
        name: &name,
        rtype,
        line: &line,
        dice,
    };
    answer(picture, &question)
}

const SOA: &str =
    "example.com. 60 SOA ns.example.com. hostmaster.example.com. 7 3600 600 1209600 60";

/// Asks `www.example.com A` or `www.example.com A@CT`.
fn check(picture: &Picture, question: &str, rcode: ResponseCode, answers: &[&str], soa: bool) {
    let (name, rtype) = question.split_once(' ').unwrap();
    let (rtype, line) = rtype.split_once('@').unwrap_or((rtype, "default"));
    let got = ask(picture, name, rtype.parse().unwrap(), line, 0);
    assert_eq!(got.rcode, rcode, "{question}");
    assert_eq!(shown(&got.answers), answers, "{question}");
    let authorities: &[&str] = if soa { &[SOA] } else { &[] };
    assert_eq!(shown(&got.authorities), authorities, "{question}");
    assert!(
        got.authoritative && got.additionals.is_empty(),
        "{question}"
    );
}

#[test]
fn what_stands_there_is_answered() {
    let picture = picture();
    let soa = SOA.replacen(" 60 ", " 3600 ", 1);
    let cases: [(&str, &[&str]); 17] = [
        ("example.com. A", &["example.com. 300 A 192.0.2.1"]),
        ("example.com. SOA", &[&soa]),
        ("example.com. NS", &["example.com. 3600 NS ns.example.com."]),
        ("example.com. MX", &["example.com. 300 MX 10 mail."]),
        ("www.example.com. A", &["www.example.com. 300 A 192.0.2.80"]),
        // As the client spelled it.
        ("WwW.eXample.com. A", &["WwW.eXample.com. 300 A 192.0.2.80"]),
        // A wildcard stands for names at any depth, and for itself.
        (
            "q.wild.example.com. A",
            &["q.wild.example.com. 300 A 192.0.2.7"],
        ),
        (
            "q.r.wild.example.com. A",
            &["q.r.wild.example.com. 300 A 192.0.2.7"],
        ),
        (
            "*.wild.example.com. A",
            &["*.wild.example.com. 300 A 192.0.2.7"],
        ),
        // Aliases are followed as far as the zone goes, and not around.
        (
            "chain.example.com. A",
            &[
                "chain.example.com. 300 CNAME alias.example.com.",
                "alias.example.com. 300 CNAME www.example.com.",
                "www.example.com. 300 A 192.0.2.80",
            ],
        ),
        (
            "chain.example.com. CNAME",
            &["chain.example.com. 300 CNAME alias.example.com."],
        ),
        (
            "out.example.com. A",
            &["out.example.com. 300 CNAME www.example.net."],
        ),
        (
            "half.example.com. A",
            &["half.example.com. 300 A 192.0.2.2"],
        ),
        // To ANY any one set will do.
        ("example.com. ANY", &[&soa]),
        (
            "www.example.com. ANY",
            &["www.example.com. 300 A 192.0.2.80"],
        ),
        (
            "alias.example.com. ANY",
            &["alias.example.com. 300 CNAME www.example.com."],
        ),
        // The zone below is its own.
        (
            "www.child.example.com. A",
            &["www.child.example.com. 300 A 192.0.2.120"],
        ),
    ];
    for (question, answers) in cases {
        check(&picture, question, ResponseCode::NoError, answers, false);
    }
}

#[test]
fn what_is_not_there_is_denied_with_the_soa() {
    let picture = picture();
    let none: [(&str, ResponseCode); 12] = [
        ("example.com. TXT", ResponseCode::NoError),
        ("www.example.com. AAAA", ResponseCode::NoError),
        ("no.example.com. A", ResponseCode::NXDomain),
        ("no.www.example.com. A", ResponseCode::NXDomain),
        // Names that only have names below them are there.
        ("c.example.com. A", ResponseCode::NoError),
        ("b.c.example.com. A", ResponseCode::NoError),
        ("x.c.example.com. A", ResponseCode::NXDomain),
        // A wildcard stands only for what is not there, and only for its types.
        ("x.wild.example.com. A", ResponseCode::NoError),
        ("ent.wild.example.com. A", ResponseCode::NoError),
        ("q.ent.wild.example.com. A", ResponseCode::NXDomain),
        ("q.wild.example.com. TXT", ResponseCode::NoError),
        // Nothing of it is served.
        ("off.example.com. A", ResponseCode::NXDomain),
    ];
    for (question, rcode) in none {
        check(&picture, question, rcode, &[], true);
    }
    // The last name of a chain decides (RFC 6604).
    check(
        &picture,
        "lost.example.com. A",
        ResponseCode::NXDomain,
        &["lost.example.com. 300 CNAME nowhere.example.com."],
        true,
    );
}

#[test]
fn a_line_answers_before_the_line_default() {
    let picture = picture();
    let cases: [(&str, &[&str], bool); 12] = [
        (
            "www.example.com. A@CT",
            &["www.example.com. 300 A 192.0.2.81"],
            false,
        ),
        (
            "www.example.com. A@CU",
            &["www.example.com. 300 A 192.0.2.80"],
            false,
        ),
        (
            "www.example.com. TXT@CT",
            &["www.example.com. 300 TXT all"],
            false,
        ),
        (
            "alias.example.com. A@CT",
            &[
                "alias.example.com. 300 CNAME www.example.com.",
                "www.example.com. 300 A 192.0.2.81",
            ],
            false,
        ),
        (
            "ct.example.com. A@CT",
            &["ct.example.com. 300 A 192.0.2.82"],
            false,
        ),
        // It is there, but has nothing for these clients.
        ("ct.example.com. A", &[], true),
        ("ct.example.com. A@CU", &[], true),
        // No client sees a CNAME beside other data.
        (
            "mixed.example.com. A",
            &["mixed.example.com. 300 A 192.0.2.10"],
            false,
        ),
        (
            "mixed.example.com. A@CT",
            &[
                "mixed.example.com. 300 CNAME www.example.com.",
                "www.example.com. 300 A 192.0.2.81",
            ],
            false,
        ),
        (
            "mixed2.example.com. A@CT",
            &["mixed2.example.com. 300 A 192.0.2.11"],
            false,
        ),
        ("mixed2.example.com. TXT@CT", &[], true),
        (
            "mixed2.example.com. TXT@CU",
            &[
                "mixed2.example.com. 300 CNAME www.example.com.",
                "www.example.com. 300 TXT all",
            ],
            false,
        ),
    ];
    for (question, answers, soa) in cases {
        check(&picture, question, ResponseCode::NoError, answers, soa);
    }
    let differs = |name: &str| ask(&picture, name, RecordType::A, "CU", 0).differs_by_line;
    assert!(differs("www.example.com.") && differs("ct.example.com."));
    assert!(differs("alias.example.com."), "what it leads to does");
    assert!(!differs("mail.example.com.") && !differs("no.example.com."));
}

#[test]
fn a_zone_below_is_referred_to_with_the_addresses_that_are_known() {
    let picture = picture();
    for name in ["sub", "www.sub", "hidden.sub", "ns.sub"] {
        let got = ask(
            &picture,
            &format!("{name}.example.com."),
            RecordType::A,
            "default",
            0,
        );
        assert_eq!(
            (got.rcode, got.kind),
            (ResponseCode::NoError, Kind::Referral),
            "{name}"
        );
        assert!(!got.authoritative && got.answers.is_empty());
        assert_eq!(
            shown(&got.authorities),
            [
                "sub.example.com. 300 NS ns.sub.example.com.",
                "sub.example.com. 300 NS ns.example.net."
            ]
        );
        assert_eq!(
            shown(&got.additionals),
            [
                "ns.sub.example.com. 300 A 192.0.2.53",
                "ns.sub.example.com. 300 AAAA 2001:db8::53"
            ]
        );
    }
    // What says whether the zone below is signed stands above the cut.
    check(
        &picture,
        "sub.example.com. DS",
        ResponseCode::NoError,
        &[],
        true,
    );
    check(
        &picture,
        "child.example.com. DS",
        ResponseCode::NXDomain,
        &[],
        true,
    );
    let alias = ask(&picture, "below.example.com.", RecordType::A, "default", 0);
    assert!(alias.authoritative, "the alias itself is ours");
    assert_eq!((alias.answers.len(), alias.authorities.len()), (1, 2));
}

#[test]
fn what_is_not_ours_is_refused_and_loops_end() {
    let picture = picture();
    for name in ["example.net.", "com.", ".", "aexample.com."] {
        let got = ask(&picture, name, RecordType::A, "default", 0);
        assert_eq!(got, Answer::error(ResponseCode::Refused), "{name}");
    }
    let got = ask(&picture, "loop.example.com.", RecordType::A, "default", 0);
    assert_eq!(got.rcode, ResponseCode::NoError);
    assert!(got.answers.len() <= 8, "{}", got.answers.len());
}

#[test]
fn weighted_values_are_answered_by_their_share() {
    let picture = picture();
    let mut counts = [0; 2];
    for dice in 0..400 {
        let got = ask(&picture, "w.example.com.", RecordType::A, "default", dice);
        match shown(&got.answers).as_slice() {
            [one] if one.ends_with(" 192.0.2.1") => counts[0] += 1,
            [one] if one.ends_with(" 192.0.2.2") => counts[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counts, [100, 300]);
    let zero = ask(&picture, "zero.example.com.", RecordType::A, "default", 1);
    assert_eq!(zero.answers.len(), 2, "without shares all are answered");
}
