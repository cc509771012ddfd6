//! Where an API listens, as a binding's settings say it.

use crate::dns::Error;

/// A scheme, a host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without a slash at its end: `https://api.example.com`.
    pub origin: String,
    /// The `host` header that the daemon sends to it: `api.example.com`.
    pub authority: String,
}

impl Endpoint {
    /// Reads a setting. `setting` is its name, `example` a good value, both for the message.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no scheme, no host, or a path.
    pub fn parse(setting: &str, text: &str, example: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::Invalid(format!(
                "`{setting}` is `{text}`: write a scheme and a host, as `{example}`"
            ))
        };
        // HTTP clients leave the scheme's own port out of the host header, and many signatures cover
        // that header.
        let (scheme, usual_port, authority) = match text.strip_prefix("https://") {
            Some(authority) => ("https", ":443", authority),
            None => (
                "http",
                ":80",
                text.strip_prefix("http://").ok_or_else(wrong)?,
            ),
        };
        let authority = authority.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong());
        }
        let authority = authority
            .strip_suffix(usual_port)
            .unwrap_or(authority)
            .to_ascii_lowercase();
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            authority,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_host() {
        let authority = |text| {
            let endpoint = Endpoint::parse("endpoint", text, "https://api.example.com");
            endpoint.map(|endpoint| endpoint.authority)
        };
        assert_eq!(
            authority("https://API.example.com:443/").as_deref(),
            Ok("api.example.com")
        );
        assert_eq!(
            authority("http://127.0.0.1:8080").as_deref(),
            Ok("127.0.0.1:8080")
        );
        for wrong in ["api.example.com", "ftp://a", "https://", "https://a/path"] {
            assert!(matches!(authority(wrong), Err(Error::Invalid(text)) if text.contains(wrong)));
        }
    }
}
