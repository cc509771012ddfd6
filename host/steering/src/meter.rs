//! Metrics: `portolan_dns_*`.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use crate::names::{BindingName, ZoneName};
use crate::notify::Delivery;
use crate::sites::SiteState;

/// Steering's metrics. Those of a zone are the leader's alone and go when leadership does.
pub(crate) struct Meter {
    planned: IntGaugeVec,
    refused: IntGaugeVec,
    changes: IntCounterVec,
    drift: IntCounterVec,
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    last_good: GaugeVec,
    sites: IntGaugeVec,
    lines: IntGaugeVec,
    moves: IntCounterVec,
    notifications: IntCounterVec,
    survivor_lines: IntGaugeVec,
}

impl Meter {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("portolan_dns_{name}"), help);
        let buckets = vec![0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let call_opts = HistogramOpts::from(opts(
            "provider_call_duration_seconds",
            "How long calls of DNS providers took, by binding and call.",
        ))
        .buckets(buckets);
        let meter = Self {
            planned: IntGaugeVec::new(
                opts(
                    "plan_changes",
                    "Changes that a zone needs, as of its last comparison.",
                ),
                &["zone"],
            )?,
            refused: IntGaugeVec::new(
                opts(
                    "refused_record_sets",
                    "Record sets that are left undone and need an operator.",
                ),
                &["zone"],
            )?,
            changes: IntCounterVec::new(
                opts(
                    "changes_total",
                    "Changes handed to DNS providers, by binding, action and outcome.",
                ),
                &["binding", "action", "outcome"],
            )?,
            drift: IntCounterVec::new(
                opts(
                    "drift_repaired_total",
                    "Record sets put back after somebody else changed them.",
                ),
                &["zone"],
            )?,
            calls: IntCounterVec::new(
                opts(
                    "provider_calls_total",
                    "Calls of DNS providers, by binding, call and outcome.",
                ),
                &["binding", "call", "outcome"],
            )?,
            call_seconds: HistogramVec::new(call_opts, &["binding", "call"])?,
            last_good: GaugeVec::new(
                opts(
                    "last_good_reconcile_timestamp_seconds",
                    "When a zone was last compared and nothing was left to do but what is refused.",
                ),
                &["zone"],
            )?,
            sites: IntGaugeVec::new(
                opts("sites", "Sites by state; the leader's to tell."),
                &["state"],
            )?,
            lines: IntGaugeVec::new(
                opts(
                    "lines_owned",
                    "Lines of services that a site serves, by site and line.",
                ),
                &["site", "line"],
            )?,
            moves: IntCounterVec::new(
                opts(
                    "line_moves_total",
                    "Lines of services that got another site, by the site that has them now.",
                ),
                &["to"],
            )?,
            notifications: IntCounterVec::new(
                opts(
                    "notifications_total",
                    "Messages to webhooks, by webhook and outcome.",
                ),
                &["webhook", "outcome"],
            )?,
            survivor_lines: IntGaugeVec::new(
                opts(
                    "survivor_lines",
                    "Lines that this member's site claims without a quorum, by zone and by whether it \
                     holds or wants them.",
                ),
                &["zone", "state"],
            )?,
        };
        registry.register(Box::new(meter.survivor_lines.clone()))?;
        registry.register(Box::new(meter.planned.clone()))?;
        registry.register(Box::new(meter.refused.clone()))?;
        registry.register(Box::new(meter.changes.clone()))?;
        registry.register(Box::new(meter.drift.clone()))?;
        registry.register(Box::new(meter.calls.clone()))?;
        registry.register(Box::new(meter.call_seconds.clone()))?;
        registry.register(Box::new(meter.last_good.clone()))?;
        registry.register(Box::new(meter.sites.clone()))?;
        registry.register(Box::new(meter.lines.clone()))?;
        registry.register(Box::new(meter.moves.clone()))?;
        registry.register(Box::new(meter.notifications.clone()))?;
        Ok(meter)
    }

    pub(crate) fn called(&self, binding: &BindingName, call: &str, outcome: &str, took: Duration) {
        self.calls
            .with_label_values(&[binding.as_str(), call, outcome])
            .inc();
        self.call_seconds
            .with_label_values(&[binding.as_str(), call])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn planned(&self, zone: &ZoneName, changes: usize, refused: usize) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.planned
            .with_label_values(&[zone.as_str()])
            .set(gauge(changes));
        self.refused
            .with_label_values(&[zone.as_str()])
            .set(gauge(refused));
    }

    pub(crate) fn changed(&self, binding: &BindingName, action: &str, outcome: &str) {
        self.changes
            .with_label_values(&[binding.as_str(), action, outcome])
            .inc();
    }

    pub(crate) fn drift_repaired(&self, zone: &ZoneName) {
        self.drift.with_label_values(&[zone.as_str()]).inc();
    }

    pub(crate) fn good(&self, zone: &ZoneName, at_ms: u64) {
        self.last_good
            .with_label_values(&[zone.as_str()])
            .set(at_ms as f64 / 1_000.0);
    }

    /// A line has another site.
    pub(crate) fn moved(&self, to: &str) {
        self.moves.with_label_values(&[to]).inc();
    }

    /// A webhook was told something, or not.
    pub(crate) fn notified(&self, webhook: &str, delivery: Delivery) {
        let outcome = match delivery {
            Delivery::Delivered => "delivered",
            Delivery::NotDelivered => "failed",
            Delivery::Unknown => "unknown",
        };
        self.notifications
            .with_label_values(&[webhook, outcome])
            .inc();
    }

    /// Who is up, and who serves what.
    pub(crate) fn sites(&self, states: &[SiteState], owned: &BTreeMap<(String, String), i64>) {
        for state in SiteState::ALL {
            let count = states.iter().filter(|it| **it == state).count();
            self.sites
                .with_label_values(&[state.as_str()])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.lines.reset();
        for ((site, line), count) in owned {
            self.lines.with_label_values(&[site, line]).set(*count);
        }
    }

    /// Forgets what only the leader knows.
    pub(crate) fn stop_leading(&self) {
        self.sites.reset();
        self.lines.reset();
        self.planned.reset();
        self.refused.reset();
        self.last_good.reset();
    }

    /// How many lines of a zone this member's site holds and wants without a quorum.
    pub(crate) fn survives(&self, zone: &ZoneName, held: usize, wanted: usize) {
        for (state, count) in [("held", held), ("wanted", wanted)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let labels = [zone.as_str(), state];
            self.survivor_lines.with_label_values(&labels).set(count);
        }
    }
}
