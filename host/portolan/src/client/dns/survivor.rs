//! `portolan dns survivor`.

use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::table::table;
use super::DNS;
use super::documents;
use super::views::SurvivorZone;

/// Prints how survivor mode stands at the member that is asked.
pub(super) async fn show(session: &Session) -> Result<(), ClientError> {
    let answer = documents::get(session, &format!("{DNS}/survivor")).await?;
    session.show(&answer, || {
        let zones: Vec<SurvivorZone> = answer.read("zones")?;
        Ok(picture(&zones, session.width()))
    })
}

/// A table, and under it what an operator has to know besides.
fn picture(zones: &[SurvivorZone], width: Option<u16>) -> String {
    let rows = zones.iter().map(|zone| {
        [
            zone.zone.clone(),
            zone.site.clone(),
            zone.quorum.clone(),
            zone.live.join(", "),
            zone.held.join(", "),
            zone.wanted.join(", "),
        ]
    });
    let header = ["ZONE", "SITE", "QUORUM", "OTHERS SEEN", "HOLDS", "WANTS"];
    let mut lines = vec![table(header, rows, width)];
    for zone in zones {
        let notes = zone.error.iter().chain(&zone.left_out);
        lines.extend(notes.map(|note| format!("{}: {note}", zone.zone)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_zone_is_a_row_and_its_troubles_follow() {
        let zones: Vec<SurvivorZone> = from_value(json!([
            {"zone": "a.example", "site": "sh", "quorum": "lost", "live": [],
             "held": ["shop: CT (ipv4)"], "wanted": [], "interval_ms": 1,
             "error": "no answer", "left_out": ["shop: CU (ipv4): nobody"]}
        ]))
        .unwrap();
        let expected = "\
ZONE       SITE  QUORUM  HOLDS
a.example  sh    lost    shop: CT (ipv4)
a.example: no answer
a.example: shop: CU (ipv4): nobody";
        assert_eq!(picture(&zones, None), expected);
    }
}
