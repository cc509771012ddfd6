//! Bindings and wanted records, as operators set them.

use portolan_consensus::{Consistency, Revision, Scan, Space};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::fixtures::Rig;
use crate::error::{ErrorKind, SteeringError};

async fn put(rig: &Rig, name: &str, body: Value) -> Result<crate::BindingView, SteeringError> {
    rig.steering.put_binding(name, body, None, false).await
}

fn fails(result: Result<impl std::fmt::Debug, SteeringError>, kind: ErrorKind, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn credentials_go_in_and_never_come_out() {
    let rig = Rig::start().await;
    let body = json!({
        "plugin": "twin", "settings": {"url": "http://127.0.0.1:8081"},
        "hosts": ["http://127.0.0.1:8081"], "zones": ["example.com"],
        "credentials": {"api-key": "swordfish", "other": "tunafish"},
    });
    let made = put(&rig, "main", body).await.unwrap();
    assert_eq!(
        serde_json::to_value(&made).unwrap(),
        json!({
            "name": "main", "plugin": "twin", "settings": {"url": "http://127.0.0.1:8081"},
            "credentials": {"api-key": "set", "other": "set"},
            "hosts": ["http://127.0.0.1:8081"], "zones": ["example.com"],
        })
    );
    let all = rig
        .member
        .scan(Space::Steering, Scan::prefix(""), Consistency::Linearizable)
        .await
        .unwrap();
    for (key, record) in all.items {
        let text = String::from_utf8_lossy(&record.value).into_owned();
        assert!(!text.contains("fish"), "{key}: {text}");
    }
    let secret = |name: &str| {
        let account = rig.twin.account().unwrap();
        account
            .credentials
            .get(name)
            .map(|secret| secret.expose_secret().to_owned())
    };
    assert_eq!(secret("api-key").as_deref(), Some("swordfish"));
    let shown = format!("{:?}", rig.twin.account().unwrap());
    assert!(!shown.contains("swordfish"), "{shown}");

    // What an answer shows can be sent back, with one credential changed and one taken away.
    let mut body = serde_json::to_value(rig.steering.binding("main").await.unwrap()).unwrap();
    body["credentials"] = json!({"api-key": "set", "third": "codfish"});
    put(&rig, "main", body).await.unwrap();
    assert_eq!(secret("api-key").as_deref(), Some("swordfish"));
    assert_eq!(secret("third").as_deref(), Some("codfish"));
    assert_eq!(secret("other"), None);

    // Without `credentials`, those that stand stay.
    put(
        &rig,
        "main",
        json!({"plugin": "twin", "zones": ["example.com"]}),
    )
    .await
    .unwrap();
    assert_eq!(secret("third").as_deref(), Some("codfish"));
    let patch = json!({"credentials": {"third": null, "api-key": "haddock"}, "settings": {"a": 1}});
    let patched = rig
        .steering
        .patch_binding("main", patch, None, false)
        .await
        .unwrap();
    assert_eq!(secret("api-key").as_deref(), Some("haddock"));
    assert_eq!(patched.credentials.len(), 1);
    assert_eq!(Value::Object(patched.settings), json!({"a": 1}));
    assert_eq!(patched.zones.len(), 1, "what the patch leaves out stays");
}

#[tokio::test]
async fn a_credential_opens_only_where_it_was_sealed() {
    let rig = Rig::start().await;
    put(
        &rig,
        "one",
        json!({"plugin": "twin", "credentials": {"key": "swordfish"}}),
    )
    .await
    .unwrap();
    put(
        &rig,
        "two",
        json!({"plugin": "twin", "zones": ["example.com"]}),
    )
    .await
    .unwrap();
    let get = |key: &'static str| async {
        let record = rig
            .member
            .get(Space::Steering, key, Consistency::Linearizable)
            .await;
        serde_json::from_slice::<Value>(&record.unwrap().unwrap().value).unwrap()
    };
    let stolen = get("provider/one").await["document"]["credentials"].clone();
    let mut two = get("provider/two").await;
    two["document"]["credentials"] = stolen;
    let txn = portolan_consensus::Txn::new().put(
        Space::Steering,
        "provider/two",
        serde_json::to_vec(&two).unwrap(),
    );
    rig.member.txn(txn).await.unwrap();
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    fails(
        rig.steering.plan(Some("example.com")).await,
        ErrorKind::Conflict,
        "give it again",
    );
}

