//! Signatures against a server of the tests' own, and against anything at all.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use proptest::prelude::*;
use sha2::Sha256;

use crate::{Algorithm, Dialogue, Expect, Fault, Key, KeyError};

const NOW: u64 = 1_700_000_000;
const ID: u16 = 0x1234;
const SECRET: &[u8] = b"a secret of thirty-two octets!!!";

fn key() -> Key {
    Key::new(
        "Key.Example",
        Algorithm::HmacSha256,
        &STANDARD.encode(SECRET),
    )
    .unwrap()
}

/// A question for the SOA of `example`.
fn question() -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x07example\x00\x00\x06\x00\x01");
    message
}

/// An answer to it with this response code, and records of these types.
fn answer(rcode: u8, types: &[u8]) -> Vec<u8> {
    let mut message = ID.to_be_bytes().to_vec();
    message.extend([0x84, rcode, 0, 0, 0, types.len() as u8, 0, 0, 0, 0]);
    for rtype in types {
        message.extend(b"\x07example\x00");
        message.extend([0, *rtype, 0, 1, 0, 0, 0, 60, 0, 1, b'x']);
    }
    message
}

/// The server's half, written down as section 4.3 of RFC 8945 has it.
struct Server {
    last_mac: Vec<u8>,
    unsigned: Vec<u8>,
    first: bool,
}

/// What a server says in its signature beside the MAC.
#[derive(Clone, Copy)]
struct Says {
    time: u64,
    error: u16,
    other: &'static [u8],
    secret: &'static [u8],
    name: &'static [u8],
}

const FINE: Says = Says {
    time: NOW,
    error: 0,
    other: &[],
    secret: SECRET,
    name: b"\x03key\x07example\x00",
};

impl Server {
    /// Takes a request, whose signature is right.
    fn accept(request: &[u8]) -> Self {
        // The record's last 6 octets are id, error and other length; the MAC has 32 before them.
        let (signed, mac) = (request.len() - 6 - 32, request.len() - 6);
        let last_mac = request[signed..mac].to_vec();
        let record = 13 + 10 + 13 + 10 + 32 + 6;
        let mut plain = request[..request.len() - record].to_vec();
        plain[11] -= 1;
        let mut expected = mac_of(SECRET);
        expected.update(&plain);
        expected.update(&variables(FINE));
        assert_eq!(expected.finalize().into_bytes().to_vec(), last_mac);
        Self {
            last_mac,
            unsigned: Vec::new(),
            first: true,
        }
    }

    fn sign(&mut self, message: &[u8], says: Says) -> Vec<u8> {
        let mut mac = mac_of(says.secret);
        mac.update(&32_u16.to_be_bytes());
        mac.update(&self.last_mac);
        mac.update(&self.unsigned);
        mac.update(message);
        if self.first {
            mac.update(&variables(says));
        } else {
            mac.update(&timers(says));
        }
        self.last_mac = mac.finalize().into_bytes().to_vec();
        self.first = false;
        self.unsigned.clear();
        sealed(message, says, &self.last_mac)
    }

    fn leave_unsigned(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.unsigned.extend(&message);
        message
    }
}

fn mac_of(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).unwrap()
}

fn timers(says: Says) -> Vec<u8> {
    [&says.time.to_be_bytes()[2..], &300_u16.to_be_bytes()[..]].concat()
}

fn variables(says: Says) -> Vec<u8> {
    let mut all = [says.name, &[0, 255, 0, 0, 0, 0], b"\x0bhmac-sha256\x00"].concat();
    all.extend(timers(says));
    all.extend(says.error.to_be_bytes());
    all.extend((says.other.len() as u16).to_be_bytes());
    all.extend(says.other);
    all
}

/// A message with a TSIG record at its end.
fn sealed(message: &[u8], says: Says, mac: &[u8]) -> Vec<u8> {
    let mut rdata = b"\x0bhmac-sha256\x00".to_vec();
    rdata.extend(timers(says));
    rdata.extend((mac.len() as u16).to_be_bytes());
    rdata.extend(mac);
    rdata.extend(ID.to_be_bytes());
    rdata.extend(says.error.to_be_bytes());
    rdata.extend((says.other.len() as u16).to_be_bytes());
    rdata.extend(says.other);
    let mut sealed = message.to_vec();
    sealed[11] += 1;
    sealed.extend(says.name);
    sealed.extend([0, 250, 0, 255, 0, 0, 0, 0]);
    sealed.extend((rdata.len() as u16).to_be_bytes());
    sealed.extend(rdata);
    sealed
}

