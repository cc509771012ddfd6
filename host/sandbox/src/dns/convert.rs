//! Between our types and the generated ones, field by field.

use std::time::Duration;

use super::{
    Capabilities, Change, Features, Line, Outcome, RecordKey, RecordPage, RecordSet, RecordValue,
    Zone, ZonePage, wit,
};
use crate::ProviderError;

/// Converts every item.
pub(super) fn all<A, B: From<A>>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(Into::into).collect()
}

/// Converts every result.
pub(super) fn each<A, B: From<A>>(
    results: Vec<Result<A, wit::Error>>,
) -> Vec<Result<B, ProviderError>> {
    results
        .into_iter()
        .map(|result| result.map(Into::into).map_err(Into::into))
        .collect()
}

impl From<wit::Caps> for Capabilities {
    fn from(caps: wit::Caps) -> Self {
        let has = |feature| caps.features.contains(feature);
        Self {
            features: Features {
                lines: has(wit::Features::LINES),
                weights: has(wit::Features::WEIGHTS),
                disable: has(wit::Features::DISABLE),
                comment: has(wit::Features::COMMENT),
                atomic_zone: has(wit::Features::ATOMIC_ZONE),
                atomic_rrset: has(wit::Features::ATOMIC_RRSET),
                needs_default_line: has(wit::Features::NEEDS_DEFAULT_LINE),
            },
            record_types: caps.record_types,
            max_values: caps.max_values,
            changes_per_call: caps.changes_per_call,
            settle: Duration::from_millis(caps.settle_ms.into()),
            hosts: caps.hosts,
        }
    }
}

impl From<wit::ZonePage> for ZonePage {
    fn from(page: wit::ZonePage) -> Self {
        Self {
            zones: all(page.zones),
            next: page.next,
        }
    }
}

impl From<wit::Zone> for Zone {
    fn from(wit::Zone { name, min_ttl }: wit::Zone) -> Self {
        Self { name, min_ttl }
    }
}

impl From<wit::DnsLine> for Line {
    fn from(wit::DnsLine { code, label }: wit::DnsLine) -> Self {
        Self { code, label }
    }
}

impl From<wit::RecordPage> for RecordPage {
    fn from(page: wit::RecordPage) -> Self {
        Self {
            sets: all(page.sets),
            next: page.next,
        }
    }
}

impl From<wit::RecordSet> for RecordSet {
    fn from(
        wit::RecordSet {
            key,
            ttl,
            values,
            comment,
            handle,
            extras,
        }: wit::RecordSet,
    ) -> Self {
        Self {
            key: key.into(),
            ttl,
            values: all(values),
            comment,
            handle,
            extras,
        }
    }
}

impl From<RecordSet> for wit::RecordSet {
    fn from(
        RecordSet {
            key,
            ttl,
            values,
            comment,
            handle,
            extras,
        }: RecordSet,
    ) -> Self {
        Self {
            key: key.into(),
            ttl,
            values: all(values),
            comment,
            handle,
            extras,
        }
    }
}

impl From<wit::RecordKey> for RecordKey {
    fn from(
        wit::RecordKey {
            name,
            rtype,
            line,
            set_id,
        }: wit::RecordKey,
    ) -> Self {
        Self {
            name,
            rtype,
            line,
            set_id,
        }
    }
}

impl From<RecordKey> for wit::RecordKey {
    fn from(
        RecordKey {
            name,
            rtype,
            line,
            set_id,
        }: RecordKey,
    ) -> Self {
        Self {
            name,
            rtype,
            line,
            set_id,
        }
    }
}

impl From<wit::RecordValue> for RecordValue {
    fn from(
        wit::RecordValue {
            content,
            weight,
            enabled,
        }: wit::RecordValue,
    ) -> Self {
        Self {
            content,
            weight,
            enabled,
        }
    }
}

impl From<RecordValue> for wit::RecordValue {
    fn from(
        RecordValue {
            content,
            weight,
            enabled,
        }: RecordValue,
    ) -> Self {
        Self {
            content,
            weight,
            enabled,
        }
    }
}

impl From<Change> for wit::Change {
    fn from(Change { key, before, after }: Change) -> Self {
        Self {
            key: key.into(),
            before: before.map(Into::into),
            after: after.map(Into::into),
        }
    }
}

impl From<wit::Outcome> for Outcome {
    fn from(outcome: wit::Outcome) -> Self {
        match outcome {
            wit::Outcome::Applied => Self::Applied,
            wit::Outcome::Already => Self::Already,
            wit::Outcome::Stale => Self::Stale,
        }
    }
}

impl From<wit::Error> for ProviderError {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Auth(text) => Self::Auth(text),
            wit::Error::Denied(text) => Self::Denied(text),
            wit::Error::NotFound(text) => Self::NotFound(text),
            wit::Error::Conflict(text) => Self::Conflict(text),
            wit::Error::Invalid(text) => Self::Invalid(text),
            wit::Error::Quota(text) => Self::Quota(text),
            wit::Error::Throttled(throttle) => Self::Throttled {
                message: throttle.message,
                retry_after: throttle
                    .retry_after_ms
                    .map(|ms| Duration::from_millis(ms.into())),
            },
            wit::Error::Transient(text) => Self::Transient(text),
            wit::Error::Unsupported(text) => Self::Unsupported(text),
            wit::Error::UnknownOutcome(text) => Self::UnknownOutcome(text),
        }
    }
}
