//! What a server's response code means to the daemon (RFC 1035, section 4.1.1; RFC 2136, section 2.2).

use portolan_plugin::{dns::Error, http::Effect};

pub(crate) const NOERROR: u8 = 0;
pub(crate) const NXDOMAIN: u8 = 3;
const FORMERR: u8 = 1;
const NOTIMP: u8 = 4;
const REFUSED: u8 = 5;
const YXDOMAIN: u8 = 6;
const YXRRSET: u8 = 7;
const NXRRSET: u8 = 8;
const NOTAUTH: u8 = 9;
const NOTZONE: u8 = 10;

/// Does it say that a prerequisite does not hold?
pub(crate) fn is_unmet(rcode: u8) -> bool {
    matches!(rcode, NXDOMAIN | YXDOMAIN | YXRRSET | NXRRSET)
}

/// Does it concern what stands in the message, so that another message may do better?
pub(crate) fn is_about_content(rcode: u8) -> bool {
    rcode != NOTAUTH && rcode != NOTIMP
}

/// The error of a code that is none of the above. `what` names the request.
pub(crate) fn error(what: &str, rcode: u8, effect: Effect) -> Error {
    let name = name(rcode);
    match rcode {
        REFUSED => Error::Auth(format!(
            "{what}: {name}: the server does not let this key do so"
        )),
        NOTAUTH => Error::NotFound(format!(
            "{what}: {name}: the server has no such zone for this key"
        )),
        FORMERR | NOTZONE => Error::Invalid(format!("{what}: {name}")),
        NOTIMP => Error::Unsupported(format!("{what}: {name}: the server cannot do this")),
        _ => effect.lost(format!("{what}: {name}")),
    }
}

fn name(rcode: u8) -> String {
    let name = match rcode {
        NOERROR => "NOERROR",
        FORMERR => "FORMERR",
        2 => "SERVFAIL",
        NXDOMAIN => "NXDOMAIN",
        NOTIMP => "NOTIMP",
        REFUSED => "REFUSED",
        YXDOMAIN => "YXDOMAIN",
        YXRRSET => "YXRRSET",
        NXRRSET => "NXRRSET",
        NOTAUTH => "NOTAUTH",
        NOTZONE => "NOTZONE",
        other => return format!("response code {other}"),
    };
    name.to_owned()
}
