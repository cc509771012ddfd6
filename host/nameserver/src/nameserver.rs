//! The server: its sockets and the tasks behind them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use portolan_consensus::{Member, Revision};
use prometheus::Registry;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::error::StartError;
use crate::follow::{self, Pictures};
use crate::limiter::{Limiter, Verdict};
use crate::lines_file::LinesFile;
use crate::meter::Meter;
use crate::notify;
use crate::options::Options;
use crate::respond::{Knowledge, Reply, Response, Transport, respond};
use crate::serve;

/// How often a free port is looked for that UDP and TCP can both have.
const PORTS_TRIED: usize = 16;

/// The embedded authoritative DNS server. It answers from memory: a member goes on answering when
/// the group has no leader, with what it has.
pub struct Nameserver {
    shared: Arc<Shared>,
    member: Member,
    /// What the first picture shows.
    revision: Revision,
    udp: UdpSocket,
    tcp: TcpListener,
    address: SocketAddr,
}

/// What all of the server's tasks work with.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) pictures: Pictures,
    pub(crate) lines: LinesFile,
    pub(crate) limiter: Limiter,
    pub(crate) meter: Meter,
    pub(crate) started: Instant,
}

impl Nameserver {
    /// Reads the zones and the lines, and binds `options.listen`; nothing where there is none.
    ///
    /// # Errors
    /// See [`StartError`]: it names the option that is wrong.
    pub async fn start(
        member: Member,
        options: Options,
        registry: &Registry,
    ) -> Result<Option<Self>, StartError> {
        options.check().map_err(StartError::Options)?;
        let Some(listen) = options.listen else {
            return Ok(None);
        };
        let lines = LinesFile::open(options.lines.clone())?;
        let meter = Meter::new(registry)?;
        let (picture, revision) = follow::read(&member).await?;
        meter.pictured(&picture);
        let (udp, tcp, address) = bind(listen).await?;
        let shared = Arc::new(Shared {
            limiter: Limiter::new(options.rate.clone()),
            pictures: Pictures::new(Arc::new(picture)),
            lines,
            meter,
            options,
            started: Instant::now(),
        });
        Ok(Some(Self {
            shared,
            member,
            revision,
            udp,
            tcp,
            address,
        }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers queries and follows the store until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        tracing::info!(address = %self.address, "dns server answers");
        let shared = &self.shared;
        tokio::join!(
            serve::udp::serve(Arc::clone(shared), self.udp, &shutdown),
            serve::tcp::serve(Arc::clone(shared), self.tcp, &shutdown),
            shared.lines.follow(&shutdown),
            follow::follow(
                &self.member,
                &shared.pictures,
                &shared.meter,
                self.revision,
                &shutdown
            ),
            notify::run(shared, &self.member, self.address.ip(), &shutdown),
        );
    }
}

impl Shared {
    /// What to do with a packet.
    pub(crate) fn respond(&self, packet: &[u8], source: IpAddr, transport: Transport) -> Response {
        let picture = Arc::clone(&self.pictures.borrow());
        let lines = self.lines.current();
        let knowledge = Knowledge {
            picture: &picture,
            lines: &lines,
            dice: rand::random(),
        };
        respond(&knowledge, packet, source, transport)
    }

    /// Whether a reply may go over UDP.
    pub(crate) fn admit(&self, source: IpAddr, reply: &Reply) -> Verdict {
        // Far beyond the years that a process lives.
        let now_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.limiter
            .admit(source, reply.kind, &reply.subject, now_us)
    }
}

/// UDP and TCP on one port.
async fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), StartError> {
    let mut attempt = 1;
    loop {
        let failed = |transport| {
            move |source| StartError::Listen {
                transport,
                address: listen,
                source,
            }
        };
        let udp = UdpSocket::bind(listen).await.map_err(failed("UDP"))?;
        let address = udp.local_addr().map_err(failed("UDP"))?;
        match TcpListener::bind(address).await {
            Ok(tcp) => return Ok((udp, tcp, address)),
            // The free port was free for UDP only.
            Err(_) if listen.port() == 0 && attempt < PORTS_TRIED => attempt += 1,
            Err(error) => return Err(failed("TCP")(error)),
        }
    }
}
