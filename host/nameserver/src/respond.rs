//! From a packet to a reply: the message around the answer (RFC 1035, RFC 6891, RFC 7871).

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, LowerName, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use crate::answer::{Answer, Kind, Question, answer};
use crate::client::Client;
use crate::lines::Lines;
use crate::picture::Picture;
use crate::serial::Serial;

/// The header: RFC 1035 §4.1.1.
const HEADER: usize = 12;
/// What every client takes over UDP.
const SMALLEST: u16 = 512;

/// What the server says that it takes over UDP; its queries are far shorter.
const OFFERED: u16 = 1232;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// The longest reply in bytes, whatever the client offers.
    Udp {
        longest: u16,
    },
    Tcp,
}

/// What answers are made from.
pub(crate) struct Knowledge<'a> {
    pub(crate) picture: &'a Picture,
    pub(crate) lines: &'a Lines,
    /// Any number, another for each query.
    pub(crate) dice: u64,
}

/// What to do with a packet.
#[derive(Debug)]
pub(crate) enum Response {
    /// Not a query: anything sent back could go back and forth.
    Silence,
    /// Send this.
    Reply(Reply),
    /// Send the zone, if the client may have it.
    Transfer(Transfer),
}

/// A message to be sent, and what it counts as.
#[derive(Debug)]
pub(crate) struct Reply {
    message: Message,
    /// In bytes.
    longest: u16,
    pub(crate) kind: Kind,
    /// What alike answers have in common: the name, or the zone of a name that is not there.
    pub(crate) subject: LowerName,
}

/// A transfer that was asked for.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// The request, answered without records.
    pub(crate) reply: Reply,
    pub(crate) zone: LowerName,
    /// The serial that the client has (IXFR).
    pub(crate) have: Option<Serial>,
}

impl Reply {
    pub(crate) fn rcode(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// The bytes to send: whole where they fit, and otherwise truncated.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.try_encode(&self.message)
            .unwrap_or_else(|| self.encode_truncated())
    }

    /// A reply that says "ask again over TCP" and nothing else.
    pub(crate) fn encode_truncated(&self) -> Vec<u8> {
        self.try_encode(&self.message.truncate())
            .unwrap_or_default()
    }

    /// The same reply with another code, and no records.
    pub(crate) fn refuse(mut self, rcode: ResponseCode) -> Self {
        self.message.metadata.response_code = rcode;
        self.message.metadata.authoritative = false;
        self
    }

    /// The same reply with one record, with authority.
    pub(crate) fn with_answer(mut self, record: Record) -> Self {
        self.message.metadata.authoritative = true;
        self.message.add_answer(record);
        self
    }

    /// The message as it stands.
    pub(crate) fn message(&self) -> &Message {
        &self.message
    }

    fn try_encode(&self, message: &Message) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(SMALLEST.into());
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(self.longest);
        message.emit(&mut encoder).ok()?;
        // Records that do not fit are left out with the truncation bit. A part of an answer is worse
        // than none: a client may take it for the whole (RFC 2181 §9).
        let cut = bytes.get(2).is_some_and(|flags| flags & 0x02 != 0);
        (!cut || message.metadata.truncation).then_some(bytes)
    }
}

/// Answers a packet from `source`.
pub(crate) fn respond(
    knowledge: &Knowledge<'_>,
    packet: &[u8],
    source: IpAddr,
    transport: Transport,
) -> Response {
    let Some(head) = Head::read(packet) else {
        return Response::Silence;
    };
    if head.op_code != OpCode::Query {
        return bare(&head, ResponseCode::NotImp);
    }
    if !head.has_counts_of_a_query() {
        return bare(&head, ResponseCode::FormErr);
    }
    let Ok(request) = Message::from_vec(packet) else {
        return bare(&head, ResponseCode::FormErr);
    };
    let Some(query) = request.queries.first() else {
        return bare(&head, ResponseCode::FormErr);
    };
    let reply = begin(&request, query, transport);
    if request.version() > 0 {
        return Response::Reply(reply.refuse(ResponseCode::BADVERS));
    }
    let Some(client) = Client::of(source, request.edns.as_ref()) else {
        return Response::Reply(reply.refuse(ResponseCode::FormErr));
    };
    if query.query_class != DNSClass::IN {
        return Response::Reply(reply.refuse(ResponseCode::Refused));
    }
    match query.query_type {
        RecordType::AXFR | RecordType::IXFR => transfer(reply, &request, query),
        _ => Response::Reply(fill(reply, knowledge, query, &client)),
    }
}

