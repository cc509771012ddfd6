//! Sites, as operators give and see them.

mod site;

use std::net::IpAddr;

use portolan_consensus::{Consistency, Revision, Space, Txn};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::site::Intent;
pub(crate) use self::site::{Addresses, Detected, STANDARD_PRIORITY, Site, SiteLine};
use crate::assign::Health;
use crate::clock::now_ms;
use crate::documents::{encode, keys};
use crate::error::SteeringError;
use crate::events::EventKind;
use crate::family::Family;
use crate::input;
use crate::names::SiteCode;
use crate::steering::Steering;
use crate::store::{Stored, check_revision, revision_of, until_settled};
use crate::world::Outlook;

/// A site as answers show it. It can be sent back as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteView {
    #[serde(flatten)]
    site: Site,
    /// How it stands.
    pub state: SiteState,
    /// Why.
    pub reason: String,
    /// Since when its checks say so. Milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// The addresses that its records hold.
    pub known_addresses: Vec<IpAddr>,
    /// The document's revision, for `ETag` and `If-Match`.
    #[serde(skip)]
    pub revision: Revision,
}

/// How a site stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SiteState {
    /// It can serve its lines.
    Up,
    /// It is up again, and gets its lines back soon.
    Returning,
    /// A majority of the voters cannot reach it.
    Down,
    /// Nothing is known of it yet.
    Unknown,
    /// It gives its lines away.
    Draining,
    /// The operator said that it is up, or down.
    Forced,
}

impl SiteState {
    pub(crate) const ALL: [Self; 6] = [
        Self::Up,
        Self::Returning,
        Self::Down,
        Self::Unknown,
        Self::Draining,
        Self::Forced,
    ];

    /// What an operator's word and its health make of a site.
    pub(crate) fn of(intent: Intent, health: Health) -> Self {
        match (intent, health) {
            (Intent::ForcedUp | Intent::ForcedDown, _) => Self::Forced,
            (_, Health::Down) => Self::Down,
            (Intent::Draining, _) => Self::Draining,
            (_, Health::Returning { .. }) => Self::Returning,
            (_, Health::Unknown) => Self::Unknown,
            (_, Health::Up) => Self::Up,
        }
    }

    /// The word for it in metrics; as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Returning => "returning",
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Draining => "draining",
            Self::Forced => "forced",
        }
    }

    fn reason(self, intent: Intent) -> &'static str {
        match self {
            Self::Up => "",
            Self::Returning => "it is up again, and must stay so for a while",
            Self::Down => "a majority of the voters cannot reach it",
            Self::Unknown => "the voters have not told yet",
            Self::Draining => "an operator drains it",
            Self::Forced if intent == Intent::ForcedUp => "an operator forced it up",
            Self::Forced => "an operator forced it down",
        }
    }
}

/// A site as a request gives it: what answers show beside it is left alone.
#[derive(Deserialize)]
struct SiteSpec {
    #[serde(default)]
    code: Option<SiteCode>,
    #[serde(default, rename = "state")]
    _state: Option<SiteState>,
    #[serde(default, rename = "reason")]
    _reason: Option<String>,
    #[serde(default, rename = "since_ms")]
    _since_ms: Option<u64>,
    #[serde(default, rename = "known_addresses")]
    _known_addresses: Vec<IpAddr>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// What `POST sites/{code}/…` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteOrder {
    /// Give the lines away.
    Drain,
    /// Let health decide.
    Resume,
    /// Be up, or down, whatever the checks say.
    Force {
        /// Which of the two.
        up: bool,
    },
}

impl SiteOrder {
    fn intent(self) -> Intent {
        match self {
            Self::Drain => Intent::Draining,
            Self::Resume => Intent::Auto,
            Self::Force { up: true } => Intent::ForcedUp,
            Self::Force { up: false } => Intent::ForcedDown,
        }
    }
}

impl Steering {
    /// All sites, by code.
    pub async fn sites(&self) -> Result<Vec<SiteView>, SteeringError> {
        let sites = self.load_sites(Consistency::Linearizable).await?;
        Ok(sites.into_iter().map(|it| self.view_site(it)).collect())
    }

