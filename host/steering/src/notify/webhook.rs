//! A webhook, as operators give and see it.

use std::collections::BTreeSet;
use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};

use super::template::Template;
use crate::error::SteeringError;
use crate::family::is_global;
use crate::input;

/// What stands for a secret in answers; in a request it means "the one that stands".
const SET: &str = "set";
const MAX_NAME: usize = 63;

/// What kind of service a webhook belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// Any that takes JSON: `state` (`firing` or `resolved`), `kind`, `subject`, `summary`, `since`,
    /// `since_ms` and `text`. A status of 2xx is success.
    #[default]
    Generic,
    /// Slack's incoming webhooks, and what is compatible with them.
    Slack,
    /// DingTalk's custom robots.
    Dingtalk,
    /// Feishu's and Lark's custom bots.
    Feishu,
}

/// Where to send messages. Its URL is a secret, for with these services the URL is all it takes to
/// write to a group. As JSON:
///
/// ```json
/// {"url": "https://oapi.dingtalk.com/robot/send?access_token=…", "format": "dingtalk",
///  "secret": "SEC…", "template": "{summary} ({state})", "kinds": ["site-down"]}
/// ```
#[derive(Clone)]
pub struct Webhook {
    name: String,
    url: SecretString,
    format: WebhookFormat,
    template: Option<Template>,
    secret: Option<SecretString>,
    kinds: BTreeSet<String>,
    allow_private: bool,
}

/// A webhook as answers show it: without its secrets. What is shown can be sent back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// The word `set` in place of all but the scheme, host and port.
    pub url: String,
    /// The service.
    pub format: WebhookFormat,
    /// The operator's own words, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// The word `set`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<&'static str>,
    /// The kinds of conditions that it is told of; empty: all.
    pub kinds: BTreeSet<String>,
    /// Whether its host may have a private address.
    pub allow_private: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookSpec {
    #[serde(default)]
    name: Option<String>,
    url: SecretString,
    #[serde(default)]
    format: WebhookFormat,
    #[serde(default)]
    template: Option<Template>,
    #[serde(default)]
    secret: Option<SecretString>,
    #[serde(default)]
    kinds: BTreeSet<String>,
    #[serde(default)]
    allow_private: bool,
}

impl Webhook {
    /// Reads a webhook; the error names the field. Secrets that are given as a view shows them are
    /// those of `standing`.
    ///
    /// A stored one is read in the same way, with its opened [`Webhook::url`] and
    /// [`Webhook::secret`] put into the JSON of its [`Webhook::view`].
    pub fn parse(
        name: &str,
        body: Value,
        standing: Option<&Webhook>,
    ) -> Result<Self, SteeringError> {
        check_name(name)?;
        let spec: WebhookSpec = input::parse(body)?;
        if spec.name.as_ref().is_some_and(|given| given != name) {
            return Err(SteeringError::invalid(
                "name",
                format!("the path says {name}"),
            ));
        }
        let webhook = Self {
            name: name.to_owned(),
            url: kept_url(spec.url, standing)?,
            format: spec.format,
            template: spec.template,
            secret: kept_secret(spec.secret, standing)?,
            kinds: spec.kinds,
            allow_private: spec.allow_private,
        };
        webhook.check()?;
        Ok(webhook)
    }

    /// Checks its kinds against those that there are: one that is misspelt would never be told.
    pub fn check_kinds(&self, known: &[&str]) -> Result<(), SteeringError> {
        match self
            .kinds
            .iter()
            .find(|kind| !known.contains(&kind.as_str()))
        {
            None => Ok(()),
            Some(kind) => Err(SteeringError::invalid(
                "kinds",
                format!("there is no kind `{kind}`; there are {}", known.join(", ")),
            )),
        }
    }

    /// Whether it is told of this kind of condition.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(kind)
    }

    /// Without its secrets.
    pub fn view(&self) -> WebhookView {
        WebhookView {
            name: self.name.clone(),
            url: masked(self.url.expose_secret()),
            format: self.format,
            template: self.template.clone(),
            secret: self.secret.as_ref().map(|_| SET),
            kinds: self.kinds.clone(),
            allow_private: self.allow_private,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where to send, in full.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// What DingTalk's or Feishu's messages are signed with.
    pub fn secret(&self) -> Option<&SecretString> {
        self.secret.as_ref()
    }

    pub(super) fn format(&self) -> WebhookFormat {
        self.format
    }

    pub(super) fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    pub(super) fn allow_private(&self) -> bool {
        self.allow_private
    }

    fn check(&self) -> Result<(), SteeringError> {
        check_url(self.url.expose_secret(), self.allow_private)
            .map_err(|message| SteeringError::invalid("url", message))?;
        if let Some(template) = &self.template {
            template.check().map_err(|(at, message)| {
                SteeringError::invalid(format!("template{at}"), message)
            })?;
        }
        let signs = matches!(self.format, WebhookFormat::Dingtalk | WebhookFormat::Feishu);
        match &self.secret {
            Some(_) if !signs => Err(SteeringError::invalid(
                "secret",
                "signs messages to dingtalk and feishu alone; leave it out for another format",
            )),
            Some(secret) if secret.expose_secret().is_empty() => Err(SteeringError::invalid(
                "secret",
                "is empty; leave it out where the bot signs nothing",
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view(), f)
    }
}

fn check_name(name: &str) -> Result<(), SteeringError> {
    let letters =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(letters) {
        return Ok(());
    }
    Err(SteeringError::invalid(
        "name",
        format!(
            "`{name}` is not a webhook's name: 1 to {MAX_NAME} letters, digits, hyphens, dots and \
             underscores"
        ),
    ))
}

/// The error is a sentence that does not hold the URL.
fn check_url(text: &str, allow_private: bool) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => {
            return Err(
                "is http, which would show the secret in it to the network; write https, or set \
                 `allow_private` for a host of your own"
                    .to_owned(),
            );
        }
        _ => return Err("is neither https nor http".to_owned()),
    }
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        _ => None,
    };
    if literal.is_some_and(|address| !allow_private && !is_global(address)) {
        return Err("leads to a private address; set `allow_private` if it shall".to_owned());
    }
    Ok(())
}

