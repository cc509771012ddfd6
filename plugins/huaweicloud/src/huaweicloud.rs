//! The provider.

use portolan_plugin::{
    Host, Level, Provider,
    dns::{self, Caps, Change, DnsLine, Error, Features, Outcome, RecordPage, RecordSet, ZonePage},
    names::without_dot,
    sets,
};
use serde::Deserialize;

use crate::{account::Account, apply, client::Client, set};

/// The most values of one set, by the vendor's rules for each type.
const MAX_VALUES: u32 = 50;
/// The bounds of TTLs, in seconds.
const TTLS: (u32, u32) = (1, 2_147_483_647);
/// For so long a set may stay in one of its pending states after a write. Reads show the new values at
/// once, but another write is refused.
const SETTLE_MS: u32 = 2_000;

/// The binding's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the API listens.
    #[serde(default = "public_endpoint")]
    pub endpoint: String,
    /// The IAM project, where the account has several in the endpoint's region.
    #[serde(default)]
    pub project_id: Option<String>,
}

fn public_endpoint() -> String {
    "https://dns.cn-north-4.myhuaweicloud.com".to_owned()
}

/// An account of Huawei Cloud DNS.
pub struct HuaweiCloud {
    client: Client,
}

impl Provider for HuaweiCloud {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            // No `disable`, `weights` or `comment`: the service switches, weighs and describes whole
            // sets. All three are left as they are.
            features: Features::LINES | Features::ATOMIC_RRSET,
            record_types: set::RECORD_TYPES.map(str::to_owned).to_vec(),
            max_values: MAX_VALUES,
            changes_per_call: 100,
            settle_ms: SETTLE_MS,
            hosts: vec!["dns.cn-north-4.myhuaweicloud.com".to_owned()],
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(&settings.endpoint, settings.project_id)?,
        })
    }

    fn zones(&self, host: &dyn Host, cursor: Option<&str>) -> Result<ZonePage, Error> {
        let offset: usize = cursor.unwrap_or("0").parse().map_err(|_| {
            Error::Invalid(format!(
                "`{}` is no cursor of this list",
                cursor.unwrap_or_default()
            ))
        })?;
        let page = self.account(host).zone_page(offset, None)?;
        // Names in other scripts that are not in A-label form have no name here.
        let names = page.zones.iter().map(|zone| without_dot(&zone.name));
        let zones = names.filter(|name| name.is_ascii()).map(|name| dns::Zone {
            name,
            min_ttl: None,
        });
        Ok(ZonePage {
            zones: zones.collect(),
            next: page.next.map(|offset| offset.to_string()),
        })
    }

    fn lines(&self, host: &dyn Host, _: &str) -> Result<Vec<DnsLine>, Error> {
        let account = self.account(host);
        let query = vec![("locale", "en-us".to_owned())];
        let mut lines = account.lines("system-lines", query, "listing the lines")?;
        let query = vec![("show_detail", "false".to_owned())];
        match account.lines("customlines", query, "listing the account's own lines") {
            Ok(own) => lines.extend(own),
            // Not every account has them, and not every user may see them.
            Err(Error::Auth(text) | Error::NotFound(text) | Error::Invalid(text)) => {
                host.log(Level::Warn, "own lines left out", &[("reason", &text)]);
            }
            Err(error) => return Err(error),
        }
        Ok(lines)
    }

    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        _: Option<&str>,
    ) -> Result<RecordPage, Error> {
        let account = self.account(host);
        let sets = account.sets(&account.zone(zone)?, name)?;
        Ok(RecordPage {
            sets: set::record_sets(zone, &sets),
            next: None,
        })
    }

    fn normalize(
        &self,
        _: &dyn Host,
        zone: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        Ok(wanted.into_iter().map(|set| normalize(zone, set)).collect())
    }

    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        apply::apply(self.account(host), zone, changes)
    }
}

impl HuaweiCloud {
    fn account<'a>(&'a self, host: &'a dyn Host) -> Account<'a> {
        Account {
            client: &self.client,
            host,
        }
    }
}

/// A wanted set as it will read back.
pub(crate) fn normalize(zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
    let ttl = wanted.ttl.clamp(TTLS.0, TTLS.1);
    let set = sets::normalize(zone, RecordSet { ttl, ..wanted }, &HuaweiCloud::describe())?;
    set::check_values(&set)?;
    Ok(set)
}
