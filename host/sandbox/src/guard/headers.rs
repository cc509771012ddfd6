//! The headers of a request: what a plugin may set, with credentials in their places.

use http::{
    HeaderName, HeaderValue,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};
use secrecy::ExposeSecret;

use super::{Guard, HttpError, SignError, message::Header, secrets};

/// Headers that belong to the connection, not to the plugin.
const OWN_HEADERS: [HeaderName; 8] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    TE,
    TRAILER,
    UPGRADE,
    EXPECT,
];

impl Guard {
    /// The plugin's headers with credentials in their places.
    pub(super) fn headers(
        &self,
        headers: Vec<(String, Vec<u8>)>,
    ) -> Result<Vec<Header>, HttpError> {
        let mut out = Vec::with_capacity(headers.len() + 1);
        for (name, value) in headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| HttpError::Invalid(format!("`{name}` is no header name")))?;
            if OWN_HEADERS.contains(&parsed) || parsed.as_str().starts_with("proxy-") {
                let text = format!("the header `{parsed}` is the host's: leave it out");
                return Err(HttpError::Invalid(text));
            }
            // A compressed response could not be masked.
            if parsed == ACCEPT_ENCODING {
                continue;
            }
            out.push(self.header(parsed, &value)?);
        }
        let identity = HeaderValue::from_static("identity");
        out.push(Header {
            name: ACCEPT_ENCODING,
            value: identity,
            secret: false,
        });
        Ok(out)
    }

    fn header(&self, name: HeaderName, value: &[u8]) -> Result<Header, HttpError> {
        let malformed = || {
            HttpError::Invalid(format!(
                "the value of header `{name}` has bytes that HTTP forbids"
            ))
        };
        let filled =
            match std::str::from_utf8(value) {
                Err(_) => None,
                Ok(text) => secrets::fill(text, &self.declared, &self.grants.credentials).map_err(
                    |error| match self.explain(error) {
                        SignError::Denied(text) => HttpError::Denied(text),
                        SignError::Invalid(text) => {
                            HttpError::Invalid(format!("header `{name}`: {text}"))
                        }
                    },
                )?,
            };
        let bytes = filled
            .as_ref()
            .map_or(value, |filled| filled.expose_secret().as_bytes());
        let mut value = HeaderValue::from_bytes(bytes).map_err(|_| malformed())?;
        let secret =
            filled.is_some() || [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(&name);
        value.set_sensitive(secret);
        Ok(Header {
            name,
            value,
            secret,
        })
    }
}
