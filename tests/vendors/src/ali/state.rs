//! The stand-in's records and what its actions do with them.

use std::collections::{HashSet, VecDeque};

use serde_json::{Value, json};

use super::AliRecord;
use crate::text::Parameters;

/// The free edition's smallest TTL.
pub(super) const MIN_TTL: u32 = 600;
/// The most records of one name, type and line.
const MAX_RECORDS: usize = 90;

pub(super) struct State {
    pub(super) access_key_id: String,
    pub(super) secret: String,
    pub(super) zones: Vec<String>,
    pub(super) records: Vec<AliRecord>,
    pub(super) next_id: u64,
    pub(super) failures: VecDeque<Failure>,
    pub(super) nonces: HashSet<String>,
}

/// A failure to come.
pub(super) struct Failure {
    pub(super) action: String,
    pub(super) status: u16,
    pub(super) code: String,
    /// Is the request carried out before the failure is answered?
    pub(super) after: bool,
}

/// Status, code and message of an error.
pub(super) type Refusal = (u16, String, String);
pub(super) type Reply = Result<Value, Refusal>;

pub(super) fn refuse<T>(code: &str, message: &str) -> Result<T, Refusal> {
    Err((400, code.to_owned(), message.to_owned()))
}

impl State {
    /// Carries a call out, or fails as a test asked.
    pub(super) fn handle(&mut self, action: &str, parameters: &Parameters) -> Reply {
        let due = self
            .failures
            .iter()
            .position(|f| f.action == action || f.action == "*");
        let failure = due.and_then(|position| self.failures.remove(position));
        if failure.as_ref().is_none_or(|failure| failure.after) {
            let reply = self.act(action, parameters);
            if failure.is_none() {
                return reply;
            }
        }
        let failure = failure.expect("a call without a failure has been answered");
        Err((
            failure.status,
            failure.code,
            "A failure that the test asked for.".to_owned(),
        ))
    }

    fn act(&mut self, action: &str, parameters: &Parameters) -> Reply {
        match action {
            "DescribeDomains" => self.describe_domains(parameters),
            "DescribeDomainInfo" => self.describe_domain_info(parameters),
            "DescribeSupportLines" => self.describe_support_lines(parameters),
            "DescribeDomainRecords" => self.describe_domain_records(parameters),
            "DescribeSubDomainRecords" => self.describe_sub_domain_records(parameters),
            "AddDomainRecord" => self.add_domain_record(parameters),
            "UpdateDomainRecord" => self.update_domain_record(parameters),
            "SetDomainRecordStatus" => self.set_domain_record_status(parameters),
            "DeleteDomainRecord" => self.delete_domain_record(parameters),
            _ => Err((
                404,
                "InvalidAction.NotFound".to_owned(),
                "Specified api is not found, please check your url and method.".to_owned(),
            )),
        }
    }

    fn describe_domains(&self, parameters: &Parameters) -> Reply {
        let domains = self
            .zones
            .iter()
            .map(|zone| json!({ "DomainName": zone, "PunyCode": zone }));
        let (slice, mut reply) = page(parameters, 100, domains.collect())?;
        reply["Domains"] = json!({ "Domain": slice });
        Ok(reply)
    }

    fn describe_domain_info(&self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let mut reply = json!({ "DomainName": zone, "VersionCode": "mianfei" });
        if parameters
            .get("NeedDetailAttributes")
            .is_some_and(|wanted| wanted == "true")
        {
            reply["MinTtl"] = MIN_TTL.into();
        }
        Ok(reply)
    }

    fn describe_support_lines(&self, parameters: &Parameters) -> Reply {
        self.zone(parameters)?;
        let lines = [
            ("default", "Default"),
            ("telecom", "China Telecom"),
            ("unicom", "China Unicom"),
            ("mobile", "China Mobile"),
            ("edu", "China Education Network"),
            ("oversea", "Outside Mainland China"),
            ("cn_unicom_hainan", "China Unicom_Hainan"),
        ];
        let lines = lines.map(
            |(code, name)| json!({ "LineCode": code, "LineName": name, "LineDisplayName": name }),
        );
        Ok(json!({ "RecordLines": { "RecordLine": lines } }))
    }

    fn describe_domain_records(&self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let records = self.records.iter().filter(|record| record.domain == zone);
        // The newest first, as the service lists them.
        let (slice, mut reply) = page(
            parameters,
            500,
            records.rev().map(AliRecord::to_json).collect(),
        )?;
        reply["DomainRecords"] = json!({ "Record": slice });
        Ok(reply)
    }

    fn describe_sub_domain_records(&self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let name = required(parameters, "SubDomain")?;
        let rr = name
            .strip_suffix(&zone)
            .and_then(|rest| rest.strip_suffix('.'));
        let rr = if name == zone { Some("@") } else { rr };
        let Some(rr) = rr else {
            return refuse("InvalidSubdomain", "The subdomain is not of this domain.");
        };
        let records = self
            .records
            .iter()
            .filter(|record| record.domain == zone && record.rr == rr);
        let (slice, mut reply) = page(
            parameters,
            100,
            records.rev().map(AliRecord::to_json).collect(),
        )?;
        reply["DomainRecords"] = json!({ "Record": slice });
        Ok(reply)
    }

