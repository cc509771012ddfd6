//! The one way out: every HTTP request of every plugin, over whichever interface, ends here.
//!
//! A request leaves only if a grant covers its scheme, host and port, if the address that is dialled is
//! public or granted as private, and if the call's budget allows it. All of this is checked again for
//! every redirect. Credentials are put in last and masked in what comes back.

mod address;
mod budget;
mod client;
mod hmac;
mod resolve;
mod secrets;

use std::{
    collections::BTreeSet,
    error::Error as _,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
        HOST, LOCATION, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

pub use self::resolve::Lookup;
pub(crate) use self::{
    budget::Budget, client::ClientSetup, hmac::Algorithm, hmac::MAX_STEPS, resolve::SystemLookup,
};
use self::{
    resolve::NotPublic,
    secrets::{Mask, PlaceholderError},
};
use crate::{Grants, Manifest, metrics::Metrics};

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

/// A request as a plugin asks for it.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Bytes,
}

/// A response as a plugin gets it: whole, and without the binding's credentials.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no response; `portolan:plugin/http.error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) enum HttpError {
    Denied(String),
    Invalid(String),
    Limit(String),
    NotSent(String),
    Interrupted(String),
}

impl HttpError {
    fn kind(&self) -> &'static str {
        match self {
            HttpError::Denied(_) => "denied",
            HttpError::Invalid(_) => "invalid",
            HttpError::Limit(_) => "limit",
            HttpError::NotSent(_) => "not_sent",
            HttpError::Interrupted(_) => "interrupted",
        }
    }
}

/// Why there is no signature; `portolan:plugin/credentials.error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignError {
    Denied(String),
    Invalid(String),
}

/// The guard of one binding.
pub(crate) struct Guard {
    plugin: String,
    declared: BTreeSet<String>,
    grants: Arc<Grants>,
    mask: Mask,
    setup: Arc<ClientSetup>,
    client: OnceLock<Result<reqwest::Client, String>>,
    metrics: Metrics,
}

/// One leg of a request: what goes to one server.
struct Leg {
    method: Method,
    url: Url,
    headers: Vec<Header>,
    body: Bytes,
}

struct Header {
    name: HeaderName,
    value: HeaderValue,
    /// Stays with the origin that it was written for.
    secret: bool,
}

impl Guard {
    pub(crate) fn new(
        manifest: &Manifest,
        grants: Arc<Grants>,
        setup: Arc<ClientSetup>,
        metrics: Metrics,
    ) -> Self {
        Self {
            plugin: manifest.name.clone(),
            declared: manifest
                .credentials
                .iter()
                .map(|ask| ask.name.clone())
                .collect(),
            mask: Mask::new(grants.credentials.values()),
            grants,
            setup,
            client: OnceLock::new(),
            metrics,
        }
    }

    /// Sends one request, follows its redirects, and waits for the whole response.
    pub(crate) async fn send(
        &self,
        budget: &Budget,
        request: Request,
    ) -> Result<Response, HttpError> {
        let result = self.follow(budget, request).await;
        self.metrics.http(
            &self.plugin,
            result.as_ref().map_or_else(HttpError::kind, |_| "ok"),
        );
        if let Err(HttpError::Denied(reason)) = &result {
            tracing::warn!(plugin = self.plugin, binding = self.grants.binding, %reason, "request denied");
        }
        result
    }

    async fn follow(&self, budget: &Budget, request: Request) -> Result<Response, HttpError> {
        let url = exact_url(&request.url)?;
        self.check(&url, None)?;
        let headers = self.headers(request.headers)?;
        let mut leg = Leg {
            method: request.method,
            url,
            headers,
            body: request.body,
        };
        for _ in 0..=self.setup.redirects {
            budget.request(leg.size())?;
            let limit = self.setup.request;
            let response = tokio::time::timeout(limit, self.exchange(&leg, budget))
                .await
                .map_err(|_| {
                    HttpError::Interrupted(format!(
                        "{}: no whole response within {limit:?}",
                        leg.url
                    ))
                })??;
            match redirection(&response) {
                None => return Ok(self.masked(response)),
                Some(location) => leg = self.redirected(leg, response.status, &location)?,
            }
        }
        let redirects = self.setup.redirects;
        Err(HttpError::Limit(format!(
            "more than {redirects} redirects, the last to {}",
            leg.url
        )))
    }

