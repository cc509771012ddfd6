//! Slots move from one master to another, or do not.

use std::time::Duration;

use portolan_tests::Kvrocks;

use super::*;

const INFO: &[&str] = &["CLUSTER", "INFO"];
/// Key and slot of the first master.
const KEY: &str = "bar";
const SLOT: &str = "5061";

async fn migrate(node: &KvrocksNode, slots: &str, to: usize) -> String {
    ask(node, &["CLUSTERX", "MIGRATE", slots, &id(to), "async"]).await
}

#[tokio::test]
async fn a_migrated_slot_is_served_by_its_destination_before_the_topology_says_so() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    assert_eq!(ask(&one, &["SET", KEY, "1"]).await, "OK");
    one.put("{bar}deleted", "1");

    net.hold_migrations();
    assert_eq!(migrate(&one, "5000-5100", 2).await, "OK");
    says(&one, INFO, "migrating_state: start").await;
    says(
        &two,
        INFO,
        "importing_slot(s): 5000-5100\r\nimport_state: start",
    )
    .await;
    says(
        &one,
        &["CLUSTER", "NODES"],
        &format!(" [5000-5100->-{}]", id(2)),
    )
    .await;
    says(
        &two,
        &["CLUSTER", "NODES"],
        &format!(" [5000-5100-<-{}]", id(1)),
    )
    .await;
    // The source takes writes, the destination sends them back.
    assert_eq!(ask(&one, &["SET", KEY, "2"]).await, "OK");
    assert_eq!(ask(&one, &["SET", "{bar}new", "1"]).await, "OK");
    assert_eq!(ask(&one, &["DEL", "{bar}deleted"]).await, "1");
    let moved = ask(&two, &["GET", KEY]).await;
    assert_eq!(moved, format!("MOVED {SLOT} {}", one.addr()));

    net.release_migrations();
    let lines = format!(
        "migrating_slot(s): 5000-5100\r\ndestination_node: {}\r\nmigrating_state: success",
        id(2)
    );
    says(&one, INFO, &lines).await;
    says(&two, INFO, "import_state: success").await;
    let moved = ask(&one, &["GET", KEY]).await;
    assert_eq!(moved, format!("MOVED {SLOT} {}", two.addr()));
    assert_eq!(ask(&two, &["GET", KEY]).await, "2");
    assert_eq!(two.keys(), [KEY, "{bar}new"]);
    assert_eq!(ask(&two, &["SET", KEY, "3"]).await, "OK");

    let lines = [
        master(1, &one, "0-4999 5101-8191"),
        master(2, &two, "5000-5100 8192-16383"),
    ];
    push(&one, 1, &lines, 2).await;
    push(&two, 2, &lines, 2).await;
    assert_eq!(one.value(KEY), None, "what was migrated is cleared");
    assert_eq!(ask(&two, &["GET", KEY]).await, "3");
    says(&one, INFO, "migrating_state: success").await;
    one.restart().await;
    let info = ask(&one, INFO).await;
    assert!(!info.contains("migrating"), "{info}");
}

#[tokio::test]
async fn setslot_ends_a_migration_too() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    one.put(KEY, "1");
    assert_eq!(migrate(&one, SLOT, 2).await, "OK");
    says(&one, INFO, "migrating_state: success").await;
    for node in [&one, &two] {
        let command = ["CLUSTERX", "SETSLOT", SLOT, "NODE", &id(2), "2"];
        assert_eq!(ask(node, &command).await, "OK");
    }
    assert_eq!(one.value(KEY), None);
    assert_eq!(ask(&two, &["GET", KEY]).await, "1");
}

#[tokio::test]
async fn a_migration_that_cannot_begin_is_refused() {
    let net = Kvrocks::network();
    let (one, two, three) = (net.start().await, net.start().await, net.start().await);
    let lines = [
        master(1, &one, "0-8191"),
        master(2, &two, "8192-16383"),
        replica(3, &three, 1),
    ];
    push(&one, 1, &lines, 1).await;
    push(&two, 2, &lines, 1).await;
    push(&three, 3, &lines, 1).await;
    let not_mine = "ERR Can't migrate slot which doesn't belong to me";
    assert_eq!(
        migrate(&one, "0", 9).await,
        "ERR Can't find the destination node id"
    );
    assert_eq!(migrate(&one, "8191-8192", 2).await, not_mine);
    assert_eq!(migrate(&three, "0", 2).await, not_mine);
    assert_eq!(
        migrate(&one, "0", 3).await,
        "ERR Can't migrate slot to a slave"
    );
    assert_eq!(
        migrate(&one, "0", 1).await,
        "ERR Can't migrate slot to myself"
    );
    let reply = migrate(&one, "x", 2).await;
    assert!(reply.starts_with("ERR Invalid slot id: "), "{reply}");
    for (options, wanted) in [
        (&["later"][..], "ERR Invalid sync flag"),
        (&["sync", "-1"], "ERR timeout is negative"),
    ] {
        let two = id(2);
        let command = [&["CLUSTERX", "MIGRATE", "0", &two], options].concat();
        assert_eq!(ask(&one, &command).await, wanted);
    }
    net.hold_migrations();
    // Of several ranges only the first is used.
    assert_eq!(migrate(&one, "0-3 5", 2).await, "OK");
    let reply = migrate(&one, "7", 2).await;
    assert_eq!(reply, "ERR There is already a migrating job");
    net.release_migrations();
    says(&one, INFO, "migrating_slot(s): 0-3\r\n").await;
}

