//! Redirects: where they lead, and what goes along.

use bytes::Bytes;
use http::{
    Method, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};

use super::{Guard, HttpError, Response, message::Leg, target::origin};

/// Where a response sends us on to.
pub(super) fn redirection(response: &Response) -> Option<String> {
    let redirects = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers.get(LOCATION)?.to_str().ok()?;
    redirects.then(|| location.to_owned())
}

impl Guard {
    /// The next leg after a redirect, checked like the first.
    pub(super) fn redirected(
        &self,
        leg: Leg,
        status: StatusCode,
        location: &str,
    ) -> Result<Leg, HttpError> {
        let url = leg.url.join(location).map_err(|error| {
            let from = origin(&leg.url);
            HttpError::Interrupted(format!(
                "{from} redirects to `{location}`, which is no URL: {error}"
            ))
        })?;
        self.check(&url, Some(&leg.url))?;
        let mut headers = leg.headers;
        if url.origin() != leg.url.origin() {
            headers.retain(|header| !header.secret);
        }
        let rewrites = match status {
            StatusCode::SEE_OTHER => leg.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => leg.method == Method::POST,
            _ => false,
        };
        if rewrites {
            headers.retain(|header| header.name != CONTENT_TYPE);
            return Ok(Leg {
                method: Method::GET,
                url,
                headers,
                body: Bytes::new(),
            });
        }
        Ok(Leg {
            method: leg.method,
            url,
            headers,
            body: leg.body,
        })
    }
}
