//! What to do about each change, and in which order. Pure.

use portolan_plugin::{
    dns::{Change, Error, Outcome},
    sets::{Standing, same, show, standing},
};

use crate::set::{Place, Set, State, place};

/// What becomes of one change.
#[derive(Debug)]
pub(crate) enum Plan<'a> {
    /// Nothing is to be written.
    Settled(Outcome),
    /// A set is to be added.
    Create,
    /// This set is to get other values or another TTL, to be switched on, or both in this order: what
    /// it had when it was switched off is never served again.
    Update {
        set: &'a Set,
        write: bool,
        enable: bool,
    },
    /// This set is to be deleted.
    Delete(&'a Set),
}

/// Decides on one change, given the sets that stand now.
pub(crate) fn plan<'a>(change: &Change, sets: &'a [Set]) -> Result<Plan<'a>, Error> {
    let conflict = |reason: String| {
        let shown = change.after.as_ref().or(change.before.as_ref()).map(show);
        Error::Conflict(format!("{}: {reason}", shown.unwrap_or_default()))
    };
    let current = match place(&change.key, sets) {
        Place::Free => None,
        Place::One(set) => Some((set, set.record_set())),
        Place::Closed(reason) => {
            return Err(conflict(format!(
                "{reason}, which is not managed from here; look at it in the Huawei Cloud console"
            )));
        }
    };
    match standing(change, current.as_ref().map(|(_, told)| told)) {
        Standing::AsWanted => return Ok(Plan::Settled(Outcome::Already)),
        Standing::Moved => return Ok(Plan::Settled(Outcome::Stale)),
        Standing::AsBefore => {}
    }
    let Some((set, mut told)) = current else {
        return Ok(Plan::Create);
    };
    if set.state() == State::Frozen {
        return Err(conflict(format!(
            "the service has frozen the set {}; ask its support why",
            set.id
        )));
    }
    let Some(after) = &change.after else {
        return Ok(Plan::Delete(set));
    };
    let enable = set.state() == State::Paused;
    for value in &mut told.values {
        value.enabled = true;
    }
    Ok(Plan::Update {
        set,
        // A set whose last change failed is written again, even where it looks right.
        write: !(enable && same(&told, after)),
        enable,
    })
}

/// The ranks of changes, in the order in which they are made: what is written before what is deleted,
/// but a CNAME, beside which nothing else can stand, right before its successor, and before one comes
/// the others go.
pub(crate) const RANKS: std::ops::RangeInclusive<u8> = 0..=3;

/// When this one of the changes is made.
pub(crate) fn rank(change: &Change, changes: &[Change]) -> u8 {
    let is_cname = |change: &Change| change.key.rtype == "CNAME";
    let gives_way = changes.iter().any(|other| {
        other.key.name == change.key.name
            && other.key.line == change.key.line
            && is_cname(other) != is_cname(change)
            && other.after.is_none() != change.after.is_none()
    });
    match (change.after.is_some(), gives_way) {
        (true, false) => 0,
        (false, true) => 1,
        (true, true) => 2,
        (false, false) => 3,
    }
}

#[cfg(test)]
mod tests {
    use portolan_plugin::testing::{create, delete, set, update};

    use super::*;

    fn standing_set(status: &str, address: &str) -> Set {
        serde_json::from_value(serde_json::json!({
            "id": "1", "name": "www.example.com.", "type": "A", "ttl": 600, "records": [address],
            "line": "default_view", "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_paused_set_is_written_before_it_is_switched_on() {
        let paused = [standing_set("DISABLE", "192.0.2.1")];
        let before = paused[0].record_set();
        let steps = |address: &str| {
            let wanted = set("www.example.com", "A", &[address]);
            match plan(&update(before.clone(), wanted), &paused).unwrap() {
                Plan::Update { write, enable, .. } => (write, enable),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(steps("192.0.2.1"), (false, true));
        assert_eq!(steps("192.0.2.2"), (true, true));
    }

    #[test]
    fn a_set_whose_change_failed_is_written_again() {
        let failed = [standing_set("ERROR", "192.0.2.1")];
        let wanted = set("www.example.com", "A", &["192.0.2.1"]);
        let change = update(failed[0].record_set(), wanted);
        assert!(matches!(
            plan(&change, &failed),
            Ok(Plan::Update {
                write: true,
                enable: false,
                ..
            })
        ));
    }

    #[test]
    fn a_frozen_set_is_left_alone() {
        let frozen = [standing_set("FREEZE", "192.0.2.1")];
        let change = delete(frozen[0].record_set());
        assert!(
            matches!(plan(&change, &frozen), Err(Error::Conflict(text)) if text.contains("frozen"))
        );
    }

    #[test]
    fn a_set_that_is_being_deleted_does_not_stand_any_more() {
        let leaving = [standing_set("PENDING_DELETE", "192.0.2.1")];
        let change = delete(leaving[0].record_set());
        assert!(matches!(
            plan(&change, &leaving),
            Ok(Plan::Settled(Outcome::Already))
        ));
        let change = create(set("www.example.com", "A", &["192.0.2.1"]));
        assert!(matches!(plan(&change, &leaving), Ok(Plan::Create)));
    }

    #[test]
    fn deletes_come_last_save_for_what_stands_in_the_way() {
        let on_line = |mut set: portolan_plugin::dns::RecordSet, line: &str| {
            set.key.line = line.to_owned();
            set
        };
        let changes = [
            delete(set("gone.example.com", "A", &["192.0.2.1"])),
            create(set("www.example.com", "A", &["192.0.2.1"])),
            delete(set("www.example.com", "CNAME", &["x.example.net"])),
            delete(on_line(
                set("www.example.com", "CNAME", &["x.example.net"]),
                "CT",
            )),
            create(set("new.example.com", "A", &["192.0.2.1"])),
        ];
        let ranks: Vec<u8> = changes.iter().map(|c| rank(c, &changes)).collect();
        assert_eq!(ranks, [3, 2, 1, 3, 0]);
    }
}
