//! The suite's tools for whoever tests more of a provider.

#![allow(
    clippy::panic,
    reason = "a broken contract ends the test that uses this"
)]

use super::{Broken, Suite};
use crate::names::ZoneName;
use crate::plan::Observation;
use crate::provider::{DnsProvider, Outcome, ProviderError, RecordKey, RecordSet};

const STEP: &str = "a test of its own";

/// A provider and a zone that it can change. Whatever breaks the contract on the way panics.
pub struct Bench<'a>(Suite<'a>);

impl<'a> Bench<'a> {
    /// Asks the provider what it is.
    pub async fn new(provider: &'a dyn DnsProvider, zone: &'a ZoneName) -> Self {
        Self(held(Suite::of(provider, zone).await))
    }

    /// A wanted set of addresses on the line `default`, under a name relative to the zone.
    pub fn a(&self, name: &str, addresses: &[&str]) -> RecordSet {
        held(self.0.a(name, addresses))
    }

    /// How a wanted set will read back.
    pub async fn normal(&self, set: &RecordSet) -> RecordSet {
        held(self.0.normal(STEP, set).await)
    }

    /// The whole zone.
    pub async fn observe(&self) -> Observation {
        held(self.0.observe(STEP).await)
    }

    /// What stands under a key, read by its name.
    pub async fn read(&self, key: &RecordKey) -> Option<RecordSet> {
        held(self.0.read(STEP, key).await)
    }

    /// The same, where there must be something.
    pub async fn standing(&self, key: &RecordKey) -> RecordSet {
        held(self.0.standing(STEP, key).await)
    }

    /// Has one change made: a create without `before`, a delete without `after`.
    pub async fn change(
        &self,
        before: Option<&RecordSet>,
        after: Option<&RecordSet>,
    ) -> Result<Outcome, ProviderError> {
        held(self.0.change(STEP, before, after).await)
    }
}

fn held<T>(outcome: Result<T, Broken>) -> T {
    outcome.unwrap_or_else(|broken| panic!("{broken}"))
}
