//! The API: zones, their records, and batches of changes.

use portolan_plugin::{
    Endpoint, Host,
    dns::Error,
    http::{Effect, Method, Request, Response, encode},
    names::{is_within, without_dot},
    records::{Failure, Pages, Record},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    failure::{Verdict, failure},
    names::to_a_labels,
    record::{Details, Entry, Writing},
};

/// The most zones per page.
const ZONE_PAGE: usize = 50;
/// Records per page. The documentation allows five million, which no instance has room for; this many
/// are some three megabytes.
const RECORD_PAGE: usize = 5_000;
/// The most records that one batch can touch on the free plan, and on all others.
pub(crate) const FREE_BATCH: usize = 200;
const PAID_BATCH: usize = 3_500;

/// The API at one endpoint.
pub(crate) struct Client {
    endpoint: Endpoint,
}

/// A zone as the service tells of it.
pub(crate) struct ServiceZone(Entry);

impl ServiceZone {
    /// The service's id of it.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// In A-label form: the service writes it in its own script.
    pub(crate) fn name(&self) -> String {
        to_a_labels(&without_dot(&self.0.name))
    }

    /// Can its records be changed? Those of a secondary zone come from elsewhere.
    pub(crate) fn is_writable(&self) -> bool {
        self.0.kind != "secondary"
    }

    /// The smallest TTL but for 1, in seconds.
    pub(crate) fn min_ttl(&self) -> u32 {
        if self.plan() == "enterprise" { 30 } else { 60 }
    }

    /// The most records that one batch can touch.
    pub(crate) fn batch_size(&self) -> usize {
        match self.plan() {
            "pro" | "business" | "enterprise" => PAID_BATCH,
            _ => FREE_BATCH,
        }
    }

    fn is_active(&self) -> bool {
        self.0.status.as_deref() == Some("active")
    }

    fn plan(&self) -> &str {
        let plan = self
            .0
            .plan
            .as_ref()
            .and_then(|plan| plan.legacy_id.as_ref());
        plan.map_or("", String::as_str)
    }
}

/// A page of a list.
#[derive(Deserialize)]
struct Page {
    result: Vec<Entry>,
    result_info: Details,
}

impl Page {
    /// How many entries there are on all pages together.
    fn total(&self, what: &str) -> Result<usize, Error> {
        let lacking =
            || Error::Transient(format!("{what}: the reply does not say how many there are"));
        self.result_info.total_count.ok_or_else(lacking)
    }
}

/// Changes that are made wholly or not at all. The service makes them in this order, so that what is
/// deleted makes room for what comes.
#[derive(Default, Serialize)]
pub(crate) struct Batch<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) deletes: Vec<Writing<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) patches: Vec<Writing<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) posts: Vec<Writing<'a>>,
}

impl Client {
    /// The API at `endpoint`: a scheme, a host and perhaps a port.
    pub(crate) fn new(endpoint: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::parse("endpoint", endpoint, "https://api.cloudflare.com")?;
        Ok(Self { endpoint })
    }

    /// One page of the account's zones, counted from 1, and whether there are more.
    pub(crate) fn zones(
        &self,
        host: &dyn Host,
        page: usize,
    ) -> Result<(Vec<ServiceZone>, bool), Error> {
        let target = format!("/zones?page={page}&per_page={ZONE_PAGE}");
        let what = "listing the zones";
        let zones = self.get(host, &target, what)?;
        let more = page * ZONE_PAGE < zones.total(what)? && !zones.result.is_empty();
        Ok((zones.result.into_iter().map(ServiceZone).collect(), more))
    }

    /// The zone of this name.
    pub(crate) fn zone(&self, host: &dyn Host, name: &str) -> Result<ServiceZone, Error> {
        let mut found = Vec::new();
        if name.contains("xn--") {
            // The service would have to be asked for the name in its own script.
            for page in 1.. {
                let (zones, more) = self.zones(host, page)?;
                found.extend(zones);
                if !more {
                    break;
                }
            }
        } else {
            let target = format!("/zones?name={}&per_page={ZONE_PAGE}", encode(name));
            let what = format!("looking up the zone {name}");
            let zones = self.get(host, &target, &what)?;
            found.extend(zones.result.into_iter().map(ServiceZone));
        }
        found.retain(|zone| zone.name() == name);
        // Another account may have begun to add the same name; only one of them is served.
        if found.len() > 1 {
            found.retain(ServiceZone::is_active);
        }
        match (found.pop(), found.is_empty()) {
            (Some(zone), true) => Ok(zone),
            (Some(_), false) => Err(Error::Conflict(format!(
                "the token sees more than one active zone {name}: restrict it to one account"
            ))),
            (None, _) => Err(Error::NotFound(format!(
                "the zone {name}: not among the active ones that the token can see"
            ))),
        }
    }

    /// The records of a zone that the service calls `id`, all of them, those of one name, or only those
    /// behind the service's proxy.
    pub(crate) fn records(
        &self,
        host: &dyn Host,
        (zone, id): (&str, &str),
        name: Option<&str>,
        only_proxied: bool,
    ) -> Result<Vec<Record>, Error> {
        let what = format!("reading the records of {}", name.unwrap_or(zone));
        let mut pages = Pages::new(&what);
        for page in 1.. {
            let mut target =
                format!("/zones/{id}/dns_records?page={page}&per_page={RECORD_PAGE}&order=name");
            if let Some(name) = name {
                target.push_str(&format!("&name.exact={}", encode(name)));
            }
            if only_proxied {
                target.push_str("&proxied=true");
            }
            let answer = self.get(host, &target, &what)?;
            let total = answer.total(&what)?;
            if pages.add(
                total,
                answer.result.into_iter().map(Entry::into_record).collect(),
            )? {
                break;
            }
        }
        let mut records = pages.whole()?;
        records.retain(|record| match name {
            Some(name) => record.key.name == name,
            None => is_within(&record.key.name, zone),
        });
        Ok(records)
    }

    /// Makes all of these changes or none. `what` is for messages: "changing www.example.com A".
    pub(crate) fn batch(
        &self,
        host: &dyn Host,
        zone_id: &str,
        what: &str,
        batch: &Batch,
    ) -> Result<(), Failure> {
        let target = format!("/zones/{zone_id}/dns_records/batch");
        let request = self.request(Method::Post, &target).json(batch);
        let verdict: Verdict = read(&request.send(host)?, what)?;
        if verdict.success {
            return Ok(());
        }
        let text = format!("{what}: the reply does not say that it succeeded");
        Err(Failure::Other(Effect::Write.lost(text)))
    }

    fn get(&self, host: &dyn Host, target: &str, what: &str) -> Result<Page, Error> {
        let request = self.request(Method::Get, target);
        Ok(read(&request.send(host)?, what)?)
    }

    fn request(&self, method: Method, target: &str) -> Request {
        let url = format!("{}/client/v4{target}", self.endpoint.origin);
        Request::new(method, url).header("authorization", "Bearer {{api-token}}")
    }
}

fn read<T: DeserializeOwned>(response: &Response, what: &str) -> Result<T, Failure> {
    if response.is_success() {
        return Ok(response.json(what)?);
    }
    Err(failure(response, what))
}
