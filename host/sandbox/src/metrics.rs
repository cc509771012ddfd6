//! What the sandbox counts.

use std::time::Duration;

use prometheus::{
    CounterVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::Collector,
};

use crate::SetupError;

/// The plugin host's metrics. Labels are names that the operator chose; none comes from a request.
#[derive(Clone)]
pub(crate) struct Metrics {
    calls: IntCounterVec,
    duration: HistogramVec,
    compute: CounterVec,
    waited: CounterVec,
    http: IntCounterVec,
    dns: IntCounterVec,
    breaker: IntGaugeVec,
    loaded: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, SetupError> {
        let failed = |error: prometheus::Error| SetupError::Engine(format!("metrics: {error}"));
        let metrics = Self {
            calls: IntCounterVec::new(
                Opts::new(
                    "portolan_plugin_calls_total",
                    "Calls of plugins by function and outcome: ok, the provider's error, or the sandbox's.",
                ),
                &["plugin", "function", "outcome"],
            )
            .map_err(failed)?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "portolan_plugin_call_duration_seconds",
                    "How long calls of plugins took, waiting for replies included.",
                )
                .buckets(vec![0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0]),
                &["plugin", "function"],
            )
            .map_err(failed)?,
            compute: CounterVec::new(
                Opts::new(
                    "portolan_plugin_compute_seconds_total",
                    "Time in plugins' own code, waiting for replies not included.",
                ),
                &["plugin", "function"],
            )
            .map_err(failed)?,
            waited: CounterVec::new(
                Opts::new(
                    "portolan_plugin_quota_wait_seconds_total",
                    "Time that plugins' requests waited for a quota of their binding.",
                ),
                &["plugin"],
            )
            .map_err(failed)?,
            http: IntCounterVec::new(
                Opts::new(
                    "portolan_plugin_http_requests_total",
                    "HTTP requests of plugins by outcome: ok, denied, invalid, limit, not_sent, interrupted.",
                ),
                &["plugin", "outcome"],
            )
            .map_err(failed)?,
            dns: IntCounterVec::new(
                Opts::new(
                    "portolan_plugin_dns_requests_total",
                    "DNS messages of plugins by outcome: ok, denied, invalid, limit, not_sent, interrupted, \
                     key_refused, unsigned_refusal, bad_signature.",
                ),
                &["plugin", "outcome"],
            )
            .map_err(failed)?,
            breaker: IntGaugeVec::new(
                Opts::new(
                    "portolan_plugin_breaker_open",
                    "1 where a plugin is not called for a binding because it failed too often in a row.",
                ),
                &["plugin", "binding"],
            )
            .map_err(failed)?,
            loaded: IntGaugeVec::new(
                Opts::new("portolan_plugin_loaded", "1 for each plugin that is loaded, by version."),
                &["plugin", "version"],
            )
            .map_err(failed)?,
        };
        let collectors: [Box<dyn Collector>; 8] = [
            Box::new(metrics.calls.clone()),
            Box::new(metrics.duration.clone()),
            Box::new(metrics.compute.clone()),
            Box::new(metrics.waited.clone()),
            Box::new(metrics.http.clone()),
            Box::new(metrics.dns.clone()),
            Box::new(metrics.breaker.clone()),
            Box::new(metrics.loaded.clone()),
        ];
        for collector in collectors {
            registry.register(collector).map_err(failed)?;
        }
        Ok(metrics)
    }

    pub(crate) fn call(&self, plugin: &str, function: &str, outcome: &str) {
        self.calls
            .with_label_values(&[plugin, function, outcome])
            .inc();
    }

    pub(crate) fn duration(&self, plugin: &str, function: &str, seconds: f64) {
        self.duration
            .with_label_values(&[plugin, function])
            .observe(seconds);
    }

    pub(crate) fn computed(&self, plugin: &str, function: &str, time: Duration) {
        self.compute
            .with_label_values(&[plugin, function])
            .inc_by(time.as_secs_f64());
    }

    pub(crate) fn waited(&self, plugin: &str, time: Duration) {
        self.waited
            .with_label_values(&[plugin])
            .inc_by(time.as_secs_f64());
    }

    pub(crate) fn http(&self, plugin: &str, outcome: &str) {
        self.http.with_label_values(&[plugin, outcome]).inc();
    }

    pub(crate) fn dns(&self, plugin: &str, outcome: &str) {
        self.dns.with_label_values(&[plugin, outcome]).inc();
    }

    pub(crate) fn breaker(&self, plugin: &str, binding: &str, open: bool) {
        self.breaker
            .with_label_values(&[plugin, binding])
            .set(open.into());
    }

    /// Replaces what is loaded.
    pub(crate) fn loaded<'a>(&self, plugins: impl Iterator<Item = (&'a str, &'a str)>) {
        self.loaded.reset();
        for (name, version) in plugins {
            self.loaded.with_label_values(&[name, version]).set(1);
        }
    }
}
