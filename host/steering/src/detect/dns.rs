//! Reflectors: name servers that answer a certain name with the address from which they are asked.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::admissible;
use super::agree::agree;
use super::error::{Failure, Said};
use super::method::{AddressRecord, ByDns, Reflector};
use crate::family::Family;
use crate::outbound::Reach;

/// Without EDNS, no answer is longer (RFC 1035 §4.2.1).
const MAX_DATAGRAM: usize = 512;
/// A datagram may get lost once.
const ATTEMPTS: u32 = 2;

/// The address that two reflectors see.
pub(super) async fn detect(
    family: Family,
    by: &ByDns,
    patience: Duration,
) -> Result<IpAddr, Failure> {
    let reach = Reach {
        family: Some(family),
        private: by.allow_private,
    };
    let reflectors = by.reflectors();
    agree(&reflectors, |reflector| async move {
        let answer = match timeout(patience, ask(reflector, family, reach, patience)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
        };
        Said {
            source: reflector.to_string(),
            answer,
        }
    })
    .await
}

async fn ask(
    reflector: &Reflector,
    family: Family,
    reach: Reach,
    patience: Duration,
) -> Result<IpAddr, String> {
    let server = resolve(reflector, reach).await?;
    let mut name = Name::from_ascii(&reflector.name).map_err(|error| error.to_string())?;
    // As the response has it: names with and without the final dot are not equal.
    name.set_fqdn(true);
    let rtype = match (reflector.record, family) {
        (AddressRecord::Txt, _) => RecordType::TXT,
        (AddressRecord::Address, Family::Ipv4) => RecordType::A,
        (AddressRecord::Address, Family::Ipv6) => RecordType::AAAA,
    };
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, rtype));
    let response = exchange(server, &query, patience).await?;
    let code = response.metadata.response_code;
    if code != ResponseCode::NoError {
        return Err(format!("it answers {code}"));
    }
    if response.metadata.truncation {
        return Err("its answer is too long for a datagram".to_owned());
    }
    admissible(only_answer(&response, family)?, reach.private)
}

async fn resolve(reflector: &Reflector, reach: Reach) -> Result<SocketAddr, String> {
    let (host, port) = reflector.host_and_port()?;
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| format!("{host} cannot be looked up: {error}"))?;
    let admitted = reach.admit(host, found.map(|it| it.ip()).collect());
    let admitted = admitted.map_err(|error| error.to_string())?;
    let first = admitted.first().ok_or(format!("{host} has no address"))?;
    Ok(SocketAddr::new(*first, port))
}

async fn exchange(
    server: SocketAddr,
    query: &Message,
    patience: Duration,
) -> Result<Message, String> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let failed = |error: std::io::Error| error.to_string();
    let socket = UdpSocket::bind((any, 0)).await.map_err(failed)?;
    // A connected socket takes datagrams of that server alone.
    socket.connect(server).await.map_err(failed)?;
    let bytes = query.to_vec().map_err(|error| error.to_string())?;
    for _ in 0..ATTEMPTS {
        socket.send(&bytes).await.map_err(failed)?;
        if let Ok(response) = timeout(patience / ATTEMPTS, receive(&socket, query)).await {
            return response.map_err(failed);
        }
    }
    Err(format!("no answer within {} ms", patience.as_millis()))
}

/// The response to this query; whatever else arrives is passed over.
async fn receive(socket: &UdpSocket, query: &Message) -> std::io::Result<Message> {
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Ok(message) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        let answers_it = message.metadata.message_type == MessageType::Response
            && message.metadata.id == query.metadata.id
            && message.queries == query.queries;
        if answers_it {
            return Ok(message);
        }
    }
}

/// The one address in the answer section. A text counts if it is an address as a whole: Google adds
/// a text with the client's subnet where a resolver stands between.
fn only_answer(response: &Message, family: Family) -> Result<IpAddr, String> {
    let found: BTreeSet<IpAddr> = response
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            RData::TXT(text) => std::str::from_utf8(&text.txt_data.concat())
                .ok()
                .and_then(|text| text.parse().ok()),
            _ => None,
        })
        .filter(|address| Family::of(*address) == family)
        .collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(address), None) => Ok(address),
        (None, _) => Err(format!("its answer holds no {family} address")),
        (Some(first), Some(second)) => Err(format!("it answers both {first} and {second}")),
    }
}
