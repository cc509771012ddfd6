//! A provider that is down, throttles, cuts its answers off, or refuses one record: everything else
//! converges, and nothing is written twice. With the options that a daemon has unless it is told otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::fast_time::FastTime;
use super::fixtures::{Rig, Work, data, key};
use crate::options::SteeringOptions;
use crate::provider::ProviderError;
use crate::sites::SiteOrder;
use crate::status::{TroubleKind, ZoneState};
use crate::twin::{ApplyFault, ReadFault};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The most tries within so many seconds when each pause is the shortest that it can be: half of 1 s, of 2 s
/// and so on up to half of a minute.
fn most_tries(seconds: u64) -> usize {
    let halves_ms = [500, 1_000, 2_000, 4_000, 8_000, 16_000];
    let pauses = halves_ms.into_iter().chain(std::iter::repeat(30_000));
    let ends = pauses.scan(0, |at, pause| {
        *at += pause;
        Some(*at)
    });
    1 + ends.take_while(|at| *at <= seconds * 1_000).count()
}

/// Sites `bj` and `sh` serve `www`; `mail` is a record of the zone. All of it stands.
struct Stage {
    rig: Rig,
    work: Work,
    time: FastTime,
}

const BJ: &str = "192.0.2.1";
const SH: &str = "192.0.2.2";

impl Stage {
    async fn new() -> Self {
        let rig = Rig::bound_as_shipped().await;
        for (code, address, lines) in [("bj", BJ, ["default", "CU"]), ("sh", SH, ["CT", "CMCC"])] {
            let body = json!({"lines": lines, "addresses": {"ipv4": [address]}});
            rig.steering.put_site(code, body, None).await.unwrap();
        }
        let body = json!({"zone": "example.com", "record": "www", "types": ["A"], "ttl": 60});
        rig.steering.put_service("shop", body, None).await.unwrap();
        rig.want(&[("mail A", &["192.0.2.9"])]).await;
        let time = FastTime::of(&rig.member);
        let work = rig.work();
        let stage = Self { rig, work, time };
        let all = ["www A", "www A CU", "www A CT", "www A CMCC", "mail A"];
        stage
            .converges(|stage| all.iter().all(|at| stage.rig.at(at).is_some()))
            .await;
        assert_eq!(
            stage.writes(),
            all.map(|at| (key(at).to_string(), 1)).into()
        );
        stage
    }

    /// It does within the longest pause, and the round after that.
    async fn converges(&self, holds: impl Fn(&Self) -> bool) {
        let options = SteeringOptions::default();
        let within = Duration::from_millis(options.backoff_max_ms + options.interval_ms);
        self.time
            .until("it converges", within, || holds(self))
            .await;
    }

    /// How often each set was written.
    fn writes(&self) -> BTreeMap<String, usize> {
        let mut writes = BTreeMap::new();
        for change in self.rig.twin.applied() {
            *writes.entry(change.key.to_string()).or_default() += 1;
        }
        writes
    }

    fn stands(&self, at: &str, contents: &[&str]) -> bool {
        self.rig
            .at(at)
            .is_some_and(|data| data.contents().into_iter().eq(contents.iter().copied()))
    }

    /// Ten more rounds read the zone, find it in sync and ask for nothing.
    async fn ends_quietly(self) {
        let twin = &self.rig.twin;
        let (applies, writes, reads) = (twin.apply_calls(), self.writes(), twin.read_calls());
        self.time.pass(101 * SECOND).await;
        assert!(twin.read_calls() >= reads + 10, "rounds go on");
        assert_eq!((twin.apply_calls(), self.writes()), (applies, writes));
        assert_eq!(self.rig.status().await.state, ZoneState::InSync);
        assert!(twin.repeated().is_empty(), "asked for what stood already");
        self.work.stop().await;
    }
}

#[tokio::test]
async fn an_outage_of_five_minutes_loses_nothing() {
    let stage = Stage::new().await;
    let twin = &stage.rig.twin;
    let (stood, writes) = (twin.all(), stage.writes());
    let before = twin.called().len();
    twin.set_outage(ProviderError::Transient("connection refused".into()));
    let drained = stage.rig.steering.order_site("sh", SiteOrder::Drain);
    drained.await.unwrap();
    stage.time.pass(5 * MINUTE).await;

    assert_eq!(twin.all(), stood);
    let status = stage.rig.status().await;
    assert_eq!(status.state, ZoneState::Failing);
    let error = status.error.unwrap();
    assert!(error.contains("connection refused"), "{error}");
    let called = twin.called().split_off(before);
    assert!(
        (5..=most_tries(300)).contains(&called.len()),
        "{} calls",
        called.len()
    );
    for (failures, calls) in called.windows(2).enumerate() {
        let shortest = Duration::from_millis(500 << failures).min(30 * SECOND);
        assert!(calls[1].1 - calls[0].1 >= shortest, "after {failures}");
    }

    twin.heal();
    stage
        .converges(|stage| stage.stands("www A CT", &[BJ]) && stage.stands("www A CMCC", &[BJ]))
        .await;
    let mut once_more = writes;
    for moved in ["www A CT", "www A CMCC"] {
        *once_more.get_mut(&key(moved).to_string()).unwrap() += 1;
    }
    assert_eq!(stage.writes(), once_more);
    stage.ends_quietly().await;
}

