//! What the service's error codes mean. It nearly always says them with status 200.

use portolan_plugin::{
    dns::{Error, Throttle},
    http::{Effect, Response},
    records::Failure,
};

/// How long the service wants to be left alone after `OperationIsTooFrequent`, by its own words.
const TOO_FREQUENT_MS: u32 = 60_000;

/// The failure that a refused call was. `text` is what failed, with code and message.
pub(crate) fn failure(
    response: &Response,
    effect: Effect,
    code: &str,
    message: &str,
    text: String,
) -> Failure {
    let throttled = |retry_after_ms| {
        Error::Throttled(Throttle {
            message: text.clone(),
            retry_after_ms,
        })
    };
    Failure::Other(match code {
        "InvalidParameter.DomainRecordExist" => return Failure::Duplicate(Error::Conflict(text)),
        "InvalidParameter.RecordIdInvalid" => return Failure::Gone(Error::NotFound(text)),
        "InvalidParameter.OperationIsTooFrequent" => {
            throttled(response.retry_after_ms().or(Some(TOO_FREQUENT_MS)))
        }
        "FailedOperation.FrequencyLimit" => throttled(response.retry_after_ms()),
        // The clocks differ by more than five minutes.
        "AuthFailure.SignatureExpire" => Error::Auth(format!("{text}; check the daemon's clock")),
        "FailedOperation.NotDomainOwner"
        | "InvalidParameter.DomainIdInvalid"
        | "InvalidParameterValue.DomainNotExists" => Error::NotFound(text),
        "InvalidParameter.DomainInEffectOrInvalidated"
        | "InvalidParameter.DomainNotAllowedModifyRecords" => Error::Conflict(text),
        "InvalidParameter.RequestIpLimited"
        | "FailedOperation.LoginAreaNotAllowed"
        | "FailedOperation.LoginFailed"
        | "FailedOperation.LoginTimeout"
        | "FailedOperation.NotResourceOwner" => Error::Auth(text),
        // These are about the value, not about how many there are.
        "LimitExceeded.AtNsRecordLimit"
        | "LimitExceeded.RecordTtlLimit"
        | "OperationDenied.IPInBlacklistNotAllowed" => Error::Invalid(text),
        // No code of its own is documented for records that cannot stand beside each other; the
        // message says `conflict`.
        _ if message.contains("冲突") || message.contains("onflict") => Error::Conflict(text),
        "FailedOperation"
        | "FailedOperation.TemporaryError"
        | "FailedOperation.UnknowError"
        | "InvalidParameter.OperateFailed" => effect.lost(text),
        _ => match code.split('.').next().unwrap_or_default() {
            "AuthFailure" | "UnauthorizedOperation" | "OperationDenied" => Error::Auth(text),
            "RequestLimitExceeded" => throttled(response.retry_after_ms()),
            "LimitExceeded" => Error::Quota(text),
            "ResourceNotFound" => Error::NotFound(text),
            "FailedOperation" => Error::Conflict(text),
            "UnsupportedOperation" => Error::Unsupported(text),
            "InternalError" | "ResourceUnavailable" | "ServiceUnavailable" => effect.lost(text),
            _ => Error::Invalid(text),
        },
    })
}
