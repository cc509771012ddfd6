//! The calls.

use hyper::Method;
use serde_json::{Value, json};

use crate::front::Call;
use crate::text::{Parameters, parameters};

use super::rules::check;
use super::state::{HuaweiSet, Refusal, State, refuse};

/// Lines of the service: id, the one above it, name.
const LINES: [(&str, &str, &str); 8] = [
    ("default_view", "DEFAULT", "Default"),
    ("Dianxin", "ISP", "China Telecom"),
    ("Dianxin_Hainan", "Dianxin_Huanan", "China Telecom_Hainan"),
    ("Liantong", "ISP", "China Unicom"),
    ("Yidong", "ISP", "China Mobile"),
    ("Jiaoyuwang", "ISP", "CERNET"),
    ("CN", "REGION", "Chinese Mainland"),
    ("Abroad", "REGION", "Global"),
];
/// A line of the account's own.
const OWN_LINE: &str = "CustomLine_office";
/// The most sets of a call that changes several.
const MAX_TOGETHER: usize = 50;

type Answered = Result<(u16, Value), Refusal>;

pub(super) fn answer(state: &mut State, call: &Call) -> Answered {
    let query = parameters(&call.query);
    let body: Value = if call.body.is_empty() {
        json!({})
    } else if call.header("content-type").starts_with("application/json") {
        serde_json::from_slice(&call.body).unwrap_or(Value::Null)
    } else {
        Value::Null
    };
    if !body.is_object() {
        return refuse(400, "DNS.0002", "Invalid request.");
    }
    let parts: Vec<&str> = call.path.split('/').skip(1).collect();
    match (&call.method, parts.as_slice()) {
        (&Method::GET, ["v2", "zones"]) => zones(state, &query),
        (&Method::GET, ["v2.1", "system-lines"]) => system_lines(&query),
        (&Method::GET, ["v2.1", "customlines"]) => own_lines(state, &query),
        (&Method::GET, ["v2.1", "recordsets"]) => record_sets(state, &query),
        (&Method::POST, ["v2.1", "zones", zone, "recordsets"]) => create(state, zone, &body),
        (&Method::PUT, ["v2.1", "zones", zone, "recordsets"]) => update_several(state, zone, &body),
        (&Method::PUT, ["v2.1", "zones", zone, "recordsets", id]) => update(state, zone, id, &body),
        (&Method::DELETE, ["v2.1", "zones", zone, "recordsets", id]) => delete(state, zone, id),
        (&Method::PUT, ["v2.1", "recordsets", id, "statuses", "set"]) => switch(state, id, &body),
        _ => refuse(
            404,
            "APIGW.0101",
            "The API does not exist or has not been published.",
        ),
    }
}

/// One page of `items`, as `name`.
fn page(query: &Parameters, name: &str, most: usize, items: Vec<Value>) -> Answered {
    let number = |name: &str, usual: usize| match query.get(name) {
        None => Some(usual),
        Some(text) => text.parse::<usize>().ok(),
    };
    let Some(limit) = number("limit", most).filter(|limit| *limit <= most) else {
        return refuse(400, "DNS.0006", "The limit parameter is invalid.");
    };
    let Some(offset) = number("offset", 0) else {
        return refuse(400, "DNS.0017", "The offset parameter is invalid.");
    };
    let total = items.len();
    let shown: Vec<Value> = items.into_iter().skip(offset).take(limit).collect();
    let body = json!({
        "links": { "self": "https://Endpoint" }, name: shown, "metadata": { "total_count": total },
    });
    Ok((200, body))
}

/// Does a name fit the filter? Names have their trailing dots, and only a part of one need be given.
fn fits(query: &Parameters, name: &str) -> bool {
    let exact = query.get("search_mode").is_some_and(|mode| mode == "equal");
    query.get("name").is_none_or(|wanted| {
        if exact {
            name == wanted
        } else {
            name.contains(wanted.as_str())
        }
    })
}

