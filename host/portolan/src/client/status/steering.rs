//! Sites, zones and events.

use serde_json::{Value, json};

use super::super::connection::Session;
use super::super::dns::DNS;
use super::super::dns::views::{Site, ZoneStatus};
use super::super::error::ClientError;
use super::super::follow;
use super::super::table::{maybe, table, time};
use super::super::views::Event;
use super::{Section, counted, headed};
use crate::client::api::{Answer, Asked};

/// As many as fit below the rest.
const LAST_EVENTS: usize = 8;

async fn ask(session: &Session, what: &str) -> Result<Answer, ClientError> {
    let path = format!("{DNS}/{what}");
    let asked = Asked::new(reqwest::Method::GET, &path);
    session.api.native(asked).await
}

/// Sites by state; a row for each that is not simply up.
pub(super) async fn sites(session: &Session) -> Result<Section, ClientError> {
    let answer = ask(session, "sites").await?;
    let sites: Vec<Site> = answer.read("sites")?;
    Ok(Section {
        name: "sites",
        text: sites_text(&sites, session.width()),
        json: answer.read("sites")?,
        troubles: site_troubles(&sites),
    })
}

fn sites_text(sites: &[Site], width: Option<u16>) -> String {
    let states = counted(sites.iter().map(|site| site.state.as_str()));
    if states.is_empty() {
        return String::new();
    }
    let odd = sites.iter().filter(|site| site.state != "up");
    let rows = odd.map(|site| {
        [
            site.code.clone(),
            site.state.clone(),
            maybe(site.since_ms.map(time)),
            site.reason.clone(),
        ]
    });
    let odd = table(["SITE", "STATE", "SINCE", "REASON"], rows, width);
    headed(format!("Sites: {states}"), &odd)
}

fn site_troubles(sites: &[Site]) -> Vec<String> {
    let lost = sites.iter().filter_map(|site| {
        let state = match site.state.as_str() {
            "down" => "down",
            "unknown" => "not known",
            _ => return None,
        };
        let since = site.since_ms.map(|since| format!(" since {}", time(since)));
        let code = &site.code;
        let reason = &site.reason;
        Some(format!(
            "site {code} is {state}{}: {reason}",
            since.unwrap_or_default()
        ))
    });
    lost.collect()
}

/// Zones by state; a row for each that is not simply in sync.
pub(super) async fn zones(session: &Session) -> Result<Section, ClientError> {
    let answer = ask(session, "status").await?;
    let zones: Vec<ZoneStatus> = answer.read("zones")?;
    Ok(Section {
        name: "zones",
        text: zones_text(&zones, session.width()),
        json: answer.read("zones")?,
        troubles: zones.iter().filter_map(zone_trouble).collect(),
    })
}

fn zones_text(zones: &[ZoneStatus], width: Option<u16>) -> String {
    let states = counted(zones.iter().map(|zone| zone.state.as_str()));
    if states.is_empty() {
        return String::new();
    }
    let calm = |zone: &&ZoneStatus| zone.state == "in-sync" && zone.troubles.is_empty();
    let odd = zones.iter().filter(|zone| !calm(zone));
    let rows = odd.map(|zone| {
        [
            zone.zone.clone(),
            zone.state.clone(),
            maybe((zone.pending > 0).then_some(zone.pending)),
            maybe((zone.refused > 0).then_some(zone.refused)),
            maybe(zone.last_good_ms.map(time)),
            reasons(zone).join("; "),
        ]
    });
    let header = ["ZONE", "STATE", "PENDING", "REFUSED", "LAST GOOD", "WHY"];
    headed(format!("Zones: {states}"), &table(header, rows, width))
}

/// Why a zone is not as wanted: of the whole zone, or else of its first record sets.
fn reasons(zone: &ZoneStatus) -> Vec<String> {
    const SHOWN: usize = 3;
    if let Some(error) = &zone.error {
        return vec![error.clone()];
    }
    let troubles = zone.troubles.iter();
    let mut reasons: Vec<String> = troubles
        .take(SHOWN)
        .map(|it| format!("{} {}: {}", it.key, it.kind, it.reason))
        .collect();
    if zone.troubles.len() > SHOWN {
        reasons.push(format!("{} more", zone.troubles.len() - SHOWN));
    }
    reasons
}