#[tokio::test]
async fn a_throttling_provider_is_not_called_before_it_wants_to_be() {
    let stage = Stage::new().await;
    let twin = &stage.rig.twin;
    let throttled = |retry_after| {
        ApplyFault::Refuse(ProviderError::Throttled {
            message: "slow down".into(),
            retry_after,
        })
    };
    let asked = 90 * SECOND;
    twin.fail_apply(throttled(Some(asked)));
    let applies = twin.apply_calls();
    stage.rig.want(&[("mail A", &["192.0.2.10"])]).await;
    stage
        .converges(|stage| stage.rig.twin.apply_calls() > applies)
        .await;
    let called = twin.called();

    // Neither a plan nor being asked to do it now calls it before.
    stage.time.pass(SECOND).await;
    let plan = stage.rig.steering.plan(None).await.unwrap().remove(0);
    let error = plan.error.unwrap();
    assert!(error.contains("throttled: slow down"), "{error}");
    stage.rig.steering.apply(None).await.unwrap();
    stage.time.pass(asked - 3 * SECOND).await;
    assert_eq!(twin.called().len(), called.len());
    stage
        .converges(|stage| stage.stands("mail A", &["192.0.2.10"]))
        .await;
    let next = twin.called()[called.len()].1;
    assert!(next - called.last().unwrap().1 >= asked);

    // Where it does not say how long, each pause is longer than the one before.
    for _ in 0..3 {
        twin.fail_apply(throttled(None));
    }
    let before = twin.called().len();
    stage.rig.want(&[("mail A", &["192.0.2.11"])]).await;
    stage
        .converges(|stage| stage.stands("mail A", &["192.0.2.11"]))
        .await;
    let called = twin.called().split_off(before);
    let gaps = called.windows(2).filter(|calls| calls[0].0 == "apply");
    let pauses: Vec<Duration> = gaps.map(|calls| calls[1].1 - calls[0].1).collect();
    for (failures, pause) in pauses[..3].iter().enumerate() {
        assert!(
            *pause >= Duration::from_millis(500 << failures),
            "{pauses:?}"
        );
    }
    assert_eq!(stage.writes()[&key("mail A").to_string()], 3);
    stage.ends_quietly().await;
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_looked_up_and_nothing_is_repeated() {
    let stage = Stage::new().await;
    let twin = &stage.rig.twin;
    let names = ["a A", "b A", "c A", "d A", "e A", "f A", "g A", "h A"];
    for made in [0, 2, 1] {
        twin.fail_apply(ApplyFault::CutAfter(made));
    }
    twin.fail_apply(ApplyFault::LoseAnswer);
    let cut_off = ProviderError::Transient("the answer was cut off".into());
    twin.fail_read_after(2, ReadFault::Refuse(cut_off));
    let all = names.map(|name| (name, &["192.0.2.5"][..]));
    stage.rig.want(&all).await;
    stage
        .converges(|stage| {
            let stand = names.iter().all(|name| stage.stands(name, &["192.0.2.5"]));
            stand && stage.rig.at("mail A").is_none()
        })
        .await;
    for name in names {
        assert_eq!(stage.writes()[&key(name).to_string()], 1, "{name}");
    }

    // The same where sets are changed and deleted.
    let before = stage.writes();
    twin.fail_apply(ApplyFault::CutAfter(1));
    twin.fail_apply(ApplyFault::CutAfter(1));
    let some = ["a A", "b A", "c A"].map(|name| (name, &["192.0.2.6"][..]));
    stage.rig.want(&some).await;
    stage
        .converges(|stage| {
            let stand = some.iter().all(|(name, values)| stage.stands(name, values));
            stand && names[3..].iter().all(|name| stage.rig.at(name).is_none())
        })
        .await;
    let writes = stage.writes();
    for name in names.map(|name| key(name).to_string()) {
        assert_eq!(writes[&name], before[&name] + 1, "{name}");
    }
    assert_eq!(stage.rig.status().await.drift_repaired, 0);
    stage.ends_quietly().await;
}

#[tokio::test]
async fn a_record_that_is_always_refused_holds_up_no_other() {
    let stage = Stage::new().await;
    let twin = &stage.rig.twin;
    let refusal = ProviderError::Invalid("this value is not allowed".into());
    twin.refuse_set(&key("bad A"), refusal);
    for minute in 0..10 {
        let address = format!("192.0.2.{}", 20 + minute);
        let good = [address.as_str()];
        let wanted: [(&str, &[&str]); 2] = [("bad A", &["192.0.2.66"]), ("mail A", &good)];
        stage.rig.want(&wanted).await;
        let soon = 10 * SECOND;
        stage
            .time
            .until("the good one is written", soon, || {
                stage.stands("mail A", &good)
            })
            .await;
        stage.time.pass(MINUTE - soon).await;
    }
    let status = stage.rig.status().await;
    assert_eq!((status.state, status.pending), (ZoneState::Pending, 1));
    let [trouble] = &status.troubles[..] else {
        panic!("{status:?}")
    };
    assert_eq!(
        (&trouble.key, trouble.kind),
        (&key("bad A"), TroubleKind::Failing)
    );
    assert!(trouble.reason.contains("this value is not allowed"));
    let tries = twin.refused();
    assert!((5..=most_tries(600)).contains(&tries), "{tries} tries");
    assert_eq!(stage.writes()[&key("mail A").to_string()], 11);

    twin.heal();
    stage
        .converges(|stage| stage.rig.at("bad A").is_some())
        .await;
    assert_eq!(stage.rig.at("bad A"), Some(data(300, &["192.0.2.66"])));
    stage.ends_quietly().await;
}
