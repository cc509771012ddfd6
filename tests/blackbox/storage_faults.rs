//! Disks that forget, lie or fill up.

use std::path::Path;

use portolan_tests::{
    Cluster, Daemon, Load, Setup, Workload, bytes_on_disk, checkpoint_file, eventually, flip_bit,
    log_files, request, truncate,
};
use serde_json::json;
use tempfile::TempDir;

async fn write_some(cluster: &Cluster) -> portolan_tests::History {
    let workload = Workload::start("client", 4, &cluster.addresses());
    workload.goes_on_for(300).await;
    workload.stop().await
}

fn newest_log(data: &Path) -> std::path::PathBuf {
    log_files(data)
        .pop()
        .expect("log_files() found at least one")
}

#[tokio::test]
async fn a_torn_log_tail_is_cut_off_and_the_member_catches_up() {
    let mut cluster = Cluster::start().await;
    let history = write_some(&cluster).await;
    let follower = cluster.follower().await;
    cluster.members[follower].kill9();
    truncate(&newest_log(cluster.members[follower].data()), 7);

    cluster.members[follower].start_ready().await;
    cluster
        .client(follower)
        .write("after", "the tear")
        .await
        .unwrap();
    cluster.all_caught_up().await;
    let mut contents = cluster.client(follower).read_all_stale().await.unwrap();
    assert_eq!(contents.remove("after").as_deref(), Some("the tear"));
    history.check("the torn member", &contents);
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_never_served_and_names_the_file_and_the_way_out() {
    // Nothing is in the checkpoint, all is in the log: whatever is damaged is needed.
    let config = "[raft]\ncheckpoint_ms = 3600000\n";
    let setup = Setup {
        config: config.into(),
        ..Setup::default()
    };
    let mut cluster = Cluster::start_with(setup).await;
    let history = write_some(&cluster).await;
    let follower = cluster.follower().await;
    cluster.members[follower].kill9();
    let log = newest_log(cluster.members[follower].data());
    let length = std::fs::metadata(&log).unwrap().len();
    flip_bit(&log, length / 2);

    let (status, said) = cluster.members[follower].start_and_fail().await;
    assert!(!status.success(), "it started on a damaged log");
    for part in [
        log.file_name().unwrap().to_str().unwrap(),
        "damaged",
        "--join",
    ] {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }

    // The way out that it names: out of the group, empty, and in again.
    let id = cluster.members[follower].id();
    let stay: Vec<u64> = (1..=3).filter(|other| *other != id).collect();
    let helper = cluster.leader().await;
    let reply = cluster
        .client(helper)
        .post("/change-membership", &json!(stay))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    std::fs::remove_dir_all(cluster.members[follower].data()).unwrap();
    let mut renewed = cluster
        .new_member(id)
        .join(&cluster.members[helper].address());
    renewed.start_ready().await;
    cluster.members[follower] = renewed;
    cluster.voters_are(&[1, 2, 3]).await;
    cluster.all_caught_up().await;
    history.check(
        "the renewed member",
        &cluster.client(follower).read_all_stale().await.unwrap(),
    );
}

#[tokio::test]
async fn a_damaged_checkpoint_is_put_aside_and_rebuilt() {
    const GARBAGE: &str = "this is not a checkpoint";
    let config = "[raft]\nsnapshot_after = 100\nlog_keep = 10\nlog_chunk_bytes = 16384\n\
                  checkpoint_ms = 100\n";
    let setup = Setup {
        config: config.into(),
        ..Setup::default()
    };
    let mut cluster = Cluster::start_with(setup).await;
    let history = write_some(&cluster).await;
    let follower = cluster.follower().await;
    eventually(
        "the log no longer reaches back to the beginning",
        async || {
            let purged = cluster.members[follower].metrics().await?["purged"].take();
            if purged.is_null() {
                Err("nothing is purged")
            } else {
                Ok(())
            }
            .map_err(str::to_owned)
        },
    )
    .await;
    assert!(cluster.members[follower].stop().await.success());
    let checkpoint = checkpoint_file(cluster.members[follower].data());
    std::fs::write(&checkpoint, GARBAGE).unwrap();

    cluster.members[follower].start_ready().await;
    cluster.all_caught_up().await;
    history.check(
        "the member",
        &cluster.client(follower).read_all_stale().await.unwrap(),
    );
    let log = cluster.members[follower].log();
    assert!(
        log.lines()
            .any(|line| line.contains("checkpoint") && line.contains("put aside")),
        "nothing in the log says that the checkpoint was put aside"
    );
    let state = cluster.members[follower].data().join("state");
    let aside = std::fs::read_dir(&state)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.contains("damaged"))
        .count();
    assert_eq!(
        aside, 1,
        "the damaged checkpoint is not kept for whoever wants to see it"
    );
}

