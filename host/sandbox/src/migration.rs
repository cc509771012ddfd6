//! The migration policy world: what `portolan:migration/policy` says, as plain data.
//!
//! The types are generated from `wit/migration-0.1.0/policy.wit`, where their fields and rules are
//! explained for policy authors; as JSON they have the same names, fields in `snake_case` and enum cases
//! in `UpperCamelCase`. [`MigrationPolicy`] calls a plugin with them.

mod check;
mod names;

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use wasmtime::Store;

pub use crate::wit::migration::exports::portolan::migration::policy::{
    ActiveMove, Budget, Description, Limits, Metric, Move, MoveOutcome, Node, Plan, RecentMove,
    Rejected, Role, Shard, SlotRange, SlotStatistics, Snapshot, Trigger,
};
use crate::{
    CallError, CallSite, Plugin, PluginKind, PluginState, Plugins, PolicyError,
    binding::Binding,
    call::{self, Http, OwnError, Running},
    plugin::World,
    state::State,
    wit::migration::{
        MigrationPolicy as Guest, exports::portolan::migration::policy::Error as WitError,
    },
};

/// One function of the interface, called on an instance.
type Run<T> = Box<
    dyn for<'a> FnOnce(&'a Guest, &'a mut Store<State>) -> Running<'a, Result<T, WitError>> + Send,
>;

/// A migration policy for one cluster: every method is one call in a fresh instance, which has neither
/// network nor clock nor randomness. Cheap to make and to clone.
///
/// It keeps the version of the plugin that it was made from.
#[derive(Clone)]
pub struct MigrationPolicy {
    pub(crate) plugin: Plugin,
    pub(crate) binding: Arc<Binding>,
}

/// Why a plugin cannot be had as a policy. The sentence names the plugin, and those that could be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPolicy {
    /// There is no plugin of this name.
    #[error(
        "there is no plugin `{name}` on this member (migration policies here: {known}); put its .wasm \
         file into the plugin directory"
    )]
    Missing {
        /// What was asked for.
        name: String,
        /// The names of the policies that there are, or `none`.
        known: String,
    },
    /// Its file is broken.
    #[error("the plugin `{name}` does not run: {reason}")]
    Broken {
        /// What was asked for.
        name: String,
        /// What is wrong with the file.
        reason: String,
    },
    /// It is another kind of plugin.
    #[error(
        "the plugin `{name}` is a {kind}, not a migration policy (migration policies here: {known})"
    )]
    OtherKind {
        /// What was asked for.
        name: String,
        /// What it is.
        kind: PluginKind,
        /// The names of the policies that there are, or `none`.
        known: String,
    },
}

impl Plugins {
    /// The plugin `name` as a migration policy. `binding` says for whom, in messages, logs and the
    /// circuit breaker: a cluster's name.
    pub fn policy(&self, name: &str, binding: &str) -> Result<MigrationPolicy, NoPolicy> {
        let name = name.to_owned();
        let known = || match &*self.policies() {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        match self.get(&name) {
            Some(plugin) if plugin.kind() == PluginKind::MigrationPolicy => {
                Ok(plugin.policy(binding))
            }
            Some(plugin) => Err(NoPolicy::OtherKind {
                kind: plugin.kind(),
                known: known(),
                name,
            }),
            None => {
                let broken = self.list().into_iter().find(|status| status.name == name);
                match broken.and_then(|status| status.error) {
                    Some(reason) => Err(NoPolicy::Broken { name, reason }),
                    None => Err(NoPolicy::Missing {
                        known: known(),
                        name,
                    }),
                }
            }
        }
    }

    /// The names of the migration policies that run, in alphabetical order.
    pub fn policies(&self) -> Vec<String> {
        let list = self.list().into_iter();
        let names = list
            .filter(|status| status.kind == Some(PluginKind::MigrationPolicy))
            .filter(|status| status.state != PluginState::Failed)
            .map(|status| status.name);
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl MigrationPolicy {
    /// What this policy is.
    pub async fn describe(&self) -> Result<Description, CallError> {
        let run: Run<_> = Box::new(|guest, store| {
            Box::pin(async move {
                let policy = guest.portolan_migration_policy();
                Ok(Ok(policy.call_describe(store).await?))
            })
        });
        self.call("describe", run, |description| {
            check::description(description)
        })
        .await
    }

    /// Checks settings (a JSON object; null counts as `{}`): against the manifest's schema, whose errors
    /// say where, then by the policy itself.
    pub async fn validate(&self, settings: &Value) -> Result<(), CallError> {
        let settings = self.settings("validate", settings)?;
        let run: Run<_> = Box::new(move |guest, store| {
            Box::pin(async move {
                let policy = guest.portolan_migration_policy();
                policy.call_validate(store, &settings).await
            })
        });
        self.call("validate", run, |()| Ok(())).await
    }

    /// Asks for a plan. What comes back is sane: within the budget, every range owned by the shard that
    /// gives it, no slot moved twice, in flight or excluded, every number finite.
    pub async fn plan(
        &self,
        snapshot: &Snapshot,
        settings: &Value,
        budget: Budget,
    ) -> Result<Plan, CallError> {
        let settings = self.settings("propose", settings)?;
        let given = snapshot.clone();
        let run: Run<_> = Box::new(move |guest, store| {
            Box::pin(async move {
                let policy = guest.portolan_migration_policy();
                policy.call_propose(store, &given, &settings, budget).await
            })
        });
        self.call("propose", run, |plan| check::plan(plan, snapshot, &budget))
            .await
    }

    /// The plugin behind this.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// The settings as the text that the policy gets, if they fit the schema.
    fn settings(&self, function: &'static str, settings: &Value) -> Result<String, CallError> {
        let settings = match settings {
            Value::Null => Value::Object(serde_json::Map::new()),
            settings => settings.clone(),
        };
        // Of another kind of plugin the schema says nothing; the call says that it is another kind.
        if self.binding.fits.is_ok() {
            self.plugin
                .check_settings(&settings)
                .map_err(|error| CallError::Binding {
                    at: CallSite {
                        plugin: self.plugin.manifest().name.clone(),
                        binding: self.binding.grants.binding.clone(),
                        function,
                    },
                    error,
                })?;
        }
        Ok(settings.to_string())
    }

    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        run: Run<T>,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> Result<T, CallError> {
        let plugin = self.plugin.clone();
        let run: call::Run<T> = Box::new(move |store| {
            Box::pin(async move {
                let World::MigrationPolicy(pre) = plugin.world() else {
                    // Never called: the binding does not fit such a plugin.
                    return Err(wasmtime::Error::msg("it is no migration policy"));
                };
                let guest = pre.instantiate_async(&mut *store).await?;
                let answer = run(&guest, store).await?;
                Ok(answer.map_err(|error| OwnError::Policy(error.into())))
            })
        });
        call::call(
            &self.plugin,
            &self.binding,
            function,
            Http::Refused,
            run,
            check,
        )
        .await
    }
}

impl From<WitError> for PolicyError {
    fn from(error: WitError) -> Self {
        match error {
            WitError::Invalid(text) => Self::Invalid(text),
            WitError::Unusable(text) => Self::Unusable(text),
        }
    }
}
