//! Bindings: provider accounts as operators give and see them.

mod credentials;
mod served;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use portolan_consensus::{Consistency, Revision, Space, Txn};
use portolan_sandbox::HostGrant;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::credentials::SET;
use self::served::check_zones;
use crate::documents::{Binding, encode, keys};
use crate::error::SteeringError;
use crate::input;
use crate::names::{BindingName, ZoneName};
use crate::provider::{Account, ProviderError};
use crate::steering::Steering;
use crate::store::{Stored, check_revision, revision_of, until_settled};

/// A binding as a request gives it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BindingSpec {
    /// May be left out; what an answer shows can be sent back.
    #[serde(default)]
    name: Option<BindingName>,
    plugin: String,
    #[serde(default)]
    settings: Map<String, Value>,
    /// None keeps the ones that stand.
    #[serde(default)]
    credentials: Option<BTreeMap<String, SecretString>>,
    #[serde(default)]
    hosts: Vec<HostGrant>,
    #[serde(default)]
    zones: Vec<ZoneName>,
    /// None is what the members are configured for.
    #[serde(default)]
    calls_per_second: Option<NonZeroU32>,
}

/// A binding as answers show it: without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BindingView {
    /// Its name.
    pub name: BindingName,
    /// The plugin's name.
    pub plugin: String,
    /// A JSON object.
    pub settings: Map<String, Value>,
    /// The names of the credentials that it holds, each with the word `set`.
    pub credentials: BTreeMap<String, &'static str>,
    /// Where the plugin may send requests.
    pub hosts: Vec<HostGrant>,
    /// The zones that it serves.
    pub zones: Vec<ZoneName>,
    /// Calls that may leave within a second, where it is not what the members are configured for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<NonZeroU32>,
    /// The document's revision, for `ETag` and `If-Match`.
    #[serde(skip)]
    pub revision: Revision,
}

impl BindingView {
    fn new(name: BindingName, stored: Stored<Binding>) -> Self {
        let Binding {
            plugin,
            settings,
            hosts,
            zones,
            calls_per_second,
            credentials,
        } = stored.document;
        let credentials = credentials.into_keys().map(|name| (name, SET)).collect();
        Self {
            name,
            plugin,
            settings,
            credentials,
            hosts,
            zones,
            calls_per_second,
            revision: stored.modified,
        }
    }
}

impl Steering {
    /// All bindings, by name.
    pub async fn bindings(&self) -> Result<Vec<BindingView>, SteeringError> {
        let stored = self
            .store
            .list(keys::PROVIDERS, Consistency::Linearizable)
            .await?;
        stored
            .into_iter()
            .map(|(name, stored)| Ok(BindingView::new(binding_name(&name)?, stored?)))
            .collect()
    }

    /// One binding.
    pub async fn binding(&self, name: &str) -> Result<BindingView, SteeringError> {
        let name = binding_name(name)?;
        let stored = self.load_binding(&name, Consistency::Linearizable).await?;
        Ok(BindingView::new(
            name.clone(),
            stored.ok_or_else(|| no_binding(&name))?,
        ))
    }

    /// Makes a binding or replaces it, as `PUT` does it: what the body leaves out falls back to its
    /// default, save credentials, which then stay as they are. A credential given as `set` stays too.
    ///
    /// `revision` is the one that the binding must be at ([`Revision::ZERO`]: it must not exist).
    /// `force` lets go of zones that still have records.
    pub async fn put_binding(
        &self,
        name: &str,
        body: Value,
        revision: Option<Revision>,
        force: bool,
    ) -> Result<BindingView, SteeringError> {
        let name = binding_name(name)?;
        // Parsed once for its errors; the spec is not kept, for secrets are not cloned.
        until_settled(|| async {
            let standing = self.standing(&name, revision).await?;
            self.replace_binding(&name, standing, input::parse(body.clone())?, force)
                .await
        })
        .await
    }

    /// Changes a binding by a JSON merge patch (RFC 7396): `null` removes a member, a credential too.
    pub async fn patch_binding(
        &self,
        name: &str,
        patch: Value,
        revision: Option<Revision>,
        force: bool,
    ) -> Result<BindingView, SteeringError> {
        let name = binding_name(name)?;
        if !patch.is_object() {
            return Err(SteeringError::invalid("", "a merge patch is a JSON object"));
        }
        until_settled(|| async {
            let standing = self.standing(&name, revision).await?;
            let stored = standing.clone().ok_or_else(|| no_binding(&name))?;
            let view = BindingView::new(name.clone(), stored);
            let mut document = input::document(&view)?;
            input::merge(&mut document, &patch);
            self.replace_binding(&name, standing, input::parse(document)?, force)
                .await
        })
        .await
    }