fn zones(state: &State, query: &Parameters) -> Answered {
    let kind = query.get("type").map_or("public", String::as_str);
    let zones = state.zones.iter().filter(|zone| zone.kind == kind);
    let shown = zones
        .filter(|zone| fits(query, &format!("{}.", zone.name)))
        .map(|zone| {
            json!({
                "id": zone.id, "name": format!("{}.", zone.name), "zone_type": zone.kind,
                "status": "ACTIVE", "email": "hwclouds.cs@huawei.com", "ttl": 300, "serial": 1,
                "record_num": 2, "description": "", "masters": [], "enterprise_project_id": "0",
            })
        });
    page(query, "zones", 500, shown.collect())
}

fn system_lines(query: &Parameters) -> Answered {
    let line = |(id, father, name): (&str, &str, &str)| json!({ "id": id, "father_id": father, "name": name });
    page(query, "lines", 1_000, LINES.map(line).to_vec())
}

fn own_lines(state: &State, query: &Parameters) -> Answered {
    if !state.shows_own_lines {
        let message = "You do not have the permission to perform this operation using the API.";
        return refuse(403, "DNS.0013", message);
    }
    let line = json!({ "line_id": OWN_LINE, "name": "Office", "status": "ACTIVE" });
    page(query, "lines", 3_000, vec![line])
}

fn record_sets(state: &State, query: &Parameters) -> Answered {
    let zone = match query.get("zone_id") {
        Some(id) => Some(state.zone(id)?),
        None => None,
    };
    // The newest ones first.
    let sets = state.sets.iter().rev().filter(|set| {
        zone.is_none_or(|zone| zone.name == set.zone)
            && fits(query, &set.name)
            && query.get("type").is_none_or(|rtype| *rtype == set.rtype)
    });
    let shown = sets.map(|set| state.shown(set)).collect();
    page(query, "recordsets", 500, shown)
}

/// What a body says, on top of `base`. Whatever it leaves out stays.
fn written(body: &Value, base: HuaweiSet) -> Result<HuaweiSet, Refusal> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| body.get(name).filter(|value| !value.is_null());
    let ttl = match number("ttl") {
        None => base.ttl,
        // What does not fit is out of range, too.
        Some(ttl) => ttl
            .as_u64()
            .and_then(|ttl| u32::try_from(ttl).ok())
            .unwrap_or(0),
    };
    let weight = match number("weight") {
        None => base.weight,
        Some(weight) => weight
            .as_u64()
            .and_then(|weight| u32::try_from(weight).ok()),
    };
    let records = match body.get("records") {
        None | Some(Value::Null) => base.records,
        Some(Value::Array(records)) if records.iter().all(Value::is_string) => {
            let texts = records.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        Some(_) => return refuse(400, "DNS.0308", "Invalid record set value."),
    };
    Ok(HuaweiSet {
        name: text("name").map_or(base.name, |name| name.to_ascii_lowercase()),
        rtype: text("type").unwrap_or(base.rtype),
        line: text("line").unwrap_or(base.line),
        description: text("description").unwrap_or(base.description),
        ttl,
        weight,
        records,
        ..base
    })
}

fn create(state: &mut State, zone: &str, body: &Value) -> Answered {
    let zone = state.zone(zone)?.name.clone();
    let blank = HuaweiSet {
        zone,
        // Without a weight of its own, a set stands alone under its name, type and line.
        weight: None,
        ..HuaweiSet::new("", "", &[])
    };
    let set = written(body, blank)?;
    let known = LINES.iter().any(|(id, ..)| *id == set.line) || set.line == OWN_LINE;
    if !known {
        return refuse(400, "DNS.0806", "This resolution line is not supported.");
    }
    check(&set, &state.sets)?;
    let weight = set.weight.or(Some(1));
    let id = state.add(HuaweiSet { weight, ..set });
    Ok((202, state.begin(&id, "PENDING_CREATE")))
}

