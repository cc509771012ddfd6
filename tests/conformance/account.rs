//! A vendor's provider, bound to its service.

use std::path::Path;
use std::sync::Arc;

use portolan_sandbox::SandboxOptions;
use portolan_steering::{DnsProvider, ZoneName};
use portolan_tests::Plugin;
use portolan_vendors::Vendor;

/// The plugin of a vendor's provider, under the limits that a daemon sets.
pub(crate) async fn plugin(vendor: &dyn Vendor) -> Plugin {
    let options = SandboxOptions {
        // Tests fail on purpose, and often.
        breaker_failures: u32::MAX,
        // Compiled once for all tests.
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-plugins")),
        ..SandboxOptions::default()
    };
    Plugin::of(vendor, options).await
}

/// A vendor's provider with the right credentials, and the zone to work in.
pub(crate) async fn connect(vendor: &dyn Vendor) -> (Arc<dyn DnsProvider>, ZoneName) {
    let provider = plugin(vendor).await.bind(vendor.binding());
    (provider, zone(vendor))
}

pub(crate) fn zone(vendor: &dyn Vendor) -> ZoneName {
    ZoneName::parse(vendor.zone()).unwrap()
}
