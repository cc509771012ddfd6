//! Doing what a push says, and telling what stands.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use portolan_consensus::{Consistency, Space, Txn};
use serde_json::{Value, json};

use super::convert::{BindingChange, Taken, convert};
use super::kept::Kept;
use super::show::{Facts, show};
use super::standing::{ALI_PLUGIN, Standing};
use super::wire::{ClusterInfo, Hidden};
use crate::clock::now_ms;
use crate::documents::{encode, keys};
use crate::error::SteeringError;
use crate::names::BindingName;
use crate::steering::Steering;
use crate::store::{revision_of, until_settled};

/// Where the plugin of a new binding sends its requests.
const ALI_HOST: &str = "alidns.aliyuncs.com";

impl Steering {
    /// All that this member knows, as the contract has it. Any member tells it, with or without a
    /// majority: who asks wants to know whether this one lives.
    pub async fn contract_info(&self) -> Result<ClusterInfo, SteeringError> {
        let standing = self.standing_contract(Consistency::Stale).await?;
        let leadership = *self.member.leadership().borrow();
        let facts = Facts {
            me: self.member.id(),
            leader: leadership.leader,
            is_leader: leadership.is_self,
            advertise: self.member.advertise(),
            looks: self.looks(&standing),
            standing: &standing,
        };
        Ok(show(&facts))
    }

    /// Takes over the nodes, services and platforms of a push, and replicates them.
    ///
    /// The whole push is read and checked before anything is stored. What is stored is stored document
    /// by document: the same push, sent again, completes one that was interrupted.
    ///
    /// # Errors
    /// [`SteeringError::Invalid`] names the field of the request.
    pub async fn take_over_contract(&self, info: &ClusterInfo) -> Result<(), SteeringError> {
        until_settled(|| async {
            let standing = self.standing_contract(Consistency::Linearizable).await?;
            let taken = convert(info, &standing)?;
            self.carry_over(&standing, taken).await
        })
        .await
    }

    async fn carry_over(&self, standing: &Standing, taken: Taken) -> Result<(), SteeringError> {
        let mut changed = false;
        for (name, change) in &taken.bindings {
            changed |= self.change_binding(standing, name, change).await?;
        }
        for site in &taken.sites {
            let key = super::kept::key(&site.code);
            let before = standing.sites.get(&key).cloned();
            if before.as_ref().map(|it| &it.document) != Some(site) {
                self.replace_site(before, site.clone()).await?;
                changed = true;
            }
        }
        for service in &taken.services {
            let before = standing.services.get(&service.name).cloned();
            if before.as_ref().map(|it| &it.document) != Some(service) {
                self.replace_service(before, service.clone()).await?;
                changed = true;
            }
        }
        for name in &taken.gone_services {
            if standing.service(name).is_some() {
                self.delete_service(name.as_str(), None).await?;
            }
        }
        for code in &taken.gone_sites {
            self.delete_site(code.as_str(), None).await?;
        }
        self.keep(standing, taken, changed).await
    }

    /// Changes or makes a binding; answers whether there was anything to change.
    async fn change_binding(
        &self,
        standing: &Standing,
        name: &BindingName,
        change: &BindingChange,
    ) -> Result<bool, SteeringError> {
        let Some(before) = standing.bindings.get(name) else {
            let body = new_binding(name, change);
            self.put_binding(name.as_str(), body, None, false).await?;
            return Ok(true);
        };
        let account = self.account(name, &before.document)?;
        let stands = |(credential, value): (&&str, &Hidden)| {
            use secrecy::ExposeSecret as _;
            let held = account.credentials.get(*credential);
            held.is_some_and(|held| held.expose_secret() == value.expose())
        };
        if change.zones.is_empty() && change.credentials.iter().all(stands) {
            return Ok(false);
        }
        let zones = before.document.zones.iter().chain(&change.zones);
        let patch = json!({
            "zones": zones.collect::<Vec<_>>(),
            "credentials": credentials(change),
        });
        self.patch_binding(name.as_str(), patch, Some(before.modified), false)
            .await?;
        Ok(true)
    }

    /// Writes down what our documents have no room for.
    async fn keep(
        &self,
        standing: &Standing,
        mut taken: Taken,
        changed: bool,
    ) -> Result<(), SteeringError> {
        let before = standing.kept();
        self.seal_secrets(&mut taken)?;
        let gone = !taken.gone_services.is_empty() || !taken.gone_sites.is_empty();
        if taken.kept == before && !changed && !gone {
            return Ok(());
        }
        let now_ms = now_ms();
        let kept = Kept {
            created_ms: if before.created_ms == 0 {
                now_ms
            } else {
                before.created_ms
            },
            updated_ms: now_ms,
            ..taken.kept
        };
        let txn = Txn::new()
            .guard(Space::Steering, keys::CONTRACT, revision_of(&standing.kept))
            .put(Space::Steering, keys::CONTRACT, encode(&kept));
        self.store.commit(txn).await?;
        tracing::info!(
            nodes = taken.sites.len(),
            services = taken.services.len(),
            "nodes, services and platforms taken over from a push"
        );
        Ok(())
    }

    /// Seals the nodes' secrets that are new.
    fn seal_secrets(&self, taken: &mut Taken) -> Result<(), SteeringError> {
        let secrets: BTreeMap<String, Hidden> = std::mem::take(&mut taken.secrets);
        for (node, secret) in secrets {
            let context = format!("steering/contract/node/{node}/secret");
            let key = self.cluster_key()?;
            let Some(kept) = taken.kept.nodes.get_mut(&node) else {
                continue;
            };
            let sealed = kept.secret.as_ref().and_then(|it| BASE64.decode(it).ok());
            let held = sealed.and_then(|sealed| key.open(&context, &sealed).ok());
            if held.is_none_or(|held| held.as_slice() != secret.expose().as_bytes()) {
                let sealed = key.seal(&context, secret.expose().as_bytes());
                kept.secret = Some(BASE64.encode(sealed));
            }
        }
        Ok(())
    }
}

/// The body of a binding that is made for a platform.
fn new_binding(name: &BindingName, change: &BindingChange) -> Value {
    json!({
        "name": name,
        "plugin": ALI_PLUGIN,
        "hosts": [ALI_HOST],
        "zones": change.zones,
        "credentials": credentials(change),
    })
}

/// Credentials by name, in the clear.
fn credentials(change: &BindingChange) -> Value {
    let given = change.credentials.iter();
    given
        .map(|(name, value)| ((*name).to_owned(), Value::from(value.expose())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
