//! A check's JSON: one flat object, whose `type` says which fields it may have.

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::spec::{Check, HttpQuestion, Method, Question, TlsQuestion};
use super::status::StatusRange;

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// All fields of all types. Flat and optional, so that what is wrong in one is named by its path.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckSpec {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Vec<StatusRange>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    danger_accept_any_certificate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    down_interval_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    down_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    down_after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stable_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Http,
    Https,
    Tcp,
    Tls,
    #[default]
    Icmp,
    Command,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Icmp => "icmp",
            Self::Command => "command",
        }
    }
}

impl TryFrom<CheckSpec> for Check {
    type Error = String;

    fn try_from(mut spec: CheckSpec) -> Result<Self, String> {
        let question = match spec.kind {
            Kind::Http => Question::Http(spec.take_http(None)),
            Kind::Https => {
                let tls = spec.take_tls();
                Question::Http(spec.take_http(Some(tls)))
            }
            Kind::Tcp => Question::Tcp {
                port: spec.port.take().ok_or("a tcp check needs a `port`")?,
            },
            Kind::Tls => Question::Tls {
                port: spec.port.take().unwrap_or(HTTPS_PORT),
                tls: spec.take_tls(),
            },
            Kind::Icmp => Question::Icmp,
            Kind::Command => Question::Command {
                name: spec.command.take().ok_or(
                    "a command check needs `command`, the name of a command in the members' \
                     configuration",
                )?,
            },
        };
        spec.refuse_leftovers()?;
        let pace = spec.pace();
        Ok(Self { question, pace })
    }
}

/// Each `take_…` leaves nothing behind of what its type may have.
impl CheckSpec {
    fn take_http(&mut self, tls: Option<TlsQuestion>) -> HttpQuestion {
        let usual_port = match tls {
            Some(_) => HTTPS_PORT,
            None => HTTP_PORT,
        };
        HttpQuestion {
            port: self.port.take().unwrap_or(usual_port),
            path: self.path.take().unwrap_or_else(|| "/".to_owned()),
            host: self.host.take(),
            method: self.method.take().unwrap_or(Method::Get),
            status: self
                .status
                .take()
                .unwrap_or_else(|| vec![StatusRange::SUCCESS]),
            body: self.body.take(),
            tls,
        }
    }

    fn take_tls(&mut self) -> TlsQuestion {
        TlsQuestion {
            server_name: self.server_name.take(),
            danger_accept_any_certificate: self
                .danger_accept_any_certificate
                .take()
                .unwrap_or_default(),
            min_days: self.min_days.take(),
        }
    }

    /// A field that its type does not know would be believed to have an effect.
    fn refuse_leftovers(&self) -> Result<(), String> {
        let left = [
            ("port", self.port.is_some()),
            ("path", self.path.is_some()),
            ("host", self.host.is_some()),
            ("method", self.method.is_some()),
            ("status", self.status.is_some()),
            ("body", self.body.is_some()),
            ("server_name", self.server_name.is_some()),
            (
                "danger_accept_any_certificate",
                self.danger_accept_any_certificate.is_some(),
            ),
            ("min_days", self.min_days.is_some()),
            ("command", self.command.is_some()),
        ];
        match left.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((field, _)) => Err(format!(
                "`{field}` means nothing in a check of type {}; leave it out",
                self.kind.name()
            )),
        }
    }

    fn pace(&self) -> Pace {
        let usual = Pace::default();
        Pace {
            interval_ms: self.interval_ms.unwrap_or(usual.interval_ms),
            timeout_ms: self.timeout_ms.unwrap_or(usual.timeout_ms),
            down_interval_ms: self.down_interval_ms,
            down_timeout_ms: self.down_timeout_ms,
            down_after: self.down_after.unwrap_or(usual.down_after),
            up_after: self.up_after.unwrap_or(usual.up_after),
            stable_ms: self.stable_ms.unwrap_or(usual.stable_ms),
        }
    }

    fn set_http(&mut self, http: HttpQuestion) {
        self.kind = match http.tls {
            Some(_) => Kind::Https,
            None => Kind::Http,
        };
        self.port = Some(http.port);
        self.path = Some(http.path);
        self.host = http.host;
        self.method = Some(http.method);
        self.status = Some(http.status);
        self.body = http.body;
        if let Some(tls) = http.tls {
            self.set_tls(tls);
        }
    }

    fn set_tls(&mut self, tls: TlsQuestion) {
        self.server_name = tls.server_name;
        self.danger_accept_any_certificate = Some(tls.danger_accept_any_certificate);
        self.min_days = tls.min_days;
    }
}

/// Defaults are written out: what stands in the store does not change with the daemon's version.
impl From<Check> for CheckSpec {
    fn from(check: Check) -> Self {
        let Check { question, pace } = check;
        let mut spec = Self {
            interval_ms: Some(pace.interval_ms),
            timeout_ms: Some(pace.timeout_ms),
            down_interval_ms: pace.down_interval_ms,
            down_timeout_ms: pace.down_timeout_ms,
            down_after: Some(pace.down_after),
            up_after: Some(pace.up_after),
            stable_ms: Some(pace.stable_ms),
            ..Self::default()
        };
        match question {
            Question::Http(http) => spec.set_http(http),
            Question::Tcp { port } => (spec.kind, spec.port) = (Kind::Tcp, Some(port)),
            Question::Tls { port, tls } => {
                (spec.kind, spec.port) = (Kind::Tls, Some(port));
                spec.set_tls(tls);
            }
            Question::Icmp => spec.kind = Kind::Icmp,
            Question::Command { name } => {
                (spec.kind, spec.command) = (Kind::Command, Some(name));
            }
        }
        spec
    }
}
