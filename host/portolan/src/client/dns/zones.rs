//! `portolan dns zones`.

use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::table::{maybe, table};
use super::DNS;
use super::documents;
use super::views::Zone;

/// Prints the zones in which something is wanted.
pub(super) async fn list(session: &Session) -> Result<(), ClientError> {
    let answer = documents::get(session, &format!("{DNS}/zones")).await?;
    session.show(&answer, || {
        Ok(zones_table(
            &answer.read::<Vec<Zone>>("zones")?,
            session.width(),
        ))
    })
}

fn zones_table(zones: &[Zone], width: Option<u16>) -> String {
    let rows = zones.iter().map(|zone| {
        [
            zone.zone.clone(),
            maybe(zone.provider.as_deref()),
            zone.state.clone(),
            zone.records.to_string(),
            zone.services.join(", "),
        ]
    });
    let header = ["ZONE", "PROVIDER", "STATE", "RECORDS", "SERVICES"];
    table(header, rows, width)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_zone_is_a_row() {
        let zones: Vec<Zone> = from_value(json!([
            {"zone": "a.example", "provider": "ali", "state": "in-sync", "records": 3,
             "services": ["mail", "shop"]}
        ]))
        .unwrap();
        let expected = "\
ZONE       PROVIDER  STATE    RECORDS  SERVICES
a.example  ali       in-sync  3        mail, shop";
        assert_eq!(zones_table(&zones, None), expected);
    }
}