    /// Refuses a URL that no grant covers.
    fn check(&self, url: &Url, redirected_by: Option<&Url>) -> Result<(), HttpError> {
        if self.grants.hosts.iter().any(|grant| grant.covers(url)) {
            return Ok(());
        }
        let origin = origin(url);
        let how = redirected_by.map(|from| format!("was redirected by {} to", self::origin(from)));
        let mut hosts: Vec<Value> = self.grants.hosts.iter().map(|grant| json!(grant)).collect();
        hosts.push(json!(origin));
        Err(self.denied(
            &format!(
                "{} {origin}, which is not granted",
                how.as_deref().unwrap_or("asked for")
            ),
            &json!({ "hosts": hosts }),
        ))
    }

    /// A denial: who, what, and the command that would grant it.
    fn denied(&self, what: &str, patch: &Value) -> HttpError {
        HttpError::Denied(self.denial(what, patch))
    }

    fn denial(&self, what: &str, patch: &Value) -> String {
        let binding = &self.grants.binding;
        let url = format!("{}{binding}", self.setup.grant_url);
        // The text is pasted into a shell.
        let patch = patch.to_string().replace('\'', r"'\''");
        format!(
            "plugin `{}` of binding `{binding}` {what}; to grant it: \
             curl -X PATCH {url} -H 'content-type: application/json' -d '{patch}'",
            self.plugin
        )
    }

    /// The plugin's headers with credentials in their places.
    fn headers(&self, headers: Vec<(String, Vec<u8>)>) -> Result<Vec<Header>, HttpError> {
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

    /// What a missing credential means to the operator.
    fn explain(&self, error: PlaceholderError) -> SignError {
        match error {
            PlaceholderError::Unclosed => SignError::Invalid(
                "`{{` begins a credential's name but `}}` does not end it".to_owned(),
            ),
            PlaceholderError::Undeclared(name) => SignError::Denied(format!(
                "plugin `{}` asked for the credential `{name}`, which its manifest does not declare \
                 (it declares {:?}); this is the plugin's mistake",
                self.plugin, self.declared
            )),
            PlaceholderError::NotHeld(name) => SignError::Denied(self.denial(
                &format!("asked for the credential `{name}`, which the binding does not hold"),
                &json!({ "credentials": { name: "…" } }),
            )),
        }
    }

    /// Sends one leg and reads its response, as far as the budget goes.
    async fn exchange(&self, leg: &Leg, budget: &Budget) -> Result<Response, HttpError> {
        let client = self
            .client
            .get_or_init(|| {
                self.setup
                    .client(&self.grants)
                    .map_err(|error| error.to_string())
            })
            .as_ref()
            .map_err(|error| HttpError::NotSent(format!("no HTTP client: {error}")))?;
        let headers: HeaderMap = leg
            .headers
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect();
        let mut response = client
            .request(leg.method.clone(), leg.url.clone())
            .headers(headers)
            .body(leg.body.clone())
            .send()
            .await
            .map_err(|error| self.failed(leg, &error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        budget.receive(
            headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len())
                .sum(),
        )?;
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    budget.receive(chunk.len())?;
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => {
                    return Ok(Response {
                        status,
                        headers,
                        body,
                    });
                }
                Err(error) => return Err(self.failed(leg, &error)),
            }
        }
    }

