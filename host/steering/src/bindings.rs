//! Bindings: provider accounts as operators give and see them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use portolan_consensus::{ClusterKey, Consistency, Revision, Space, Txn};
use portolan_sandbox::HostGrant;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::documents::{Binding, OwnedSets, Serves, ZoneRecords, encode, keys};
use crate::error::SteeringError;
use crate::input;
use crate::names::{BindingName, ZoneName};
use crate::provider::{Account, ProviderError};
use crate::steering::Steering;
use crate::store::{Stored, check_revision, revision_of, until_settled};

/// What stands for a credential's value in answers; in a request it means "the one that stands".
const SET: &str = "set";

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
            let standing = self.load_binding(&name, Consistency::Linearizable).await?;
            check_revision(
                &format!("provider {name}"),
                revision,
                revision_of(&standing),
            )?;
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
            let standing = self.load_binding(&name, Consistency::Linearizable).await?;
            check_revision(
                &format!("provider {name}"),
                revision,
                revision_of(&standing),
            )?;
            let stored = standing.clone().ok_or_else(|| no_binding(&name))?;
            let view = BindingView::new(name.clone(), stored);
            let mut document = serde_json::to_value(view)
                .map_err(|error| SteeringError::invalid("", error.to_string()))?;
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
            let standing = self.load_binding(&name, Consistency::Linearizable).await?;
            check_revision(
                &format!("provider {name}"),
                revision,
                revision_of(&standing),
            )?;
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

    pub(crate) async fn load_binding(
        &self,
        name: &BindingName,
        consistency: Consistency,
    ) -> Result<Option<Stored<Binding>>, SteeringError> {
        self.store.load(&keys::provider(name), consistency).await
    }

    /// A binding's account, with its credentials opened.
    pub(crate) fn account(
        &self,
        name: &BindingName,
        binding: &Binding,
    ) -> Result<Account, SteeringError> {
        let credentials = binding
            .credentials
            .iter()
            .map(|(credential, sealed)| {
                Ok((
                    credential.clone(),
                    open(&self.cluster_key()?, name, credential, sealed)?,
                ))
            })
            .collect::<Result<_, SteeringError>>()?;
        Ok(Account {
            binding: name.clone(),
            plugin: binding.plugin.clone(),
            settings: Value::Object(binding.settings.clone()),
            credentials,
            hosts: binding.hosts.clone(),
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

    /// Seals what the request gives and keeps what stands where it says so.
    fn seal_credentials(
        &self,
        name: &BindingName,
        before: Option<&Binding>,
        spec: &BindingSpec,
    ) -> Result<BTreeMap<String, String>, SteeringError> {
        let same_plugin = before.filter(|before| before.plugin == spec.plugin);
        let kept = same_plugin.map(|before| &before.credentials);
        let Some(given) = &spec.credentials else {
            return match (kept, before) {
                (Some(kept), _) => Ok(kept.clone()),
                (None, Some(before)) if !before.credentials.is_empty() => {
                    Err(SteeringError::invalid(
                        "credentials",
                        format!(
                            "those that stand were given to the plugin {}; give them again",
                            before.plugin
                        ),
                    ))
                }
                (None, _) => Ok(BTreeMap::new()),
            };
        };
        given
            .iter()
            .map(|(credential, value)| {
                let at = format!("credentials.{credential}");
                let sealed = match value.expose_secret() {
                    SET => kept
                        .and_then(|kept| kept.get(credential))
                        .cloned()
                        .ok_or_else(|| {
                            SteeringError::invalid(at, "none stands to be kept; give its value")
                        })?,
                    "" => return Err(SteeringError::invalid(at, "is empty")),
                    secret => seal(&self.cluster_key()?, name, credential, secret),
                };
                Ok((credential.clone(), sealed))
            })
            .collect()
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

    /// Adds to `txn` that `zone` is served by `name` from now on, unless another binding serves it.
    async fn take_on(
        &self,
        txn: Txn,
        name: &BindingName,
        zone: &ZoneName,
        index: usize,
    ) -> Result<Txn, SteeringError> {
        let key = keys::serves(zone);
        let serves = self
            .store
            .load::<Serves>(&key, Consistency::Linearizable)
            .await?;
        if let Some(other) = serves
            .as_ref()
            .filter(|serves| serves.document.binding != *name)
        {
            return Err(SteeringError::invalid(
                format!("zones[{index}]"),
                format!(
                    "{zone} is served by the provider {} already",
                    other.document.binding
                ),
            ));
        }
        let document = Serves {
            binding: name.clone(),
        };
        Ok(txn
            .guard(Space::Steering, key.as_str(), revision_of(&serves))
            .put(Space::Steering, key, encode(&document)))
    }

    /// Adds to `txn` that nobody serves `zone` from now on.
    async fn let_go(
        &self,
        txn: Txn,
        name: &BindingName,
        zone: &ZoneName,
        force: bool,
    ) -> Result<Txn, SteeringError> {
        let (zone_key, owned_key) = (keys::zone(zone), keys::owned(zone));
        let records = self
            .store
            .load::<ZoneRecords>(&zone_key, Consistency::Linearizable)
            .await?;
        let owned = self
            .store
            .load::<OwnedSets>(&owned_key, Consistency::Linearizable)
            .await?;
        let wanted = records
            .as_ref()
            .map_or(0, |stored| stored.document.records.len());
        let ours = owned.as_ref().map_or(0, |stored| stored.document.count());
        if !force && wanted + ours > 0 {
            return Err(SteeringError::Conflict(format!(
                "the zone {zone} of the provider {name} has {wanted} wanted record sets, and {ours} \
                 that stand there are ours; remove the records first, or repeat with ?force=true to \
                 leave them in the zone as they are"
            )));
        }
        Ok(txn
            .guard(Space::Steering, zone_key, revision_of(&records))
            .guard(Space::Steering, owned_key, revision_of(&owned))
            .delete(Space::Steering, keys::serves(zone)))
    }

    fn cluster_key(&self) -> Result<ClusterKey, SteeringError> {
        self.member.cluster_key().ok_or_else(|| {
            SteeringError::Unavailable(
                "this member has not been given the cluster key yet, which seals credentials; ask \
                 another member, or try again when it has joined"
                    .to_owned(),
            )
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

fn check_zones(zones: &[ZoneName]) -> Result<(), SteeringError> {
    for (index, zone) in zones.iter().enumerate() {
        if zones[..index].contains(zone) {
            return Err(SteeringError::invalid(
                format!("zones[{index}]"),
                format!("{zone} stands there twice"),
            ));
        }
    }
    Ok(())
}

/// A sealed value opens only as the credential that it was sealed as: moved to another binding or
/// name, it does not.
fn context(binding: &BindingName, credential: &str) -> String {
    format!("steering/provider/{binding}/credential/{credential}")
}

fn seal(key: &ClusterKey, binding: &BindingName, credential: &str, secret: &str) -> String {
    BASE64.encode(key.seal(&context(binding, credential), secret.as_bytes()))
}

fn open(
    key: &ClusterKey,
    binding: &BindingName,
    credential: &str,
    sealed: &str,
) -> Result<SecretString, SteeringError> {
    let fail = || {
        SteeringError::Conflict(format!(
            "the credential {credential} of the provider {binding} was not sealed with this group's \
             key; give it again"
        ))
    };
    let sealed = BASE64.decode(sealed).map_err(|_| fail())?;
    let plain = key
        .open(&context(binding, credential), &sealed)
        .map_err(|_| fail())?;
    let text = std::str::from_utf8(&plain).map_err(|_| fail())?;
    Ok(SecretString::from(text))
}
