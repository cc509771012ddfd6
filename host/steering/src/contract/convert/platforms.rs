//! Platforms become bindings.

use std::collections::BTreeMap;

use super::{BindingChange, at};
use crate::contract::standing::{ALI, Standing};
use crate::contract::wire::{CloudPlatform, ClusterInfo, Hidden};
use crate::error::SteeringError;
use crate::names::BindingName;

/// What the plugin calls its two credentials.
const ACCESS_KEY: &str = "access-key-id";
const ACCESS_SECRET: &str = "access-key-secret";

/// Reads the list of all platforms.
pub(super) fn convert(
    info: &ClusterInfo,
    standing: &Standing,
) -> Result<BTreeMap<BindingName, BindingChange>, SteeringError> {
    let mut changes = BTreeMap::new();
    let platforms = info.cloud_platform_info.iter().flatten();
    for (index, platform) in platforms.enumerate() {
        let at = at(format_args!("cloudPlatformInfo[{index}]"));
        let (name, change) = read(platform, &at, standing)?;
        changes.insert(name, change);
    }
    Ok(changes)
}

fn read(
    platform: &CloudPlatform,
    at: &str,
    standing: &Standing,
) -> Result<(BindingName, BindingChange), SteeringError> {
    let called = &platform.platform_provider;
    let binding = standing.binding_of(called).cloned();
    let given = [
        ("accessKey", ACCESS_KEY, &platform.access_key),
        ("accessSecret", ACCESS_SECRET, &platform.access_secret),
    ];
    let stands = binding.is_some();
    let Some(name) = binding.or_else(|| new_name(called)) else {
        return Err(unknown(format!("{at}.platformProvider"), called));
    };
    let mut change = BindingChange::default();
    for (field, credential, value) in given {
        let wrong = |sentence: &str| SteeringError::invalid(format!("{at}.{field}"), sentence);
        if value.given().is_some() {
            if called != ALI {
                return Err(wrong(
                    "cannot be handed to this provider, whose credentials have other names; set them \
                     at /api/v1/dns/providers, and send `***` here",
                ));
            }
            change.credentials.insert(credential, Hidden::clone(value));
        } else if !stands && value.is_masked() {
            return Err(wrong(
                "is masked, and none stands here; send the key itself",
            ));
        } else if !stands {
            return Err(wrong("is empty"));
        }
    }
    Ok((name, change))
}

/// The name of the binding that a platform becomes; none where the contract does not know it.
fn new_name(platform: &str) -> Option<BindingName> {
    let known = Some(platform).filter(|platform| *platform == ALI)?;
    BindingName::parse(&known.to_ascii_lowercase()).ok()
}

pub(super) fn unknown(at: String, platform: &str) -> SteeringError {
    SteeringError::invalid(
        at,
        format!(
            "`{}` is neither {ALI} nor the name of a provider here; make one of that name first, at \
             /api/v1/dns/providers",
            platform.escape_debug()
        ),
    )
}
