//! The port to migration policies, and installed plugins behind it.

use async_trait::async_trait;
use portolan_sandbox::Plugins;
use portolan_sandbox::migration::{Budget, Plan, Snapshot};
use serde_json::Value;

/// Why a policy gave no answer, as a sentence for who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyFailure {
    /// There is no such policy here.
    Missing(String),
    /// The settings are wrong.
    Settings(String),
    /// It was asked and failed.
    Failed(String),
}

/// Those who can be asked for a plan.
#[async_trait]
pub trait Policies: Send + Sync {
    /// Checks settings; `binding` says for which cluster.
    async fn validate(
        &self,
        policy: &str,
        binding: &str,
        settings: &Value,
    ) -> Result<(), PolicyFailure>;

    /// Asks for a plan. It is within the budget, and moves what is there.
    async fn propose(
        &self,
        policy: &str,
        binding: &str,
        snapshot: &Snapshot,
        settings: &Value,
        budget: Budget,
    ) -> Result<Plan, PolicyFailure>;
}

#[async_trait]
impl Policies for Plugins {
    async fn validate(
        &self,
        policy: &str,
        binding: &str,
        settings: &Value,
    ) -> Result<(), PolicyFailure> {
        let policy = self
            .policy(policy, binding)
            .map_err(|error| PolicyFailure::Missing(error.to_string()))?;
        let valid = policy.validate(settings).await;
        valid.map_err(|error| PolicyFailure::Settings(error.to_string()))
    }

    async fn propose(
        &self,
        policy: &str,
        binding: &str,
        snapshot: &Snapshot,
        settings: &Value,
        budget: Budget,
    ) -> Result<Plan, PolicyFailure> {
        let policy = self
            .policy(policy, binding)
            .map_err(|error| PolicyFailure::Missing(error.to_string()))?;
        let plan = policy.plan(snapshot, settings, budget).await;
        plan.map_err(|error| PolicyFailure::Failed(error.to_string()))
    }
}

/// Where there are none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPolicies;

#[async_trait]
impl Policies for NoPolicies {
    async fn validate(&self, policy: &str, _: &str, _: &Value) -> Result<(), PolicyFailure> {
        Err(PolicyFailure::Missing(format!(
            "there is no policy {policy}"
        )))
    }

    async fn propose(
        &self,
        policy: &str,
        _: &str,
        _: &Snapshot,
        _: &Value,
        _: Budget,
    ) -> Result<Plan, PolicyFailure> {
        Err(PolicyFailure::Missing(format!(
            "there is no policy {policy}"
        )))
    }
}
