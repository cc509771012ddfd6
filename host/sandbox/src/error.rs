//! Every way in which loading or calling a plugin can fail, each with the sentence an operator needs.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::PluginKind;

/// Why a component was not accepted as a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// The file.
        path: String,
        /// What the operating system said.
        reason: String,
    },
    /// More bytes than `SandboxOptions::component_bytes`.
    #[error("the component has {size} bytes, more than the limit of {limit} (`component_bytes`)")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It is no WebAssembly component.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// It imports an interface that no plugin gets.
    #[error(
        "it imports `{import}`, which this daemon does not offer; the nearest that it offers is `{nearest}`"
    )]
    UnknownImport {
        /// What the component imports.
        import: String,
        /// The supported interface whose name is nearest.
        nearest: String,
    },
    /// It imports an interface that plugins of its kind do not get.
    #[error(
        "it imports `{import}`, which a {kind} does not get: {reason}; it may import {offered}"
    )]
    ForbiddenImport {
        /// What the component imports.
        import: String,
        /// What kind of plugin it is.
        kind: PluginKind,
        /// Why, and what to do instead.
        reason: &'static str,
        /// What it may import.
        offered: &'static str,
    },
    /// It exports nothing that this daemon knows how to call.
    #[error(
        "it exports no known interface (it exports {found}); a DNS provider exports `portolan:dns/provider@0.1.0`, a migration policy `portolan:migration/policy@0.1.0`"
    )]
    UnknownWorld {
        /// What it exports.
        found: String,
    },
    /// It carries no manifest.
    #[error("it has no manifest: put a JSON document into the custom section `portolan:manifest`")]
    NoManifest,
    /// Its manifest cannot be used.
    #[error("its manifest is wrong: {0}")]
    Manifest(String),
    /// Its code cannot be compiled or linked.
    #[error("it cannot be compiled: {0}")]
    Compile(String),
    /// Another file already provides a plugin of this name.
    #[error("{holder} already provides a plugin named `{name}`; remove one of the two")]
    NameTaken {
        /// The name both claim.
        name: String,
        /// The file that keeps it.
        holder: String,
    },
}

/// Why the daemon's sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An option is out of range or contradicts another.
    #[error("sandbox option `{option}`: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine, its threads or the HTTP client could not be made.
    #[error("cannot set up the sandbox: {0}")]
    Engine(String),
    /// The directory for compiled code cannot be used.
    #[error("cannot use {path} for compiled plugins: {reason}")]
    Cache {
        /// The directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The plugin directory cannot be watched or read.
    #[error("cannot use {path} as the plugin directory: {reason}")]
    Directory {
        /// The directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a binding does not fit the plugin that it names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// The settings do not fit the manifest's schema.
    #[error("settings{path}: {reason}")]
    Settings {
        /// Where in the settings, as a JSON pointer with a leading blank; empty for the whole.
        path: String,
        /// What does not fit.
        reason: String,
    },
    /// A credential that the manifest requires is missing.
    #[error("the credential `{name}` is missing ({description})")]
    MissingCredential {
        /// Its name.
        name: String,
        /// What the manifest says about it.
        description: String,
    },
}

/// Which call an error belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// The plugin's name.
    pub plugin: String,
    /// The binding's name.
    pub binding: String,
    /// The function of the plugin's interface.
    pub function: &'static str,
}

impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin `{}`, binding `{}`, {}",
            self.plugin, self.binding, self.function
        )
    }
}

/// Why a call has no answer.
///
/// After any error but [`CallError::Provider`], [`CallError::Binding`], [`CallError::Breaker`] and
/// [`CallError::Busy`] a DNS provider may have sent requests already: what it was to change has an
/// unknown state ([`CallError::may_have_acted`]). A policy never acts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin answered, with its own error.
    #[error("{at}: {error}")]
    Provider {
        /// The call.
        at: CallSite,
        /// What the plugin said.
        error: ProviderError,
    },
    /// The policy answered, with its own error.
    #[error("{at}: {error}")]
    Policy {
        /// The call.
        at: CallSite,
        /// What the policy said.
        error: PolicyError,
    },
    /// The binding does not fit the plugin's manifest; nothing was called.
    #[error("{at}: the binding does not fit the plugin: {error}")]
    Binding {
        /// The call.
        at: CallSite,
        /// What does not fit.
        error: BindingError,
    },
    /// It was not done in time.
    #[error("{at}: not done within its deadline of {limit:?} (`deadline_ms`)")]
    Deadline {
        /// The call.
        at: CallSite,
        /// Its deadline.
        limit: Duration,
    },
    /// It computed for too long: most likely an endless loop.
    #[error(
        "{at}: computed for more than {limit:?} (`compute_ms`); waiting for replies does not count"
    )]
    Compute {
        /// The call.
        at: CallSite,
        /// Its limit.
        limit: Duration,
    },
    /// It asked for too much memory.
    #[error("{at}: wanted more than its {limit} bytes of memory (`memory_bytes`)")]
    Memory {
        /// The call.
        at: CallSite,
        /// Its limit in bytes, all of its memories and tables together.
        limit: usize,
    },
    /// It recursed too deeply.
    #[error("{at}: recursed beyond its {limit} bytes of stack (`stack_bytes`)")]
    Stack {
        /// The call.
        at: CallSite,
        /// Its limit in bytes.
        limit: usize,
    },
    /// It called the host too often.
    #[error("{at}: called the host more than {limit} times (`host_calls`)")]
    HostCalls {
        /// The call.
        at: CallSite,
        /// Its limit.
        limit: u64,
    },
    /// It crashed.
    #[error("{at}: crashed: {reason}")]
    Trap {
        /// The call.
        at: CallSite,
        /// The trap, its own panic message where it wrote one, and where it happened.
        reason: String,
    },
    /// It answered something that cannot be true.
    #[error("{at}: its answer makes no sense: {reason}")]
    Answer {
        /// The call.
        at: CallSite,
        /// What is wrong with it.
        reason: String,
    },
    /// It failed too often in a row, so it is not called for a while.
    #[error(
        "{at}: not called, for it failed {failures} times in a row; tried again in {retry_in:?}; last: {last}"
    )]
    Breaker {
        /// The call.
        at: CallSite,
        /// When it is tried again.
        retry_in: Duration,
        /// How many calls failed in a row.
        failures: u32,
        /// The last failure.
        last: String,
    },
    /// No slot became free; nothing was called.
    #[error("{at}: not called, for no slot became free within {waited:?} (`{option}` is {slots})")]
    Busy {
        /// The call.
        at: CallSite,
        /// How long it waited.
        waited: Duration,
        /// The option that limits the slots.
        option: &'static str,
        /// How many slots there are.
        slots: usize,
    },
    /// The host itself failed.
    #[error("{at}: the plugin host failed: {reason}")]
    Host {
        /// The call.
        at: CallSite,
        /// What went wrong.
        reason: String,
    },
}

