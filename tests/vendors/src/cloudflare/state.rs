//! The stand-in's zones and records, and what its operations do with them.

use serde_json::{Map, Value, json};

use super::{CloudflareRecord, content};

/// The types that can be behind the proxy.
const PROXIABLE: [&str; 3] = ["A", "AAAA", "CNAME"];
/// The most characters that all contents of one name and type have together.
const MAX_CONTENT: usize = 8_192;

/// All that a token can see.
pub(super) struct Account {
    pub(super) token: String,
    pub(super) zones: Vec<Zone>,
    next_id: u128,
}

/// A zone. Cloning it begins a transaction.
#[derive(Clone)]
pub(super) struct Zone {
    pub(super) id: String,
    pub(super) name: String,
    /// Its name in lists of zones: the service writes it in its own script.
    pub(super) shown: String,
    pub(super) plan: String,
    pub(super) status: String,
    pub(super) kind: String,
    pub(super) records: Vec<CloudflareRecord>,
}

/// Why a request is not carried out.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: String,
    pub(super) chain: Vec<(u32, String)>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: u32, message: &str) -> Self {
        Self {
            status,
            code,
            message: message.to_owned(),
            chain: Vec::new(),
        }
    }
}

/// A record that the service does not accept as it is written.
pub(super) fn invalid(code: u32, message: &str) -> Refusal {
    Refusal {
        chain: vec![(code, message.to_owned())],
        ..Refusal::new(400, 1004, "DNS Validation Error")
    }
}

impl Account {
    pub(super) fn new(token: &str, zones: &[&str]) -> Self {
        let mut account = Self {
            token: token.to_owned(),
            zones: Vec::new(),
            next_id: 0x0230_6a6f_3f6a_8a6c,
        };
        for name in zones {
            let zone = Zone {
                id: account.new_id(),
                name: (*name).to_owned(),
                shown: (*name).to_owned(),
                plan: "free".to_owned(),
                status: "active".to_owned(),
                kind: "full".to_owned(),
                records: Vec::new(),
            };
            account.zones.push(zone);
        }
        account
    }

    /// 32 hexadecimal digits in no order.
    pub(super) fn new_id(&mut self) -> String {
        self.next_id += 1;
        let scattered = self
            .next_id
            .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        format!("{scattered:032x}")
    }
}

