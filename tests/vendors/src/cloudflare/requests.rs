//! The stand-in's requests: who asks, what for, and the page of it.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    CloudflareRecord,
    state::{Account, Refusal, Zone},
};
use crate::{
    front::Call,
    text::{Parameters, parameters},
};

type Reply = Result<Value, Refusal>;

/// Carries a request out.
pub(super) fn handle(account: &mut Account, call: &Call) -> Reply {
    authenticate(account, call)?;
    let parameters = parameters(&call.query);
    let nowhere = || {
        let text = format!(
            "Could not route to {}, perhaps your object identifier is invalid?",
            call.path
        );
        Refusal::new(404, 7003, &text)
    };
    let path = call.path.strip_prefix("/client/v4/").ok_or_else(nowhere)?;
    let path: Vec<&str> = path.split('/').collect();
    let zone = match path.as_slice() {
        ["zones"] if call.method == Method::GET => return list_zones(account, &parameters),
        ["zones", zone, "dns_records", ..] => *zone,
        _ => return Err(nowhere()),
    };
    let at = account.zones.iter().position(|known| known.id == zone);
    let at = at.ok_or_else(nowhere)?;
    let body = || -> Reply {
        serde_json::from_slice(&call.body)
            .map_err(|_| Refusal::new(400, 9207, "Request body is invalid."))
    };
    let zone = &account.zones[at];
    let record = match (call.method.as_str(), &path[3..]) {
        ("GET", []) => return list_records(zone, &parameters),
        ("GET", [id]) => zone.records[zone.find(id)?].clone(),
        ("POST", []) => {
            let id = account.new_id();
            account.zones[at].post(id, &body()?)?
        }
        ("POST", ["batch"]) => return batch(account, at, &body()?),
        ("PATCH", [id]) => account.zones[at].patch(id, &body()?)?,
        ("PUT", [id]) => account.zones[at].put(id, &body()?)?,
        ("DELETE", [id]) => {
            account.zones[at].delete(id)?;
            return Ok(json!({ "result": { "id": id } }));
        }
        _ => return Err(nowhere()),
    };
    Ok(json!({ "result": record.to_json() }))
}

fn authenticate(account: &Account, call: &Call) -> Result<(), Refusal> {
    match call.header("authorization").split_once(' ') {
        Some(("Bearer", token)) if token == account.token => Ok(()),
        Some(("Bearer", _)) => Err(Refusal::new(403, 9109, "Invalid access token")),
        Some(_) => Err(Refusal {
            chain: vec![(6111, "Invalid format for Authorization header".to_owned())],
            ..Refusal::new(400, 6003, "Invalid request headers")
        }),
        None => {
            let text = "Missing X-Auth-Key, X-Auth-Email or Authorization headers";
            Err(Refusal::new(400, 9106, text))
        }
    }
}

fn list_zones(account: &Account, parameters: &Parameters) -> Reply {
    let name = parameters.get("name");
    let zones = account.zones.iter();
    let zones = zones.filter(|zone| name.is_none_or(|name| zone.shown == *name));
    page(parameters, (5, 20, 50), zones.map(Zone::to_json).collect())
}

fn list_records(zone: &Zone, parameters: &Parameters) -> Reply {
    let mut filters: Vec<(&str, &String)> = Vec::new();
    for (name, value) in parameters {
        match name.as_str() {
            "page" | "per_page" | "match" | "direction" => {}
            "order"
                if matches!(
                    value.as_str(),
                    "type" | "name" | "content" | "ttl" | "proxied"
                ) => {}
            "name" | "name.exact" | "content" | "content.exact" | "type" | "proxied"
            | "comment.exact" => filters.push((name.trim_end_matches(".exact"), value)),
            _ => {
                return Err(Refusal::new(
                    400,
                    9207,
                    &format!("{name} is not a parameter."),
                ));
            }
        }
    }
    let holds = |record: &CloudflareRecord, (field, value): &(&str, &String)| match *field {
        "name" => record.name.eq_ignore_ascii_case(value),
        "content" => record.content.eq_ignore_ascii_case(value),
        "type" => record.rtype == **value,
        "proxied" => record.proxied.to_string() == **value,
        _ => record.comment.as_ref() == Some(*value),
    };
    let mut records: Vec<&CloudflareRecord> = zone
        .records
        .iter()
        .filter(|record| filters.iter().all(|filter| holds(record, filter)))
        .collect();
    if parameters.get("order").is_some_and(|order| order == "name") {
        records.sort_by(|one, other| one.name.cmp(&other.name));
    }
    let records = records.into_iter().map(CloudflareRecord::to_json);
    page(parameters, (1, 100, 5_000_000), records.collect())
}

/// The page of `items` that was asked for. The sizes are the least, the usual and the largest.
fn page(
    parameters: &Parameters,
    (least, usual, most): (usize, usize, usize),
    items: Vec<Value>,
) -> Reply {
    let number = |name: &str, default: usize| match parameters.get(name) {
        None => Some(default),
        // The official clients write whole numbers with a fraction.
        Some(text) => text.trim_end_matches(".0").parse().ok(),
    };
    let (Some(page @ 1..), Some(size)) = (number("page", 1), number("per_page", usual)) else {
        return Err(Refusal::new(400, 9207, "page or per_page is not a number."));
    };
    if !(least..=most).contains(&size) {
        let text = format!("per_page must be between {least} and {most}.");
        return Err(Refusal::new(400, 9207, &text));
    }
    let total = items.len();
    let items: Vec<Value> = items
        .into_iter()
        .skip((page - 1) * size)
        .take(size)
        .collect();
    let info = json!({
        "page": page, "per_page": size, "count": items.len(), "total_count": total,
        "total_pages": total.div_ceil(size),
    });
    Ok(json!({ "result": items, "result_info": info }))
}

/// Deletes, patches, puts and posts, in this order and as one transaction.
fn batch(account: &mut Account, at: usize, body: &Value) -> Reply {
    let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    let (deletes, patches) = (list("deletes"), list("patches"));
    let (puts, posts) = (list("puts"), list("posts"));
    let count = deletes.len() + patches.len() + puts.len() + posts.len();
    let most = account.zones[at].batch_size();
    if count == 0 || count > most {
        let text = format!("A batch has between 1 and {most} operations.");
        return Err(Refusal::new(400, 9207, &text));
    }
    let id = |operation: &Value| operation["id"].as_str().unwrap_or_default().to_owned();
    let mut zone = account.zones[at].clone();
    let mut made = json!({ "deletes": [], "patches": [], "puts": [], "posts": [] });
    let mut make = |kind: &str, record: CloudflareRecord| {
        if let Some(list) = made[kind].as_array_mut() {
            list.push(record.to_json());
        }
    };
    for delete in &deletes {
        make("deletes", zone.delete(&id(delete))?);
    }
    for patch in &patches {
        make("patches", zone.patch(&id(patch), patch)?);
    }
    for put in &puts {
        make("puts", zone.put(&id(put), put)?);
    }
    for post in &posts {
        make("posts", zone.post(account.new_id(), post)?);
    }
    account.zones[at] = zone;
    Ok(json!({ "result": made }))
}
