//! Sites, services and providers as documents: read, changed in some fields, and put back only where
//! nobody else changed them meanwhile.

use std::fs;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Map, Value};

use super::super::api::{Answer, Asked, Standing};
use super::super::connection::Session;
use super::super::error::ClientError;

/// A document's fields.
pub(super) type Fields = Map<String, Value>;

/// Fields whose members are changed one by one; every other field is replaced as a whole. A check or a
/// target that is half the old and half the new one would mean neither.
const BY_MEMBER: [&str; 3] = ["addresses", "settings", "credentials"];

/// Reads a document.
pub(super) async fn get(session: &Session, path: &str) -> Result<Answer, ClientError> {
    session.api.native(Asked::new(Method::GET, path)).await
}

/// Acts on something, without a body.
pub(super) async fn act(session: &Session, path: &str) -> Result<Answer, ClientError> {
    session.api.native(Asked::new(Method::POST, path)).await
}

/// Deletes a document.
pub(super) async fn delete(session: &Session, path: &str) -> Result<Answer, ClientError> {
    session.api.native(Asked::new(Method::DELETE, path)).await
}

/// Puts a document in the place of what stands there.
pub(super) async fn put(
    session: &Session,
    path: &str,
    body: &Value,
    standing: Standing<'_>,
) -> Result<Answer, ClientError> {
    let asked = Asked {
        body: Some(body),
        standing,
        ..Asked::new(Method::PUT, path)
    };
    session.api.native(asked).await
}

/// What stands at a path; none where nothing does.
pub(super) async fn standing(session: &Session, path: &str) -> Result<Option<Answer>, ClientError> {
    match get(session, path).await {
        Ok(answer) => Ok(Some(answer)),
        Err(ClientError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Changes a document, or makes it of the changes where there is none. `query` goes with the change.
///
/// This is no merge patch: there `null` takes a field away, which gives it its default, and a site's
/// `fallback` has one that is not null.
pub(super) async fn change(
    session: &Session,
    path: &str,
    query: &str,
    changes: Fields,
) -> Result<Answer, ClientError> {
    let standing = standing(session, path).await?;
    let mut document: Fields = match &standing {
        Some(answer) => answer.whole()?,
        None => Fields::new(),
    };
    apply(&mut document, changes);
    let precondition = match &standing {
        Some(answer) => answer.tag().map_or(Standing::Any, Standing::At),
        None => Standing::Absent,
    };
    let target = format!("{path}{query}");
    put(session, &target, &document.into(), precondition).await
}

/// Puts changes into a document.
pub(super) fn apply(document: &mut Fields, changes: Fields) {
    for (field, value) in changes {
        match value {
            Value::Object(members) if BY_MEMBER.contains(&field.as_str()) => {
                let inner = document
                    .entry(field)
                    .or_insert_with(|| Fields::new().into());
                apply_members(inner, members);
            }
            value => {
                document.insert(field, value);
            }
        }
    }
}

/// `null` takes a member away.
fn apply_members(inner: &mut Value, members: Fields) {
    if !inner.is_object() {
        *inner = Fields::new().into();
    }
    let Value::Object(inner) = inner else { return };
    for (name, value) in members {
        if value.is_null() {
            inner.remove(&name);
        } else {
            inner.insert(name, value);
        }
    }
}

/// What a file holds as JSON; `-` is stdin. The content is never told, for it may hold secrets.
pub(super) fn read(file: &Path) -> Result<Value, ClientError> {
    let name = file.display();
    let cannot = |error: &dyn std::fmt::Display| {
        ClientError::Usage(format!("cannot read {name} as JSON: {error}"))
    };
    let mut text = String::new();
    if file == Path::new("-") {
        stdin().read_to_string(&mut text).map_err(|e| cannot(&e))?;
    } else {
        text = fs::read_to_string(file).map_err(|error| cannot(&error))?;
    }
    serde_json::from_str(&text).map_err(|error| cannot(&error))
}

/// Makes a document what a file says, or else changes what flags say. `flags` names some of them.
pub(super) async fn set(
    session: &Session,
    path: &str,
    query: &str,
    given: Given<'_>,
) -> Result<Answer, ClientError> {
    if let Some(file) = given.file {
        let body = read(file)?;
        return put(session, &format!("{path}{query}"), &body, Standing::Any).await;
    }
    if given.changes.is_empty() {
        return Err(ClientError::Usage(format!(
            "say what is to be set: {}, or all of it as JSON with --file",
            given.flags
        )));
    }
    change(session, path, query, given.changes).await
}

/// What a `set` command was given.
pub(super) struct Given<'a> {
    pub(super) file: Option<&'a PathBuf>,
    pub(super) changes: Fields,
    pub(super) flags: &'static str,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(document: Value, changes: Value) -> Value {
        let (Value::Object(mut document), Value::Object(changes)) = (document, changes) else {
            panic!("not objects");
        };
        apply(&mut document, changes);
        document.into()
    }

    #[test]
    fn what_is_not_given_stays() {
        let site = json!({"name": "a", "fallback": 100, "addresses": {"ipv4": ["192.0.2.1"]}});
        let changes = json!({"fallback": null, "addresses": {"ipv6": ["2001:db8::1"]}});
        let both = json!({"ipv4": ["192.0.2.1"], "ipv6": ["2001:db8::1"]});
        let expected = json!({"name": "a", "fallback": null, "addresses": both});
        assert_eq!(changed(site, changes), expected);
    }

    #[test]
    fn a_check_is_replaced_and_a_member_taken_away() {
        let site = json!({"check": {"type": "http", "path": "/"},
                          "addresses": {"ipv4": ["192.0.2.1"]}});
        let changes = json!({"check": {"type": "tcp", "port": 443}, "addresses": {"ipv4": null}});
        let expected = json!({"check": {"type": "tcp", "port": 443}, "addresses": {}});
        assert_eq!(changed(site, changes), expected);
    }

    #[test]
    fn a_file_that_is_no_json_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"credentials": {"key": "hunter2" oops"#).unwrap();
        let error = read(file.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
