//! Typed access to steering's documents.

use portolan_consensus::Revision;
pub(crate) use portolan_consensus::documents::{Documents as Store, Stored, until_settled};

use crate::error::SteeringError;

/// The revision to guard on, whether the document exists or not.
pub(crate) fn revision_of<D>(stored: &Option<Stored<D>>) -> Revision {
    stored
        .as_ref()
        .map_or(Revision::ZERO, |stored| stored.modified)
}

/// Whether a document is at the revision that the request named ([`Revision::ZERO`]: it does not
/// exist), if it named one.
pub(crate) fn check_revision(
    what: &str,
    named: Option<Revision>,
    actual: Revision,
) -> Result<(), SteeringError> {
    match named {
        Some(named) if named != actual => Err(SteeringError::Precondition(format!(
            "{what} is at revision {actual}, not {named}: somebody changed it meanwhile; read it again"
        ))),
        _ => Ok(()),
    }
}