impl Zone {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "name": self.shown, "status": self.status, "type": self.kind,
            "paused": false, "development_mode": 0, "name_servers": ["bob.ns.example"],
            "original_name_servers": null, "original_registrar": null, "original_dnshost": null,
            "created_on": "2014-01-01T05:20:00.12345Z", "modified_on": "2014-01-01T05:20:00.12345Z",
            "activated_on": "2014-01-02T00:01:00.12345Z",
            "account": { "id": "023e105f4ecef8ad9ca31a8372d0c353", "name": "Example" },
            "owner": { "id": "023e105f4ecef8ad9ca31a8372d0c353", "name": "Example", "type": "user" },
            "meta": { "cdn_only": false, "dns_only": false, "foundation_dns": false, "page_rule_quota": 3 },
            "plan": { "id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "name": self.plan, "legacy_id": self.plan },
        })
    }

    /// The most records that one batch can touch.
    pub(super) fn batch_size(&self) -> usize {
        if self.plan == "free" { 200 } else { 3_500 }
    }

    pub(super) fn find(&self, id: &str) -> Result<usize, Refusal> {
        let found = self.records.iter().position(|record| record.id == id);
        found.ok_or_else(|| Refusal::new(404, 81044, "Record does not exist."))
    }

    pub(super) fn delete(&mut self, id: &str) -> Result<CloudflareRecord, Refusal> {
        let at = self.find(id)?;
        Ok(self.records.remove(at))
    }

    /// Changes what the body says; the rest stays.
    pub(super) fn patch(&mut self, id: &str, body: &Value) -> Result<CloudflareRecord, Refusal> {
        let at = self.find(id)?;
        let record = self.written(body, self.records[at].clone())?;
        self.records[at] = record.clone();
        Ok(record)
    }

    /// Puts a new record in a record's place: what the body leaves out falls back to its default.
    pub(super) fn put(&mut self, id: &str, body: &Value) -> Result<CloudflareRecord, Refusal> {
        let at = self.find(id)?;
        let fresh = CloudflareRecord {
            id: id.to_owned(),
            ..CloudflareRecord::new("", "", "")
        };
        let record = self.written(required(body)?, fresh)?;
        self.records[at] = record.clone();
        Ok(record)
    }

    pub(super) fn post(&mut self, id: String, body: &Value) -> Result<CloudflareRecord, Refusal> {
        let most = match self.plan.as_str() {
            // Of zones that were made before September 2024.
            "free" => 1_000,
            "enterprise" => 1_000_000,
            _ => 3_500,
        };
        if self.records.len() >= most {
            return Err(Refusal::new(400, 81045, "Record quota exceeded."));
        }
        let fresh = CloudflareRecord {
            id,
            ..CloudflareRecord::new("", "", "")
        };
        let record = self.written(required(body)?, fresh)?;
        self.records.push(record.clone());
        Ok(record)
    }

    /// A record as a body says, on top of `base`, where it can stand beside the others.
    fn written(&self, body: &Value, base: CloudflareRecord) -> Result<CloudflareRecord, Refusal> {
        let text = |field: &str| body[field].as_str().map(str::to_owned);
        let name = text("name").map_or(base.name, |name| self.whole_name(&name));
        let rtype = text("type").unwrap_or(base.rtype);
        let data = body.get("data").cloned().unwrap_or(base.data);
        let content = text("content").unwrap_or(base.content);
        let content = content::kept(&rtype, &content, &data)?;
        let priority = match body.get("priority") {
            Some(priority) => priority.as_u64().and_then(|it| u16::try_from(it).ok()),
            None => base.priority,
        };
        if rtype == "MX" && priority.is_none() {
            return Err(invalid(9100, "priority is a required field."));
        }
        let proxied = body["proxied"].as_bool().unwrap_or(base.proxied);
        if proxied && !PROXIABLE.contains(&rtype.as_str()) {
            return Err(invalid(9041, "This DNS record cannot be proxied."));
        }
        let ttl = body
            .get("ttl")
            .map_or(Some(u64::from(base.ttl)), Value::as_u64);
        let record = CloudflareRecord {
            name,
            priority: priority.filter(|_| rtype == "MX"),
            content,
            ttl: self.ttl(ttl, proxied)?,
            proxied,
            comment: match body.get("comment") {
                Some(comment) => comment.as_str().map(str::to_owned),
                None => base.comment,
            },
            tags: match body["tags"].as_array() {
                Some(tags) => self.tags(tags)?,
                None => base.tags,
            },
            settings: merged(base.settings, &body["settings"]),
            data: if matches!(rtype.as_str(), "SRV" | "CAA") {
                data
            } else {
                Value::Null
            },
            rtype,
            id: base.id,
        };
        self.check(&record)?;
        Ok(record)
    }

    /// A proxied record has no TTL of its own.
    fn ttl(&self, ttl: Option<u64>, proxied: bool) -> Result<u32, Refusal> {
        let least = if self.plan == "enterprise" { 30 } else { 60 };
        match ttl.and_then(|ttl| u32::try_from(ttl).ok()) {
            Some(ttl) if ttl == 1 || (least..=86_400).contains(&ttl) => {
                Ok(if proxied { 1 } else { ttl })
            }
            _ => {
                let text =
                    format!("TTL must be between {least} and 86400 seconds, or 1 for Automatic.");
                Err(invalid(9021, &text))
            }
        }
    }

    fn tags(&self, tags: &[Value]) -> Result<Vec<String>, Refusal> {
        let quota = if self.plan == "free" { 0 } else { 20 };
        if tags.len() > quota {
            let count = tags.len();
            let text = format!("DNS record has {count} tags, exceeding the quota of {quota}.");
            return Err(invalid(9300, &text));
        }
        let texts = tags.iter().filter_map(Value::as_str);
        Ok(texts.map(str::to_owned).collect())
    }

    /// Can this record stand beside the others?
    fn check(&self, record: &CloudflareRecord) -> Result<(), Refusal> {
        let addresses = ["A", "AAAA"];
        let mut length = record.content.len();
        for other in &self.records {
            if other.id == record.id || other.name != record.name {
                continue;
            }
            let (one, two) = (record.rtype.as_str(), other.rtype.as_str());
            if one == "CNAME" && (two == "CNAME" || addresses.contains(&two)) {
                let text = "An A, AAAA, or CNAME record with that host already exists.";
                return Err(Refusal::new(400, 81053, text));
            }
            if two == "CNAME" && addresses.contains(&one) {
                let text = "A CNAME record with that host already exists.";
                return Err(Refusal::new(400, 81054, text));
            }
            if (one == "NS" && two == "CNAME") || (one == "CNAME" && two == "NS") {
                let text = "NS records with that host already exist.";
                return Err(Refusal::new(400, 81056, text));
            }
            if one == two {
                if other.content == record.content && other.priority == record.priority {
                    let text = "An identical record already exists.";
                    return Err(Refusal::new(400, 81058, text));
                }
                length += other.content.len();
            }
        }
        if length > MAX_CONTENT {
            return Err(invalid(
                9208,
                "The combined content of records exceeds 8192 characters.",
            ));
        }
        Ok(())
    }

    /// The service completes a name that is not the zone's or below it.
    fn whole_name(&self, name: &str) -> String {
        let name = name.to_lowercase();
        if name == "@" || name == self.name {
            self.name.clone()
        } else if name.ends_with(&format!(".{}", self.name)) {
            name
        } else {
            format!("{name}.{}", self.name)
        }
    }
}

/// A body that makes a whole record.
fn required(body: &Value) -> Result<&Value, Refusal> {
    for field in ["name", "type", "ttl"] {
        if body[field].is_null() {
            return Err(invalid(9100, &format!("{field} is a required field.")));
        }
    }
    Ok(body)
}

fn merged(base: Value, change: &Value) -> Value {
    let mut settings = base.as_object().cloned().unwrap_or_else(Map::new);
    settings.extend(change.as_object().cloned().unwrap_or_default());
    settings.into()
}

impl CloudflareRecord {
    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({
            "id": self.id, "name": self.name, "type": self.rtype, "content": self.content,
            "proxiable": PROXIABLE.contains(&self.rtype.as_str()), "proxied": self.proxied,
            // Also where it was put in past the API.
            "ttl": if self.proxied { 1 } else { self.ttl },
            "settings": self.settings, "meta": {}, "comment": self.comment, "tags": self.tags,
            "created_on": "2014-01-01T05:20:00.12345Z", "modified_on": "2014-01-01T05:20:00.12345Z",
        });
        if let Some(priority) = self.priority {
            json["priority"] = priority.into();
        }
        if !self.data.is_null() {
            json["data"] = self.data.clone();
        }
        json
    }
}
