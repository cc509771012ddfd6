//! The stand-in's records and what its actions do with them.

use serde_json::{Value, json};

use super::{
    DnspodRecord,
    checks::{LINES, PACKAGES, as_kept, check_name, check_value, line_id},
    parameters::{Parameters, page},
};

/// The largest TTL.
const MAX_TTL: u64 = 604_800;

pub(super) struct State {
    pub(super) secret_id: String,
    pub(super) secret_key: String,
    zones: Vec<Zone>,
    pub(super) records: Vec<DnspodRecord>,
    next_id: u64,
    pub(super) now: Option<u64>,
}

struct Zone {
    name: String,
    /// Its position among the packages.
    package: usize,
}

/// Code and message of an error.
pub(super) type Refusal = (String, String);
type Reply = Result<Value, Refusal>;

pub(super) fn refuse<T>(code: &str, message: &str) -> Result<T, Refusal> {
    Err((code.to_owned(), message.to_owned()))
}

const CREATE: &[&str] = &[
    "Domain",
    "RecordType",
    "RecordLine",
    "Value",
    "DomainId",
    "SubDomain",
    "RecordLineId",
    "MX",
    "TTL",
    "Weight",
    "Status",
    "Remark",
    "DnssecConflictMode",
    "GroupId",
];
const MODIFY: &[&str] = &[
    "Domain",
    "RecordType",
    "RecordLine",
    "Value",
    "RecordId",
    "DomainId",
    "SubDomain",
    "RecordLineId",
    "MX",
    "TTL",
    "Weight",
    "Status",
    "Remark",
    "DnssecConflictMode",
];

