//! `portolan dns history`.

use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::table::{maybe, table, time};
use super::views::Change;
use super::{DNS, OneZone, documents, segment};

/// Prints the last changes that were made.
pub(super) async fn show(session: &Session, zone: &OneZone) -> Result<(), ClientError> {
    let path = match &zone.zone {
        Some(zone) => format!("{DNS}/zones/{}/history", segment(zone.as_str())),
        None => format!("{DNS}/history"),
    };
    let answer = documents::get(session, &path).await?;
    session.show(&answer, || {
        let changes: Vec<Change> = answer.read("changes")?;
        Ok(changes_table(&changes, session.width()))
    })
}

/// The server sends the newest first; a person reads a story from its beginning.
fn changes_table(changes: &[Change], width: Option<u16>) -> String {
    let rows = changes.iter().rev().map(|change| {
        let action = &change.action;
        [
            time(change.at_ms),
            maybe(change.zone.as_deref()),
            action.action.clone(),
            action.key.to_string(),
            maybe(action.before.as_ref()),
            maybe(action.after.as_ref()),
            action.reason.clone(),
            maybe(change.by),
        ]
    });
    let header = [
        "TIME", "ZONE", "CHANGE", "RECORDS", "BEFORE", "AFTER", "WHY", "MEMBER",
    ];
    table(header, rows, width)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn changes_are_told_from_the_first() {
        let key = json!({"name": "www.a.example", "type": "A", "line": "CT", "set_id": ""});
        let data =
            |address: &str| json!({"ttl": 60, "values": [{"content": address, "enabled": true}]});
        let changes: Vec<Change> = from_value(json!([
            {"at_ms": 2000, "by": 1, "action": "update", "key": key, "before": data("192.0.2.1"),
             "after": data("192.0.2.2"), "reason": "sh is down"},
            {"at_ms": 1000, "by": 1, "action": "create", "key": key, "after": data("192.0.2.1"),
             "reason": "not in the zone"}
        ]))
        .unwrap();
        let expected = "\
TIME                      CHANGE  RECORDS                  BEFORE         AFTER          WHY              MEMBER
1970-01-01T00:00:01.000Z  create  www.a.example A line CT                 60s 192.0.2.1  not in the zone  1
1970-01-01T00:00:02.000Z  update  www.a.example A line CT  60s 192.0.2.1  60s 192.0.2.2  sh is down       1";
        assert_eq!(changes_table(&changes, None), expected);
    }
}
