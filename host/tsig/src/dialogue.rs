//! One request and the messages that answer it.

use crate::{
    Key,
    algorithm::Running,
    record::{self, FUDGE, Tsig, length},
    walk::{self, HEADER, Located, Section, number},
};

/// The longest message over TCP.
pub const MAX_MESSAGE: usize = u16::MAX as usize;
/// The most messages in a row without a signature (RFC 8945, section 5.3.1).
const MAX_UNSIGNED: usize = 99;
const TYPE_SOA: u16 = 6;

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// By one message.
    Answer,
    /// By a zone, from its SOA to the same SOA again, or by one message that says why not.
    Zone,
}

/// Why a request cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoRequest(String);

/// What is wrong with what the server said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no answer to the request.
    #[error("{0}")]
    Garbled(String),
    /// Its signature is missing or wrong: it may be anyone's.
    #[error("{0}")]
    BadSignature(String),
    /// It refuses the request, without a signature. It may be anyone's, too.
    #[error("{text}")]
    UnsignedRefusal {
        /// The response code.
        code: u8,
        /// What is missing.
        text: String,
    },
    /// The server did not accept the request's signature, and thus did nothing.
    #[error("{0}")]
    KeyRefused(String),
}

/// A message that was heard, without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The message.
    pub message: Vec<u8>,
    /// Is it the last one?
    pub last: bool,
}

/// A request that was made, on its way to its last answer.
pub struct Dialogue {
    id: u16,
    opcode: u8,
    expect: Expect,
    heard: usize,
    /// Of the zone that comes: its first and its last record are the same.
    soas: usize,
    seal: Option<Seal>,
}

/// The chain of signatures.
struct Seal {
    key: Key,
    /// The HMAC of the next signed message: the last MAC, and unsigned messages since then.
    running: Running,
    unsigned: usize,
}

impl Dialogue {
    /// Makes the bytes to send, without the length that TCP wants before them: `message` with this id,
    /// signed where there is a key. `now` is in seconds since 1970.
    pub fn open(
        message: &[u8],
        key: Option<Key>,
        id: u16,
        now: u64,
        expect: Expect,
    ) -> Result<(Self, Vec<u8>), NoRequest> {
        let fail = |text: &str| NoRequest(format!("the message {text}"));
        let records = walk::records(message).ok_or_else(|| fail("is malformed"))?;
        if is_response(message) {
            return Err(fail("is an answer, not a request"));
        }
        if records.iter().any(|located| located.rtype == record::TYPE) {
            return Err(fail("carries a TSIG record: the host adds it"));
        }
        let mut bytes = message.to_vec();
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        let seal = match key {
            None => None,
            Some(key) => {
                let mac = sign(&mut bytes, &key, id, now).ok_or_else(|| fail("is too long"))?;
                Some(Seal::after(key, &mac))
            }
        };
        if bytes.len() > MAX_MESSAGE {
            return Err(fail("is longer than 65,535 octets with its signature"));
        }
        let dialogue = Self {
            id,
            opcode: opcode(message),
            expect,
            heard: 0,
            soas: 0,
            seal,
        };
        Ok((dialogue, bytes))
    }

    /// Takes the next message of the server.
    pub fn hear(&mut self, message: &[u8], now: u64) -> Result<Heard, Fault> {
        let garbled = |text: &str| Fault::Garbled(format!("the answer {text}"));
        let records = walk::records(message).ok_or_else(|| garbled("is no DNS message"))?;
        if number(message, 0) != Some(self.id)
            || !is_response(message)
            || opcode(message) != self.opcode
        {
            return Err(garbled("is to another request"));
        }
        let stripped = self.verified(message, &records, now)?;
        let last = self.is_last(&stripped, &records)?;
        self.heard += 1;
        let open = self.seal.as_ref().is_some_and(|seal| seal.unsigned > 0);
        if last && open {
            let text = "the zone ends without a signature".to_owned();
            return Err(Fault::BadSignature(text));
        }
        Ok(Heard {
            message: stripped,
            last,
        })
    }

    /// The message without its signature, which is right.
    fn verified(
        &mut self,
        message: &[u8],
        records: &[Located],
        now: u64,
    ) -> Result<Vec<u8>, Fault> {
        let is_tsig = |located: &&Located| located.rtype == record::TYPE;
        let tsig = match records.iter().find(is_tsig) {
            None => None,
            Some(at) => {
                let at_the_end = at.section == Section::Additional && at.rdata.end == message.len();
                let read = at_the_end.then(|| Tsig::read(message, at)).flatten();
                let read = read.ok_or_else(|| {
                    Fault::BadSignature("the answer's signature is malformed".to_owned())
                })?;
                Some(read)
            }
        };
        match (&mut self.seal, tsig) {
            (None, None) => Ok(message.to_vec()),
            (None, Some(_)) => Err(Fault::Garbled(
                "the answer is signed, the request was not".to_owned(),
            )),
            (Some(seal), Some(tsig)) => {
                let (id, first) = (self.id, self.heard == 0);
                seal.check(message, &tsig, id, first, now)?;
                Ok(without_tsig(message, &tsig))
            }
            (Some(seal), None) => {
                let in_between = self.heard > 0 && seal.unsigned < MAX_UNSIGNED;
                if !in_between {
                    let code = message[3] & 0x0f;
                    let text = format!(
                        "the answer ({}) is not signed with the key {}",
                        response_code(message),
                        seal.key
                    );
                    return Err(match (self.heard, code) {
                        (0, 1..) => Fault::UnsignedRefusal { code, text },
                        _ => Fault::BadSignature(text),
                    });
                }
                seal.running.add(message);
                seal.unsigned += 1;
                Ok(message.to_vec())
            }
        }
    }

