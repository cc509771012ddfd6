//! What the service keeps, as it says it.

use serde_json::{Value, json};

use super::state::{Action, HetznerRrSet, Zone, id};

/// When everything here was made.
const CREATED: &str = "2025-11-10T08:00:00Z";

pub(super) fn zone(zone: &Zone) -> Value {
    let secondary = zone.mode == "secondary";
    let primaries = if secondary {
        json!([{ "address": "192.0.2.53", "port": 53 }])
    } else {
        json!([])
    };
    json!({
        "id": zone.id,
        "name": zone.name,
        "created": CREATED,
        "mode": zone.mode,
        "ttl": zone.ttl,
        "labels": {},
        "protection": { "delete": false },
        "status": "ok",
        "record_count": zone.rrsets.values().map(|rrset| rrset.records.len()).sum::<usize>(),
        "registrar": "other",
        "primary_nameservers": primaries,
        "authoritative_nameservers": {
            "assigned": ["hydrogen.ns.hetzner.com.", "oxygen.ns.hetzner.com."],
            "delegated": [],
            "delegation_last_check": CREATED,
            "delegation_status": "unregistered",
        },
    })
}

pub(super) fn rrset(rrset: &HetznerRrSet, zone: u64) -> Value {
    let records = rrset.records.iter();
    json!({
        "id": id(&rrset.name, &rrset.rtype),
        "name": rrset.name,
        "type": rrset.rtype,
        "ttl": rrset.ttl,
        "labels": rrset.labels,
        "protection": { "change": rrset.protected },
        "records": records
            .map(|record| json!({
                "value": record.value,
                "comment": record.comment.clone().unwrap_or_default(),
            }))
            .collect::<Vec<Value>>(),
        "zone": zone,
    })
}

pub(super) fn action(action: &Action) -> Value {
    let running = action.is_running();
    let failure = action.failure.as_ref().filter(|_| !running);
    let status = match (running, failure) {
        (true, _) => "running",
        (false, Some(_)) => "error",
        (false, None) => "success",
    };
    json!({
        "id": action.id,
        "command": action.command,
        "status": status,
        "progress": if running { 0 } else { 100 },
        "started": CREATED,
        "finished": if running { Value::Null } else { json!(CREATED) },
        "resources": [{ "id": action.zone, "type": "zone" }],
        "error": failure.map(|(code, message)| json!({ "code": code, "message": message })),
    })
}

/// One page of a list. `none` where the page is none.
pub(super) fn page(key: &str, all: Vec<Value>, page: usize, per_page: usize) -> Value {
    let total = all.len();
    let last = total.div_ceil(per_page).max(1);
    let items: Vec<Value> = all
        .into_iter()
        .skip((page - 1) * per_page)
        .take(per_page)
        .collect();
    json!({
        key: items,
        "meta": { "pagination": {
            "page": page,
            "per_page": per_page,
            "previous_page": (page > 1).then(|| page - 1),
            "next_page": (page < last).then_some(page + 1),
            "last_page": last,
            "total_entries": total,
        }},
    })
}
