//! The one way out: every HTTP request and every DNS message of every plugin, over whichever interface,
//! ends here.
//!
//! A request leaves only if a grant covers its scheme, host and port, if the address that is dialled is
//! public or granted as private, and if the call's budget allows it. All of this is checked again for
//! every redirect. Credentials are put in last and masked in what comes back.

mod address;
mod budget;
mod client;
mod denial;
mod dns;
mod headers;
mod hmac;
mod message;
mod rate;
mod redirect;
mod resolve;
mod secrets;
mod target;

use std::{
    collections::BTreeSet,
    error::Error as _,
    sync::{Arc, OnceLock},
    time::Instant,
};

use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

pub use self::resolve::Lookup;
pub(crate) use self::{
    budget::Budget,
    client::ClientSetup,
    dns::{Connection, DnsError, DnsRequest, TsigKey},
    hmac::{Algorithm, MAX_STEPS},
    message::{HttpError, Request, Response, SignError},
    resolve::SystemLookup,
};
use self::{
    message::Leg,
    rate::{Quotas, UsedUp},
    redirect::redirection,
    resolve::NotPublic,
    secrets::Mask,
    target::{exact_url, origin},
};
use crate::{Grants, Manifest, metrics::Metrics};

/// The guard of one binding.
pub(crate) struct Guard {
    plugin: String,
    declared: BTreeSet<String>,
    grants: Arc<Grants>,
    mask: Mask,
    quotas: Quotas,
    setup: Arc<ClientSetup>,
    client: OnceLock<Result<reqwest::Client, String>>,
    metrics: Metrics,
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
            quotas: Quotas::new(&manifest.rates, grants.requests_per_second),
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
            self.turn(budget, &origin(&leg.url)).await?;
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

    /// Waits until the binding's quotas let one more request leave. A wait that would take the time that
    /// the call needs for its end is refused.
    async fn turn(&self, budget: &Budget, destination: &str) -> Result<(), HttpError> {
        let wait = self.quotas.take(Instant::now(), budget.patience());
        let wait = wait.map_err(|UsedUp { rate, wait }| {
            HttpError::NotSent(format!(
                "{destination}: the quota of {} requests within {} s is used up for {} s more",
                rate.requests,
                rate.seconds,
                wait.as_secs_f64().ceil()
            ))
        })?;
        if !wait.is_zero() {
            self.metrics.waited(&self.plugin, wait);
            tokio::time::sleep(wait).await;
        }
        Ok(())
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