    /// Removes a binding. As long as one of its zones has records, wanted or ours, that takes
    /// `force`; the records then stay in the zone as they are.
    pub async fn delete_binding(
        &self,
        name: &str,
        revision: Option<Revision>,
        force: bool,
    ) -> Result<(), SteeringError> {
        let name = binding_name(name)?;
        until_settled(|| async {
            let standing = self.standing(&name, revision).await?;
            let stored = standing.ok_or_else(|| no_binding(&name))?;
            let key = keys::provider(&name);
            let mut txn = Txn::new()
                .guard(Space::Steering, key.as_str(), stored.modified)
                .delete(Space::Steering, key);
            for zone in &stored.document.zones {
                txn = self.let_go(txn, &name, zone, force).await?;
            }
            self.store.commit(txn).await?;
            tracing::info!(binding = %name, force, "provider binding deleted");
            Ok(())
        })
        .await
    }

    /// The binding that a change is about, at the revision that the request named, if it named one.
    async fn standing(
        &self,
        name: &BindingName,
        named: Option<Revision>,
    ) -> Result<Option<Stored<Binding>>, SteeringError> {
        let standing = self.load_binding(name, Consistency::Linearizable).await?;
        check_revision(&format!("provider {name}"), named, revision_of(&standing))?;
        Ok(standing)
    }

    pub(crate) async fn load_binding(
        &self,
        name: &BindingName,
        consistency: Consistency,
    ) -> Result<Option<Stored<Binding>>, SteeringError> {
        Ok(self.store.load(&keys::provider(name), consistency).await?)
    }

    /// A binding's account, with its credentials opened.
    pub(crate) fn account(
        &self,
        name: &BindingName,
        binding: &Binding,
    ) -> Result<Account, SteeringError> {
        Ok(Account {
            binding: name.clone(),
            plugin: binding.plugin.clone(),
            settings: Value::Object(binding.settings.clone()),
            credentials: self.open_credentials(name, binding)?,
            hosts: binding.hosts.clone(),
            calls_per_second: binding.calls_per_second,
        })
    }

    async fn replace_binding(
        &self,
        name: &BindingName,
        standing: Option<Stored<Binding>>,
        spec: BindingSpec,
        force: bool,
    ) -> Result<BindingView, SteeringError> {
        if spec.name.as_ref().is_some_and(|given| given != name) {
            return Err(SteeringError::invalid(
                "name",
                format!("the path says {name}"),
            ));
        }
        check_zones(&spec.zones)?;
        let guard = revision_of(&standing);
        let created = standing.as_ref().map(|stored| stored.created);
        let before = standing.map(|stored| stored.document);
        let binding = Binding {
            credentials: self.seal_credentials(name, before.as_ref(), &spec)?,
            plugin: spec.plugin,
            settings: spec.settings,
            hosts: spec.hosts,
            zones: spec.zones,
            calls_per_second: spec.calls_per_second,
        };
        self.check_account(name, &binding).await?;

        let key = keys::provider(name);
        let mut txn = Txn::new().guard(Space::Steering, key.as_str(), guard).put(
            Space::Steering,
            key,
            encode(&binding),
        );
        let old: BTreeSet<&ZoneName> = before.iter().flat_map(|before| &before.zones).collect();
        for (index, zone) in binding.zones.iter().enumerate() {
            if !old.contains(zone) {
                txn = self.take_on(txn, name, zone, index).await?;
            }
        }
        for zone in old.into_iter().filter(|zone| !binding.zones.contains(zone)) {
            txn = self.let_go(txn, name, zone, force).await?;
        }
        let revision = self.store.commit(txn).await?;
        tracing::info!(binding = %name, plugin = %binding.plugin, "provider binding set");
        let created = created.unwrap_or(revision);
        Ok(BindingView::new(
            name.clone(),
            Stored {
                document: binding,
                created,
                modified: revision,
            },
        ))
    }

    /// Whether the plugin is there and takes the binding.
    async fn check_account(
        &self,
        name: &BindingName,
        binding: &Binding,
    ) -> Result<(), SteeringError> {
        let provider = self.providers.connect(self.account(name, binding)?)?;
        provider.validate().await.map_err(|error| match error {
            ProviderError::Invalid(message) | ProviderError::Unsupported(message) => {
                SteeringError::invalid("settings", message)
            }
            error => SteeringError::Provider {
                binding: name.clone(),
                call: "validate",
                error,
            },
        })
    }
}

fn binding_name(text: &str) -> Result<BindingName, SteeringError> {
    BindingName::parse(text).map_err(|message| SteeringError::invalid("name", message))
}

fn no_binding(name: &BindingName) -> SteeringError {
    SteeringError::NotFound(format!(
        "no provider is called {name}; GET /api/v1/dns/providers lists them"
    ))
}