    /// One site.
    pub async fn site(&self, code: &str) -> Result<SiteView, SteeringError> {
        let code = site_code(code)?;
        let stored = self.load_site(&code).await?;
        let stored = stored.ok_or_else(|| no_site(&code))?;
        Ok(self.view_site(stored))
    }

    /// Makes a site or replaces it. `revision` is the one that it must be at ([`Revision::ZERO`]: it must
    /// not exist).
    pub async fn put_site(
        &self,
        code: &str,
        body: Value,
        revision: Option<Revision>,
    ) -> Result<SiteView, SteeringError> {
        let code = site_code(code)?;
        let site = parse(&code, body)?;
        until_settled(|| async {
            let standing = self.standing_site(&code, revision).await?;
            self.replace_site(standing, site.clone()).await
        })
        .await
    }

    /// Changes a site by a JSON merge patch (RFC 7396).
    pub async fn patch_site(
        &self,
        code: &str,
        patch: Value,
        revision: Option<Revision>,
    ) -> Result<SiteView, SteeringError> {
        let code = site_code(code)?;
        if !patch.is_object() {
            return Err(SteeringError::invalid("", "a merge patch is a JSON object"));
        }
        until_settled(|| async {
            let standing = self.standing_site(&code, revision).await?;
            let stored = standing.clone().ok_or_else(|| no_site(&code))?;
            let mut document = input::document(&stored.document)?;
            input::merge(&mut document, &patch);
            // What a merge patch takes away gets its default, and here null is a value: never.
            if patch.get("fallback").is_some_and(Value::is_null) {
                document["fallback"] = Value::Null;
            }
            self.replace_site(standing, parse(&code, document)?).await
        })
        .await
    }

    /// Removes a site. Its lines go to others first where others can serve them; records of what nobody
    /// else serves stay as they stand.
    pub async fn delete_site(
        &self,
        code: &str,
        revision: Option<Revision>,
    ) -> Result<(), SteeringError> {
        let code = site_code(code)?;
        until_settled(|| async {
            let standing = self.standing_site(&code, revision).await?;
            let stored = standing.ok_or_else(|| no_site(&code))?;
            let key = keys::site(&code);
            let txn = Txn::new()
                .guard(Space::Steering, key.as_str(), stored.modified)
                .delete(Space::Steering, key)
                .delete(Space::Steering, keys::presence(&code));
            let text = format!("the site {code} was deleted");
            self.commit_telling(txn, &[(EventKind::Site, text)]).await?;
            Ok(())
        })
        .await
    }

    /// Drains, forces or resumes a site.
    pub async fn order_site(
        &self,
        code: &str,
        order: SiteOrder,
    ) -> Result<SiteView, SteeringError> {
        let code = site_code(code)?;
        until_settled(|| async {
            let stored = self.load_site(&code).await?;
            let stored = stored.ok_or_else(|| no_site(&code))?;
            let site = Site {
                intent: order.intent(),
                ..stored.document.clone()
            };
            if site == stored.document {
                return Ok(self.view_site(stored));
            }
            self.replace_site(Some(stored), site).await
        })
        .await
    }

    /// All sites, by code, as the store has them. One that cannot be read is an error: what is not
    /// known of it must not move its lines.
    pub(crate) async fn load_sites(
        &self,
        consistency: Consistency,
    ) -> Result<Vec<Stored<Site>>, SteeringError> {
        let stored = self.store.list(keys::SITES, consistency).await?;
        let stored = stored.into_iter().map(|(_, stored)| Ok(stored?));
        stored.collect()
    }

    async fn load_site(&self, code: &SiteCode) -> Result<Option<Stored<Site>>, SteeringError> {
        let key = keys::site(code);
        let stored: Option<Stored<Site>> = self.store.load(&key, Consistency::Linearizable).await?;
        Ok(stored)
    }

