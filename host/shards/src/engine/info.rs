//! Reading `INFO`-like texts.

use super::NodeError;
use crate::model::Role;

/// A field of an `INFO`-like text.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim())
}

/// A field that is a number.
pub(super) fn number<T: std::str::FromStr>(text: &str, name: &str) -> Option<T> {
    field(text, name)?.parse().ok()
}

/// What `INFO replication` says of a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replication {
    pub(super) role: Role,
    /// Whether it follows a master and is not copying its data at the moment.
    pub(super) is_linked: bool,
    /// How far its data goes.
    pub(super) sequence: u64,
}

/// Reads `INFO replication`.
pub(super) fn replication(text: &str) -> Result<Replication, NodeError> {
    let (role, offset) = match field(text, "role") {
        Some("slave") => (Role::Slave, "slave_repl_offset"),
        Some("master") => (Role::Master, "master_repl_offset"),
        other => return Err(NodeError::Nonsense(format!("INFO: role {other:?}"))),
    };
    // A replica that has never heard from its master says -1.
    let sequence: i64 = number(text, offset)
        .ok_or_else(|| NodeError::Nonsense(format!("INFO replication without {offset}")))?;
    Ok(Replication {
        role,
        is_linked: role == Role::Slave && field(text, "master_link_status") == Some("up"),
        sequence: u64::try_from(sequence).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_whatever_ends_its_line() {
        let text = "# Server\r\nkvrocks_version:2.9.0\r\nmigrating_state: start\r\n";
        assert_eq!(field(text, "kvrocks_version"), Some("2.9.0"));
        assert_eq!(field(text, "migrating_state"), Some("start"));
        assert_eq!(field(text, "version"), None);
    }

    #[test]
    fn replication_says_role_and_reach() {
        let says = |text: &str| replication(text).map(|r| (r.role, r.is_linked, r.sequence));
        let master = "role:master\r\nmaster_repl_offset:42\r\n";
        assert_eq!(says(master), Ok((Role::Master, false, 42)));
        let fresh = "role:slave\r\nmaster_link_status:down\r\nslave_repl_offset:-1\r\n";
        assert_eq!(says(fresh), Ok((Role::Slave, false, 0)));
        let linked = "role:slave\r\nmaster_link_status:up\r\nslave_repl_offset:7\r\n";
        assert_eq!(says(linked), Ok((Role::Slave, true, 7)));
        assert!(replication("role:sentinel\r\n").is_err());
        assert!(replication("role:master\r\n").is_err());
    }
}
