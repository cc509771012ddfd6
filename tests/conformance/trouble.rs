//! What a provider does when something goes wrong: the daemon acts on what it is told.

use std::time::Duration;

use portolan_steering::suite::Bench;
use portolan_steering::{DnsProvider, Outcome, PerItem, ProviderError, RecordSet, ZoneName};
use portolan_vendors::{Trouble, Vendor, When};

use crate::account::{connect, plugin, zone};

/// What a request that was carried out is answered with.
const AFTER_THE_ACT: [Trouble; 3] = [Trouble::Silence, Trouble::Cut, Trouble::Nonsense];

pub(crate) async fn wrong_credential(vendor: &dyn Vendor) {
    let plugin = plugin(vendor).await;
    let (right, zone) = (plugin.bind(vendor.binding()), zone(vendor));
    let bench = Bench::new(&*right, &zone).await;
    let set = bench.normal(&bench.a("suite-wrong", &["192.0.2.1"])).await;

    let wrong = plugin.bind(vendor.wrong_binding());
    let read = wrong.read(&zone, None, None).await;
    assert!(matches!(read, Err(ProviderError::Auth(_))), "{read:?}");
    let applied = create(&*wrong, &zone, &set).await;
    assert!(
        matches!(applied, Err(ProviderError::Auth(_))),
        "{applied:?}"
    );
    assert_eq!(bench.read(&set.key).await, None);
}

/// A read that fails can be made again.
pub(crate) async fn reading(vendor: &dyn Vendor) {
    let (provider, zone) = connect(vendor).await;
    let bench = Bench::new(&*provider, &zone).await;
    let set = bench.normal(&bench.a("suite-read", &["192.0.2.1"])).await;
    let made = create(&*provider, &zone, &set).await;
    assert_eq!(made, Ok(Outcome::Applied));
    for trouble in AFTER_THE_ACT {
        if !vendor.trouble(When::Reads, trouble) {
            continue;
        }
        let read = provider.read(&zone, None, None).await;
        assert!(
            matches!(read, Err(ProviderError::Transient(_))),
            "{trouble:?}: {read:?}"
        );
        assert_eq!(vendor.clear_troubles(), 0, "no read met {trouble:?}");
        assert_eq!(bench.standing(&set.key).await.data, set.data);
    }
}

/// A write whose answer is missing may have been made: it is never claimed that nothing was, and made
/// again it says that it stands there already.
pub(crate) async fn writing(vendor: &dyn Vendor) {
    let (provider, zone) = connect(vendor).await;
    let bench = Bench::new(&*provider, &zone).await;
    for (number, trouble) in AFTER_THE_ACT.into_iter().enumerate() {
        let name = format!("suite-lost-{number}");
        let set = bench.normal(&bench.a(&name, &["192.0.2.1"])).await;
        if !vendor.trouble(When::Writes, trouble) {
            continue;
        }
        let made = create(&*provider, &zone, &set).await;
        assert!(
            matches!(made, Err(ProviderError::UnknownOutcome(_))),
            "{trouble:?}: {made:?}"
        );
        assert_eq!(vendor.clear_troubles(), 0, "no write met {trouble:?}");

        assert_eq!(bench.standing(&set.key).await.data, set.data, "{trouble:?}");
        let writes = writes(vendor);
        let again = create(&*provider, &zone, &set).await;
        assert_eq!(again, Ok(Outcome::Already), "{trouble:?}");
        assert_eq!(self::writes(vendor), writes, "nothing is written twice");
    }
}

/// What the service asks for is passed on, and nothing is changed.
pub(crate) async fn throttling(vendor: &dyn Vendor) {
    let (provider, zone) = connect(vendor).await;
    let bench = Bench::new(&*provider, &zone).await;
    let set = bench.normal(&bench.a("suite-slow", &["192.0.2.1"])).await;
    for seconds in [None, Some(7)] {
        if !vendor.trouble(When::Reads, Trouble::Throttled(seconds)) {
            continue;
        }
        let read = provider.read(&zone, None, None).await;
        check_throttled(read.map(drop), seconds);
        assert_eq!(vendor.clear_troubles(), 0, "no read was throttled");

        vendor.trouble(When::Writes, Trouble::Throttled(seconds));
        check_throttled(create(&*provider, &zone, &set).await.map(drop), seconds);
        assert_eq!(vendor.clear_troubles(), 0, "no write was throttled");
        assert_eq!(bench.read(&set.key).await, None);
    }
    assert_eq!(create(&*provider, &zone, &set).await, Ok(Outcome::Applied));
}

fn check_throttled(outcome: Result<(), ProviderError>, seconds: Option<u32>) {
    let Err(ProviderError::Throttled { retry_after, .. }) = outcome else {
        panic!("{outcome:?} is not throttled");
    };
    let Some(seconds) = seconds else {
        return assert_eq!(retry_after, None);
    };
    // A service that names a moment loses a part of a second on the way.
    let (asked, told) = (u64::from(seconds), retry_after.expect("it was told when"));
    let bounds = Duration::from_secs(asked - 1)..=Duration::from_secs(asked + 1);
    assert!(bounds.contains(&told), "{told:?} instead of {asked} s");
}

/// The outcome of one create, wherever it stands in the answer.
async fn create(
    provider: &dyn DnsProvider,
    zone: &ZoneName,
    set: &RecordSet,
) -> Result<Outcome, ProviderError> {
    let change = portolan_steering::Change {
        key: set.key.clone(),
        before: None,
        after: Some(set.clone()),
    };
    let mut results: PerItem<Outcome> = provider.apply(zone, &[change]).await?;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

fn writes(vendor: &dyn Vendor) -> usize {
    vendor.seen().iter().filter(|seen| seen.is_write).count()
}
