//! What Go writes is read.

use serde_json::{Value, json};

use super::{pushed, read};
use crate::contract::wire::Timestamp;

#[test]
fn zero_values_and_null_lists_are_read_and_times_keep_their_offset() {
    let zero = read(pushed(Value::Null, Value::Null, Value::Null));
    assert!(zero.other_cocoa_syncer.is_none());
    assert_eq!(zero.created_at, Timestamp::default());
    assert_eq!(zero.created_at.to_string(), "0001-01-01T00:00:00+00:00");
    assert!(
        read(json!({})).cloud_platform_info.is_none(),
        "all may be left out"
    );

    let time = "2023-09-18T22:54:22.076556800+08:00";
    let parsed: Timestamp = serde_json::from_value(json!(time)).unwrap();
    assert_eq!(parsed.to_string(), time);
    let error = serde_json::from_value::<Timestamp>(json!("2023-09-18 22:54")).unwrap_err();
    assert!(error.to_string().contains("RFC 3339"), "{error}");
}
