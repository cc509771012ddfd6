//! A provider as the daemon would have it: a component in the sandbox, bound to a service.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use portolan_sandbox::{Plugins, Sandbox, SandboxOptions};
use portolan_steering::{Account, BindingName, DnsProvider, Providers as _, ZoneName};
use portolan_tests::built_plugins;
use portolan_vendors::{Binding, Vendor};
use prometheus::Registry;
use tempfile::TempDir;

/// A plugin and the sandbox that it runs in.
pub(crate) struct Plugin {
    plugins: Plugins,
    _directory: TempDir,
}

impl Plugin {
    /// Loads the component of a vendor's provider, and no other.
    pub(crate) async fn of(vendor: &dyn Vendor) -> Self {
        let file = format!("{}.wasm", vendor.binding().plugin);
        let directory = TempDir::new().unwrap();
        fs::copy(built_plugins().join(&file), directory.path().join(&file))
            .unwrap_or_else(|error| panic!("{file}: {error}; run `make plugins`"));
        let options = SandboxOptions {
            // Tests fail on purpose, and often.
            breaker_failures: u32::MAX,
            // Compiled once for all tests.
            cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-plugins")),
            ..SandboxOptions::default()
        };
        let sandbox = Sandbox::new(options, &Registry::new()).unwrap();
        let path = directory.path().to_owned();
        let plugins = Plugins::open(sandbox, Some(path)).await.unwrap();
        Self {
            plugins,
            _directory: directory,
        }
    }

    /// Binds it.
    pub(crate) fn bind(&self, binding: Binding) -> Arc<dyn DnsProvider> {
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
            binding: BindingName::parse("conformance").unwrap(),
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
}

/// A vendor's provider with the right credentials, and the zone to work in.
pub(crate) async fn connect(vendor: &dyn Vendor) -> (Arc<dyn DnsProvider>, ZoneName) {
    let provider = Plugin::of(vendor).await.bind(vendor.binding());
    (provider, zone(vendor))
}

pub(crate) fn zone(vendor: &dyn Vendor) -> ZoneName {
    ZoneName::parse(vendor.zone()).unwrap()
}
