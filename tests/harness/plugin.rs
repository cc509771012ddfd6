//! A provider as the daemon would have it: a component in the sandbox, bound to a service.

use std::fs;
use std::num::NonZeroU32;
use std::sync::Arc;

use portolan_sandbox::{Plugins, Sandbox, SandboxOptions};
use portolan_steering::{Account, BindingName, DnsProvider, Providers as _};
use portolan_vendors::{Binding, Vendor};
use prometheus::Registry;
use tempfile::TempDir;

use crate::daemon::built_plugins;

/// A vendor's plugin and the sandbox that it runs in.
pub struct Plugin {
    plugins: Plugins,
    metrics: Registry,
    _directory: TempDir,
}

impl Plugin {
    /// Loads the component of a vendor's provider, and no other.
    pub async fn of(vendor: &dyn Vendor, options: SandboxOptions) -> Self {
        let file = format!("{}.wasm", vendor.binding().plugin);
        let directory = TempDir::new().unwrap();
        fs::copy(built_plugins().join(&file), directory.path().join(&file))
            .unwrap_or_else(|error| panic!("{file}: {error}; run `make plugins`"));
        let metrics = Registry::new();
        let sandbox = Sandbox::new(options, &metrics).unwrap();
        let path = directory.path().to_owned();
        let plugins = Plugins::open(sandbox, Some(path)).await.unwrap();
        Self {
            plugins,
            metrics,
            _directory: directory,
        }
    }

    /// Binds it.
    pub fn bind(&self, binding: Binding) -> Arc<dyn DnsProvider> {
        let Binding {
            plugin,
            settings,
            credentials,
            hosts,
        } = binding;
        let credentials = credentials
            .into_iter()
            .map(|(name, value)| (name, value.into()));
        let hosts = hosts.iter().map(|host| host.parse().unwrap());
        let account = Account {
            binding: BindingName::parse("bound").unwrap(),
            plugin: plugin.to_owned(),
            settings,
            credentials: credentials.collect(),
            hosts: hosts.collect(),
            // Nobody but us waits for these services.
            calls_per_second: NonZeroU32::new(100_000),
        };
        let provider = self.plugins.connect(account);
        provider.unwrap_or_else(|error| panic!("the binding does not fit: {error}"))
    }

    /// Seconds so far that were spent in the plugin's own code, in all functions together.
    pub fn compute_seconds(&self) -> f64 {
        let families = self.metrics.gather();
        let compute = families
            .iter()
            .filter(|family| family.name() == "portolan_plugin_compute_seconds_total");
        compute
            .flat_map(|family| family.get_metric())
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }
}