    async fn standing_site(
        &self,
        code: &SiteCode,
        named: Option<Revision>,
    ) -> Result<Option<Stored<Site>>, SteeringError> {
        let standing = self.load_site(code).await?;
        check_revision(&format!("the site {code}"), named, revision_of(&standing))?;
        Ok(standing)
    }

    pub(crate) async fn replace_site(
        &self,
        standing: Option<Stored<Site>>,
        site: Site,
    ) -> Result<SiteView, SteeringError> {
        if let Some(other) = standing.as_ref().map(|it| &it.document.code)
            && *other != site.code
        {
            return Err(SteeringError::Conflict(format!(
                "there is a site {other}, and codes must differ in more than their case"
            )));
        }
        self.check_member(&site).await?;
        let key = keys::site(&site.code);
        let txn = Txn::new()
            .guard(Space::Steering, key.as_str(), revision_of(&standing))
            .put(Space::Steering, key, encode(&site));
        let text = told(standing.as_ref().map(|it| &it.document), &site);
        let events = text.map(|text| (EventKind::Site, text));
        let modified = self.commit_telling(txn, events.as_slice()).await?;
        Ok(self.view_site(Stored {
            document: site,
            created: standing.map_or(modified, |it| it.created),
            modified,
        }))
    }

    fn view_site(&self, stored: Stored<Site>) -> SiteView {
        let world = self.world();
        let site = stored.document;
        let addresses = world.addresses();
        let outlook = Outlook {
            world: &world,
            addresses: &addresses,
            now_ms: now_ms(),
        };
        let state = SiteState::of(site.intent, outlook.site(&site));
        SiteView {
            known_addresses: Family::ALL
                .into_iter()
                .filter_map(|family| addresses.get(&(site.code.clone(), family)))
                .flatten()
                .copied()
                .collect(),
            since_ms: outlook.since_ms(&site),
            reason: state.reason(site.intent).to_owned(),
            site,
            state,
            revision: stored.modified,
        }
    }

    /// A member stands at one site at most: it says where it is, and finds that site's addresses.
    async fn check_member(&self, site: &Site) -> Result<(), SteeringError> {
        let Some(member) = site.member else {
            return Ok(());
        };
        let sites = self.load_sites(Consistency::Stale).await?;
        let other = sites.iter().map(|stored| &stored.document);
        let mut others = other.filter(|other| other.code != site.code);
        match others.find(|other| other.member == Some(member)) {
            Some(other) => Err(SteeringError::invalid(
                "member",
                format!("{member} stands at the site {} already", other.code),
            )),
            None => Ok(()),
        }
    }
}

/// What a change of a site tells, if it is worth telling.
fn told(before: Option<&Site>, after: &Site) -> Option<String> {
    let code = &after.code;
    match before {
        None => Some(format!("the site {code} was added")),
        Some(before) if before.intent != after.intent => Some(match after.intent {
            Intent::Auto => format!("the site {code} was resumed: its health decides again"),
            intent => format!("the site {code} is {intent} by an operator"),
        }),
        Some(before) if before.addresses != after.addresses => {
            Some(format!("the site {code} was given other addresses"))
        }
        Some(_) => None,
    }
}

fn parse(code: &SiteCode, body: Value) -> Result<Site, SteeringError> {
    let spec: SiteSpec = input::parse(body)?;
    if spec.code.as_ref().is_some_and(|given| given != code) {
        let sentence = format!("the path says {code}");
        return Err(SteeringError::invalid("code", sentence));
    }
    let mut document = spec.rest;
    document.insert("code".to_owned(), code.as_str().into());
    let site: Site = input::parse(Value::Object(document))?;
    site.check()
        .map_err(|(at, sentence)| SteeringError::invalid(at, sentence))?;
    Ok(site)
}

fn site_code(text: &str) -> Result<SiteCode, SteeringError> {
    SiteCode::parse(text).map_err(|message| SteeringError::invalid("code", message))
}

fn no_site(code: &SiteCode) -> SteeringError {
    SteeringError::NotFound(format!(
        "no site has the code {code}; GET /api/v1/dns/sites lists them"
    ))
}
