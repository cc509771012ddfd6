//! Metrics: `portolan_nameserver_*`.

use hickory_proto::op::ResponseCode;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::picture::Picture;

/// The server's metrics, of this member alone.
#[derive(Clone)]
pub(crate) struct Meter {
    queries: IntCounterVec,
    limited: IntCounterVec,
    transfers: IntCounterVec,
    notifies: IntCounterVec,
    connections: IntGauge,
    zones: IntGauge,
    serial: IntGaugeVec,
}

impl Meter {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("portolan_nameserver_{name}"), help);
        let meter = Self {
            queries: IntCounterVec::new(
                opts(
                    "queries_total",
                    "DNS queries, by transport and response code.",
                ),
                &["transport", "rcode"],
            )?,
            limited: IntCounterVec::new(
                opts(
                    "rate_limited_total",
                    "Answers over the rate limit: truncated, or not sent at all.",
                ),
                &["action"],
            )?,
            transfers: IntCounterVec::new(
                opts(
                    "transfers_total",
                    "Zone transfers that were asked for, by outcome.",
                ),
                &["outcome"],
            )?,
            notifies: IntCounterVec::new(
                opts(
                    "notifies_total",
                    "New serials that secondaries were told of, by secondary and outcome.",
                ),
                &["secondary", "outcome"],
            )?,
            connections: IntGauge::with_opts(opts("tcp_connections", "Open TCP connections."))?,
            zones: IntGauge::with_opts(opts("zones", "Zones that are served."))?,
            serial: IntGaugeVec::new(
                opts("zone_serial", "The serial that is served of a zone."),
                &["zone"],
            )?,
        };
        registry.register(Box::new(meter.queries.clone()))?;
        registry.register(Box::new(meter.limited.clone()))?;
        registry.register(Box::new(meter.transfers.clone()))?;
        registry.register(Box::new(meter.notifies.clone()))?;
        registry.register(Box::new(meter.connections.clone()))?;
        registry.register(Box::new(meter.zones.clone()))?;
        registry.register(Box::new(meter.serial.clone()))?;
        Ok(meter)
    }

    pub(crate) fn answered(&self, transport: &str, rcode: ResponseCode) {
        let labels = [transport, mnemonic(rcode)];
        self.queries.with_label_values(&labels).inc();
    }

    pub(crate) fn limited(&self, action: &str) {
        self.limited.with_label_values(&[action]).inc();
    }

    pub(crate) fn transferred(&self, outcome: &str) {
        self.transfers.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn notified(&self, secondary: &str, outcome: &str) {
        self.notifies.with_label_values(&[secondary, outcome]).inc();
    }

    pub(crate) fn connections(&self, open: usize) {
        self.connections
            .set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    pub(crate) fn pictured(&self, picture: &Picture) {
        self.serial.reset();
        let mut zones = 0;
        for apex in picture.served() {
            zones += 1;
            self.serial
                .with_label_values(&[&apex.origin.to_string()])
                .set(apex.serial.0.into());
        }
        self.zones.set(zones);
    }
}

/// A response code as people know it (RFC 6895 §2.3).
fn mnemonic(rcode: ResponseCode) -> &'static str {
    match rcode {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::BADVERS => "BADVERS",
        // None that the server answers with.
        _ => "OTHER",
    }
}