    fn is_last(&mut self, message: &[u8], records: &[Located]) -> Result<bool, Fault> {
        let refused = message[3] & 0x0f != 0;
        if self.expect == Expect::Answer || (refused && self.heard == 0) {
            return Ok(true);
        }
        if refused {
            return Err(Fault::Garbled(format!(
                "the zone breaks off with {}",
                response_code(message)
            )));
        }
        let answers = || records.iter().filter(|at| at.section == Section::Answer);
        let begins = answers().next().is_some_and(|at| at.rtype == TYPE_SOA);
        if self.heard == 0 && !begins {
            let text = "the zone does not begin with its SOA".to_owned();
            return Err(Fault::Garbled(text));
        }
        self.soas += answers().filter(|at| at.rtype == TYPE_SOA).count();
        Ok(self.soas > 1)
    }
}

impl Seal {
    /// The chain after a message with this MAC.
    fn after(key: Key, mac: &[u8]) -> Self {
        let running = chained(&key, mac);
        Self {
            key,
            running,
            unsigned: 0,
        }
    }

    /// Checks a signed answer (section 5.3).
    fn check(
        &mut self,
        message: &[u8],
        tsig: &Tsig,
        id: u16,
        first: bool,
        now: u64,
    ) -> Result<(), Fault> {
        let bad = |text: String| Fault::BadSignature(text);
        if tsig.error != 0 && tsig.mac.is_empty() && first {
            return Err(self.refused(tsig));
        }
        if tsig.key_name != self.key.name || tsig.algorithm_name != self.key.algorithm_name {
            return Err(bad(format!(
                "the answer is signed with another key or algorithm than {}",
                self.key
            )));
        }
        let fresh = chained(&self.key, &tsig.mac);
        let mut running = std::mem::replace(&mut self.running, fresh);
        running.add(&without_tsig(message, tsig));
        running.add(&if first {
            tsig.variables()
        } else {
            tsig.timers()
        });
        if tsig.original_id != id || !running.matches(&tsig.mac) {
            return Err(bad(format!(
                "the answer's signature does not fit the key {}",
                self.key
            )));
        }
        if tsig.error != 0 {
            return Err(self.refused(tsig));
        }
        if now.abs_diff(tsig.time) > u64::from(tsig.fudge) {
            return Err(bad(format!(
                "the answer was signed at {} by the server's clock, and it is {now} by ours",
                tsig.time
            )));
        }
        self.unsigned = 0;
        Ok(())
    }

    fn refused(&self, tsig: &Tsig) -> Fault {
        let key = &self.key;
        Fault::KeyRefused(match tsig.error {
            16 => format!("BADSIG: the server has another secret for the key {key}"),
            17 => format!("BADKEY: the server does not know the key {key}"),
            18 => {
                let clock = tsig.other.iter().fold(0, |time: u64, octet| {
                    time.wrapping_shl(8) | u64::from(*octet)
                });
                format!(
                    "BADTIME: the clocks differ too much: the request was signed with the key {key} \
                     at {} seconds since 1970, when the server's clock said {clock}",
                    tsig.time
                )
            }
            22 => format!("BADTRUNC: the server wants another length of signature from {key}"),
            other => format!("the server refuses the signature with the key {key}: error {other}"),
        })
    }
}

/// The HMAC that a message after one with this MAC begins with.
fn chained(key: &Key, mac: &[u8]) -> Running {
    let mut running = key.begin();
    running.add(&length(mac));
    running.add(mac);
    running
}

/// Signs a request and answers its MAC. None where one more record does not fit.
fn sign(message: &mut Vec<u8>, key: &Key, id: u16, now: u64) -> Option<Vec<u8>> {
    let mut tsig = Tsig {
        start: message.len(),
        key_name: key.name.clone(),
        algorithm_name: key.algorithm_name.clone(),
        time: now,
        fudge: FUDGE,
        mac: Vec::new(),
        original_id: id,
        error: 0,
        other: Vec::new(),
    };
    let mut running = key.begin();
    running.add(message);
    running.add(&tsig.variables());
    tsig.mac = running.finish();
    let additionals = number(message, 10)?.checked_add(1)?;
    message[10..HEADER].copy_from_slice(&additionals.to_be_bytes());
    message.extend(tsig.write());
    Some(tsig.mac)
}

/// A message as it was before it was signed.
fn without_tsig(message: &[u8], tsig: &Tsig) -> Vec<u8> {
    let mut stripped = message[..tsig.start].to_vec();
    let additionals = number(message, 10).unwrap_or_default().saturating_sub(1);
    stripped[..2].copy_from_slice(&tsig.original_id.to_be_bytes());
    stripped[10..HEADER].copy_from_slice(&additionals.to_be_bytes());
    stripped
}

fn is_response(message: &[u8]) -> bool {
    message[2] & 0x80 != 0
}

fn opcode(message: &[u8]) -> u8 {
    message[2] >> 3 & 0x0f
}

/// A message's response code in words.
fn response_code(message: &[u8]) -> String {
    match message[3] & 0x0f {
        0 => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        9 => "NOTAUTH".to_owned(),
        other => format!("response code {other}"),
    }
}
