//! What a provider does when all goes well.

use portolan_steering::suite::{self, Bench};
use portolan_steering::{Outcome, RecordSet};
use portolan_vendors::Vendor;

use crate::account::connect;

/// More than any vendor's largest page but one, and more than the issue asks for.
const LARGE: usize = 1_050;
/// Changes in one call, so that no call meets its limits.
const AT_ONCE: usize = 50;

/// The suite that the twin and the embedded server pass too.
pub(crate) async fn keeps_the_contract(vendor: &dyn Vendor, refuses: &[&str]) {
    let (provider, zone) = connect(vendor).await;
    let report = suite::run(&*provider, &zone).await;
    let report = report.unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(report.refused, refuses, "what it says that it cannot hold");
}

pub(crate) async fn reads_a_large_zone(vendor: &dyn Vendor) {
    let (provider, zone) = connect(vendor).await;
    let read = suite::run_large(&*provider, &zone, LARGE, AT_ONCE).await;
    read.unwrap_or_else(|broken| panic!("{broken}"));
}

/// A colleague works in the vendor's console, too.
pub(crate) async fn leaves_others_alone(vendor: &dyn Vendor) {
    let (provider, zone) = connect(vendor).await;
    let bench = Bench::new(&*provider, &zone).await;
    const ADDRESS: &str = "203.0.113.1";
    let name = format!("suite-extras.{zone}");
    if vendor.insert_with_extras(&name, ADDRESS).await {
        let extras = vendor.extras(&name).await;
        assert_ne!(extras, "", "there is something to preserve");
        for address in ["203.0.113.2", "203.0.113.3"] {
            let wanted = bench.normal(&bench.a("suite-extras", &[address])).await;
            let before = bench.standing(&wanted.key).await;
            let outcome = bench.change(Some(&before), Some(&wanted)).await;
            assert_eq!(outcome, Ok(Outcome::Applied));
            assert_eq!(bench.standing(&wanted.key).await.data, wanted.data);
            assert_eq!(vendor.extras(&name).await, extras);
        }
    }

    let set = async |address: &str| bench.normal(&bench.a("suite-meddled", &[address])).await;
    let ours: RecordSet = set("192.0.2.1").await;
    assert_eq!(bench.change(None, Some(&ours)).await, Ok(Outcome::Applied));
    let before = bench.standing(&ours.key).await;
    let name = format!("suite-meddled.{zone}");
    vendor.meddle(&name, "A", "192.0.2.99").await;
    let after = set("192.0.2.2").await;
    for after in [Some(&after), None] {
        let outcome = bench.change(Some(&before), after).await;
        assert_eq!(outcome, Ok(Outcome::Stale));
    }
    let standing = bench.standing(&ours.key).await;
    assert_eq!(standing.data.values[0].content, "192.0.2.99");
    let outcome = bench.change(Some(&standing), Some(&after)).await;
    assert_eq!(outcome, Ok(Outcome::Applied));
}
