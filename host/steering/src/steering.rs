//! The facade: what the API and the daemon see of steering.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use portolan_consensus::{Consistency, Member, Space, Txn};
use prometheus::Registry;
use serde::Serialize;
use tokio::sync::watch;

use crate::check::Prober;
use crate::clusters::Clusters;
use crate::detect::Detector;
use crate::documents::{encode, keys};
use crate::error::SteeringError;
use crate::lanes::Lane;
use crate::meter::Meter;
use crate::names::{BindingName, ZoneName};
use crate::notify::Sender;
use crate::observe::Sights;
use crate::options::SteeringOptions;
use crate::plan::{ActionKind, Plan, Refusal};
use crate::provider::{Providers, RecordData, RecordKey};
use crate::status::ZoneStatus;
use crate::store::{Store, revision_of};
use crate::survive::Survivors;
use crate::survivor::Quorum;
use crate::world::World;
use crate::zones::zone_name;

/// DNS steering on this member. All of its knowledge is in the store; what is here can be lost.
pub struct Steering {
    pub(crate) member: Member,
    pub(crate) store: Store,
    pub(crate) providers: Arc<dyn Providers>,
    pub(crate) options: SteeringOptions,
    pub(crate) meter: Arc<Meter>,
    pub(crate) clusters: Arc<dyn Clusters>,
    pub(crate) prober: Prober,
    pub(crate) detector: Detector,
    pub(crate) sender: Sender,
    /// What the store says of sites and services.
    pub(crate) world: watch::Sender<Arc<World>>,
    /// How this member sees what is checked.
    pub(crate) sights: Sights,
    /// How it stands with the zones in survivor mode here.
    pub(crate) survivors: Mutex<Survivors>,
    /// How this member finds the group, as long as a zone is in survivor mode.
    pub(crate) group: Mutex<Option<Quorum>>,
    /// Where this member keeps what is its alone.
    pub(crate) data: PathBuf,
    lanes: Mutex<HashMap<BindingName, Arc<Lane>>>,
    /// As long as this member leads: how it stands with each zone.
    live: Mutex<BTreeMap<ZoneName, ZoneStatus>>,
}

/// What steering reaches the world through.
pub struct Ports {
    /// DNS services.
    pub providers: Arc<dyn Providers>,
    /// Sharded clusters, whose nodes services can follow.
    pub clusters: Arc<dyn Clusters>,
    /// Health checks.
    pub prober: Prober,
    /// What finds the addresses of this member's site.
    pub detector: Detector,
    /// Webhooks.
    pub sender: Sender,
    /// The directory in which this member keeps what must outlive a restart and is its alone.
    pub data: PathBuf,
}

/// One zone's plan, as `GET /api/v1/dns/plan` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanView {
    /// The zone.
    pub zone: ZoneName,
    /// The binding that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<BindingName>,
    /// Why there is no plan for this zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What would be done, in order; then what would be left as it is.
    pub actions: Vec<ActionView>,
    /// What would not be done.
    pub refused: Vec<RefusalView>,
    /// What would be done otherwise than it was asked for.
    pub warnings: Vec<RefusalView>,
    /// How many record sets stand in the zone that are neither wanted nor ours.
    pub unmanaged: usize,
}

/// One action of a [`PlanView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActionView {
    /// What kind.
    pub action: ActionKind,
    /// To which set.
    pub key: RecordKey,
    /// As it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<RecordData>,
    /// As it shall be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<RecordData>,
    /// Why.
    pub reason: Cow<'static, str>,
}

/// One refusal or warning of a [`PlanView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalView {
    /// Which set.
    pub key: RecordKey,
    /// What is wrong and what to do.
    pub reason: String,
}

impl Steering {
    /// Steering on top of a member. [`Steering::run`] makes it work; without it,
    /// everything can be asked and nothing is changed outside.
    pub fn new(
        member: Member,
        ports: Ports,
        options: SteeringOptions,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let steering = Arc::new(Self {
            store: Store::new(member.clone(), Space::Steering),
            member,
            providers: ports.providers,
            options,
            meter: Arc::new(Meter::new(registry)?),
            clusters: ports.clusters,
            prober: ports.prober,
            detector: ports.detector,
            sender: ports.sender,
            world: watch::Sender::default(),
            sights: Sights::default(),
            survivors: Mutex::default(),
            group: Mutex::default(),
            data: ports.data,
            lanes: Mutex::default(),
            live: Mutex::default(),
        });
        steering.answer_questions();
        steering.answer_for_survivors();
        steering.answer_for_group();
        Ok(steering)
    }

