//! Zone transfers (RFC 5936): the zone as one state of the store has it, for who may have it.
//!
//! A transfer carries the line `default`, for the wire has no word for lines: a secondary answers
//! everybody so. An IXFR is answered with the whole zone (RFC 1995 §4 allows it).

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::BinEncodable;

use crate::nameserver::Shared;
use crate::picture::Picture;
use crate::respond::{Reply, Transfer};
use crate::zone::{Apex, Zone};

/// Records of one message, in bytes before compression: names at its end can still be pointed to
/// (RFC 1035 §4.1.4 reaches 16 KiB), and a message holds many records.
const MESSAGE_BYTES: usize = 16 * 1024;

impl Transfer {
    /// Over UDP there is no room for a zone: to an IXFR the SOA alone says "come over TCP" (RFC 1995
    /// §2), an AXFR is refused.
    pub(crate) fn over_udp(self, shared: &Shared, client: IpAddr) -> Reply {
        let picture = Arc::clone(&shared.pictures.borrow());
        let zone = picture.zone(&self.zone);
        match zone.filter(|_| self.have.is_some() && may_transfer(shared, client)) {
            Some((_, apex)) => self.reply.with_answer(apex.soa_record()),
            None => self.reply.refuse(ResponseCode::Refused),
        }
    }

    /// The messages to send.
    pub(crate) fn over_tcp(self, shared: &Shared, client: IpAddr) -> Vec<Vec<u8>> {
        let zone = self.zone.to_string();
        let refuse = |reply: Reply, rcode: ResponseCode| {
            shared.meter.transferred("refused");
            shared.meter.answered("tcp", rcode);
            vec![reply.refuse(rcode).encode()]
        };
        if !may_transfer(shared, client) {
            tracing::info!(%client, zone, "zone transfer refused; see [dns] transfer");
            return refuse(self.reply, ResponseCode::Refused);
        }
        let picture = Arc::clone(&shared.pictures.borrow());
        let Some(messages) = self.messages(&picture) else {
            return refuse(self.reply, ResponseCode::NotAuth);
        };
        tracing::info!(%client, zone, messages = messages.len(), "zone transferred");
        shared.meter.transferred("sent");
        shared.meter.answered("tcp", ResponseCode::NoError);
        messages
    }

    /// None where the zone is not served.
    fn messages(&self, picture: &Picture) -> Option<Vec<Vec<u8>>> {
        let (zone, apex) = picture.zone(&self.zone)?;
        let current = self.have.is_some_and(|have| !apex.serial.is_after(have));
        let records = match current {
            true => vec![apex.soa_record()],
            false => all(zone, apex),
        };
        let batches = batches(records);
        let message = |(index, records): (usize, Vec<Record>)| {
            let mut message = self.reply.message().clone();
            if index > 0 {
                // Only the first needs the question and the OPT (RFC 5936 §2.2).
                message = Message::response(message.metadata.id, message.metadata.op_code);
            }
            message.metadata.authoritative = true;
            message.answers = records;
            message.to_vec().ok()
        };
        batches.into_iter().enumerate().map(message).collect()
    }
}

fn may_transfer(shared: &Shared, client: IpAddr) -> bool {
    let client = client.to_canonical();
    let allowed = &shared.options.transfer;
    allowed.iter().any(|network| network.contains(&client))
}

/// The SOA at the beginning and at the end says that nothing is missing.
fn all(zone: &Zone, apex: &Apex) -> Vec<Record> {
    let mut records = vec![apex.soa_record()];
    records.extend(apex.ns_records());
    records.extend(zone.default_line());
    records.push(apex.soa_record());
    records
}

fn batches(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut batches: Vec<Vec<Record>> = Vec::new();
    let mut room = 0;
    for record in records {
        let bytes = record.to_bytes().map_or(0, |bytes| bytes.len());
        match batches.last_mut() {
            Some(batch) if bytes <= room => {
                batch.push(record);
                room -= bytes;
            }
            _ => {
                batches.push(vec![record]);
                room = MESSAGE_BYTES.saturating_sub(bytes);
            }
        }
    }
    batches
}