impl CallError {
    /// Could the plugin have changed the outside world before this error? False only where that is
    /// certain. A provider's own error says it itself ([`ProviderError::UnknownOutcome`]).
    pub fn may_have_acted(&self) -> bool {
        match self {
            CallError::Provider { error, .. } => matches!(error, ProviderError::UnknownOutcome(_)),
            CallError::Policy { .. }
            | CallError::Binding { .. }
            | CallError::Breaker { .. }
            | CallError::Busy { .. } => false,
            _ => true,
        }
    }

    /// The plugin's own error, if that is what this is.
    pub fn provider(&self) -> Option<&ProviderError> {
        match self {
            CallError::Provider { error, .. } => Some(error),
            _ => None,
        }
    }

    /// A short stable name of the cause, for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            CallError::Provider { error, .. } => error.kind(),
            CallError::Policy { error, .. } => error.kind(),
            CallError::Binding { .. } => "binding",
            CallError::Deadline { .. } => "deadline",
            CallError::Compute { .. } => "compute",
            CallError::Memory { .. } => "memory",
            CallError::Stack { .. } => "stack",
            CallError::HostCalls { .. } => "host_calls",
            CallError::Trap { .. } => "trap",
            CallError::Answer { .. } => "answer",
            CallError::Breaker { .. } => "breaker",
            CallError::Busy { .. } => "busy",
            CallError::Host { .. } => "host",
        }
    }

    /// Did the sandbox have to end the call, or the answer have to be thrown away? Such failures open
    /// the circuit breaker; a provider's own errors do not.
    pub(crate) fn counts_against_plugin(&self) -> bool {
        matches!(
            self,
            CallError::Deadline { .. }
                | CallError::Compute { .. }
                | CallError::Memory { .. }
                | CallError::Stack { .. }
                | CallError::HostCalls { .. }
                | CallError::Trap { .. }
                | CallError::Answer { .. }
        )
    }
}

/// Why a policy has no plan. The texts are the policy's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyError {
    /// The settings are wrong.
    #[error("invalid: {0}")]
    Invalid(String),
    /// No plan can be made from this snapshot.
    #[error("unusable snapshot: {0}")]
    Unusable(String),
}

impl PolicyError {
    /// A short stable name of the cause, for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            PolicyError::Invalid(_) => "invalid",
            PolicyError::Unusable(_) => "unusable",
        }
    }
}

/// What a provider says went wrong, of a call or of one change. The texts are the plugin's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderError {
    /// The provider does not accept the credential, or it lacks a permission.
    #[error("not authorised: {0}")]
    Auth(String),
    /// The host refused a request of the plugin: a grant is missing. The text says which.
    #[error("denied: {0}")]
    Denied(String),
    /// The zone or record does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// It clashes with what stands there.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The provider will never accept this input, or the settings are wrong.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The account's quota is used up.
    #[error("quota: {0}")]
    Quota(String),
    /// Too many requests.
    #[error("throttled: {message}{}", retry(.retry_after))]
    Throttled {
        /// The provider's words.
        message: String,
        /// How long the provider wants us to wait, where it said so.
        retry_after: Option<Duration>,
    },
    /// It may work when tried again; certainly nothing was changed.
    #[error("failed for now: {0}")]
    Transient(String),
    /// The provider cannot do this at all.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// It may have been carried out: read before trying again.
    #[error("unknown outcome: {0}")]
    UnknownOutcome(String),
}

fn retry(after: &Option<Duration>) -> String {
    after
        .map(|after| format!(" (try again in {after:?})"))
        .unwrap_or_default()
}

impl ProviderError {
    /// A short stable name of the cause, for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            ProviderError::Auth(_) => "auth",
            ProviderError::Denied(_) => "denied",
            ProviderError::NotFound(_) => "not_found",
            ProviderError::Conflict(_) => "conflict",
            ProviderError::Invalid(_) => "invalid",
            ProviderError::Quota(_) => "quota",
            ProviderError::Throttled { .. } => "throttled",
            ProviderError::Transient(_) => "transient",
            ProviderError::Unsupported(_) => "unsupported",
            ProviderError::UnknownOutcome(_) => "unknown_outcome",
        }
    }
}