#[tokio::test]
async fn wrong_bindings_are_refused_with_the_field() {
    let rig = Rig::bound().await;
    let cases = [
        (json!({"zones": []}), "", "plugin"),
        (json!({"plugin": "nope"}), "plugin", "no plugin nope"),
        (
            json!({"plugin": "twin", "hosts": ["ftp://x"]}),
            "hosts[0]",
            "ftp",
        ),
        (
            json!({"plugin": "twin", "zones": ["a..b"]}),
            "zones[0]",
            "empty",
        ),
        (
            json!({"plugin": "twin", "zones": ["a.b", "A.b."]}),
            "zones[1]",
            "twice",
        ),
        (
            json!({"plugin": "twin", "zones": ["a.b", "example.com"]}),
            "zones[1]",
            "provider main",
        ),
        (
            json!({"plugin": "twin", "settings": []}),
            "settings",
            "expected a map",
        ),
        (
            json!({"plugin": "twin", "credentials": {"k": ""}}),
            "credentials.k",
            "empty",
        ),
        (
            json!({"plugin": "twin", "credentials": {"k": "set"}}),
            "credentials.k",
            "none stands",
        ),
        (
            json!({"plugin": "twin", "name": "else"}),
            "name",
            "path says new",
        ),
        (
            json!({"plugin": "twin", "colour": "red"}),
            "colour",
            "unknown field",
        ),
    ];
    for (body, at, words) in cases {
        let error = put(&rig, "new", body.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{body}: {error}");
        assert_eq!(error.at(), Some(at), "{body}: {error}");
        assert!(error.message().contains(words), "{body}: {error}");
    }
    fails(
        put(&rig, "New", json!({"plugin": "twin"})).await,
        ErrorKind::Invalid,
        "a-z",
    );
    fails(
        rig.steering.binding("new").await,
        ErrorKind::NotFound,
        "new",
    );
}

#[tokio::test]
async fn a_binding_is_not_taken_from_under_its_records() {
    let rig = Rig::bound().await;
    rig.want(&[("www A", &["192.0.2.1"])]).await;
    fails(
        rig.steering.delete_binding("main", None, false).await,
        ErrorKind::Conflict,
        "force=true",
    );
    fails(
        put(&rig, "main", json!({"plugin": "twin"})).await,
        ErrorKind::Conflict,
        "example.com",
    );

    // Wanted no more, but not deleted yet either: they would be left behind.
    let work = rig.work();
    rig.in_sync().await;
    work.stop().await;
    rig.want(&[]).await;
    fails(
        rig.steering.delete_binding("main", None, false).await,
        ErrorKind::Conflict,
        "1 that stand",
    );

    let work = rig.work();
    rig.in_sync().await;
    work.stop().await;
    rig.steering
        .delete_binding("main", None, false)
        .await
        .unwrap();
    assert!(rig.steering.bindings().await.unwrap().is_empty());
    put(
        &rig,
        "other",
        json!({"plugin": "twin", "zones": ["example.com"]}),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_named_revision_must_be_the_current_one() {
    let rig = Rig::start().await;
    let body = json!({"plugin": "twin", "zones": ["example.com"]});
    let steering = &rig.steering;
    let must_not_exist = Some(Revision::ZERO);
    let made = steering
        .put_binding("main", body.clone(), must_not_exist, false)
        .await
        .unwrap();
    let again = steering
        .put_binding("main", body.clone(), must_not_exist, false)
        .await;
    fails(
        again,
        ErrorKind::Precondition,
        "provider main is at revision",
    );
    let named = Some(made.revision);
    let second = steering
        .put_binding("main", body, named, false)
        .await
        .unwrap();
    assert!(second.revision > made.revision);
    fails(
        steering.delete_binding("main", named, false).await,
        ErrorKind::Precondition,
        "read it again",
    );
    let patch = steering
        .patch_binding("main", json!({"settings": {}}), named, false)
        .await;
    fails(patch, ErrorKind::Precondition, "read it again");

    let records =
        json!({"records": [{"name": "www", "type": "A", "ttl": 60, "values": ["192.0.2.1"]}]});
    let first = steering
        .put_records("example.com", records.clone(), must_not_exist, false)
        .await
        .unwrap();
    let again = steering
        .put_records("example.com", records, must_not_exist, false)
        .await;
    fails(
        again,
        ErrorKind::Precondition,
        "zone example.com is at revision",
    );
    assert_eq!(
        steering.records("example.com").await.unwrap().revision,
        first.revision
    );
}

#[tokio::test]
async fn two_bindings_that_race_for_a_zone_do_not_both_get_it() {
    let rig = Rig::start().await;
    let body = json!({"plugin": "twin", "zones": ["example.com"]});
    let (one, two) = tokio::join!(put(&rig, "one", body.clone()), put(&rig, "two", body));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    fails(
        one.and(two),
        ErrorKind::Invalid,
        "is served by the provider",
    );
}

#[tokio::test]
async fn records_need_a_provider_and_a_word_for_none_at_all() {
    let rig = Rig::bound().await;
    let none = json!({"records": []});
    let steering = &rig.steering;
    fails(
        steering.records("example.net").await,
        ErrorKind::NotFound,
        "no provider serves",
    );
    let elsewhere =
        json!({"records": [{"name": "@", "type": "A", "ttl": 60, "values": ["192.0.2.1"]}]});
    let put = steering
        .put_records("example.net", elsewhere, None, false)
        .await;
    fails(put, ErrorKind::NotFound, "no provider serves");
    fails(
        steering
            .put_records("example.com", none.clone(), None, false)
            .await,
        ErrorKind::Invalid,
        "allow_empty=true",
    );
    let view = steering.records("example.com").await.unwrap();
    assert_eq!(view.revision, Revision::ZERO, "nothing was ever wanted");
    steering
        .put_records("example.com", none, None, true)
        .await
        .unwrap();
    fails(
        steering
            .put_records(
                "example.com",
                json!({"zone": "a.b", "records": []}),
                None,
                true,
            )
            .await,
        ErrorKind::Invalid,
        "path says example.com",
    );
}