#[tokio::test]
async fn the_disk_stays_bounded_however_often_keys_are_overwritten() {
    const KEYS: u64 = 1_000;
    const OVERWRITES: u64 = 200_000;
    const VALUE_BYTES: usize = 1_000;
    const SNAPSHOT_AFTER: u64 = 2_000;
    const LOG_KEEP: u64 = 500;
    const CHUNK_BYTES: u64 = 1 << 20;
    let config = format!(
        "[raft]\nsnapshot_after = {SNAPSHOT_AFTER}\nlog_keep = {LOG_KEEP}\n\
         log_chunk_bytes = {CHUNK_BYTES}\n"
    );
    let cluster = Cluster::start_with(Setup {
        config,
        ..Setup::default()
    })
    .await;
    let address = cluster.members[cluster.leader().await].address();
    let put = {
        let address = address.clone();
        move |number: u64| {
            let value = format!("{number:0>VALUE_BYTES$}");
            let body = json!({"Put": {"key": format!("key-{:04}", number % KEYS), "value": value}});
            request("POST", "/write", &address, &body.to_string())
        }
    };
    Load::send_all(&address, 64, (0..OVERWRITES).map(put)).await;

    let live = KEYS * (VALUE_BYTES as u64 + 8);
    // Entries that may stay, and a file that is not yet full at each end.
    let tail = (SNAPSHOT_AFTER + LOG_KEEP) * (VALUE_BYTES as u64 + 200) + 2 * CHUNK_BYTES;
    for member in &cluster.members {
        eventually(
            &format!("member {} gave its space back", member.id()),
            async || match bytes_on_disk(member.data()) {
                bytes if bytes < 10 * live + tail => Ok(()),
                bytes => Err(format!(
                    "{bytes} bytes for {live} bytes of live data, log {tail}"
                )),
            },
        )
        .await;
        let contents = member.client().read_all().await.unwrap();
        assert_eq!(contents.len() as u64, KEYS);
        for (key, value) in contents {
            let number: u64 = value.parse().unwrap();
            assert_eq!(key, format!("key-{:04}", number % KEYS));
        }
    }
}

#[tokio::test]
async fn beyond_the_live_data_limit_writes_are_refused_and_deletes_work() {
    let home = TempDir::new().unwrap();
    let config = "[limits]\nmax_live_bytes = 100000\n";
    let mut member = Daemon::new(home.path(), 1).config(config);
    member.start_ready().await;
    let client = member.client();
    let value = "v".repeat(10_000);
    let mut accepted = 0;
    let refused = loop {
        let put = json!({"Put": {"key": format!("key-{accepted}"), "value": value}});
        let reply = client.post("/write", &put).await;
        if reply.status != 200 {
            break reply;
        }
        accepted += 1;
        assert!(accepted <= 10, "the limit does not hold");
    };
    assert!(accepted >= 8, "refused after {accepted} values");
    assert_eq!(refused.status, 507, "{}", refused.complaint());
    assert!(
        refused.header("portolan-error").contains("100000"),
        "{}",
        refused.complaint()
    );

    let delete = client
        .post("/write", &json!({"Del": {"key": "key-0"}}))
        .await;
    assert_eq!(delete.status, 200, "{}", delete.complaint());
    client.write("key-0", &value).await.unwrap();
}