#[tokio::test]
async fn a_dead_destination_fails_the_job_and_the_data_stays() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    one.put(KEY, "1");
    two.kill();
    assert_eq!(migrate(&one, SLOT, 2).await, "OK");
    says(&one, INFO, "migrating_state: fail").await;
    two.restart().await;

    net.hold_migrations();
    assert_eq!(migrate(&one, SLOT, 2).await, "OK");
    says(&two, INFO, "import_state: start").await;
    two.kill();
    says(&one, INFO, "migrating_state: fail").await;
    assert_eq!(ask(&one, &["SET", KEY, "2"]).await, "OK");
}

#[tokio::test]
async fn a_cut_link_fails_the_job_at_both_ends() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    one.put(KEY, "1");
    net.hold_migrations();
    assert_eq!(migrate(&one, SLOT, 2).await, "OK");
    says(&two, INFO, "import_state: start").await;
    net.cut(&one, &two);
    says(&one, INFO, "migrating_state: fail").await;
    says(&two, INFO, "import_state: error").await;
    assert_eq!(ask(&one, &["GET", KEY]).await, "1");
}

#[tokio::test]
async fn a_dead_source_is_an_error_of_the_destination() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    one.put(KEY, "1");
    // Enough keys that the job cannot end before the kill.
    for n in 0..1_000 {
        one.put(&format!("{{bar}}{n}"), "2");
    }
    net.pace_migrations(1, Duration::from_millis(5));
    assert_eq!(migrate(&one, SLOT, 2).await, "OK");
    holds(&two, KEY, Some("1")).await;
    one.kill();
    says(&two, INFO, "import_state: error").await;
    assert_eq!(two.value(KEY), None);
    one.restart().await;
    assert_eq!(ask(&one, &["GET", KEY]).await, "1");
}

#[tokio::test]
async fn a_migration_sends_the_sources_own_password() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    let command = ["CONFIG", "SET", "requirepass", "secret"];
    assert_eq!(ask(&two, &command).await, "OK");
    assert_eq!(migrate(&one, SLOT, 2).await, "OK");
    says(&one, INFO, "migrating_state: fail").await;
}

#[tokio::test]
async fn a_synchronous_migration_answers_at_its_end() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    one.put(KEY, "1");
    let command = ["CLUSTERX", "MIGRATE", SLOT, &id(2), "sync"];
    assert_eq!(ask(&one, &command).await, "OK");
    assert_eq!(two.value(KEY).as_deref(), Some("1"));
    two.kill();
    let command = ["CLUSTERX", "MIGRATE", "0", &id(2), "sync", "60000"];
    let reply = ask(&one, &command).await;
    assert!(reply.starts_with("ERR failed to connect"), "{reply}");
}

#[tokio::test]
async fn an_abandoned_success_forbids_writes_until_another_slot_has_migrated() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    one.put(KEY, "1");
    assert_eq!(migrate(&one, SLOT, 2).await, "OK");
    says(&one, INFO, "migrating_state: success").await;
    let lines = [master(1, &one, "0-8191"), master(2, &two, "8192-16383")];
    push(&one, 1, &lines, 2).await;
    push(&two, 2, &lines, 2).await;

    assert_eq!(ask(&one, &["GET", KEY]).await, "1");
    assert_eq!(
        ask(&one, &["SET", KEY, "2"]).await,
        "TRYAGAIN Can't write to slot being migrated which is in write forbidden phase"
    );
    let refused = "ERR Can't migrate slot which has been migrated";
    assert_eq!(migrate(&one, SLOT, 2).await, refused);
    assert_eq!(migrate(&one, "0", 2).await, "OK");
    says(&one, INFO, "migrating_slot(s): 0\r\n").await;
    says(&one, INFO, "migrating_state: success").await;
    assert_eq!(ask(&one, &["SET", KEY, "2"]).await, "OK");
    assert_eq!(migrate(&one, SLOT, 2).await, "OK");
}
