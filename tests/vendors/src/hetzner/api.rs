//! What the service answers.

use hyper::Method;
use serde_json::{Value, json};

use super::state::{Effect, HetznerRecord, HetznerRrSet, State, Zone, id};
use super::{json as say, rules};
use crate::front::{Answer, Call};
use crate::text::{pairs, unescape};

/// An answer, or a refusal.
type Reply = Result<Answer, Answer>;

/// An answer that says why a request was not carried out.
pub(super) fn refuse(status: u16, code: &str, message: &str) -> Answer {
    let error = json!({ "code": code, "message": message, "details": null });
    Answer::json(status, &json!({ "error": error }))
}

fn not_found(what: &str) -> Answer {
    refuse(404, "not_found", &format!("{what} not found"))
}

fn invalid((field, why): rules::Wrong) -> Answer {
    let message = format!("invalid input in field '{field}': {why}");
    let details = json!({ "fields": [{ "name": field, "messages": [why] }] });
    let error = json!({ "code": "invalid_input", "message": message, "details": details });
    Answer::json(422, &json!({ "error": error }))
}

/// Answers a request of the project.
pub(super) fn answer(state: &mut State, call: &Call) -> Reply {
    let path: Vec<String> = call.path.split('/').skip(1).map(unescape).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let body = || -> Result<Value, Answer> {
        let wrong = |error: serde_json::Error| refuse(400, "json_error", &error.to_string());
        serde_json::from_slice(&call.body).map_err(wrong)
    };
    match (call.method.clone(), path.as_slice()) {
        (Method::GET, ["v1", "zones"]) => {
            let zones = state.zones.iter().map(say::zone).collect();
            list(call, "zones", zones, 50)
        }
        (Method::GET, ["v1", "actions", id]) => {
            let action = state
                .actions
                .iter()
                .find(|action| action.id.to_string() == *id);
            let action = action.ok_or_else(|| not_found("action"))?;
            Ok(Answer::json(200, &json!({ "action": say::action(action) })))
        }
        (Method::GET, ["v1", "zones", zone]) => {
            let zone = say::zone(found(state, zone)?);
            Ok(Answer::json(200, &json!({ "zone": zone })))
        }
        (method, ["v1", "zones", zone, "rrsets", rest @ ..]) => {
            let place = found(state, zone)?.id;
            let zone = primary(state, place)?;
            match (method, rest) {
                (Method::GET, []) => rrsets(zone, call),
                (Method::GET, [name, rtype]) => {
                    let rrset = say::rrset(named(zone, name, rtype)?, place);
                    Ok(Answer::json(200, &json!({ "rrset": rrset })))
                }
                (Method::POST, []) => create(state, place, &body()?),
                (Method::PUT, [name, rtype]) => label(state, place, &id(name, rtype), &body()?),
                (Method::DELETE, [name, rtype]) => {
                    let rrset = changeable(state, place, name, rtype)?;
                    let id = id(&rrset.name, &rrset.rtype);
                    begin(state, "delete_rrset", place, Effect::Remove { id })
                }
                (Method::POST, [name, rtype, "actions", action]) => {
                    act(state, place, name, rtype, action, &body()?)
                }
                _ => Err(not_found("page")),
            }
        }
        _ => Err(not_found("page")),
    }
}

fn found<'a>(state: &'a State, id_or_name: &str) -> Result<&'a Zone, Answer> {
    let zone = state
        .zones
        .iter()
        .find(|zone| zone.name == id_or_name || zone.id.to_string() == id_or_name);
    zone.ok_or_else(|| not_found("zone"))
}

fn primary(state: &State, place: u64) -> Result<&Zone, Answer> {
    let zone = state.zones.iter().find(|zone| zone.id == place);
    let zone = zone.ok_or_else(|| not_found("zone"))?;
    if zone.mode == "primary" {
        return Ok(zone);
    }
    let why = "this operation is not supported for this zone's mode";
    Err(refuse(422, "incorrect_zone_mode", why))
}

fn named<'a>(zone: &'a Zone, name: &str, rtype: &str) -> Result<&'a HetznerRrSet, Answer> {
    zone.rrsets
        .get(&id(name, rtype))
        .ok_or_else(|| not_found("rrset"))
}

/// One page of a list, as the query asks for it.
fn list(call: &Call, key: &str, all: Vec<Value>, most: usize) -> Reply {
    let query = pairs(&call.query);
    let number = |name: &'static str, usual: usize, most: usize| {
        let given = query.iter().find(|(key, _)| key == name);
        let given = given.map_or(Ok(usual), |(_, text)| text.parse());
        given
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| invalid((name, format!("must be between 1 and {most}"))))
    };
    let page = number("page", 1, usize::MAX)?;
    let per_page = number("per_page", 25, most)?;
    Ok(Answer::json(200, &say::page(key, all, page, per_page)))
}

fn rrsets(zone: &Zone, call: &Call) -> Reply {
    let query = pairs(&call.query);
    let asked = |name: &str| -> Vec<&str> {
        let values = query.iter().filter(|(key, _)| key == name);
        values.map(|(_, value)| value.as_str()).collect()
    };
    let (names, types) = (asked("name"), asked("type"));
    let fits = |list: &[&str], value: &str| list.is_empty() || list.contains(&value);
    let rrsets = zone.rrsets.values();
    let rrsets = rrsets.filter(|rrset| fits(&names, &rrset.name) && fits(&types, &rrset.rtype));
    let rrsets = rrsets.map(|rrset| say::rrset(rrset, zone.id)).collect();
    list(call, "rrsets", rrsets, 100)
}