    fn add_domain_record(&mut self, parameters: &Parameters) -> Reply {
        let domain = self.zone(parameters)?;
        let fresh = AliRecord {
            domain,
            ..AliRecord::new("", "", "")
        };
        let record = written(parameters, fresh)?;
        self.check(&record)?;
        let alike = |other: &&AliRecord| other.beside(&record) && other.rtype == record.rtype;
        if self.records.iter().filter(alike).count() >= MAX_RECORDS {
            return refuse(
                "QuotaExceeded.Record",
                "The record has been out of MAX count (90).",
            );
        }
        let id = self.new_id();
        self.records.push(AliRecord {
            id: id.clone(),
            ..record
        });
        Ok(json!({ "RecordId": id }))
    }

    fn update_domain_record(&mut self, parameters: &Parameters) -> Reply {
        let position = self.owned(parameters)?;
        let before = &self.records[position];
        // Line and TTL fall back to their defaults where they are left out.
        let reset = AliRecord {
            line: "default".to_owned(),
            ttl: MIN_TTL,
            ..before.clone()
        };
        let record = written(parameters, reset)?;
        if record == *before {
            return refuse("DomainRecordDuplicate", "The DNS record already exists.");
        }
        self.check(&record)?;
        let id = record.id.clone();
        self.records[position] = record;
        Ok(json!({ "RecordId": id }))
    }

    fn set_domain_record_status(&mut self, parameters: &Parameters) -> Reply {
        let position = self.owned(parameters)?;
        let enabled = match required(parameters, "Status")?.as_str() {
            "Enable" => true,
            "Disable" => false,
            _ => return refuse("InvalidStatus", "Status is neither Enable nor Disable."),
        };
        self.records[position].enabled = enabled;
        let status = if enabled { "Enable" } else { "Disable" };
        Ok(json!({ "RecordId": self.records[position].id, "Status": status }))
    }

    fn delete_domain_record(&mut self, parameters: &Parameters) -> Reply {
        let position = self.owned(parameters)?;
        let record = self.records.remove(position);
        Ok(json!({ "RecordId": record.id }))
    }

    /// The zone that the parameters name.
    fn zone(&self, parameters: &Parameters) -> Result<String, Refusal> {
        let name = required(parameters, "DomainName")?;
        if self.zones.contains(&name) {
            return Ok(name);
        }
        refuse(
            "InvalidDomainName.NoExist",
            "The specified domain name does not exist.",
        )
    }

    /// The position of the record that the parameters name and that may be changed.
    fn owned(&self, parameters: &Parameters) -> Result<usize, Refusal> {
        let id = required(parameters, "RecordId")?;
        match self.records.iter().position(|record| record.id == id) {
            None => refuse(
                "DomainRecordNotBelongToUser",
                "The domain record does not belong to this user.",
            ),
            Some(position) if self.records[position].locked => {
                refuse("Forbidden.RecordLocked", "The record is locked.")
            }
            Some(position) => Ok(position),
        }
    }

    /// Can this record stand beside the others?
    fn check(&self, record: &AliRecord) -> Result<(), Refusal> {
        if !(MIN_TTL..=86_400).contains(&record.ttl) {
            return refuse("InvalidTTL", "The TTL is out of the range of this edition.");
        }
        for other in self.records.iter().filter(|other| other.beside(record)) {
            if other.rtype == record.rtype && other.value == record.value {
                return refuse("DomainRecordDuplicate", "The DNS record already exists.");
            }
            if (other.rtype == "CNAME") != (record.rtype == "CNAME") {
                return refuse(
                    "DomainRecordConflict",
                    "The record conflicts with other records.",
                );
            }
        }
        Ok(())
    }

    pub(super) fn new_id(&mut self) -> String {
        self.next_id += 1;
        self.next_id.to_string()
    }
}

/// A record as the parameters of a write say, on top of `base`.
fn written(parameters: &Parameters, base: AliRecord) -> Result<AliRecord, Refusal> {
    let rtype = required(parameters, "Type")?;
    let number = |name: &str| parameters.get(name).and_then(|value| value.parse().ok());
    let priority = number("Priority");
    if rtype == "MX" && priority.is_none() {
        return refuse("MissingPriority", "An MX record needs a priority.");
    }
    Ok(AliRecord {
        rr: required(parameters, "RR")?,
        value: required(parameters, "Value")?,
        line: parameters.get("Line").cloned().unwrap_or(base.line),
        ttl: number("TTL").unwrap_or(base.ttl),
        rtype,
        priority,
        ..base
    })
}

fn required(parameters: &Parameters, name: &str) -> Result<String, Refusal> {
    match parameters.get(name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(value.clone()),
        None => refuse(
            &format!("Missing{name}"),
            &format!("{name} is mandatory for this action."),
        ),
    }
}

/// The page of `items` that was asked for, and the reply's counters.
fn page(
    parameters: &Parameters,
    most: usize,
    items: Vec<Value>,
) -> Result<(Vec<Value>, Value), Refusal> {
    let number = |name: &str, default: usize| match parameters.get(name) {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let (Some(number @ 1..), Some(size @ 1..)) = (number("PageNumber", 1), number("PageSize", 20))
    else {
        return refuse("InvalidPageNumber", "PageNumber or PageSize is not valid.");
    };
    if size > most {
        return refuse("InvalidPageSize", "PageSize is too large.");
    }
    let reply = json!({ "TotalCount": items.len(), "PageNumber": number, "PageSize": size });
    Ok((
        items
            .into_iter()
            .skip((number - 1) * size)
            .take(size)
            .collect(),
        reply,
    ))
}
