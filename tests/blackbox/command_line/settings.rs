//! How clusters are set up, and watching them, from the command line.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portolan_tests::{PATIENCE, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::ran::with_input;
use crate::stage::Stage;

/// Whether a line of a table has these words.
fn has_row(table: &str, words: &str) -> bool {
    let wanted: Vec<&str> = words.split_whitespace().collect();
    let mut lines = table.lines();
    lines.any(|line| line.split_whitespace().collect::<Vec<_>>() == wanted)
}

#[tokio::test]
async fn a_cluster_has_settings_of_its_own_beside_the_daemons() {
    let stage = Stage::new(1, 1).await;
    let shows = |table: &str, rows: &[&str]| {
        for row in rows {
            assert!(has_row(table, row), "no {row:?} in\n{table}");
        }
    };
    let settings = stage.portolan("cluster settings ns/c").await.done();
    let rows = [
        "SETTING EFFECTIVE",
        "failover_after 3",
        "excluded_slots none",
    ];
    shows(&settings, &rows);

    let set = "cluster set ns/c --failover-after 5 --automatic-failover false \
               --move-cool-down-ms 0 --exclude-slots 200,0-99";
    let settings = stage.portolan(set).await.done();
    let rows = [
        "SETTING OWN EFFECTIVE",
        "failover_after 5 5",
        "automatic_failover false false",
        "move_cool_down_ms 0 0",
        "excluded_slots 0-99, 200 0-99, 200",
        "safe_mode_percent 60",
    ];
    shows(&settings, &rows);
    let set = "cluster set ns/c --default failover_after --max-fill-percent 80 \
               --exclude-slots none --json";
    let answer = stage.portolan(set).await.json();
    let settings = stage.portolan("cluster settings ns/c --json").await.json();
    assert_eq!(answer["effective"], settings["effective"]);
    let own = &settings["settings"];
    let expected = json!([null, false, 0, 80, []]);
    let found = [
        "failover_after",
        "automatic_failover",
        "move_cool_down_ms",
        "max_fill_percent",
        "excluded_slots",
    ];
    let found: Vec<&Value> = found.iter().map(|name| &own[name]).collect();
    assert_eq!(json!(found), expected);
    assert_eq!(settings["effective"]["failover_after"], 3);

    for (line, code, part) in [
        ("cluster set ns/c --failover-after 0", 1, "failover_after"),
        ("cluster set ns/d --failover-after 3", 3, "does not exist"),
        (
            "cluster set ns/c --failover-after 3 --default failover_after",
            2,
            "leave one of them out",
        ),
    ] {
        let complaint = stage.portolan(line).await.failed(code);
        assert!(complaint.contains(part), "{line}: {complaint}");
    }
    for line in ["cluster set ns/c", "cluster set ns/c --default nothing"] {
        let ran = stage.portolan(line).await;
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_cluster_is_told_to_balance_itself_and_to_leave_off() {
    const OFF: &str = "cluster ns/c does not balance itself\n";
    let stage = Stage::new(2, 1).await;
    let automatic = async |rest: &str| {
        let line = format!("cluster automatic ns/c {rest}");
        stage.portolan(&line).await
    };
    assert_eq!(automatic("").await.done(), OFF);
    let on = "on --policy even-slots --setting threshold_percent=5 --interval-s 60 --hours 22-6 \
              --max-moves 2";
    let told = automatic(on).await.done();
    assert!(told.starts_with("cluster ns/c balances itself\n"), "{told}");
    assert_eq!(automatic("show").await.done(), told);
    let shown = automatic("--json").await.json()["automatic"].clone();
    assert_eq!(shown["settings"], json!({"threshold_percent": 5}));
    assert_eq!(shown["hours"], json!({"from": 22, "to": 6}));
    assert_eq!([&shown["interval_s"], &shown["max_moves"]], [60, 2]);

    let complaint = automatic("on --policy nobody").await.failed(1);
    assert!(complaint.contains("migration policies"), "{complaint}");
    let complaint = automatic("on --policy even-slots --hours 3-3").await;
    let complaint = complaint.failed(1);
    assert!(complaint.contains("hours"), "{complaint}");
    assert_eq!(automatic("on").await.code, Some(2), "a policy is needed");

    assert_eq!(automatic("off").await.done(), OFF);
    assert_eq!(automatic("show").await.done(), OFF);
}

#[tokio::test]
async fn a_password_is_taken_over_when_no_node_refuses_it() {
    const PASSWORD: &str = "correct horse";
    let stage = Stage::new(1, 1).await;
    let node = stage.spare(PASSWORD).await;
    let create = format!(
        "cluster create ns/d --nodes {} --password-stdin",
        node.addr()
    );
    let created = with_input(stage.command(&create), PASSWORD).await;
    created.done();

    let change = "cluster password ns/d";
    let complaint = stage.portolan(change).await.failed(2);
    assert!(complaint.contains("--password-file"), "{complaint}");
    let change = format!("{change} --password-stdin");
    let refused = with_input(stage.command(&change), "battery staple").await;
    let complaint = refused.failed(4);
    assert!(complaint.contains(&node.addr()), "{complaint}");
    assert!(!complaint.contains("battery"), "{complaint}");
    let taken = with_input(stage.command(&change), PASSWORD).await;
    assert_eq!(taken.done(), "cluster ns/d has another password\n");
}

#[tokio::test]
async fn events_are_followed_until_the_user_has_seen_enough() {
    let stage = Stage::new(1, 2).await;
    let status = "cluster show ns/c --status";
    let shown = stage.portolan(status).await.done();
    assert!(shown.contains("STATUS"), "{shown}");
    assert_eq!(shown.matches(" up\n").count(), 2, "{shown}");

    let mut child = stage
        .command("events ns/c --follow")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    stage.nodes[1].kill();
    let seen = timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it ended");
            if line.contains(" node-down ") {
                break line;
            }
        }
    });
    let seen = seen.await.expect("no node-down");
    assert!(seen.contains(&stage.nodes[1].addr()), "{seen}");
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(id, Signal::SIGINT).unwrap();
    let ended = timeout(PATIENCE, child.wait()).await;
    let ended = ended.expect("it goes on").unwrap();
    assert_eq!(ended.signal(), Some(Signal::SIGINT as i32), "{ended}");

    eventually("the node is shown as down", async || {
        let shown = stage.portolan(status).await.done();
        match shown.contains(" down: ") && shown.contains(" up\n") {
            true => Ok(()),
            false => Err(shown),
        }
    })
    .await;
}
