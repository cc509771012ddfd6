//! The stand-in's own TC3-HMAC-SHA256, the signature version 3 of the documentation.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::state::{Refusal, State, refuse};
use crate::front::Call;

/// How far the clocks may differ, in seconds.
const MAX_SKEW: u64 = 300;

impl State {
    /// Checks the signature over what arrived.
    pub(super) fn authenticate(&self, authority: &str, call: &Call) -> Result<(), Refusal> {
        if call.header("host") != authority {
            return refuse("InvalidParameter", "The host is not this server's.");
        }
        if call.header("x-tc-version") != "2021-03-23" {
            return refuse("NoSuchVersion", "The version does not exist.");
        }
        let (algorithm, fields) = call
            .header("authorization")
            .split_once(' ')
            .unwrap_or_default();
        let field = |name: &str| {
            let found = fields
                .split(", ")
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default()
        };
        let credential: Vec<&str> = field("Credential").split('/').collect();
        let ("TC3-HMAC-SHA256", [secret_id, date, service, "tc3_request"]) =
            (algorithm, credential.as_slice())
        else {
            return refuse(
                "AuthFailure.InvalidAuthorization",
                "The authorization is not of the form TC3-HMAC-SHA256.",
            );
        };
        let signed: Vec<&str> = field("SignedHeaders").split(';').collect();
        let must = ["content-type", "host"];
        if !signed.is_sorted() || !must.iter().all(|name| signed.contains(name)) {
            return refuse(
                "AuthFailure.InvalidAuthorization",
                "content-type and host must be signed.",
            );
        }
        if *secret_id != self.secret_id {
            return refuse("AuthFailure.SecretIdNotFound", "The SecretId is not found.");
        }
        let seconds = call.header("x-tc-timestamp");
        let Ok(sent) = seconds.parse::<u64>() else {
            return refuse("MissingParameter", "X-TC-Timestamp is missing.");
        };
        if *service != "dnspod" || *date != date_of(sent) {
            return refuse(
                "AuthFailure.SignatureFailure",
                "The credential's scope is not this request's.",
            );
        }

        let mut canonical = vec![
            call.method.to_string(),
            call.path.clone(),
            call.query.clone(),
        ];
        let header = |name: &&str| format!("{name}:{}", call.header(name).trim().to_lowercase());
        canonical.extend(signed.iter().map(header));
        canonical.extend([
            String::new(),
            signed.join(";"),
            hex::encode(Sha256::digest(&call.body)),
        ]);
        let hashed = hex::encode(Sha256::digest(canonical.join("\n")));
        let scope = credential[1..].join("/");
        let to_sign = format!("TC3-HMAC-SHA256\n{seconds}\n{scope}\n{hashed}");
        let key = format!("TC3{}", self.secret_key).into_bytes();
        let signature = [*date, *service, "tc3_request", &to_sign]
            .into_iter()
            .fold(key, |key, step| hmac(&key, step));
        if field("Signature") != hex::encode(signature) {
            return refuse(
                "AuthFailure.SignatureFailure",
                "The provided credentials could not be validated. Please check your signature is \
                 correct.",
            );
        }
        match self.now {
            Some(now) if now.abs_diff(sent) > MAX_SKEW => refuse(
                "AuthFailure.SignatureExpire",
                "The signature is of another time than now.",
            ),
            _ => Ok(()),
        }
    }
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The day of a moment in UTC, counted year by year and month by month.
fn date_of(seconds: u64) -> String {
    let mut days = seconds / 86_400;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    loop {
        let length = 365 + u64::from(leap(year));
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_right() {
        for (seconds, date) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_551_113_065, "2019-02-25"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date_of(seconds), date);
        }
    }
}