fn open(expect: Expect) -> (Dialogue, Server) {
    let (dialogue, request) = Dialogue::open(&question(), Some(key()), ID, NOW, expect).unwrap();
    (dialogue, Server::accept(&request))
}

fn fault(answer: &[u8], expect: Expect) -> Fault {
    open(expect).0.hear(answer, NOW).unwrap_err()
}

#[test]
fn a_signed_answer_is_told_without_its_signature() {
    let (mut dialogue, mut server) = open(Expect::Answer);
    let plain = answer(0, &[6]);
    let heard = dialogue.hear(&server.sign(&plain, FINE), NOW).unwrap();
    assert_eq!((heard.message, heard.last), (plain, true));
}

#[test]
fn without_a_key_nothing_is_signed() {
    let (mut dialogue, request) =
        Dialogue::open(&question(), None, ID, NOW, Expect::Answer).unwrap();
    assert_eq!(request[2..], question()[2..]);
    assert_eq!(request[..2], ID.to_be_bytes());
    let heard = dialogue.hear(&answer(5, &[]), NOW).unwrap();
    assert!(heard.last);
}

#[test]
fn an_answer_that_anyone_could_have_sent_is_not_believed() {
    let (mut dialogue, _) = open(Expect::Answer);
    let unsigned = dialogue.hear(&answer(0, &[6]), NOW).unwrap_err();
    let text = "the answer (NOERROR) is not signed with the key `Key.Example` (hmac-sha256)";
    assert_eq!(unsigned, Fault::BadSignature(text.to_owned()));
    let text = "the answer (REFUSED) is not signed with the key `Key.Example` (hmac-sha256)";
    let refusal = Fault::UnsignedRefusal {
        code: 5,
        text: text.to_owned(),
    };
    assert_eq!(fault(&answer(5, &[]), Expect::Zone), refusal);
    for (says, now, expected) in [
        (
            Says {
                secret: b"another",
                ..FINE
            },
            NOW,
            "does not fit",
        ),
        (
            Says {
                name: b"\x05other\x00",
                ..FINE
            },
            NOW,
            "another key",
        ),
        (FINE, NOW + 301, "by the server's clock"),
    ] {
        let (mut dialogue, mut server) = open(Expect::Answer);
        let fault = dialogue
            .hear(&server.sign(&answer(0, &[6]), says), now)
            .unwrap_err();
        assert!(
            matches!(&fault, Fault::BadSignature(text) if text.contains(expected)),
            "{fault}"
        );
    }
    let (mut dialogue, mut server) = open(Expect::Answer);
    let mut changed = server.sign(&answer(0, &[6]), FINE);
    changed[3] = 3;
    let fault = dialogue.hear(&changed, NOW).unwrap_err();
    assert!(matches!(fault, Fault::BadSignature(_)), "{fault}");

    let (mut dialogue, mut server) = open(Expect::Answer);
    server.last_mac[0] ^= 1;
    let to_another_request = server.sign(&answer(0, &[6]), FINE);
    let fault = dialogue.hear(&to_another_request, NOW).unwrap_err();
    assert!(matches!(fault, Fault::BadSignature(_)), "{fault}");
}

#[test]
fn a_server_that_refuses_the_signature_is_quoted() {
    for (error, expected) in [(16, "BADSIG: "), (17, "BADKEY: ")] {
        let (mut dialogue, _) = open(Expect::Answer);
        let refusal = sealed(&answer(9, &[]), Says { error, ..FINE }, &[]);
        let fault = dialogue.hear(&refusal, NOW).unwrap_err();
        assert!(
            matches!(&fault, Fault::KeyRefused(text) if text.starts_with(expected)),
            "{fault}"
        );
    }
    let (mut dialogue, mut server) = open(Expect::Answer);
    let late = Says {
        error: 18,
        other: &[0, 0, 0, 0, 3, 232],
        ..FINE
    };
    let fault = dialogue
        .hear(&server.sign(&answer(9, &[]), late), NOW)
        .unwrap_err();
    assert!(
        matches!(&fault, Fault::KeyRefused(text) if text.contains("when the server's clock said 1000")),
        "{fault}"
    );
}