fn zone_trouble(zone: &ZoneStatus) -> Option<String> {
    let name = &zone.zone;
    let failing = zone.state == "failing" || zone.troubles.iter().any(|it| it.kind == "failing");
    let what = match (failing, zone.refused, zone.state.as_str()) {
        (true, ..) => "fails".to_owned(),
        (false, 0, "unknown") => "was not compared yet".to_owned(),
        (false, 0, _) => return None,
        (false, 1, _) => "has 1 record set refused".to_owned(),
        (false, refused, _) => format!("has {refused} record sets refused"),
    };
    match reasons(zone).first() {
        Some(reason) => Some(format!("zone {name} {what}: {reason}")),
        None => Some(format!("zone {name} {what}")),
    }
}

/// What happened last to sites and lines.
pub(super) async fn events(session: &Session) -> Result<Section, ClientError> {
    let answer = ask(session, "events").await?;
    let mut events: Vec<Value> = answer.read("events")?;
    let events = events.split_off(events.len().saturating_sub(LAST_EVENTS));
    let shown = serde_json::from_value::<Vec<Event>>(json!(events));
    let shown = shown.map_err(|error| {
        ClientError::Failed(format!("the server's events are not understood: {error}"))
    })?;
    let text = match follow::lines(&shown) {
        none if none.is_empty() => none,
        lines => format!("Last events\n{lines}"),
    };
    Ok(Section {
        name: "events",
        text,
        json: events.into(),
        troubles: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    #[test]
    fn a_site_that_is_down_is_trouble_and_one_that_is_drained_is_not() {
        let sites: Vec<Site> = from_value(json!([
            {"code": "sh", "state": "up"},
            {"code": "bj", "state": "down", "since_ms": 1000, "reason": "no answer"},
            {"code": "gz", "state": "draining", "reason": "an operator drains it"}
        ]))
        .unwrap();
        let troubles = site_troubles(&sites);
        assert_eq!(
            troubles,
            ["site bj is down since 1970-01-01T00:00:01.000Z: no answer"]
        );
        let text = sites_text(&sites, None);
        let expected = "\
Sites: 1 up, 1 down, 1 draining
SITE  STATE     SINCE                     REASON
bj    down      1970-01-01T00:00:01.000Z  no answer
gz    draining                            an operator drains it";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_zone_says_why_it_is_not_as_wanted() {
        let key = json!({"name": "www.a.example", "type": "A", "line": "CT", "set_id": ""});
        let trouble =
            |kind: &str, reason: &str| json!({"key": key, "kind": kind, "reason": reason});
        let zone = |value: Value| -> ZoneStatus { from_value(value).unwrap() };
        let calm = zone(json!({"zone": "a.example", "state": "in-sync"}));
        assert_eq!(zone_trouble(&calm), None);
        let pending = zone(json!({"zone": "a.example", "state": "pending", "pending": 2}));
        assert_eq!(zone_trouble(&pending), None);
        let refused = zone(
            json!({"zone": "a.example", "state": "in-sync", "refused": 1,
                                  "troubles": [trouble("refused", "not ours")]}),
        );
        assert_eq!(
            zone_trouble(&refused).unwrap(),
            "zone a.example has 1 record set refused: www.a.example A line CT refused: not ours"
        );
        let failing = zone(json!({"zone": "a.example", "state": "failing", "error": "no answer"}));
        assert_eq!(
            zone_trouble(&failing).unwrap(),
            "zone a.example fails: no answer"
        );
        let expected = "\
Zones: 1 in-sync, 1 pending
ZONE       STATE    PENDING
a.example  pending  2";
        assert_eq!(zones_text(&[calm, pending], None), expected);
    }
}
