//! What an operator can tune, with units and scopes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{LimitAsks, SetupError};

/// The sandbox's limits. "Per call" means one call of one function of one plugin; a plugin's manifest
/// may ask for less, never for more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxOptions {
    /// Per call: wall-clock time, waiting for replies included. Milliseconds.
    pub deadline_ms: u64,
    /// Per call: time spent in the plugin's own code, waiting for replies not included. Milliseconds.
    pub compute_ms: u64,
    /// Per call: linear memories and tables of the instance together. Bytes.
    pub memory_bytes: usize,
    /// Per call: the plugin's stack. Bytes.
    pub stack_bytes: usize,
    /// Per call: how often the plugin may call the host, for anything.
    pub host_calls: u64,
    /// Per call: HTTP requests, every redirect counted, and DNS messages.
    pub requests: u32,
    /// Per call: bytes of requests, URLs and headers included.
    pub sent_bytes: usize,
    /// Per call: bytes of responses, headers included.
    pub received_bytes: usize,
    /// Per request: until the whole response, or the whole zone, is there. Milliseconds.
    pub request_ms: u64,
    /// Per connection: until it is established. Milliseconds.
    pub connect_ms: u64,
    /// Per HTTP request: redirects followed.
    pub redirects: u32,
    /// For `https`: a PEM file of certificates to trust beside the operating system's, for services
    /// that a private authority vouches for. Read once, at the start.
    pub extra_ca_file: Option<PathBuf>,
    /// Per call: lines of log, those on stdout and stderr included; more are dropped and counted.
    pub log_lines: u32,
    /// Per call: bytes of log.
    pub log_bytes: usize,
    /// Per daemon: calls that run at the same time.
    pub concurrency: usize,
    /// Per plugin: calls that run at the same time, so that one plugin cannot take all slots.
    pub plugin_concurrency: usize,
    /// Per daemon: threads that run plugins. They are not the daemon's own.
    pub threads: usize,
    /// Per plugin and binding: failures in a row that stop it from being called.
    pub breaker_failures: u32,
    /// Per plugin and binding: how long it is then not called. Milliseconds.
    pub breaker_ms: u64,
    /// Per component: its largest size. Bytes.
    pub component_bytes: usize,
    /// Where compiled plugins are kept, so that a restart does not compile again; none keeps nothing.
    pub cache_dir: Option<PathBuf>,
    /// Per daemon: how much `cache_dir` may hold; the longest unused go first. Bytes.
    pub cache_bytes: u64,
    /// What a binding's name is appended to in the command that would grant what was denied.
    pub grant_url: String,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            deadline_ms: 30_000,
            compute_ms: 5_000,
            memory_bytes: 128 << 20,
            stack_bytes: 512 << 10,
            host_calls: 100_000,
            requests: 500,
            sent_bytes: 16 << 20,
            received_bytes: 64 << 20,
            request_ms: 10_000,
            connect_ms: 5_000,
            redirects: 5,
            extra_ca_file: None,
            log_lines: 200,
            log_bytes: 64 << 10,
            concurrency: 32,
            plugin_concurrency: 8,
            threads: 2,
            breaker_failures: 5,
            breaker_ms: 30_000,
            component_bytes: 64 << 20,
            cache_dir: None,
            cache_bytes: 1 << 30,
            grant_url: "http://127.0.0.1:8420/api/v1/dns/providers/".to_owned(),
        }
    }
}

/// What is in force for each call of one plugin: the daemon's options, tightened by the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// See [`SandboxOptions::deadline_ms`].
    pub deadline_ms: u64,
    /// See [`SandboxOptions::compute_ms`].
    pub compute_ms: u64,
    /// See [`SandboxOptions::memory_bytes`].
    pub memory_bytes: usize,
    /// See [`SandboxOptions::stack_bytes`].
    pub stack_bytes: usize,
    /// See [`SandboxOptions::host_calls`].
    pub host_calls: u64,
    /// See [`SandboxOptions::requests`].
    pub requests: u32,
    /// See [`SandboxOptions::sent_bytes`].
    pub sent_bytes: usize,
    /// See [`SandboxOptions::received_bytes`].
    pub received_bytes: usize,
    /// See [`SandboxOptions::log_lines`].
    pub log_lines: u32,
    /// See [`SandboxOptions::log_bytes`].
    pub log_bytes: usize,
}

impl SandboxOptions {
    /// The limits of a plugin that asks for `asks`.
    pub(crate) fn limits(&self, asks: &LimitAsks) -> Limits {
        fn tighter<T: Ord + Copy>(own: T, asked: Option<T>) -> T {
            asked.map_or(own, |asked| own.min(asked))
        }
        Limits {
            deadline_ms: tighter(self.deadline_ms, asks.deadline_ms),
            compute_ms: tighter(self.compute_ms, asks.compute_ms),
            memory_bytes: tighter(self.memory_bytes, asks.memory_bytes),
            stack_bytes: self.stack_bytes,
            host_calls: self.host_calls,
            requests: tighter(self.requests, asks.requests),
            sent_bytes: tighter(self.sent_bytes, asks.sent_bytes),
            received_bytes: tighter(self.received_bytes, asks.received_bytes),
            log_lines: self.log_lines,
            log_bytes: self.log_bytes,
        }
    }

    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let positive = [
            ("deadline_ms", self.deadline_ms),
            ("compute_ms", self.compute_ms),
            ("request_ms", self.request_ms),
            ("connect_ms", self.connect_ms),
            ("host_calls", self.host_calls),
            ("concurrency", self.concurrency as u64),
            ("plugin_concurrency", self.plugin_concurrency as u64),
            ("threads", self.threads as u64),
            ("breaker_failures", self.breaker_failures.into()),
            ("component_bytes", self.component_bytes as u64),
        ];
        if let Some((option, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(SetupError::Option {
                option,
                reason: "must be above 0".to_owned(),
            });
        }
        if !(1 << 20..=4 << 30).contains(&self.memory_bytes) {
            let reason = "must be between 1 MiB and 4 GiB".to_owned();
            return Err(SetupError::Option {
                option: "memory_bytes",
                reason,
            });
        }
        if !(64 << 10..=16 << 20).contains(&self.stack_bytes) {
            let reason = "must be between 64 KiB and 16 MiB".to_owned();
            return Err(SetupError::Option {
                option: "stack_bytes",
                reason,
            });
        }
        if self.concurrency > 1000 {
            let reason = "must be at most 1000: each slot reserves address space".to_owned();
            return Err(SetupError::Option {
                option: "concurrency",
                reason,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_tightens_limits_and_never_loosens_them() {
        let options = SandboxOptions::default();
        let asks = LimitAsks {
            requests: Some(3),
            deadline_ms: Some(u64::MAX),
            ..Default::default()
        };
        let limits = options.limits(&asks);
        assert_eq!(limits.requests, 3);
        assert_eq!(limits.deadline_ms, options.deadline_ms);
    }

    #[test]
    fn options_that_cannot_work_are_refused_by_name() {
        let options = SandboxOptions {
            concurrency: 0,
            ..Default::default()
        };
        assert!(
            options
                .check()
                .unwrap_err()
                .to_string()
                .contains("`concurrency`")
        );
        assert!(SandboxOptions::default().check().is_ok());
    }
}