#[test]
fn a_zone_ends_with_the_soa_that_it_began_with() {
    let (mut dialogue, mut server) = open(Expect::Zone);
    let messages = [
        server.sign(&answer(0, &[6, 1]), FINE),
        server.leave_unsigned(answer(0, &[1, 1])),
        server.leave_unsigned(answer(0, &[])),
        server.sign(&answer(0, &[1]), FINE),
        server.sign(&answer(0, &[1, 6]), FINE),
    ];
    let ends = messages.map(|message| dialogue.hear(&message, NOW).unwrap().last);
    assert_eq!(ends, [false, false, false, false, true]);

    let (mut dialogue, mut server) = open(Expect::Zone);
    let refusal = server.sign(&answer(9, &[]), FINE);
    assert!(dialogue.hear(&refusal, NOW).unwrap().last);
}

#[test]
fn a_zone_that_is_torn_or_not_signed_to_its_end_is_no_zone() {
    let (mut dialogue, mut server) = open(Expect::Zone);
    dialogue
        .hear(&server.sign(&answer(0, &[6]), FINE), NOW)
        .unwrap();
    let fault = dialogue.hear(&answer(0, &[1, 6]), NOW).unwrap_err();
    assert!(matches!(fault, Fault::BadSignature(_)), "{fault}");

    let (mut dialogue, mut server) = open(Expect::Zone);
    dialogue
        .hear(&server.sign(&answer(0, &[6]), FINE), NOW)
        .unwrap();
    dialogue.hear(&answer(0, &[1]), NOW).unwrap();
    let skips_one = server.sign(&answer(0, &[6]), FINE);
    let fault = dialogue.hear(&skips_one, NOW).unwrap_err();
    assert!(matches!(fault, Fault::BadSignature(_)), "{fault}");

    let (mut dialogue, mut server) = open(Expect::Zone);
    dialogue
        .hear(&server.sign(&answer(0, &[6]), FINE), NOW)
        .unwrap();
    for _ in 0..99 {
        dialogue.hear(&answer(0, &[1]), NOW).unwrap();
    }
    let fault = dialogue.hear(&answer(0, &[1]), NOW).unwrap_err();
    assert!(matches!(fault, Fault::BadSignature(_)), "{fault}");

    let (mut dialogue, mut server) = open(Expect::Zone);
    let fault = dialogue
        .hear(&server.sign(&answer(0, &[1]), FINE), NOW)
        .unwrap_err();
    assert!(matches!(fault, Fault::Garbled(_)), "{fault}");
}

#[test]
fn what_is_no_answer_is_told_from_what_is_not_signed() {
    let mut foreign = answer(0, &[]);
    foreign[0] ^= 1;
    for garbled in [b"<html>".to_vec(), Vec::new(), question(), foreign] {
        assert!(matches!(fault(&garbled, Expect::Answer), Fault::Garbled(_)));
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let refused = |message: &[u8]| {
        let opened = Dialogue::open(message, Some(key()), ID, NOW, Expect::Answer);
        opened
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert!(refused(b"short").contains("malformed"));
    assert!(refused(&answer(0, &[])).contains("is an answer"));
    assert!(refused(&sealed(&question(), FINE, &[])).contains("carries a TSIG record"));
}

#[test]
fn what_is_no_key_says_so_without_the_secret() {
    let wrong =
        |name: &str, secret: &str| Key::new(name, Algorithm::HmacSha512, secret).unwrap_err();
    assert_eq!(wrong("a..b", "c2VjcmV0"), KeyError::Name("a..b".to_owned()));
    for secret in ["", "not base64!", "hidden"] {
        let error = wrong("a.b", secret);
        assert_eq!(error, KeyError::Secret);
        assert!(secret.is_empty() || !error.to_string().contains(secret));
    }
    assert!(!format!("{:?}", key()).contains("secret"));
}

proptest! {
    // What fails is printed, not kept in a file.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_server_sends_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (mut dialogue, _) = open(Expect::Zone);
        prop_assert!(dialogue.hear(&bytes, NOW).is_err());
        let _ = Dialogue::open(&bytes, Some(key()), ID, NOW, Expect::Answer);
    }

    #[test]
    fn no_octet_of_a_signed_answer_can_be_changed(at in 0..2_000_usize, flip in 1..=255_u8) {
        let (mut dialogue, mut server) = open(Expect::Answer);
        let mut signed = server.sign(&answer(0, &[6, 1, 16]), FINE);
        let at = at % signed.len();
        signed[at] ^= flip;
        // A change of case in a name is none.
        let case_only = flip == 0x20 && signed[at].is_ascii_alphabetic();
        if let Ok(heard) = dialogue.hear(&signed, NOW) {
            prop_assert!(case_only && heard.message == answer(0, &[6, 1, 16]), "octet {at}");
        }
    }
}