    /// Did the request leave? Only what failed before there was a connection certainly did not.
    fn failed(&self, leg: &Leg, error: &reqwest::Error) -> HttpError {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(refused) = error.downcast_ref::<NotPublic>() {
                return self.not_public(&leg.url, refused);
            }
            causes.push(error.to_string());
            cause = error.source();
        }
        causes.dedup();
        let text = format!("{}: {}", origin(&leg.url), causes.join(": "));
        if error.is_builder() {
            HttpError::Invalid(text)
        } else if error.is_connect() {
            HttpError::NotSent(text)
        } else {
            HttpError::Interrupted(text)
        }
    }

    fn not_public(&self, url: &Url, refused: &NotPublic) -> HttpError {
        let origin = origin(url);
        let mut hosts: Vec<Value> = self
            .grants
            .hosts
            .iter()
            .filter(|grant| grant.is_wildcard() || !grant.covers(url))
            .map(|grant| json!(grant))
            .collect();
        hosts.push(json!({ "url": origin, "private": true }));
        self.denied(
            &format!("asked for {origin}, but {refused}: this is granted only as private"),
            &json!({ "hosts": hosts }),
        )
    }

    /// The next leg after a redirect, checked like the first.
    fn redirected(&self, leg: Leg, status: StatusCode, location: &str) -> Result<Leg, HttpError> {
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

    fn masked(&self, mut response: Response) -> Response {
        response.body = self.mask.apply(response.body);
        for value in response.headers.values_mut() {
            if let Ok(masked) = HeaderValue::from_bytes(&self.mask.apply(value.as_bytes().to_vec()))
            {
                *value = masked;
            }
        }
        response
    }

    /// An HMAC chain that begins with a credential.
    pub(crate) fn sign(
        &self,
        credential: &str,
        algorithm: Algorithm,
        prefix: &str,
        suffix: &str,
        steps: &[Vec<u8>],
    ) -> Result<Vec<u8>, SignError> {
        if steps.is_empty() || steps.len() > MAX_STEPS {
            let text = format!(
                "an HMAC chain has 1 to {MAX_STEPS} steps, not {}",
                steps.len()
            );
            return Err(SignError::Invalid(text));
        }
        let secret: &SecretString =
            secrets::find(credential, &self.declared, &self.grants.credentials)
                .map_err(|error| self.explain(error))?;
        let mut key = Zeroizing::new(Vec::with_capacity(
            prefix.len() + secret.expose_secret().len() + suffix.len(),
        ));
        for part in [prefix, secret.expose_secret(), suffix] {
            key.extend_from_slice(part.as_bytes());
        }
        Ok(hmac::chain(algorithm, key, steps))
    }

    /// The names of the declared credentials that the binding holds.
    pub(crate) fn credentials(&self) -> Vec<String> {
        let held = &self.grants.credentials;
        self.declared
            .iter()
            .filter(|name| held.contains_key(*name))
            .cloned()
            .collect()
    }
}

impl Leg {
    /// About how many bytes this puts on the wire.
    fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|header| header.name.as_str().len() + header.value.len() + 4)
            .sum();
        self.url.as_str().len() + headers + self.body.len()
    }
}

/// Scheme, host and port, as one writes them in a grant.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Where a response sends us on to.
fn redirection(response: &Response) -> Option<String> {
    let redirects = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers.get(LOCATION)?.to_str().ok()?;
    redirects.then(|| location.to_owned())
}

/// Parses a URL that is already in the form in which it will be sent. Signatures cover that form, so
/// one that parsing would change (`/a/../b`, a blank, a backslash) is refused, not mended.
fn exact_url(text: &str) -> Result<Url, HttpError> {
    let invalid = |reason: &str| HttpError::Invalid(format!("the URL `{text}` {reason}"));
    let url = Url::parse(text).map_err(|error| invalid(&format!("is malformed: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "carries a user name or password: use a header and a credential",
        ));
    }
    let after_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
    let given = after_scheme
        .find(['/', '?', '#'])
        .map_or("", |at| &after_scheme[at..]);
    let sent = &url[url::Position::BeforePath..];
    if given.contains('#') {
        return Err(invalid("has a fragment, which is never sent"));
    }
    let as_given = sent == given || sent.strip_prefix('/') == Some(given);
    if !as_given {
        return Err(invalid(&format!(
            "is not in its normal form: `{given}` would be sent as `{sent}`"
        )));
    }
    Ok(url)
}
