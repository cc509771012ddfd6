//! What counts as load.

use portolan_plugin::migration::Metric;
use serde::Deserialize;

/// What counts as load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// Commands per second.
    #[default]
    Ops,
    /// Microseconds of processor time per second.
    Cpu,
    /// Bytes per second on the network.
    Network,
    /// Space.
    Bytes,
    /// Keys.
    Keys,
}

impl Load {
    pub(crate) fn metric(self) -> Metric {
        match self {
            Load::Ops => Metric::Ops,
            Load::Cpu => Metric::Cpu,
            Load::Network => Metric::Network,
            Load::Bytes => Metric::Bytes,
            Load::Keys => Metric::Keys,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Load::Ops => "ops",
            Load::Cpu => "cpu",
            Load::Network => "network",
            Load::Bytes => "bytes",
            Load::Keys => "keys",
        }
    }

    /// What a shard must carry at least to be worth a move, unless the settings say otherwise: 1000
    /// commands per second, a tenth of a processor, 1 MiB per second, 1 GiB, or 100,000 keys.
    pub fn worth_acting(self) -> f64 {
        match self {
            Load::Ops => 1_000.0,
            Load::Cpu => 100_000.0,
            Load::Network => 1_048_576.0,
            Load::Bytes => 1_073_741_824.0,
            Load::Keys => 100_000.0,
        }
    }

    /// An amount, for a person.
    pub(crate) fn show(self, amount: f64) -> String {
        const MIB: f64 = 1_048_576.0;
        match self {
            Load::Ops => format!("{amount:.0} commands/s"),
            Load::Cpu => format!("{:.2} processors", amount / 1_000_000.0),
            Load::Network => format!("{:.1} MiB/s", amount / MIB),
            Load::Bytes => format!("{:.1} MiB", amount / MIB),
            Load::Keys => format!("{amount:.0} keys"),
        }
    }
}
