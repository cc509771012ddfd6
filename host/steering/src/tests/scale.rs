//! Many zones: a plan reads each once, at its binding's rate, and a round with nothing to do writes nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::fast_time::{FastTime, STEP};
use super::fixtures::{Rig, eventually};
use crate::names::ZoneName;
use crate::options::SteeringOptions;
use crate::plan::ActionKind;
use crate::steering::PlanView;
use crate::twin::Twin;

fn zones(count: usize) -> Vec<ZoneName> {
    let zone = |number| ZoneName::parse(&format!("zone-{number}.example")).unwrap();
    (0..count).map(zone).collect()
}

/// A daemon that is to keep so many record sets in each of these zones.
async fn rig(zones: Vec<ZoneName>, sets: usize, options: SteeringOptions) -> Rig {
    let twin = Twin::of(zones.clone(), sets);
    let rig = Rig::start_with(twin, options).await;
    let names: Vec<&str> = zones.iter().map(ZoneName::as_str).collect();
    rig.bind(&names).await;
    let record = |number: usize| {
        let address = format!("192.0.2.{number}");
        json!({"name": format!("host-{number}"), "type": "A", "ttl": 300, "values": [address]})
    };
    let records: Vec<Value> = (0..sets).map(record).collect();
    for name in names {
        let body = json!({ "records": records });
        let put = rig.steering.put_records(name, body, None, false);
        put.await.unwrap();
    }
    rig
}

fn count(plans: &[PlanView], kind: ActionKind) -> usize {
    let actions = plans.iter().flat_map(|plan| &plan.actions);
    actions.filter(|action| action.action == kind).count()
}

#[tokio::test]
async fn a_hundred_zones_are_read_once_each_for_a_plan_and_left_alone() {
    const ZONES: usize = 100;
    const SETS: usize = 100;
    let options = SteeringOptions {
        interval_ms: 500,
        calls_per_second: 1_000_000,
        ..SteeringOptions::default()
    };
    let rig = rig(zones(ZONES), SETS, options).await;
    let plans = rig.steering.plan(None).await.unwrap();
    assert_eq!(count(&plans, ActionKind::Create), ZONES * SETS);
    assert!(rig.twin.reads().values().all(|reads| *reads == 1));
    assert_eq!(rig.twin.reads().len(), ZONES);
    assert_eq!(rig.twin.apply_calls(), 0, "a plan changes nothing");

    let work = rig.work();
    eventually("all stands", || rig.twin.applied().len() == ZONES * SETS).await;
    let (applies, reads) = (rig.twin.apply_calls(), rig.twin.reads());
    eventually("three more rounds of each zone", || {
        let now = rig.twin.reads();
        now.iter().all(|(zone, count)| *count >= reads[zone] + 3)
    })
    .await;
    assert_eq!(rig.twin.apply_calls(), applies);
    assert_eq!(rig.twin.applied().len(), ZONES * SETS);
    work.stop().await;

    let reads = rig.twin.reads();
    let plans = rig.steering.plan(None).await.unwrap();
    assert_eq!(count(&plans, ActionKind::None), ZONES * SETS);
    let now = rig.twin.reads();
    assert!(now.iter().all(|(zone, count)| *count == reads[zone] + 1));
}

#[tokio::test]
async fn a_plan_keeps_to_the_rate_of_its_binding() {
    const CALLS_PER_SECOND: u32 = 5;
    let rig = rig(zones(10), 1, SteeringOptions::default()).await;
    let own = json!({"calls_per_second": CALLS_PER_SECOND});
    let patched = rig.steering.patch_binding("main", own, None, false).await;
    assert_eq!(
        patched.unwrap().calls_per_second.unwrap().get(),
        CALLS_PER_SECOND
    );

    let time = FastTime::of(&rig.member);
    let steering = Arc::clone(&rig.steering);
    let planning = tokio::spawn(async move { steering.plan(None).await });
    let within = Duration::from_secs(60);
    time.until("it is planned", within, || planning.is_finished())
        .await;
    let plans = planning.await.unwrap().unwrap();
    assert_eq!(count(&plans, ActionKind::Create), 10);
    let called = rig.twin.called();
    assert_eq!(called.len(), 20, "each zone is read and normalized");
    let spacing = Duration::from_secs(1) / CALLS_PER_SECOND;
    for (earlier, (_, at)) in (0..).zip(&called) {
        // The first one may have been a moment late.
        let since_first = *at - called[0].1 + STEP;
        assert!(since_first >= spacing * earlier, "{called:?}");
    }

    let wrong = json!({"calls_per_second": 0});
    let refused = rig.steering.patch_binding("main", wrong, None, false).await;
    assert_eq!(refused.unwrap_err().at(), Some("calls_per_second"));
}
