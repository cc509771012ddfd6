//! Who asks, and what they may do: the one place where it is decided.
//!
//! Today the listener is on loopback (or the operator said `--insecure`), and whoever reaches it is
//! the administrator. Every route passes through [`authorise`] before its handler runs, and names
//! the [`Scope`] that it belongs to: tokens and roles will change this file and no other.

use http::{HeaderMap, StatusCode};

use crate::ApiError;

/// What a route gives access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Says nothing that a stranger may not know.
    Public,
    /// The user's keys.
    Keys,
    /// The Raft group and its members.
    Cluster,
    /// Measurements.
    Metrics,
    /// DNS providers, zones and plans.
    Dns,
    /// Sharded clusters and their nodes.
    Shards,
    /// Plugins and what they may do.
    Plugins,
    /// The members' own protocol.
    Peers,
}

/// What an identity may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// What is public.
    Anonymous,
}

/// Decides whether a request may enter a scope, and as what.
///
/// A page of a foreign site that a browser on this machine shows also reaches the loopback listener.
/// It is not the administrator: browsers tell it by `Sec-Fetch-Site`, and it is refused.
pub fn authorise(headers: &HeaderMap, scope: Scope) -> Result<Role, ApiError> {
    if scope == Scope::Public {
        return Ok(Role::Anonymous);
    }
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(Role::Admin),
        Some(_) => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "a page of another site may not use this API through a browser",
        )),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn programs_and_the_address_bar_enter_foreign_pages_do_not() {
        let with = |site: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            headers
        };
        assert_eq!(authorise(&HeaderMap::new(), Scope::Keys), Ok(Role::Admin));
        assert_eq!(authorise(&with("none"), Scope::Keys), Ok(Role::Admin));
        assert_eq!(authorise(&with("same-origin"), Scope::Dns), Ok(Role::Admin));
        for site in ["cross-site", "same-site"] {
            assert_eq!(
                authorise(&with(site), Scope::Keys).unwrap_err().code,
                "cross_site"
            );
            assert_eq!(authorise(&with(site), Scope::Public), Ok(Role::Anonymous));
        }
    }
}
