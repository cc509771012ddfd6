//! Calls of the API: signed, and with what they answer.

use portolan_plugin::{
    Endpoint, Host,
    dns::Error,
    http::{Effect, Method, Request},
    records::Failure,
};
use serde::{Deserialize, Serialize};

use crate::{entry::Entry, refusal, tc3::Unsigned};

const VERSION: &str = "2021-03-23";
const SERVICE: &str = "dnspod";
/// As the SDK writes it on every request with a JSON body.
const CONTENT_TYPE: &str = "application/json";

/// The API at one endpoint.
pub(crate) struct Client {
    endpoint: Endpoint,
}

/// The parameters of any call: each sends its own.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Parameters<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain_grade: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub_domain: Option<&'a str>,
    /// Reading calls write it so.
    #[serde(rename = "Subdomain", skip_serializing_if = "Option::is_none")]
    pub(crate) only_sub_domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record_line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record_line_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<&'a str>,
    #[serde(rename = "MX", skip_serializing_if = "Option::is_none")]
    pub(crate) mx: Option<u64>,
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remark: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_on_empty: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    response: Reply,
}

/// What any call can answer: each action fills in its own part.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Reply {
    pub(crate) record_count_info: Option<Entry>,
    pub(crate) record_list: Option<Vec<Entry>>,
    pub(crate) domain_count_info: Option<Entry>,
    pub(crate) domain_list: Option<Vec<Entry>>,
    pub(crate) domain_info: Option<Entry>,
    pub(crate) line_list: Option<Vec<Entry>>,
    pub(crate) line_group_list: Option<Vec<Entry>>,
    /// The packages.
    pub(crate) info: Option<Vec<Entry>>,
    /// Of a record that was added or changed.
    pub(crate) record_id: Option<u64>,
    error: Option<Entry>,
    request_id: String,
}

/// A part of a reply that its action always fills in. Nothing is made of a reply without it: a missing
/// list is not an empty one.
pub(crate) fn present<T>(part: Option<T>, effect: Effect, what: &str) -> Result<T, Error> {
    part.ok_or_else(|| effect.lost(format!("{what}: the reply lacks what this action answers")))
}

impl Client {
    /// The API at `endpoint`: a scheme, a host and perhaps a port.
    pub(crate) fn new(endpoint: &str) -> Result<Self, Error> {
        let example = "https://dnspod.tencentcloudapi.com";
        let endpoint = Endpoint::parse("endpoint", endpoint, example)?;
        Ok(Self { endpoint })
    }

    /// Makes one call. `what` is for messages: "listing the domains".
    pub(crate) fn call(
        &self,
        host: &dyn Host,
        action: &str,
        effect: Effect,
        what: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Reply, Failure> {
        let response = self
            .signed(host, action, parameters)?
            .effect(effect)
            .send(host)?;
        if !response.is_success() {
            return Err(response.error(what, &response.text()).into());
        }
        let envelope: Envelope = response.json(what)?;
        let reply = envelope.response;
        // Lists that are empty are errors to some actions.
        let nothing = |error: &Entry| error.code.starts_with("ResourceNotFound.NoDataOf");
        match reply.error {
            None => Ok(reply),
            Some(error) if effect == Effect::Read && nothing(&error) => Ok(Reply {
                record_count_info: Some(Entry::count_of_nothing()),
                record_list: Some(Vec::new()),
                domain_count_info: Some(Entry::count_of_nothing()),
                domain_list: Some(Vec::new()),
                ..Reply::default()
            }),
            Some(Entry { code, message, .. }) => {
                let text = format!("{what}: {code}: {message} (request {})", reply.request_id);
                Err(refusal::failure(&response, effect, &code, &message, text))
            }
        }
    }

    fn signed(
        &self,
        host: &dyn Host,
        action: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Request, Error> {
        let body = serde_json::to_vec(parameters).unwrap_or_default();
        let unsigned = Unsigned {
            content_type: CONTENT_TYPE,
            authority: &self.endpoint.authority,
            service: SERVICE,
            seconds: host.now().seconds,
            body: &body,
        };
        let signature = host.hmac(&unsigned.chain("secret-key"))?;
        let authorization = unsigned.authorization("{{secret-id}}", &signature);
        let url = format!("{}/", self.endpoint.origin);
        Ok(Request::new(Method::Post, url)
            .header("authorization", authorization)
            .header("x-tc-action", action)
            .header("x-tc-timestamp", unsigned.seconds.to_string())
            .header("x-tc-version", VERSION)
            // The same octets again, under the content type that was signed.
            .json(parameters))
    }
}

#[cfg(test)]
mod tests;
