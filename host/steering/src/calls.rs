//! A provider as steering calls it: at its lane's rate, measured.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use crate::error::SteeringError;
use crate::lanes::Lane;
use crate::meter::Meter;
use crate::names::{BindingName, DomainName, ZoneName};
use crate::provider::{
    Caps, Change, DnsProvider, Line, Outcome, PerItem, ProviderError, RecordPage, RecordSet,
    ZonePage,
};

/// A decorator around a binding's provider.
pub(crate) struct Calls {
    pub(crate) provider: Arc<dyn DnsProvider>,
    pub(crate) binding: BindingName,
    pub(crate) lane: Arc<Lane>,
    pub(crate) meter: Arc<Meter>,
}

impl Calls {
    /// What it means that a call failed.
    pub(crate) fn failed(&self, call: &'static str, error: ProviderError) -> SteeringError {
        SteeringError::Provider {
            binding: self.binding.clone(),
            call,
            error,
        }
    }

    async fn measured<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        self.lane.turn().await?;
        self.at_once(call, answer).await
    }

    /// A call whose turn it is already.
    pub(crate) async fn at_once<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let began = Instant::now();
        let answer = answer.await;
        if let Err(error) = &answer {
            self.lane.heed(error);
        }
        let outcome = answer.as_ref().err().map_or("ok", ProviderError::kind);
        self.meter
            .called(&self.binding, call, outcome, began.elapsed());
        answer
    }
}

#[async_trait]
impl DnsProvider for Calls {
    fn is_remote(&self) -> bool {
        self.provider.is_remote()
    }

    async fn describe(&self) -> Result<Caps, ProviderError> {
        // Answered without the provider's service, so the rate does not apply.
        self.provider.describe().await
    }

    async fn validate(&self) -> Result<(), ProviderError> {
        self.provider.validate().await
    }

    async fn zones(&self, cursor: Option<&str>) -> Result<ZonePage, ProviderError> {
        self.measured("zones", self.provider.zones(cursor)).await
    }

    async fn lines(&self, zone: &ZoneName) -> Result<Vec<Line>, ProviderError> {
        self.measured("lines", self.provider.lines(zone)).await
    }

    async fn read(
        &self,
        zone: &ZoneName,
        name: Option<&DomainName>,
        cursor: Option<&str>,
    ) -> Result<RecordPage, ProviderError> {
        self.measured("read", self.provider.read(zone, name, cursor))
            .await
    }

    async fn normalize(
        &self,
        zone: &ZoneName,
        wanted: &[RecordSet],
    ) -> Result<PerItem<RecordSet>, ProviderError> {
        self.measured("normalize", self.provider.normalize(zone, wanted))
            .await
    }

    async fn apply(
        &self,
        zone: &ZoneName,
        changes: &[Change],
    ) -> Result<PerItem<Outcome>, ProviderError> {
        self.measured("apply", self.provider.apply(zone, changes))
            .await
    }
}
