//! How a group grows and shrinks.

use portolan_tests::{Cluster, Daemon, Workload, eventually};
use serde_json::json;
use tempfile::TempDir;

#[tokio::test]
async fn standbys_become_a_group_of_three_as_the_contract_does_it() {
    let home = TempDir::new().unwrap();
    let mut first = Daemon::new(home.path(), 1);
    first.start_ready().await;
    first
        .client()
        .write("before", "the others came")
        .await
        .unwrap();

    let mut standbys = vec![];
    for id in [2, 3] {
        let mut standby = Daemon::new(home.path(), id).standby();
        standby.start();
        standby.listening().await;
        let unready = standby.client().get("/readyz").await;
        assert_eq!(unready.status, 503, "{}", unready.body);
        assert!(
            unready.body.contains("/add-learner"),
            "no way out in {}",
            unready.body
        );
        let refused = standby.client().write("a", "b").await.unwrap_err();
        assert!(
            refused.contains("503") && refused.contains("/add-learner"),
            "{refused}"
        );
        standbys.push(standby);
    }

    for standby in &standbys {
        let learner = json!([standby.id(), standby.address()]);
        let reply = first.client().post("/add-learner", &learner).await;
        assert_eq!(reply.status, 200, "{}", reply.complaint());
        assert_eq!(reply.json()["Ok"]["membership"]["configs"], json!([[1]]));
    }
    // A learner takes requests although it does not vote.
    for standby in &mut standbys {
        standby.ready().await;
        assert_eq!(
            standby.client().read("before").await.unwrap(),
            "the others came"
        );
    }
    let reply = standbys[0]
        .client()
        .post("/change-membership", &json!([1, 2, 3]))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(
        reply.json()["Ok"]["membership"]["configs"],
        json!([[1, 2, 3]])
    );

    standbys[1]
        .client()
        .write("after", "they came")
        .await
        .unwrap();
    assert_eq!(first.client().read("after").await.unwrap(), "they came");
    first.kill9();
    eventually("the two others go on without the first", async || {
        standbys[0].client().write("without", "the first").await
    })
    .await;
}

#[tokio::test]
async fn a_member_joins_through_any_member_and_gets_the_next_id() {
    let mut cluster = Cluster::start().await;
    let follower = cluster.follower().await;
    let mut fourth = cluster
        .new_member(4)
        .without_id()
        .join(&cluster.members[follower].address());
    fourth.start_ready().await;
    cluster.members.push(fourth);
    cluster.voters_are(&[1, 2, 3, 4]).await;
}

#[tokio::test]
async fn a_joining_member_catches_up_while_writes_go_on() {
    let mut cluster = Cluster::start().await;
    let workload = Workload::start("client", 4, &cluster.addresses());
    workload.goes_on_for(200).await;
    let mut fourth = cluster.new_member(4).join(&cluster.members[0].address());
    fourth.start_ready().await;
    cluster.members.push(fourth);
    cluster.voters_are(&[1, 2, 3, 4]).await;
    workload.goes_on_for(200).await;
    let history = workload.stop().await;
    cluster.all_caught_up().await;
    history.check(
        "the new member",
        &cluster.client(3).read_all_stale().await.unwrap(),
    );
}

#[tokio::test]
async fn a_group_shrinks_to_the_members_that_are_named_and_goes_on() {
    let mut cluster = Cluster::start().await;
    cluster.client(0).write("before", "1").await.unwrap();
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let last = 3 - leader - follower;
    let mut stay = [cluster.members[leader].id(), cluster.members[follower].id()];
    stay.sort_unstable();

    let reply = cluster
        .client(last)
        .post("/change-membership", &json!(stay))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(reply.json()["Ok"]["membership"]["configs"], json!([stay]));
    cluster.members[last].kill9();
    cluster.client(follower).write("after", "2").await.unwrap();
    assert_eq!(cluster.client(leader).read("before").await.unwrap(), "1");

    let alone = cluster.members[follower].id();
    let reply = cluster
        .client(leader)
        .post("/change-membership", &json!([alone]))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    cluster.members[leader].kill9();
    let client = cluster.client(follower);
    eventually("the last member leads itself", async || {
        client.write("alone", "3").await
    })
    .await;
    for (key, value) in [("before", "1"), ("after", "2"), ("alone", "3")] {
        assert_eq!(client.read(key).await.unwrap(), value);
    }
}

#[tokio::test]
async fn a_leader_that_is_removed_hands_over_and_the_rest_goes_on() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let workload_members: Vec<String> = (0..3)
        .filter(|index| *index != leader)
        .map(|index| cluster.members[index].address())
        .collect();
    let workload = Workload::start("client", 4, &workload_members);
    workload.goes_on_for(50).await;

    let stay: Vec<u64> = (1..=3)
        .filter(|id| *id != cluster.members[leader].id())
        .collect();
    let reply = cluster
        .client(leader)
        .post("/change-membership", &json!(stay))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(reply.json()["Ok"]["membership"]["configs"], json!([stay]));
    workload.goes_on_for(100).await;

    let history = workload.stop().await;
    let stayed = cluster.client(usize::try_from(stay[0] - 1).unwrap());
    history.check("a member that stayed", &stayed.read_all().await.unwrap());
}

#[tokio::test]
async fn the_members_are_listed_added_and_removed_as_clients_of_the_controller_do_it() {
    const PEERS: &str = "/api/v1/raft/peers";
    let home = TempDir::new().unwrap();
    let mut first = Daemon::new(home.path(), 1);
    first.start_ready().await;
    let mut second = Daemon::new(home.path(), 2).standby();
    second.start();
    second.listening().await;

    let add = json!({"id": 2, "operation": "add", "peer": second.address()});
    let reply = first.client().post(PEERS, &add).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(reply.json(), json!({"data": "ok"}));
    second.ready().await;
    let both =
        json!({"data": {"leader": 1, "peers": {"1": first.address(), "2": second.address()}}});
    for member in [&first, &second] {
        assert_eq!(member.client().get(PEERS).await.json(), both);
    }

    let wrong = [
        (json!({"id": 2, "operation": "explode"}), 422, "add"),
        (
            json!({"id": 3, "operation": "add", "peer": "nowhere"}),
            422,
            "peer",
        ),
        (json!({"id": 9, "operation": "remove"}), 404, "not a voter"),
    ];
    for (body, status, part) in wrong {
        let reply = first.client().post(PEERS, &body).await;
        assert_eq!(reply.status, status, "{}", reply.complaint());
        assert!(reply.body.contains(part), "{}", reply.body);
    }
    let reply = first
        .client()
        .post(PEERS, &json!({"id": 2, "operation": "remove"}))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    eventually("only one member is left", async || {
        let peers = first.client().get(PEERS).await.json()["data"]["peers"].clone();
        if peers == json!({"1": first.address()}) {
            Ok(())
        } else {
            Err(peers.to_string())
        }
    })
    .await;
}
