//! What the answer to a question is: pure, from a picture and the client's line.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use portolan_steering::LineCode;

use crate::picture::Picture;
use crate::zone::{Apex, Found, Node, Zone};

/// How many CNAMEs are followed within a zone; a longer chain is the resolver's to go on with.
const MAX_CHAIN: usize = 8;

/// A question of a client.
pub(crate) struct Question<'a> {
    /// As the client spelled it.
    pub(crate) name: &'a Name,
    pub(crate) rtype: RecordType,
    /// The line that the client is on.
    pub(crate) line: &'a LineCode,
    /// Any number, another for each question: picks among weighted values.
    pub(crate) dice: u64,
}

/// What kind of answer it is: alike answers are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Positive,
    NoData,
    NoName,
    Referral,
    Error,
}

/// The answer, apart from the message around it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) rcode: ResponseCode,
    pub(crate) kind: Kind,
    pub(crate) authoritative: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
    /// Whether a client of another line may be answered differently.
    pub(crate) differs_by_line: bool,
    /// The zone that answers; none where no zone does.
    pub(crate) zone: Option<LowerName>,
}

impl Answer {
    /// An answer without records.
    pub(crate) fn error(rcode: ResponseCode) -> Self {
        Self {
            rcode,
            kind: Kind::Error,
            authoritative: false,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            differs_by_line: false,
            zone: None,
        }
    }
}

/// Answers a question.
pub(crate) fn answer(picture: &Picture, question: &Question<'_>) -> Answer {
    let name = LowerName::new(question.name);
    let Some((zone, apex)) = picture.authority(&name, question.rtype) else {
        return Answer::error(ResponseCode::Refused);
    };
    let answer = Answer {
        kind: Kind::Positive,
        authoritative: true,
        zone: Some(apex.origin.clone()),
        ..Answer::error(ResponseCode::NoError)
    };
    let search = Search {
        zone,
        apex,
        question,
        answer,
    };
    search.run(name)
}

/// What is to be done after a name has been looked at.
enum Step {
    Done,
    /// A CNAME leads on.
    Follow(Name),
}

struct Search<'a> {
    zone: &'a Zone,
    apex: &'a Apex,
    question: &'a Question<'a>,
    answer: Answer,
}

impl Search<'_> {
    fn run(mut self, name: LowerName) -> Answer {
        let (mut owner, mut name) = (self.question.name.clone(), name);
        for _ in 0..MAX_CHAIN {
            match self.look_at(&owner, &name) {
                Step::Follow(target) if self.apex.origin.zone_of(&LowerName::new(&target)) => {
                    name = LowerName::new(&target);
                    owner = target;
                }
                Step::Follow(_) | Step::Done => break,
            }
        }
        self.answer
    }

    fn look_at(&mut self, owner: &Name, name: &LowerName) -> Step {
        if *name == self.apex.origin && self.apex_itself(owner) {
            return Step::Done;
        }
        match self.zone.find(self.apex, name, self.question.rtype) {
            Found::Node(node) => self.node(owner, node),
            Found::Empty => self.negative(ResponseCode::NoError, Kind::NoData),
            Found::Missing => self.negative(ResponseCode::NXDomain, Kind::NoName),
            Found::Cut(at, node) => self.referral(&at, node),
        }
    }

    /// What stands at the apex by itself. To ANY it is the SOA: any one set will do (RFC 8482 §4.1).
    fn apex_itself(&mut self, owner: &Name) -> bool {
        let datas = match self.question.rtype {
            RecordType::SOA | RecordType::ANY => std::slice::from_ref(&self.apex.soa),
            RecordType::NS => self.apex.ns.as_slice(),
            _ => return false,
        };
        let record = |data: &RData| Record::from_rdata(owner.clone(), self.apex.ttl, data.clone());
        self.answer.answers.extend(datas.iter().map(record));
        true
    }

    fn node(&mut self, owner: &Name, node: &Node) -> Step {
        self.answer.differs_by_line |= node.differs_by_line();
        let (line, dice) = (self.question.line, self.question.dice);
        let rtype = match self.question.rtype {
            RecordType::ANY => node.types(line).first().copied(),
            rtype => Some(rtype),
        };
        if let Some(view) = rtype.and_then(|rtype| node.get(line, rtype)) {
            self.answer.answers.extend(view.answer(owner, dice));
            return Step::Done;
        }
        let Some(alias) = node.get(line, RecordType::CNAME) else {
            return self.negative(ResponseCode::NoError, Kind::NoData);
        };
        let records = alias.answer(owner, dice);
        let target = records.iter().find_map(|record| match &record.data {
            RData::CNAME(target) => Some(target.0.clone()),
            _ => None,
        });
        self.answer.answers.extend(records);
        target.map_or(Step::Done, Step::Follow)
    }

    /// The SOA says how long to remember that there is nothing (RFC 2308 §3).
    fn negative(&mut self, rcode: ResponseCode, kind: Kind) -> Step {
        let mut soa = self.apex.soa_record();
        soa.ttl = self.apex.negative_ttl;
        self.answer.rcode = rcode;
        self.answer.kind = kind;
        self.answer.authorities.push(soa);
        Step::Done
    }

    /// Names the servers of the zone that begins at `at`, with those of their addresses that are
    /// known here.
    fn referral(&mut self, at: &LowerName, node: &Node) -> Step {
        if self.answer.answers.is_empty() {
            self.answer.authoritative = false;
            self.answer.kind = Kind::Referral;
        }
        let line = self.question.line;
        let servers = node.get(line, RecordType::NS);
        let records = servers.map_or_else(Vec::new, |view| view.all(&Name::from(at)));
        for record in &records {
            if let RData::NS(host) = &record.data {
                self.glue(&host.0);
            }
        }
        self.answer.authorities.extend(records);
        Step::Done
    }

    fn glue(&mut self, host: &Name) {
        let Some(node) = self.zone.node(&LowerName::new(host)) else {
            return;
        };
        for rtype in [RecordType::A, RecordType::AAAA] {
            let view = node.get(self.question.line, rtype);
            let records = view.map_or_else(Vec::new, |view| view.all(host));
            self.answer.additionals.extend(records);
        }
    }
}