/// Refuses where another action is under way.
fn unlocked(state: &State, place: u64) -> Result<(), Answer> {
    if state
        .actions
        .iter()
        .any(|action| action.zone == place && action.is_running())
    {
        return Err(refuse(
            423,
            "locked",
            "zone is locked, an action is already running",
        ));
    }
    Ok(())
}

fn changeable(state: &State, place: u64, name: &str, rtype: &str) -> Result<HetznerRrSet, Answer> {
    let rrset = named(primary(state, place)?, name, rtype)?.clone();
    unlocked(state, place)?;
    if rrset.protected {
        return Err(refuse(403, "protected", "rrset is change protected"));
    }
    Ok(rrset)
}

fn begin(state: &mut State, command: &'static str, place: u64, effect: Effect) -> Reply {
    let action = say::action(state.begin(command, place, effect));
    Ok(Answer::json(201, &json!({ "action": action })))
}

/// The set that a request describes.
fn described(zone: &Zone, body: &Value) -> Result<HetznerRrSet, rules::Wrong> {
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    let (name, rtype) = (text("name"), text("type"));
    rules::name(name, &zone.name)?;
    rules::rtype(rtype)?;
    let mut rrset = HetznerRrSet::new(name, rtype, &[]);
    rrset.ttl = rules::ttl(&body["ttl"])?;
    rrset.records = rules::records(rtype, &body["records"])?;
    for (key, value) in body["labels"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().to_owned();
        rrset.labels.insert(key.clone(), value);
    }
    rules::clash(zone, &rrset)?;
    Ok(rrset)
}

fn create(state: &mut State, place: u64, body: &Value) -> Reply {
    let zone = primary(state, place)?;
    let rrset = described(zone, body).map_err(invalid)?;
    if zone.rrsets.contains_key(&id(&rrset.name, &rrset.rtype)) {
        let why = "rrset with the same name and type already exists";
        return Err(refuse(409, "uniqueness_error", why));
    }
    unlocked(state, place)?;
    let said = say::rrset(&rrset, place);
    let action = say::action(state.begin("create_rrset", place, Effect::Put(rrset)));
    Ok(Answer::json(
        201,
        &json!({ "rrset": said, "action": action }),
    ))
}

/// Labels are no DNS, so they change at once.
fn label(state: &mut State, place: u64, id: &str, body: &Value) -> Reply {
    let zone = state.zones.iter_mut().find(|zone| zone.id == place);
    let rrset = zone.and_then(|zone| zone.rrsets.get_mut(id));
    let rrset = rrset.ok_or_else(|| not_found("rrset"))?;
    if let Some(labels) = body["labels"].as_object() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = labels.iter().map(|(key, value)| (key.clone(), text(value)));
        rrset.labels = labels.collect();
    }
    let said = say::rrset(rrset, place);
    Ok(Answer::json(200, &json!({ "rrset": said })))
}

fn act(
    state: &mut State,
    place: u64,
    name: &str,
    rtype: &str,
    action: &str,
    body: &Value,
) -> Reply {
    if action == "change_protection" {
        let mut rrset = named(primary(state, place)?, name, rtype)?.clone();
        unlocked(state, place)?;
        rrset.protected = body["change"].as_bool().unwrap_or(rrset.protected);
        return begin(state, "change_protection", place, Effect::Put(rrset));
    }
    let mut rrset = match changeable(state, place, name, rtype) {
        Err(answer) if answer.status == 404 && action == "add_records" => {
            let body = json!({
                "name": name, "type": rtype, "ttl": body["ttl"], "records": body["records"],
            });
            return create(state, place, &body);
        }
        rrset => rrset?,
    };
    if action == "change_ttl" {
        rrset.ttl = rules::ttl(&body["ttl"]).map_err(invalid)?;
        return begin(state, "change_ttl", place, Effect::Put(rrset));
    }
    let given = rules::records(rtype, &body["records"]).map_err(invalid)?;
    let is_given = |record: &HetznerRecord| given.iter().any(|other| other.value == record.value);
    let command = match action {
        "set_records" => {
            rrset.records = given;
            "set_records"
        }
        "add_records" => {
            if rrset.records.iter().any(is_given) {
                return Err(refuse(409, "uniqueness_error", "record already exists"));
            }
            rrset.records.extend(given);
            "add_records"
        }
        "remove_records" => {
            rrset.records.retain(|record| !is_given(record));
            "remove_records"
        }
        "update_records" => {
            for record in &mut rrset.records {
                if let Some(new) = given.iter().find(|new| new.value == record.value) {
                    record.comment.clone_from(&new.comment);
                }
            }
            "update_records"
        }
        _ => return Err(not_found("page")),
    };
    let effect = if rrset.records.is_empty() {
        Effect::Remove {
            id: id(name, rtype),
        }
    } else {
        Effect::Put(rrset)
    };
    begin(state, command, place, effect)
}