/// The set of a zone, if it can be changed now.
fn steady(state: &State, zone: &str, id: &str) -> Result<HuaweiSet, Refusal> {
    let zone = state.zone(zone)?;
    let set = state
        .sets
        .iter()
        .find(|set| set.id == id && set.zone == zone.name);
    match set {
        None => refuse(404, "DNS.0313", "This record set does not exist."),
        Some(set) if !matches!(set.status.as_str(), "ACTIVE" | "DISABLE" | "ERROR") => {
            refuse(409, "DNS.0314", "The record set is not in a steady state.")
        }
        Some(set) => Ok(set.clone()),
    }
}

/// The set as it shall be.
fn changed(state: &State, zone: &str, id: &str, body: &Value) -> Result<HuaweiSet, Refusal> {
    let set = steady(state, zone, id)?;
    if set.system {
        let message = "This record set is a default one and cannot be updated.";
        return refuse(409, "DNS.0318", message);
    }
    let after = written(body, set.clone())?;
    if after.name != set.name {
        return refuse(400, "DNS.0304", "Invalid record set name.");
    }
    if after.rtype != set.rtype {
        return refuse(400, "DNS.0307", "Invalid record set type.");
    }
    // The line of a set cannot be changed, and a body that says one is not read for it.
    let after = HuaweiSet {
        line: set.line,
        ..after
    };
    check(&after, &state.sets)?;
    Ok(after)
}

fn put(state: &mut State, after: HuaweiSet) -> Value {
    let id = after.id.clone();
    let set = state.set(&id).expect("the set that was just looked up");
    let pending = if set.status == "DISABLE" {
        "PENDING_DISABLE"
    } else {
        "PENDING_UPDATE"
    };
    *set = after;
    state.begin(&id, pending)
}

fn update(state: &mut State, zone: &str, id: &str, body: &Value) -> Answered {
    let after = changed(state, zone, id, body)?;
    Ok((202, put(state, after)))
}

fn update_several(state: &mut State, zone: &str, body: &Value) -> Answered {
    let Some(wanted) = body.get("recordsets").and_then(Value::as_array) else {
        return refuse(400, "DNS.0002", "Invalid request.");
    };
    if wanted.is_empty() || wanted.len() > MAX_TOGETHER {
        return refuse(400, "DNS.0002", "Invalid request.");
    }
    let mut all = Vec::new();
    for body in wanted {
        let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
        // Unlike in the call for one set, what is left out gets its default.
        let mut whole = json!({ "ttl": 300, "description": "", "weight": 1 });
        for (name, value) in body.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        if whole.get("records").is_none() {
            return refuse(400, "DNS.0308", "Invalid record set value.");
        }
        all.push(changed(state, zone, id, &whole)?);
    }
    let shown: Vec<Value> = all.into_iter().map(|after| put(state, after)).collect();
    let body = json!({ "metadata": { "total_count": shown.len() }, "recordsets": shown });
    Ok((202, body))
}

fn delete(state: &mut State, zone: &str, id: &str) -> Answered {
    if steady(state, zone, id)?.system {
        let message = "This record set is a default one and cannot be deleted.";
        return refuse(409, "DNS.0317", message);
    }
    Ok((202, state.begin(id, "PENDING_DELETE")))
}

fn switch(state: &mut State, id: &str, body: &Value) -> Answered {
    let pending = match body.get("status").and_then(Value::as_str) {
        Some("ENABLE") => "PENDING_UPDATE",
        Some("DISABLE") => "PENDING_DISABLE",
        _ => return refuse(400, "DNS.0315", "Invalid status."),
    };
    let zone_name = match state.set(id) {
        Some(set) => set.zone.clone(),
        None => return refuse(404, "DNS.0313", "This record set does not exist."),
    };
    let zone = state.zones.iter().find(|zone| zone.name == zone_name);
    let zone = zone.map(|zone| zone.id.clone()).unwrap_or_default();
    steady(state, &zone, id)?;
    Ok((202, state.begin(id, pending)))
}