/// The URL with the word `set` in place of what is secret.
fn masked(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => format!("{}/{SET}", url.origin().ascii_serialization()),
        Err(_) => SET.to_owned(),
    }
}

fn kept_url(
    given: SecretString,
    standing: Option<&Webhook>,
) -> Result<SecretString, SteeringError> {
    let shown = standing.map(|standing| masked(standing.url.expose_secret()));
    let is_shown = shown.as_deref() == Some(given.expose_secret());
    match standing {
        Some(standing) if is_shown || given.expose_secret() == SET => Ok(standing.url.clone()),
        None if given.expose_secret() == SET => Err(SteeringError::invalid(
            "url",
            "none stands to be kept; give it in full",
        )),
        _ => Ok(given),
    }
}

fn kept_secret(
    given: Option<SecretString>,
    standing: Option<&Webhook>,
) -> Result<Option<SecretString>, SteeringError> {
    match given {
        Some(given) if given.expose_secret() == SET => standing
            .and_then(|standing| standing.secret.clone())
            .map(Some)
            .ok_or_else(|| {
                SteeringError::invalid("secret", "none stands to be kept; give its value")
            }),
        given => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dingtalk() -> Value {
        json!({"url": "https://oapi.dingtalk.com/robot/send?access_token=t0ken",
               "format": "dingtalk", "secret": "SECret", "kinds": ["site-down"]})
    }

    fn error(name: &str, body: Value) -> String {
        Webhook::parse(name, body, None).unwrap_err().to_string()
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let webhook = Webhook::parse("ops", dingtalk(), None).unwrap();
        let view = serde_json::to_value(webhook.view()).unwrap();
        assert_eq!(
            view,
            json!({"name": "ops", "url": "https://oapi.dingtalk.com/set", "format": "dingtalk",
                   "secret": "set", "kinds": ["site-down"], "allow_private": false})
        );
        let debug = format!("{webhook:?}");
        assert!(
            !debug.contains("t0ken") && !debug.contains("SECret"),
            "{debug}"
        );
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        let standing = Webhook::parse("ops", dingtalk(), None).unwrap();
        let mut shown = serde_json::to_value(standing.view()).unwrap();
        shown["kinds"] = json!([]);
        let changed = Webhook::parse("ops", shown, Some(&standing)).unwrap();
        assert!(
            changed
                .url()
                .expose_secret()
                .ends_with("access_token=t0ken")
        );
        assert_eq!(changed.secret().unwrap().expose_secret(), "SECret");
        assert!(changed.wants("anything") && !standing.wants("anything"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let with = |field: &str, value: Value| {
            let mut body = dingtalk();
            body[field] = value;
            body
        };
        let cases = [
            (with("url", json!("hook")), "url: is not a URL"),
            (
                with("url", json!("ftp://x.example.com/")),
                "url: is neither",
            ),
            (with("url", json!("http://x.example.com/")), "url: is http"),
            (
                with("url", json!("https://10.0.0.1/")),
                "url: leads to a private",
            ),
            (with("url", json!("set")), "url: none stands"),
            (with("secret", json!("set")), "secret: none stands"),
            (with("secret", json!("")), "secret: is empty"),
            (
                with("format", json!("slack")),
                "secret: signs messages to dingtalk",
            ),
            (with("format", json!("teams")), "format: unknown variant"),
            (
                with("template", json!("{sumary}")),
                "template: has the placeholder {sumary}",
            ),
            (
                with("template", json!({"a": ["{x}"]})),
                "template.a[0]: has the placeholder",
            ),
            (with("template", json!(1)), "template: a template is a text"),
            (with("name", json!("other")), "name: the path says ops"),
            (with("knids", json!([])), "unknown field `knids`"),
        ];
        for (body, expected) in cases {
            let error = error("ops", body.clone());
            assert!(error.contains(expected), "{body}: {error}");
        }
        assert!(error("a b", dingtalk()).starts_with("name: `a b`"));
        let webhook = Webhook::parse("ops", dingtalk(), None).unwrap();
        let error = webhook
            .check_kinds(&["zone-failing"])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "kinds: there is no kind `site-down`; there are zone-failing"
        );
        assert_eq!(webhook.check_kinds(&["site-down"]), Ok(()));
    }

    #[test]
    fn a_host_of_ones_own_is_a_choice() {
        let own = json!({"url": "http://10.0.0.1:8080/hook", "allow_private": true});
        assert!(Webhook::parse("own", own, None).is_ok());
    }
}
