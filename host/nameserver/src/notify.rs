//! Tells secondaries of new serials (RFC 1996).
//!
//! The leader alone does: changes come to be through it, and one word is enough. Whoever becomes the
//! leader tells all serials once more, so that none is lost with the one before.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{LowerName, Name, Record, RecordType};
use portolan_consensus::Member;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::nameserver::Shared;
use crate::serial::Serial;

/// How long the first word waits for its answer; doubled with each further one.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a secondary is told that does not answer. It looks for itself every `refresh` anyway.
const ATTEMPTS: u32 = 4;
/// Zones that one secondary is told of at the same time.
const AT_ONCE: usize = 16;

/// A serial to tell.
struct News {
    zone: LowerName,
    serial: Serial,
    soa: Record,
}

/// Tells the secondaries whenever this member leads, until `shutdown`.
pub(crate) async fn run(
    shared: &Shared,
    member: &Member,
    listen: IpAddr,
    shutdown: &CancellationToken,
) {
    if shared.options.notify.is_empty() {
        return;
    }
    let work = |term: CancellationToken| async move {
        let secondaries = shared.options.notify.iter();
        let all = join_all(secondaries.map(|secondary| tell(shared, listen, *secondary)));
        tokio::select! {
            () = term.cancelled() => {}
            _ = all => {}
        }
    };
    member
        .while_leading("dns notify", shutdown.clone(), work)
        .await;
}

/// Keeps one secondary informed.
async fn tell(shared: &Shared, listen: IpAddr, secondary: SocketAddr) {
    let mut pictures = shared.pictures.subscribe();
    let mut told: HashMap<LowerName, Serial> = HashMap::new();
    loop {
        let news: Vec<News> = {
            let picture = pictures.borrow_and_update();
            let is_news = |zone: &LowerName, serial| told.get(zone) != Some(&serial);
            let changed = picture.served().filter(|it| is_news(&it.origin, it.serial));
            let news = changed.map(|apex| News {
                zone: apex.origin.clone(),
                serial: apex.serial,
                soa: apex.soa_record(),
            });
            news.collect()
        };
        for some in news.chunks(AT_ONCE) {
            let telling = some
                .iter()
                .map(|news| tell_one(shared, listen, secondary, news));
            join_all(telling).await;
        }
        told.extend(news.into_iter().map(|news| (news.zone, news.serial)));
        // The sender lives as long as what is shared.
        if pictures.changed().await.is_err() {
            return;
        }
    }
}

/// Tells one serial until it is acknowledged, or not for too long.
async fn tell_one(shared: &Shared, listen: IpAddr, secondary: SocketAddr, news: &News) {
    let (label, zone) = (secondary.to_string(), &news.zone);
    for attempt in 0..ATTEMPTS {
        let patience = PATIENCE * 2_u32.saturating_pow(attempt);
        match timeout(patience, exchange(listen, secondary, news)).await {
            Ok(Ok(())) => {
                tracing::debug!(%secondary, %zone, serial = news.serial.0, "secondary notified");
                return shared.meter.notified(&label, "acknowledged");
            }
            Ok(Err(error)) => {
                tracing::debug!(%secondary, %zone, %error, "a notify could not be sent");
                tokio::time::sleep(patience).await;
            }
            Err(_) => tracing::debug!(%secondary, %zone, "a notify was not answered"),
        }
    }
    tracing::warn!(%secondary, %zone, "a secondary does not answer notifies; it will look by itself");
    shared.meter.notified(&label, "unanswered");
}

/// Sends one notify and waits for what answers it.
async fn exchange(listen: IpAddr, secondary: SocketAddr, news: &News) -> io::Result<()> {
    let socket = UdpSocket::bind(source(listen, secondary)).await?;
    socket.connect(secondary).await?;
    let id: u16 = rand::random();
    let mut message = Message::new(id, MessageType::Query, OpCode::Notify);
    message.metadata.authoritative = true;
    message.add_query(Query::query(Name::from(&news.zone), RecordType::SOA));
    message.add_answer(news.soa.clone());
    let bytes = message.to_vec().map_err(io::Error::other)?;
    socket.send(&bytes).await?;
    let mut buffer = [0; 512];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let [high, low, flags, ..] = buffer.get(..length).unwrap_or_default() else {
            continue;
        };
        if u16::from_be_bytes([*high, *low]) == id && flags & 0x80 != 0 {
            return Ok(());
        }
    }
}

/// Secondaries accept notifies from the address that they know: the one that is listened on, where
/// that is one.
fn source(listen: IpAddr, secondary: SocketAddr) -> SocketAddr {
    let fits = !listen.is_unspecified() && listen.is_ipv4() == secondary.is_ipv4();
    let any = match secondary {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(if fits { listen } else { any }, 0)
}