impl State {
    pub(super) fn new(secret_id: &str, secret_key: &str, zones: &[&str]) -> Self {
        let zone = |(index, name): (usize, &&str)| Zone {
            name: (*name).to_owned(),
            package: if index == 0 { PACKAGES.len() - 1 } else { 0 },
        };
        Self {
            secret_id: secret_id.to_owned(),
            secret_key: secret_key.to_owned(),
            zones: zones.iter().enumerate().map(zone).collect(),
            records: Vec::new(),
            next_id: 15_690_731,
            now: None,
        }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn handle(&mut self, action: &str, body: &[u8]) -> Reply {
        let parse = |known| Parameters::parse(body, known);
        let of_record = &["Domain", "DomainId", "RecordId"];
        match action {
            "DescribeDomainList" => self.describe_domain_list(&parse(&[
                "Type", "Offset", "Limit", "GroupId", "Keyword", "Tags",
            ])?),
            "DescribeDomain" => self.describe_domain(&parse(&["Domain", "DomainId"])?),
            "DescribePackageDetail" => {
                parse(&[])?;
                Ok(describe_package_detail())
            }
            "DescribeRecordLineList" => {
                self.describe_record_line_list(&parse(&["Domain", "DomainGrade", "DomainId"])?)
            }
            "DescribeRecordList" => self.describe_record_list(&parse(&[
                "Domain",
                "DomainId",
                "Subdomain",
                "RecordType",
                "RecordLine",
                "RecordLineId",
                "GroupId",
                "Keyword",
                "SortField",
                "SortType",
                "Offset",
                "Limit",
                "ErrorOnEmpty",
                "SubDomain",
            ])?),
            "CreateRecord" => self.create_record(&parse(CREATE)?),
            "ModifyRecord" => self.modify_record(&parse(MODIFY)?),
            "ModifyRecordStatus" => {
                self.modify_record_status(&parse(&["Domain", "DomainId", "RecordId", "Status"])?)
            }
            "DeleteRecord" => self.delete_record(&parse(of_record)?),
            _ => refuse("InvalidAction", "The requested action does not exist."),
        }
    }

    fn describe_domain_list(&self, parameters: &Parameters) -> Reply {
        let domains = self.zones.iter().map(|zone| {
            json!({
                "Name": zone.name, "Punycode": zone.name, "Status": "ENABLE", "TTL": 600,
                "Grade": zone.grade(), "Remark": "", "Owner": "someone@example.org",
            })
        });
        let domains: Vec<Value> = domains.collect();
        let total = domains.len();
        let page = page(parameters, 3_000, domains)?;
        if page.is_empty() {
            return refuse("ResourceNotFound.NoDataOfDomain", "域名列表为空。");
        }
        let info = json!({ "DomainTotal": total, "AllTotal": total, "MineTotal": total });
        Ok(json!({ "DomainCountInfo": info, "DomainList": page }))
    }

    fn describe_domain(&self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let info = json!({
            "Domain": zone.name, "Punycode": zone.name, "Grade": zone.grade(), "Status": "ENABLE",
            "TTL": 600, "RecordCount": self.of_zone(zone).count(),
        });
        Ok(json!({ "DomainInfo": info }))
    }

    fn describe_record_line_list(&self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        if parameters.required("DomainGrade")? != zone.grade() {
            return refuse(
                "InvalidParameterValue.DomainGradeInvalid",
                "域名等级不正确。",
            );
        }
        let lines = LINES.map(|(id, name)| json!({ "Name": name, "LineId": id }));
        let (custom, lines) = lines.split_last().expect("some lines");
        let group = json!({ "Name": custom["Name"], "LineId": custom["LineId"], "Type": "system", "LineList": [] });
        Ok(json!({ "LineList": lines, "LineGroupList": [group] }))
    }

    fn describe_record_list(&self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let name = parameters
            .text("SubDomain")?
            .or(parameters.text("Subdomain")?);
        let records = self
            .of_zone(zone)
            .filter(|record| name.is_none_or(|name| record.name.eq_ignore_ascii_case(name)));
        // The newest first.
        let records: Vec<Value> = records.rev().map(DnspodRecord::to_json).collect();
        let total = records.len();
        let page = page(parameters, 100, records)?;
        let is_error = match parameters.text("ErrorOnEmpty")? {
            None | Some("yes") => true,
            Some("no") => false,
            Some(_) => {
                return refuse(
                    "InvalidParameterValue",
                    "ErrorOnEmpty is neither yes nor no.",
                );
            }
        };
        if page.is_empty() && is_error {
            return refuse("ResourceNotFound.NoDataOfRecord", "记录列表为空。");
        }
        let info = json!({ "SubdomainCount": total, "ListCount": page.len(), "TotalCount": total });
        Ok(json!({ "RecordCountInfo": info, "RecordList": page }))
    }

    fn create_record(&mut self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let fresh = DnspodRecord {
            domain: zone.name.clone(),
            ..DnspodRecord::new("@", "A", "")
        };
        let record = written(parameters, fresh)?;
        self.check(zone, &record)?;
        let id = self.new_id();
        self.records.push(DnspodRecord { id, ..record });
        Ok(json!({ "RecordId": id }))
    }

    fn modify_record(&mut self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let position = self.owned(zone, parameters)?;
        // What is left out falls back to its default, but for the remark.
        let before = &self.records[position];
        let reset = DnspodRecord {
            id: before.id,
            domain: zone.name.clone(),
            remark: before.remark.clone(),
            ..DnspodRecord::new("@", "A", "")
        };
        let record = written(parameters, reset)?;
        self.check(zone, &record)?;
        let id = record.id;
        self.records[position] = record;
        Ok(json!({ "RecordId": id }))
    }

    fn modify_record_status(&mut self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let position = self.owned(zone, parameters)?;
        let Some(enabled) = parameters.enabled()? else {
            return refuse(
                "MissingParameter",
                "The request misses the parameter `Status`.",
            );
        };
        let record = DnspodRecord {
            enabled,
            ..self.records[position].clone()
        };
        self.check(zone, &record)?;
        let id = record.id;
        self.records[position] = record;
        Ok(json!({ "RecordId": id }))
    }

    fn delete_record(&mut self, parameters: &Parameters) -> Reply {
        let zone = self.zone(parameters)?;
        let position = self.owned(zone, parameters)?;
        self.records.remove(position);
        Ok(json!({}))
    }

    /// The zone that the parameters name.
    fn zone(&self, parameters: &Parameters) -> Result<&Zone, Refusal> {
        let name = parameters.required("Domain")?;
        match self.zones.iter().find(|zone| zone.name == name) {
            Some(zone) => Ok(zone),
            None => refuse(
                "InvalidParameterValue.DomainNotExists",
                "当前域名有误，请返回重新操作。",
            ),
        }
    }

    fn of_zone<'a>(&'a self, zone: &'a Zone) -> impl DoubleEndedIterator<Item = &'a DnspodRecord> {
        self.records
            .iter()
            .filter(|record| record.domain == zone.name)
    }

    /// The position of the record that the parameters name and that may be changed.
    fn owned(&self, zone: &Zone, parameters: &Parameters) -> Result<usize, Refusal> {
        let id = parameters.number("RecordId")?;
        let here = |record: &DnspodRecord| record.domain == zone.name && Some(record.id) == id;
        match self.records.iter().position(here) {
            None => refuse("InvalidParameter.RecordIdInvalid", "记录编号错误。"),
            Some(position) if self.records[position].default_ns => refuse(
                "OperationDenied",
                "The default NS records cannot be changed.",
            ),
            Some(position) => Ok(position),
        }
    }

    /// Can this record stand beside the others?
    fn check(&self, zone: &Zone, record: &DnspodRecord) -> Result<(), Refusal> {
        let (_, min_ttl, most) = PACKAGES[zone.package];
        if record.ttl < min_ttl {
            return refuse("LimitExceeded.RecordTtlLimit", "记录的TTL值超出了限制。");
        }
        if record.rtype == "NS" && record.name == "@" && record.line_id != "0" {
            return refuse(
                "LimitExceeded.AtNsRecordLimit",
                "@的NS记录只能设置为默认线路。",
            );
        }
        let beside = || self.records.iter().filter(|other| other.beside(record));
        for other in beside() {
            if other.rtype == record.rtype && other.value == record.value {
                return refuse(
                    "InvalidParameter.DomainRecordExist",
                    "记录已经存在，无需再次添加。",
                );
            }
            if (other.rtype == "CNAME") != (record.rtype == "CNAME") {
                return refuse(
                    "FailedOperation",
                    "存在冲突的记录(A记录、CNAME记录、URL记录不能共存)。",
                );
            }
        }
        let on_default = |other: &DnspodRecord| {
            other.same_name(record) && other.rtype == record.rtype && other.line_id == "0"
        };
        if record.line_id != "0" && !self.records.iter().any(on_default) {
            return refuse(
                "FailedOperation.MustAddDefaultLineFirst",
                "请先添加默认线路的解析记录",
            );
        }
        let served = beside().filter(|other| other.rtype == record.rtype && other.enabled);
        if record.enabled && served.count() >= most {
            return refuse(
                "LimitExceeded.SubdomainRollLimit",
                "子域名负载均衡数量超出限制。",
            );
        }
        Ok(())
    }
}

impl Zone {
    fn grade(&self) -> String {
        PACKAGES[self.package].0.to_ascii_uppercase()
    }
}

fn describe_package_detail() -> Value {
    let packages = PACKAGES.map(|(grade, min_ttl, most)| {
        json!({ "DomainGrade": grade, "MinTtl": min_ttl, "RecordRoll": most, "RealPrice": 0 })
    });
    json!({ "Info": packages, "LevelMap": PACKAGES.map(|(grade, ..)| grade) })
}

/// A record as the parameters of a write say, on top of `base`.
fn written(parameters: &Parameters, base: DnspodRecord) -> Result<DnspodRecord, Refusal> {
    let rtype = parameters.required("RecordType")?;
    let value = parameters.required("Value")?;
    check_value(rtype, value)?;
    let name = parameters.text("SubDomain")?.unwrap_or("@");
    check_name(name)?;
    let line = parameters.required("RecordLine")?;
    let mx = match (rtype, parameters.number("MX")?.map(u16::try_from)) {
        ("MX" | "HTTPS" | "SVCB", Some(Ok(mx))) => mx,
        ("MX" | "HTTPS" | "SVCB", _) | (_, Some(Err(_))) => {
            return refuse("InvalidParameter.MxInvalid", "MX优先级不正确。");
        }
        _ => 0,
    };
    let weight = match parameters.number("Weight")? {
        None | Some(0) => None,
        Some(weight @ 1..=100) => u32::try_from(weight).ok(),
        Some(_) => {
            return refuse(
                "InvalidParameter.InvalidWeight",
                "权重不合法。请输入0~100的整数。",
            );
        }
    };
    let ttl = match parameters.number("TTL")? {
        None => base.ttl,
        Some(ttl @ 1..=MAX_TTL) => u32::try_from(ttl).unwrap_or(base.ttl),
        Some(_) => return refuse("LimitExceeded.RecordTtlLimit", "记录的TTL值超出了限制。"),
    };
    Ok(DnspodRecord {
        name: name.to_owned(),
        rtype: rtype.to_owned(),
        value: as_kept(rtype, value),
        line_id: line_id(parameters.text("RecordLineId")?, line)?,
        ttl,
        mx,
        weight,
        enabled: parameters.enabled()?.unwrap_or(true),
        remark: match parameters.text("Remark")? {
            Some(remark) => remark.to_owned(),
            None => base.remark,
        },
        ..base
    })
}
