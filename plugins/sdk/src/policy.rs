//! The shape of a migration policy, and the glue between it and the component's exports.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::{
    bindings::policy::exports::portolan::migration::policy::Guest,
    migration::{Budget, Description, Error, Plan, Snapshot},
};

/// A migration policy. `wit/migration-0.1.0/policy.wit` says what each function promises.
///
/// Every call of the daemon runs in a fresh instance of the plugin, with a policy made from the settings
/// for that call alone. A policy that reads a clock, rolls dice or uses a `HashMap` (which seeds itself)
/// is refused when it is loaded.
pub trait Policy: Sized {
    /// The settings; refuse unknown fields (`#[serde(deny_unknown_fields)]`).
    type Settings: DeserializeOwned;

    /// What this policy is.
    fn describe() -> Description;

    /// Makes the policy for one call, or says what is wrong with the settings. It serves the
    /// interface's `validate`, too.
    fn new(settings: Self::Settings) -> Result<Self, Error>;

    /// Makes a plan.
    fn propose(&self, snapshot: &Snapshot, budget: &Budget) -> Result<Plan, Error>;
}

/// Makes a policy from the text of its settings.
pub fn policy<P: Policy>(json: &str) -> Result<P, Error> {
    let settings = serde_json::from_str(json)
        .map_err(|error| Error::Invalid(format!("the policy's settings: {error}")))?;
    P::new(settings)
}

/// Exports `P` from the component. Only named by [`crate::export_policy!`].
pub struct ExportedPolicy<P>(PhantomData<P>);

impl<P: Policy + 'static> Guest for ExportedPolicy<P> {
    fn describe() -> Description {
        P::describe()
    }

    fn validate(text: String) -> Result<(), Error> {
        policy::<P>(&text).map(drop)
    }

    fn propose(snapshot: Snapshot, text: String, budget: Budget) -> Result<Plan, Error> {
        policy::<P>(&text)?.propose(&snapshot, &budget)
    }
}

/// Makes a [`Policy`] what the component exports. Once per plugin.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        // Native builds are for tests; there the exports' names would not even link.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::ExportedPolicy<$policy>;
            $crate::bindings::policy::export!(
                Exported with_types_in $crate::bindings::policy
            );
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&str) -> Result<$policy, $crate::migration::Error> = $crate::policy;
    };
}