    /// What would be done now, in one zone or in all: looks, decides, changes nothing. Any member
    /// can do it. Zones are looked at side by side, each binding's at its rate.
    pub async fn plan(&self, zone: Option<&str>) -> Result<Vec<PlanView>, SteeringError> {
        if let Some(zone) = zone {
            let zone = zone_name(zone)?;
            let survey = self.survey(&zone, Consistency::Linearizable).await?;
            return Ok(vec![survey.plan.into()]);
        }
        let zones = self.wanted_zones().await?;
        let plans = zones.into_iter().map(|zone| async {
            // One zone's trouble does not hide the others' plans.
            match self.plan_of(&zone).await {
                Ok(plan) => plan.into(),
                Err(error) => PlanView::failed(zone, &error),
            }
        });
        Ok(join_all(plans).await)
    }

    /// One of many zones' plan, when there is room in its binding's lane.
    async fn plan_of(&self, zone: &ZoneName) -> Result<Plan, SteeringError> {
        let (binding, _) = self.lane_of(zone).await?;
        let lane = self.lane(&binding);
        let _room = lane.look().await;
        Ok(self.survey(zone, Consistency::Stale).await?.plan)
    }

    /// How it stands with each zone that has wanted records.
    pub async fn status(&self) -> Result<Vec<ZoneStatus>, SteeringError> {
        let mut statuses = BTreeMap::new();
        for zone in self.wanted_zones().await? {
            statuses.insert(zone.clone(), ZoneStatus::new(zone));
        }
        let written = self
            .store
            .list::<ZoneStatus>(keys::STATUSES, Consistency::Stale)
            .await?
            .into_iter();
        let written = written.filter_map(|(_, status)| Some(status.ok()?.document));
        let live = self.live.lock().clone();
        for status in written.chain(live.into_values()) {
            if let Some(shown) = statuses.get_mut(&status.zone) {
                *shown = status;
            }
        }
        Ok(statuses.into_values().collect())
    }

    /// The zones in which something is wanted: records or services.
    async fn wanted_zones(&self) -> Result<BTreeSet<ZoneName>, SteeringError> {
        let mut zones = BTreeSet::new();
        for prefix in [keys::ZONES, keys::ZONE_SERVICES] {
            let names = self.store.names(prefix, Consistency::Linearizable).await?;
            for name in names.0 {
                zones.insert(zone_name(&name)?);
            }
        }
        Ok(zones)
    }

    /// The lane of a binding, made when it is first needed.
    pub(crate) fn lane(&self, binding: &BindingName) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        let lane = lanes
            .entry(binding.clone())
            .or_insert_with(|| Arc::new(Lane::new(&self.options)));
        Arc::clone(lane)
    }

    /// Forgets why bindings were paused: whatever it was may have changed.
    pub(crate) fn forget_pauses(&self) {
        self.lanes.lock().values().for_each(|lane| lane.resume());
    }

    /// How it stands with the zones, as this member knows while it leads.
    pub(crate) fn live_statuses(&self) -> Vec<ZoneStatus> {
        self.live.lock().values().cloned().collect()
    }

    /// Shows a status, and writes it down for the other members where more than a time changed.
    pub(crate) async fn publish(&self, status: &ZoneStatus) {
        let before = self.live.lock().insert(status.zone.clone(), status.clone());
        if before.is_some_and(|before| before.timeless() == status.timeless()) {
            return;
        }
        if let Err(error) = self.write_status(status).await {
            tracing::debug!(zone = %status.zone, %error, "status not written down");
        }
    }

    async fn write_status(&self, status: &ZoneStatus) -> Result<(), SteeringError> {
        let key = keys::status(&status.zone);
        let standing = self
            .store
            .load::<ZoneStatus>(&key, Consistency::Stale)
            .await?;
        let txn = Txn::new()
            .guard(Space::Steering, key.as_str(), revision_of(&standing))
            .put(Space::Steering, key, encode(status));
        self.store.commit(txn).await?;
        Ok(())
    }

    /// Forgets what only a leader knows.
    pub(crate) fn stop_leading(&self) {
        self.live.lock().clear();
        self.lanes.lock().clear();
        self.meter.stop_leading();
    }
}

impl PlanView {
    fn failed(zone: ZoneName, error: &SteeringError) -> Self {
        Self {
            zone,
            provider: None,
            error: Some(error.to_string()),
            actions: Vec::new(),
            refused: Vec::new(),
            warnings: Vec::new(),
            unmanaged: 0,
        }
    }
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        let actions = plan.actions.into_iter().map(|action| ActionView {
            action: action.kind,
            key: action.key,
            before: action.before.map(|set| set.data),
            after: action.after.map(|set| set.data),
            reason: action.reason,
        });
        let view = |refusal: Refusal| RefusalView {
            key: refusal.key,
            reason: refusal.reason,
        };
        Self {
            zone: plan.zone,
            provider: Some(plan.binding),
            error: None,
            actions: actions.collect(),
            refused: plan.refused.into_iter().map(view).collect(),
            warnings: plan.warnings.into_iter().map(view).collect(),
            unmanaged: plan.unmanaged,
        }
    }
}
