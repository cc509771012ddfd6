//! A stand-in for Alibaba Cloud DNS: it checks signatures itself, keeps records as the service does, and
//! answers as its documentation says.
//!
//! Self-contained, and written from the documentation of the API and of signature version 3 without the
//! plugin's code, so that the two can disagree.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hmac::{Hmac, Mac};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, http::request::Parts, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

/// The free edition's smallest TTL.
const MIN_TTL: u32 = 600;
/// The most records of one name, type and line.
const MAX_RECORDS: usize = 90;

/// A record as the service keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliRecord {
    /// The service's id.
    pub id: String,
    /// The zone.
    pub domain: String,
    /// The name relative to the zone; `@` for the apex.
    pub rr: String,
    /// `A`, `CNAME`, …
    pub rtype: String,
    /// Without an MX record's priority.
    pub value: String,
    /// The service's code: `default`, `telecom`, …
    pub line: String,
    /// Seconds.
    pub ttl: u32,
    /// Of an MX record.
    pub priority: Option<u32>,
    /// Served?
    pub enabled: bool,
    /// Protected from changes?
    pub locked: bool,
    /// What someone noted in the console.
    pub remark: Option<String>,
}

/// A running stand-in on loopback. Dropping it stops it.
pub struct AliStub {
    state: Arc<Mutex<State>>,
    address: String,
    server: JoinHandle<()>,
}

struct State {
    access_key_id: String,
    secret: String,
    authority: String,
    zones: Vec<String>,
    records: Vec<AliRecord>,
    next_id: u64,
    requests: Vec<String>,
    failures: VecDeque<Failure>,
    nonces: HashSet<String>,
}

/// A failure to come.
struct Failure {
    action: String,
    status: u16,
    code: String,
    /// Is the request carried out before the failure is answered?
    after: bool,
}

type Reply = Result<Value, (u16, String, String)>;
type Parameters = BTreeMap<String, String>;

