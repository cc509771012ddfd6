//! What the KV contract's routes refuse, and what they say then.

use portolan_tests::{Client, Cluster, Reply};
use serde_json::{Value, json};

const LONGEST_KEY: usize = 4 * 1024;
const LONGEST_VALUE: usize = 3 * 512 * 1024;

async fn raw(client: &Client, path: &str, body: &str) -> Reply {
    client
        .send(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.to_owned(),
        )
        .await
        .unwrap()
}

#[tokio::test]
async fn malformed_json_is_refused_with_its_position() {
    let cluster = Cluster::start().await;
    for client in [cluster.client(0), cluster.client(1)] {
        for (path, body, line, column) in [
            (
                "/write",
                "{\"Put\":{\"key\":\"a\",\n \"value\" \"b\"}}",
                2,
                10,
            ),
            ("/write", "", 1, 0),
            ("/read", "\"unfinished", 1, 11),
            ("/add-learner", "[2,", 1, 3),
            ("/change-membership", "[1, 2}", 1, 6),
        ] {
            let reply = raw(&client, path, body).await;
            assert_eq!(reply.status, 400, "{path} {body:?}: {}", reply.complaint());
            let complaint = reply.complaint();
            let position = format!("line {line} column {column}");
            assert!(
                complaint.contains(&position),
                "{path} {body:?}: no {position} in {complaint}"
            );
        }
    }
}

#[tokio::test]
async fn json_of_another_shape_is_refused_with_what_was_expected() {
    let cluster = Cluster::start().await;
    let client = cluster.client(1);
    for (path, body, expected) in [
        ("/write", json!({"Put": {"key": 7, "value": "b"}}), "string"),
        ("/write", json!({"Put": {"key": "a"}}), "value"),
        ("/write", json!({"Increment": {"key": "a"}}), "Put"),
        ("/write", json!("Put"), "Put"),
        (
            "/write",
            json!({"Put": {"key": "a", "value": "b", "ttl": 1}}),
            "ttl",
        ),
        ("/read", json!({"key": "a"}), "string"),
        ("/add-learner", json!(["2", "127.0.0.1:1"]), "id"),
        ("/add-learner", json!([2, "nowhere"]), "port"),
        ("/change-membership", json!({"voters": [1]}), "id"),
    ] {
        let reply = client.post(path, &body).await;
        assert!(
            (400..500).contains(&reply.status),
            "{path} {body}: {}",
            reply.status
        );
        let complaint = reply.complaint();
        assert!(
            complaint.contains(expected),
            "{path} {body}: no {expected:?} in {complaint}"
        );
    }
}

#[tokio::test]
async fn errors_keep_the_forms_of_the_contract() {
    let cluster = Cluster::start().await;
    let client = cluster.client(0);

    let write = client
        .post("/write", &json!({"Increment": {"key": "a"}}))
        .await;
    assert_eq!(write.json(), json!("Err"));
    assert!(
        write.header("portolan-error").contains("Increment"),
        "{}",
        write.complaint()
    );

    let read = client.post("/read", &json!(7)).await;
    assert!(
        read.json()["err"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty()),
        "{}",
        read.body
    );

    let path = "/read-all?consistency=whatever";
    let read_all = client.get(path).await;
    assert_eq!(read_all.status, 400);
    assert!(
        read_all.json()["err"]
            .as_str()
            .is_some_and(|reason| reason.contains("stale"))
    );
}

#[tokio::test]
async fn keys_and_values_are_accepted_up_to_their_limits_and_refused_beyond() {
    let cluster = Cluster::start().await;
    let follower = cluster.follower().await;
    let leader = cluster.leader().await;
    let longest_key = "k".repeat(LONGEST_KEY);
    let longest_value = "v".repeat(LONGEST_VALUE);
    // Escaped, each of these takes six bytes of JSON for one byte of text.
    let longest_escaped = "\u{1}".repeat(LONGEST_VALUE);

    for (index, reader) in [(leader, follower), (follower, leader)] {
        let client = cluster.client(index);
        for value in [&longest_value, &longest_escaped] {
            client.write(&longest_key, value).await.unwrap();
            let read = cluster.client(reader).read(&longest_key).await.unwrap();
            assert!(read == *value, "read {} bytes back", read.len());
        }

        let put = |key: &str, value: &str| json!({"Put": {"key": key, "value": value}});
        for (body, limit) in [
            (put(&format!("{longest_key}k"), "v"), LONGEST_KEY),
            (put("k", &format!("{longest_value}v")), LONGEST_VALUE),
            (
                json!({"Del": {"key": format!("{longest_key}k")}}),
                LONGEST_KEY,
            ),
        ] {
            let reply = client.post("/write", &body).await;
            assert_eq!(reply.status, 413, "{}", reply.complaint());
            assert_eq!(reply.json(), json!("Err"));
            let reason = reply.header("portolan-error");
            assert!(
                reason.contains(&limit.to_string()),
                "the limit is not in {reason:?}"
            );
        }
        let far_too_large = put("k", &"v".repeat(16 * LONGEST_VALUE));
        assert_eq!(client.post("/write", &far_too_large).await.status, 413);
    }
    assert_eq!(
        cluster.client(0).read("k").await.unwrap(),
        "",
        "a refused write was made"
    );
}

#[tokio::test]
async fn an_empty_key_is_refused() {
    let cluster = Cluster::start().await;
    let put = json!({"Put": {"key": "", "value": "v"}});
    for index in 0..3 {
        let reply = cluster.client(index).post("/write", &put).await;
        assert!(
            (400..500).contains(&reply.status),
            "{} {}",
            reply.status,
            reply.complaint()
        );
        assert!(reply.complaint().contains("empty"), "{}", reply.complaint());
    }
}

#[tokio::test]
async fn memberships_that_make_no_sense_are_refused_by_every_member() {
    let cluster = Cluster::start().await;
    let second = cluster.members[1].address();
    let elsewhere = "127.0.0.1:9";
    let cases: [(&str, Value, &[&str]); 4] = [
        ("/change-membership", json!([1, 77, 2, 78]), &["77", "78"]),
        ("/change-membership", json!([]), &["at least one"]),
        ("/add-learner", json!([2, elsewhere]), &["2", &second]),
        ("/add-learner", json!([9, second]), &["2", &second]),
    ];
    for (path, body, named) in cases {
        for index in 0..3 {
            let reply = cluster.client(index).post(path, &body).await;
            let complaint = reply.complaint();
            assert!(
                (400..500).contains(&reply.status),
                "{path} {body}: {} {complaint}",
                reply.status
            );
            assert!(
                reply.json().get("Err").is_some(),
                "{path} {body}: {}",
                reply.body
            );
            for name in named {
                assert!(
                    complaint.contains(name),
                    "{path} {body}: no {name:?} in {complaint}"
                );
            }
        }
    }
    cluster.voters_are(&[1, 2, 3]).await;

    let same_again = cluster
        .client(2)
        .post("/add-learner", &json!([2, second]))
        .await;
    assert_eq!(same_again.status, 200, "{}", same_again.complaint());
    cluster.voters_are(&[1, 2, 3]).await;
}

#[tokio::test]
async fn unknown_paths_and_methods_say_so() {
    let cluster = Cluster::start().await;
    let client = cluster.client(0);
    assert_eq!(client.get("/no-such-thing").await.status, 404);
    let wrong = client.get("/write").await;
    assert_eq!(wrong.status, 405);
    assert!(
        wrong.header("allow").contains("POST"),
        "allow: {:?}",
        wrong.header("allow")
    );
}
