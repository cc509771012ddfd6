//! One suite for all providers, run on the components as they ship, through the sandbox: against real
//! servers where they run, against stand-ins of the vendors elsewhere.
//!
//! `make conformance PROVIDER=alidns` runs one provider's.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests"
)]

mod account;
mod contract;
mod trouble;

use portolan_tests::{FrontedPowerDns, NameServer};
use portolan_vendors::{
    AliStub, CloudflareStub, DigitalOcean, DnspodStub, Front, Hetzner, Huawei, Moto,
};

/// The tests of one provider: its name, how its service is started, and what it says that it cannot hold.
macro_rules! conformance {
    ($($provider:ident: $vendor:expr, refuses $refused:expr;)*) => {$(
        mod $provider {
            use crate::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn keeps_the_contract() {
                contract::keeps_the_contract(&$vendor, &$refused).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn reads_a_zone_of_more_than_a_thousand_sets() {
                contract::reads_a_large_zone(&$vendor).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn leaves_alone_what_it_does_not_manage_and_what_others_changed() {
                contract::leaves_others_alone(&$vendor).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn says_that_a_credential_is_wrong() {
                trouble::wrong_credential(&$vendor).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn tells_trouble_in_reading_from_trouble_in_writing() {
                trouble::reading(&$vendor).await;
                trouble::writing(&$vendor).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn passes_on_what_a_throttling_service_asks_for() {
                trouble::throttling(&$vendor).await;
            }
        }
    )*};
}

const NOTHING: [&str; 0] = [];
/// What is refused where the service's way with quotation marks, backslashes and octets beyond ASCII is
/// not to be relied on.
const ODD_TEXTS: [&str; 2] = [
    r#"TXT "a \"quotation\" and a \\ backslash""#,
    r#"TXT "\195\169\228\184\173""#,
];

/// The free plan holds 1,000 records.
async fn paid_cloudflare() -> CloudflareStub {
    let stub = CloudflareStub::start("cf-token", &["example.com"]).await;
    stub.set_plan("example.com", "pro");
    stub
}

conformance! {
    powerdns: FrontedPowerDns::start().await, refuses NOTHING;
    powerdns_lines: FrontedPowerDns::with_lines().await, refuses NOTHING;
    alidns: AliStub::start("LTAI-test", "secret", &["example.com"]).await, refuses NOTHING;
    cloudflare: paid_cloudflare().await, refuses NOTHING;
    digitalocean: Front::start(DigitalOcean::new()).await, refuses ODD_TEXTS;
    hetzner: Front::start(Hetzner::new()).await, refuses NOTHING;
    dnspod: DnspodStub::start("AKIDz8krbsJ5yKBZQpn74WFkmLPx3", "secret", &["example.com"]).await, refuses NOTHING;
    huaweicloud: Front::start(Huawei::new()).await, refuses ODD_TEXTS;
    route53: Moto::start().await, refuses NOTHING;
    rfc2136_bind: NameServer::bind().await, refuses NOTHING;
    rfc2136_knot: NameServer::knot().await, refuses NOTHING;
    rfc2136_powerdns: NameServer::powerdns().await, refuses NOTHING;
}