impl AliStub {
    /// Starts one for an account with these zones.
    pub async fn start(access_key_id: &str, secret: &str, zones: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port on loopback");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address")
            .to_string();
        let state = Arc::new(Mutex::new(State {
            access_key_id: access_key_id.to_owned(),
            secret: secret.to_owned(),
            authority: address.clone(),
            zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
            records: Vec::new(),
            next_id: 9_999_985,
            requests: Vec::new(),
            failures: VecDeque::new(),
            nonces: HashSet::new(),
        }));
        let server = tokio::spawn(serve(listener, state.clone()));
        Self {
            state,
            address,
            server,
        }
    }

    /// Its endpoint: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The records of all zones, in the order in which they were added.
    pub fn records(&self) -> Vec<AliRecord> {
        self.state().records.clone()
    }

    /// The actions called so far, in order.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// The next call of `action` (`*` for any) fails with this status and code and changes nothing.
    pub fn fail_next(&self, action: &str, status: u16, code: &str) {
        self.fail(action, status, code, false);
    }

    /// The next call of `action` is carried out, and then answered with this status and code.
    pub fn fail_after_next(&self, action: &str, status: u16, code: &str) {
        self.fail(action, status, code, true);
    }

    /// Puts a record in, past the API, and answers its id. The domain is the first zone where
    /// `record.domain` is empty.
    pub fn insert(&self, record: AliRecord) -> String {
        let mut state = self.state();
        let id = state.new_id();
        let domain = if record.domain.is_empty() {
            state.zones[0].clone()
        } else {
            record.domain
        };
        state.records.push(AliRecord {
            id: id.clone(),
            domain,
            ..record
        });
        id
    }

    /// Changes a record, past the API.
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut AliRecord)) {
        let mut state = self.state();
        let record = state.records.iter_mut().find(|record| record.id == id);
        change(record.expect("a record with this id"));
    }

    /// Removes a record, past the API.
    pub fn remove(&self, id: &str) {
        self.state().records.retain(|record| record.id != id);
    }

    fn fail(&self, action: &str, status: u16, code: &str, after: bool) {
        let (action, code) = (action.to_owned(), code.to_owned());
        self.state().failures.push_back(Failure {
            action,
            status,
            code,
            after,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AliStub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl AliRecord {
    /// An enabled, unlocked record of the first zone, with the smallest TTL, on the default line.
    pub fn new(rr: &str, rtype: &str, value: &str) -> Self {
        Self {
            id: String::new(),
            domain: String::new(),
            rr: rr.to_owned(),
            rtype: rtype.to_owned(),
            value: value.to_owned(),
            line: "default".to_owned(),
            ttl: MIN_TTL,
            priority: None,
            enabled: true,
            locked: false,
            remark: None,
        }
    }

    fn to_json(&self) -> Value {
        let mut json = json!({
            "RecordId": self.id, "DomainName": self.domain, "RR": self.rr, "Type": self.rtype,
            "Value": self.value, "Line": self.line, "TTL": self.ttl, "Locked": self.locked,
            "Status": if self.enabled { "ENABLE" } else { "DISABLE" }, "Weight": 1,
        });
        if let Some(priority) = self.priority {
            json["Priority"] = priority.into();
        }
        if let Some(remark) = &self.remark {
            json["Remark"] = remark.as_str().into();
        }
        json
    }

    /// Do the two stand at the same name and line?
    fn beside(&self, other: &Self) -> bool {
        self.id != other.id
            && self.domain == other.domain
            && self.rr.eq_ignore_ascii_case(&other.rr)
            && self.line == other.line
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, state.clone()));
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that goes away in the middle is its own concern.
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let reply = state
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .handle(&head, &body);
    let (status, mut json) = match reply {
        Ok(json) => (200, json),
        Err((status, code, message)) => (
            status,
            json!({
                "Code": code, "Message": message, "HostId": "alidns.aliyuncs.com",
                "Recommend": format!("https://error-center.aliyun.com/status/search?Keyword={code}"),
            }),
        ),
    };
    json["RequestId"] = "536E9CAD-DB30-4647-AC87-AA5CC38C5382".into();
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json;charset=utf-8")
        .body(Full::new(Bytes::from(json.to_string())));
    Ok(response.expect("a response of fixed parts"))
}

fn refuse<T>(code: &str, message: &str) -> Result<T, (u16, String, String)> {
    Err((400, code.to_owned(), message.to_owned()))
}

impl State {
    fn handle(&mut self, head: &Parts, body: &Bytes) -> Reply {
        let header = |name: &str| {
            head.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let action = header("x-acs-action").to_owned();
        self.requests.push(action.clone());
        let query = head.uri.query().unwrap_or_default();
        self.authenticate(head.method.as_str(), head.uri.path(), query, &header, body)?;
        let parameters = parse(query);

        let due = self
            .failures
            .iter()
            .position(|f| f.action == action || f.action == "*");
        let failure = due.and_then(|position| self.failures.remove(position));
        if failure.as_ref().is_none_or(|failure| failure.after) {
            let reply = self.act(&action, &parameters);
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
    fn zone(&self, parameters: &Parameters) -> Result<String, (u16, String, String)> {
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
    fn owned(&self, parameters: &Parameters) -> Result<usize, (u16, String, String)> {
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
    fn check(&self, record: &AliRecord) -> Result<(), (u16, String, String)> {
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

    fn new_id(&mut self) -> String {
        self.next_id += 1;
        self.next_id.to_string()
    }

    /// Checks the signature (version 3, ACS3-HMAC-SHA256) over what arrived.
    fn authenticate<'a>(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        header: &dyn Fn(&str) -> &'a str,
        body: &[u8],
    ) -> Result<(), (u16, String, String)> {
        if header("host") != self.authority {
            return refuse("InvalidHost", "The host header is not this server's.");
        }
        if header("x-acs-version") != "2015-01-09" {
            return refuse(
                "InvalidVersion",
                "Specified parameter Version is not valid.",
            );
        }
        let digest = hex::encode(Sha256::digest(body));
        if header("x-acs-content-sha256") != digest {
            return refuse(
                "ContentSha256Mismatch",
                "The body does not have the announced hash.",
            );
        }
        let fields = header("authorization")
            .strip_prefix("ACS3-HMAC-SHA256 ")
            .map(|fields| {
                let fields = fields.split(',').filter_map(|field| field.split_once('='));
                fields.collect::<BTreeMap<_, _>>()
            });
        let Some(fields) = fields else {
            return refuse(
                "IncompleteSignature",
                "There is no ACS3-HMAC-SHA256 authorization.",
            );
        };
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        if field("Credential") != self.access_key_id {
            return refuse(
                "InvalidAccessKeyId.NotFound",
                "Specified access key is not found.",
            );
        }
        let names: Vec<&str> = field("SignedHeaders").split(';').collect();
        let must = [
            "host",
            "x-acs-action",
            "x-acs-content-sha256",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-version",
        ];
        if !names.is_sorted() || !must.iter().all(|name| names.contains(name)) {
            return refuse(
                "IncompleteSignature",
                "Not all headers that must be signed are.",
            );
        }

        let mut pairs: Vec<String> = parse(query)
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        pairs.sort();
        let mut canonical = vec![method.to_owned(), path.to_owned(), pairs.join("&")];
        canonical.extend(
            names
                .iter()
                .map(|name| format!("{name}:{}", header(name).trim())),
        );
        canonical.extend([String::new(), names.join(";"), digest]);
        let hashed = hex::encode(Sha256::digest(canonical.join("\n")));
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any key length");
        mac.update(format!("ACS3-HMAC-SHA256\n{hashed}").as_bytes());
        if field("Signature") != hex::encode(mac.finalize().into_bytes()) {
            let message = format!(
                "Specified signature does not match our calculation. server string to sign is:ACS3-HMAC-SHA256\n{hashed}"
            );
            return refuse("SignatureDoesNotMatch", &message);
        }
        if !self
            .nonces
            .insert(header("x-acs-signature-nonce").to_owned())
        {
            return refuse(
                "SignatureNonceUsed",
                "Specified signature nonce was used already.",
            );
        }
        Ok(())
    }
}

/// A record as the parameters of a write say, on top of `base`.
fn written(parameters: &Parameters, base: AliRecord) -> Result<AliRecord, (u16, String, String)> {
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

fn required(parameters: &Parameters, name: &str) -> Result<String, (u16, String, String)> {
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
) -> Result<(Vec<Value>, Value), (u16, String, String)> {
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

fn parse(query: &str) -> Parameters {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(n, v)| (unescape(n), unescape(v)))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|d| u8::from_str_radix(d, 16).ok());
                bytes.push(digits.unwrap_or(b'%'));
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(text: &str) -> String {
    let unreserved =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| {
            if unreserved(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
