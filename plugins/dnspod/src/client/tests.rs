//! What becomes of replies.

use portolan_plugin::{http::RawResponse, testing::TestHost};
use serde_json::json;

use super::*;

fn host(status: u16, body: String) -> TestHost {
    TestHost::new(move |_| {
        Ok(RawResponse {
            status,
            headers: Vec::new(),
            body: body.clone().into_bytes(),
        })
    })
    .credential("secret-id", "my-id")
    .credential("secret-key", "my-key")
}

fn call(host: &TestHost, effect: Effect) -> Result<Reply, Failure> {
    let client = Client::new("https://dnspod.tencentcloudapi.com").unwrap();
    client.call(host, "SomeAction", effect, "trying", &Parameters::default())
}

fn refused(code: &str, message: &str, effect: Effect) -> Failure {
    let error = json!({ "Code": code, "Message": message });
    let body = json!({ "Response": { "Error": error, "RequestId": "R-1" } });
    call(&host(200, body.to_string()), effect).err().unwrap()
}

#[test]
fn codes_become_the_errors_that_the_daemon_acts_on() {
    let error = |code| Error::from(refused(code, "because", Effect::Write));
    for code in [
        "AuthFailure.SecretIdNotFound",
        "AuthFailure.SignatureFailure",
        "AuthFailure.SignatureExpire",
        "AuthFailure.UnauthorizedOperation",
        "UnauthorizedOperation",
        "OperationDenied.NoPermissionToOperateDomain",
    ] {
        assert!(
            matches!(error(code), Error::Auth(text) if text.contains(code)),
            "{code}"
        );
    }
    for code in [
        "RequestLimitExceeded",
        "RequestLimitExceeded.RequestLimitExceeded",
        "FailedOperation.FrequencyLimit",
    ] {
        assert!(matches!(error(code), Error::Throttled(_)), "{code}");
    }
    let Error::Throttled(throttle) = error("InvalidParameter.OperationIsTooFrequent") else {
        panic!("not throttled")
    };
    assert_eq!(throttle.retry_after_ms, Some(60_000));
    for code in [
        "FailedOperation.MustAddDefaultLineFirst",
        "FailedOperation.DomainIsLocked",
        "InvalidParameter.DomainNotAllowedModifyRecords",
    ] {
        assert!(matches!(error(code), Error::Conflict(_)), "{code}");
    }
    for code in [
        "InvalidParameterValue.DomainNotExists",
        "FailedOperation.NotDomainOwner",
        "ResourceNotFound",
    ] {
        assert!(matches!(error(code), Error::NotFound(_)), "{code}");
    }
    assert!(matches!(
        error("LimitExceeded.SubdomainRollLimit"),
        Error::Quota(_)
    ));
    assert!(matches!(
        error("LimitExceeded.RecordTtlLimit"),
        Error::Invalid(_)
    ));
    assert!(matches!(
        error("InvalidParameter.RecordLineInvalid"),
        Error::Invalid(text) if text.contains("R-1")
    ));
    assert!(matches!(error("FailedOperation"), Error::UnknownOutcome(_)));
    assert!(matches!(
        Error::from(refused("FailedOperation", "存在冲突的记录", Effect::Write)),
        Error::Conflict(_)
    ));
    assert!(matches!(
        refused("InvalidParameter.DomainRecordExist", "", Effect::Write),
        Failure::Duplicate(_)
    ));
    assert!(matches!(
        refused("InvalidParameter.RecordIdInvalid", "", Effect::Write),
        Failure::Gone(_)
    ));
}

#[test]
fn a_server_error_is_unknown_after_a_write_only() {
    let error = |effect| Error::from(refused("InternalError", "because", effect));
    assert!(matches!(error(Effect::Read), Error::Transient(_)));
    assert!(matches!(error(Effect::Write), Error::UnknownOutcome(_)));
    let page = host(502, "<html>".to_owned());
    assert!(matches!(
        call(&page, Effect::Write).err().map(Error::from),
        Some(Error::UnknownOutcome(text)) if text.contains("502")
    ));
}

#[test]
fn an_empty_list_is_no_error_to_a_read() {
    let body = json!({ "Response": { "Error": {
        "Code": "ResourceNotFound.NoDataOfRecord", "Message": "记录列表为空。" }, "RequestId": "R" } });
    let reply = call(&host(200, body.to_string()), Effect::Read).unwrap();
    assert!(reply.record_list.unwrap().is_empty());
    assert_eq!(reply.record_count_info.unwrap().total_count, Some(0));
}

#[test]
fn the_request_carries_what_was_signed_and_no_secret() {
    let host = host(200, json!({ "Response": {} }).to_string());
    call(&host, Effect::Read).unwrap();
    let request = host.requests().remove(0);
    let header = |name: &str| {
        let found = request.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(header("host"), None, "it is the daemon's to send");
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("x-tc-timestamp"), Some("1700000000"));
    assert!(
        header("authorization")
            .unwrap()
            .starts_with("TC3-HMAC-SHA256 Credential=my-id/2023-11-14/dnspod/tc3_request, ")
    );
    assert_eq!(request.body, b"{}");
    assert!(!format!("{request:?}").contains("my-key"));
}
