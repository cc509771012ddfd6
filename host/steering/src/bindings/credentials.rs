//! A binding's credentials: sealed at rest, opened for a call.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use portolan_consensus::ClusterKey;
use secrecy::{ExposeSecret, SecretString};

use super::BindingSpec;
use crate::documents::Binding;
use crate::error::SteeringError;
use crate::names::BindingName;
use crate::steering::Steering;

/// What stands for a credential's value in answers; in a request it means "the one that stands".
pub(super) const SET: &str = "set";

impl Steering {
    /// Seals what the request gives and keeps what stands where it says so.
    pub(super) fn seal_credentials(
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

    /// What the plugin gets: all that the binding holds, in the clear.
    pub(super) fn open_credentials(
        &self,
        name: &BindingName,
        binding: &Binding,
    ) -> Result<BTreeMap<String, SecretString>, SteeringError> {
        let sealed = binding.credentials.iter();
        sealed
            .map(|(credential, sealed)| {
                let opened = open(&self.cluster_key()?, name, credential, sealed)?;
                Ok((credential.clone(), opened))
            })
            .collect()
    }

    /// What seals secrets.
    pub(crate) fn cluster_key(&self) -> Result<ClusterKey, SteeringError> {
        self.member.cluster_key().ok_or_else(|| {
            SteeringError::Unavailable(
                "this member has not been given the cluster key yet, which seals credentials; ask \
                 another member, or try again when it has joined"
                    .to_owned(),
            )
        })
    }
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