/// The parts of a header that decide whether the rest is read.
struct Head {
    id: u16,
    op_code: OpCode,
    recursion_desired: bool,
    /// Questions, answers, authorities, additionals.
    counts: [u16; 4],
}

impl Head {
    /// None where there is nothing to answer: too short, or itself a response.
    fn read(packet: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = packet.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let is_response = header[2] & 0x80 != 0;
        (!is_response).then(|| Self {
            id: word(0),
            op_code: OpCode::from_u8(header[2] >> 3 & 0x0f),
            recursion_desired: header[2] & 0x01 != 0,
            counts: [word(4), word(6), word(8), word(10)],
        })
    }

    /// One question, no answer, at most the SOA of an IXFR, and beside it an OPT and a signature.
    /// Seen before the records are read, which would make room for as many as are announced.
    fn has_counts_of_a_query(&self) -> bool {
        let [questions, answers, authorities, additionals] = self.counts;
        questions == 1 && answers == 0 && authorities <= 1 && additionals <= 3
    }
}

/// A reply to what cannot be read further: a header and nothing else.
fn bare(head: &Head, rcode: ResponseCode) -> Response {
    let mut message = Message::error_msg(head.id, head.op_code, rcode);
    message.metadata.recursion_desired = head.recursion_desired;
    Response::Reply(Reply {
        message,
        longest: SMALLEST,
        kind: Kind::Error,
        subject: LowerName::default(),
    })
}

/// A reply without records yet.
fn begin(request: &Message, query: &Query, transport: Transport) -> Reply {
    let mut message = Message::response(request.metadata.id, OpCode::Query);
    message.metadata.recursion_desired = request.metadata.recursion_desired;
    message.add_query(query.clone());
    let longest = match transport {
        Transport::Tcp => u16::MAX,
        Transport::Udp { longest } => request.max_payload().min(longest).max(SMALLEST),
    };
    if let Some(asked) = &request.edns {
        let mut edns = Edns::new();
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        edns.set_max_payload(OFFERED);
        message.set_edns(edns);
    }
    Reply {
        message,
        longest,
        kind: Kind::Error,
        subject: LowerName::new(&query.name),
    }
}

fn fill(mut reply: Reply, knowledge: &Knowledge<'_>, query: &Query, client: &Client) -> Reply {
    let located = knowledge.lines.locate(client.address);
    let question = Question {
        name: &query.name,
        rtype: query.query_type,
        line: located.line,
        dice: knowledge.dice,
    };
    let Answer {
        rcode,
        kind,
        authoritative,
        answers,
        authorities,
        additionals,
        differs_by_line,
        zone,
    } = answer(knowledge.picture, &question);
    let message = &mut reply.message;
    message.metadata.response_code = rcode;
    message.metadata.authoritative = authoritative;
    message.answers = answers;
    message.authorities = authorities;
    message.additionals = additionals;
    let scope = if differs_by_line { located.scope } else { 0 };
    if let (Some(edns), Some(subnet)) = (&mut message.edns, client.echo(scope)) {
        edns.options_mut().insert(subnet);
    }
    reply.kind = kind;
    // Names that are not there are without number: what they have in common is the zone.
    if let (Kind::NoName, Some(zone)) = (kind, zone) {
        reply.subject = zone;
    }
    reply
}

fn transfer(reply: Reply, request: &Message, query: &Query) -> Response {
    let have = request
        .authorities
        .iter()
        .find_map(|record| match &record.data {
            RData::SOA(soa) => Some(Serial(soa.serial)),
            _ => None,
        });
    Response::Transfer(Transfer {
        reply,
        zone: LowerName::new(&query.name),
        have: have.filter(|_| query.query_type == RecordType::IXFR),
    })
}
