//! The kinds of plugins: what each exports, and what it may import.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a plugin is, by what it exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// It reads and changes the zones of a DNS service: `portolan:dns/dns-provider`.
    DnsProvider,
    /// It proposes moves of slots: `portolan:migration/migration-policy`.
    MigrationPolicy,
}

impl PluginKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 2] = [Self::DnsProvider, Self::MigrationPolicy];

    /// The interface that makes a component one of this kind.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::DnsProvider => "portolan:dns/provider@0.1.0",
            Self::MigrationPolicy => "portolan:migration/policy@0.1.0",
        }
    }

    /// The world of such components.
    pub(crate) fn world(self) -> &'static str {
        match self {
            Self::DnsProvider => "portolan:dns/dns-provider@0.1.0",
            Self::MigrationPolicy => "portolan:migration/migration-policy@0.1.0",
        }
    }

    /// Why a component of this kind does not get `import`, which others do; none where it does.
    pub(crate) fn refusal(self, import: &str) -> Option<&'static str> {
        if self == Self::DnsProvider || PURE.iter().any(|package| import.starts_with(package)) {
            return None;
        }
        Some(match import.split('/').next().unwrap_or_default() {
            "wasi:clocks" => {
                "the same snapshot must give the same plan, whenever it is asked for; \
                 take the time from the snapshot"
            }
            "wasi:random" => {
                "the same snapshot must give the same plan; use the snapshot's seed, and no hash \
                 table that seeds itself (in Rust: BTreeMap for HashMap)"
            }
            _ if import.starts_with("portolan:plugin/clock") => {
                "the same snapshot must give the same plan, whenever it is asked for; \
                 take the time from the snapshot"
            }
            _ => "a plan depends on nothing but the snapshot and the settings",
        })
    }

    /// What a component of this kind may import, in words.
    pub(crate) fn offered(self) -> &'static str {
        match self {
            Self::DnsProvider => "all of portolan:plugin and of WASI 0.2",
            Self::MigrationPolicy => "portolan:plugin/log, and wasi:cli and wasi:io",
        }
    }
}

/// What a pure component may import: its log, and what standard libraries link whether a program uses
/// it or not. It finds no arguments, no environment and an empty input there, always.
const PURE: [&str; 3] = ["portolan:plugin/log@", "wasi:cli/", "wasi:io/"];

impl fmt::Display for PluginKind {
    /// As in a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DnsProvider => "DNS provider",
            Self::MigrationPolicy => "migration policy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_gets_its_log_and_nothing_that_varies() {
        let policy = PluginKind::MigrationPolicy;
        for (import, expected) in [
            ("portolan:plugin/log@0.1.0", None),
            ("wasi:cli/environment@0.2.6", None),
            ("wasi:io/streams@0.2.6", None),
            (
                "wasi:clocks/monotonic-clock@0.2.6",
                Some("take the time from the snapshot"),
            ),
            (
                "portolan:plugin/clock@0.1.0",
                Some("take the time from the snapshot"),
            ),
            (
                "wasi:random/insecure-seed@0.2.6",
                Some("the snapshot's seed"),
            ),
            (
                "wasi:http/outgoing-handler@0.2.0",
                Some("depends on nothing but the snapshot"),
            ),
            (
                "portolan:plugin/http@0.1.0",
                Some("depends on nothing but the snapshot"),
            ),
            (
                "portolan:plugin/credentials@0.1.0",
                Some("depends on nothing but"),
            ),
            (
                "wasi:filesystem/preopens@0.2.6",
                Some("depends on nothing but"),
            ),
        ] {
            let refusal = policy.refusal(import);
            assert_eq!(refusal.is_some(), expected.is_some(), "{import}");
            assert!(
                refusal
                    .unwrap_or_default()
                    .contains(expected.unwrap_or_default())
            );
            assert_eq!(PluginKind::DnsProvider.refusal(import), None);
        }
    }
}
