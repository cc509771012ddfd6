//! Tells webhooks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rand::Rng as _;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response};
use serde::{Deserialize, Serialize};

use super::alarms::Delivery;
use super::answer::{Rejection, judge};
use super::body::{Prepared, prepare};
use super::mask::masked;
use super::message::Message;
use super::webhook::Webhook;
use crate::clock::now_ms;
use crate::error::SteeringError;
use crate::outbound::{Outbound, Reach, why};

/// What is read of an answer.
const MAX_ANSWER: usize = 16 * 1024;

/// How messages are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SendOptions {
    /// The longest wait for an answer. Milliseconds.
    pub timeout_ms: u64,
    /// How often a message is tried in one go.
    pub attempts: u32,
    /// The pause after the first try; doubled with each further one. Milliseconds.
    pub backoff_min_ms: u64,
    /// The longest pause, also where the service asks for a longer one: then the go ends. Milliseconds.
    pub backoff_max_ms: u64,
    /// Certificates that are trusted beside the operating system's, in PEM.
    pub extra_ca_file: Option<PathBuf>,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            timeout_ms: 10_000,
            attempts: 4,
            backoff_min_ms: 500,
            backoff_max_ms: 15_000,
            extra_ca_file: None,
        }
    }
}

/// Why a message was not told. It never holds the webhook's URL or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Another try would fail likewise: the webhook needs an operator.
    #[error("the webhook {webhook} does not take the message: {reason}")]
    Refused {
        /// Its name.
        webhook: String,
        /// What it said.
        reason: String,
    },
    /// Another try may do.
    #[error("the webhook {webhook} was not told in {attempts} tries: {reason}")]
    Failed {
        /// Its name.
        webhook: String,
        /// How often it was tried.
        attempts: u32,
        /// What happened last.
        reason: String,
        /// Whether one of the tries may have arrived nevertheless.
        may_have_arrived: bool,
    },
}

impl SendError {
    /// What this means for the alarm.
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Failed {
                may_have_arrived: true,
                ..
            } => Delivery::Unknown,
            Self::Failed { .. } | Self::Refused { .. } => Delivery::NotDelivered,
        }
    }
}

/// Sends messages to webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    inner: Arc<Inner>,
}

struct Inner {
    options: SendOptions,
    public: Client,
    private: Client,
}

/// Why one try failed.
struct Miss {
    rejection: Rejection,
    /// How long the service wants to be left alone.
    retry_after: Option<Duration>,
    may_have_arrived: bool,
}

impl Sender {
    /// Fails where an option is wrong; the error names it.
    pub fn new(options: SendOptions) -> Result<Self, SteeringError> {
        for (option, value) in [
            ("timeout_ms", options.timeout_ms),
            ("attempts", options.attempts.into()),
        ] {
            if value == 0 {
                return Err(SteeringError::invalid(option, "is 0; it must be 1 or more"));
            }
        }
        let outbound = Outbound::new(options.extra_ca_file.as_deref())?;
        let timeout = Duration::from_millis(options.timeout_ms);
        let client = |private| {
            let family = None;
            outbound.client(Reach { family, private }, timeout)
        };
        let inner = Inner {
            public: client(false)?,
            private: client(true)?,
            options,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Tells a webhook, with a few tries where the trouble may pass. It may take `attempts` times the
    /// timeout and the pauses between; drop the future to stop.
    pub async fn send(&self, webhook: &Webhook, message: &Message) -> Result<(), SendError> {
        let inner = &self.inner;
        let mut may_have_arrived = false;
        for attempt in 1.. {
            let Err(miss) = inner.try_once(webhook, message).await else {
                return Ok(());
            };
            may_have_arrived |= miss.may_have_arrived;
            let (reason, lasting) = match miss.rejection {
                Rejection::Lasting(reason) => (masked(&reason, webhook), true),
                Rejection::Passing(reason) => (masked(&reason, webhook), false),
            };
            let webhook = || webhook.name().to_owned();
            if lasting && !may_have_arrived {
                return Err(SendError::Refused {
                    webhook: webhook(),
                    reason,
                });
            }
            let asked = miss.retry_after.unwrap_or_default();
            let too_long = asked > Duration::from_millis(inner.options.backoff_max_ms);
            if lasting || too_long || attempt >= inner.options.attempts {
                return Err(SendError::Failed {
                    webhook: webhook(),
                    attempts: attempt,
                    reason,
                    may_have_arrived,
                });
            }
            tokio::time::sleep(inner.options.pause(attempt).max(asked)).await;
        }
        Ok(())
    }
}

impl Inner {
    async fn try_once(&self, webhook: &Webhook, message: &Message) -> Result<(), Miss> {
        // Signed anew each time: a signature is good for its moment.
        let prepared = prepare(webhook, message, now_ms());
        let Prepared { url, body } = prepared.map_err(Miss::never)?;
        let client = if webhook.allow_private() {
            &self.private
        } else {
            &self.public
        };
        let reach = Reach {
            family: None,
            private: webhook.allow_private(),
        };
        reach
            .admit_url(&url)
            .map_err(|error| Miss::never(error.to_string()))?;
        let timeout = Duration::from_millis(self.options.timeout_ms);
        let sent = client.post(url).json(&body).send().await;
        let response = sent.map_err(|error| Miss::broken(error, timeout))?;
        let status = response.status();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let answer = text(response)
            .await
            .map_err(|error| Miss::broken(error, timeout))?;
        judge(webhook.format(), status, &answer).map_err(|rejection| Miss {
            rejection,
            retry_after,
            // A server that fails may have done its work before.
            may_have_arrived: status.is_server_error(),
        })
    }
}

impl Miss {
    fn never(reason: String) -> Self {
        Self {
            rejection: Rejection::Lasting(reason),
            retry_after: None,
            may_have_arrived: false,
        }
    }

    fn broken(error: reqwest::Error, timeout: Duration) -> Self {
        Self {
            may_have_arrived: !error.is_connect(),
            rejection: Rejection::Passing(why(error, timeout)),
            retry_after: None,
        }
    }
}

impl SendOptions {
    /// Between half of the pause and all of it, so that members do not march in step.
    fn pause(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let full = self
            .backoff_min_ms
            .saturating_mul(1 << doublings)
            .min(self.backoff_max_ms);
        Duration::from_millis(rand::rng().random_range(full / 2..=full))
    }
}

/// The beginning of an answer, which is all that is looked at.
async fn text(mut response: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER {
        let Some(part) = response.chunk().await? else {
            break;
        };
        bytes.extend_from_slice(&part);
    }
    bytes.truncate(MAX_ANSWER);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn retry_after_is_read_in_both_spellings() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now).map(|it| it.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(60));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "is past");
        assert_eq!(read("soon"), None);
    }
}
