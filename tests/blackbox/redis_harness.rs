//! The real servers and the clients that other tests stand on: they work, and they would notice.

use portolan_tests::{
    ClusterClient, ClusterLoad, Flavour, Losses, RedisOptions, RedisServer, Resp, eventually,
    redis_cluster_by_hand,
};

const KEYS: usize = 10_000;

async fn cluster_of(flavour: Flavour, password: Option<&str>) -> Vec<RedisServer> {
    let options = RedisOptions {
        password: password.map(str::to_owned),
        ..RedisOptions::new(flavour)
    };
    let servers = RedisServer::start_many(6, &options).await;
    redis_cluster_by_hand(&servers, 1).await;
    servers
}

fn addresses(servers: &[RedisServer]) -> Vec<String> {
    servers.iter().map(RedisServer::addr).collect()
}

fn pairs() -> impl Iterator<Item = (String, String)> {
    (0..KEYS).map(|n| (format!("key-{n}"), format!("value-{n}")))
}

async fn all_there(client: &mut ClusterClient) {
    for (key, value) in pairs() {
        assert_eq!(client.get(&key).await, Ok(Some(value)), "{key}");
    }
}

#[tokio::test]
async fn redis_harness_redis_keeps_data_over_kill_and_restart() {
    keeps_data_over_kill_and_restart(Flavour::Redis7, None).await;
}

#[tokio::test]
async fn redis_harness_valkey_keeps_data_over_kill_and_restart() {
    keeps_data_over_kill_and_restart(Flavour::Valkey9, Some("a-password")).await;
}

async fn keeps_data_over_kill_and_restart(flavour: Flavour, password: Option<&str>) {
    let mut servers = cluster_of(flavour, password).await;
    let seeds = addresses(&servers);
    let mut client = ClusterClient::new(&seeds[..1], password);
    client.pipeline_set(pairs()).await.unwrap();
    assert_eq!(client.masters().await.len(), 3);
    let on_masters = |replies: &[Resp]| -> i64 {
        let count = |reply: &Resp| reply.text().parse::<i64>().unwrap();
        replies[..3].iter().map(count).sum()
    };
    let mut sizes = Vec::new();
    for server in &servers {
        sizes.push(server.call(&["DBSIZE"]).await);
    }
    assert_eq!(on_masters(&sizes), KEYS as i64);

    // All masters at once, so that no replica could stand in for the data on disk.
    let (first_id, first_pid) = (servers[0].id().await, servers[0].pid());
    for master in &mut servers[..3] {
        master.kill();
    }
    for master in &mut servers[..3] {
        master.restart().await;
    }

    all_there(&mut client).await;
    assert_eq!(servers[0].id().await, first_id);
    assert_ne!(servers[0].pid(), first_pid);
}

#[tokio::test]
async fn redis_harness_redis_counts_losses() {
    counts_losses(Flavour::Redis7, Some("a-password")).await;
}

#[tokio::test]
async fn redis_harness_valkey_counts_losses() {
    counts_losses(Flavour::Valkey9, None).await;
}

async fn counts_losses(flavour: Flavour, password: Option<&str>) {
    let servers = cluster_of(flavour, password).await;
    let seeds = addresses(&servers);
    let load = ClusterLoad::start(&seeds, password, 4);
    load.goes_on_for(5_000).await;
    let report = load.stop().await;
    assert!(report.acknowledged >= 5_000, "{report:?}");
    assert_eq!((report.unknown, report.errors.len()), (0, 0), "{report:?}");
    assert_eq!(report.verify(&seeds, password).await, Losses::default());

    // When keys change behind the writers' backs …
    let mut keys = report.keys.iter();
    let mut key = || keys.next().unwrap();
    let (deleted, _) = key();
    let (older, _) = key();
    let (foreign, _) = key();
    let (never, history) = key();
    let beyond = history.acknowledged.unwrap() + 1;
    let mut client = ClusterClient::new(&seeds, password);
    assert_eq!(client.delete(deleted).await, Ok(true));
    client.set(older, &format!("{older}=1")).await.unwrap();
    client.set(foreign, "somebody else's").await.unwrap();
    client
        .set(never, &format!("{never}={beyond}"))
        .await
        .unwrap();

    // … then each is named for what it is.
    let losses = report.verify(&seeds, password).await;
    let named = |losses: &[portolan_tests::Loss]| -> Vec<String> {
        losses.iter().map(|loss| loss.key.clone()).collect()
    };
    assert_eq!(named(&losses.lost), [deleted.clone(), older.clone()]);
    assert_eq!(named(&losses.wrong), [foreign.clone(), never.clone()]);
    assert_eq!(losses.lost[0].found, None);
    assert!(!losses.is_empty());
}

#[tokio::test]
async fn redis_harness_a_paused_master_leaves_outcomes_open() {
    let servers = cluster_of(Flavour::Valkey9, None).await;
    let seeds = addresses(&servers);
    let load = ClusterLoad::start(&seeds, None, 4);
    load.goes_on_for(1_000).await;
    let before = load.acknowledged();

    servers[0].pause();
    eventually("a writer gives up an answer", async || {
        match load.unknown() {
            0 => Err("every write is answered"),
            _ => Ok(()),
        }
    })
    .await;
    servers[0].resume();
    load.goes_on_for(1_000).await;

    let report = load.stop().await;
    assert!(report.acknowledged > before);
    assert!(report.unknown > 0, "{report:?}");
    assert!(report.longest_slot_gap >= report.longest_gap);
    assert_eq!(report.verify(&seeds, None).await, Losses::default());
}

#[tokio::test]
async fn redis_harness_the_client_follows_a_slot_that_is_asked_for_and_moves() {
    for flavour in [Flavour::Redis7, Flavour::Valkey9] {
        let servers = cluster_of(flavour, None).await;
        let (source, target) = (&servers[2], &servers[0]);
        let (source_id, target_id) = (source.id().await, target.id().await);
        let mut client = ClusterClient::new(&addresses(&servers), None);
        client.set("foo", "stays").await.unwrap();
        // Slot 12182 is that of `foo`.
        let open = |state, id| ["CLUSTER", "SETSLOT", "12182", state, id];
        let ok = Resp::ok();
        assert_eq!(target.call(&open("IMPORTING", &source_id)).await, ok);
        assert_eq!(source.call(&open("MIGRATING", &target_id)).await, ok);

        client.set("{foo}new", "asked for").await.unwrap();
        let on = async |server: &RedisServer| {
            let slot = ["CLUSTER", "COUNTKEYSINSLOT", "12182"];
            server.call(&slot).await.text()
        };
        assert_eq!(
            (on(source).await, on(target).await),
            ("1".into(), "1".into())
        );
        let there = Ok(Some("asked for".to_owned()));
        assert_eq!(client.get("{foo}new").await, there);

        let port = target.port().to_string();
        let migrate = ["MIGRATE", "127.0.0.1", &port, "foo", "0", "5000"];
        assert_eq!(source.call(&migrate).await, ok);
        assert_eq!(target.call(&open("NODE", &target_id)).await, ok);
        assert_eq!(source.call(&open("NODE", &target_id)).await, ok);
        assert_eq!(client.get("foo").await, Ok(Some("stays".to_owned())));
        assert_eq!(client.get("{foo}new").await, there);
    }
}

#[tokio::test]
async fn redis_harness_a_server_without_cluster_mode_and_a_wrong_password() {
    for flavour in [Flavour::Redis7, Flavour::Valkey9] {
        let server = RedisServer::start(RedisOptions {
            cluster: false,
            password: Some("a-password".to_owned()),
            ..RedisOptions::new(flavour)
        })
        .await;
        let info = server.call(&["INFO", "cluster"]).await.text();
        assert!(info.contains("cluster_enabled:0"), "{info}");
        let mut stranger = portolan_tests::RespClient::connect(&server.addr())
            .await
            .unwrap();
        let refusal = stranger.call(&["GET", "x"]).await.text();
        assert!(refusal.starts_with("NOAUTH"), "{refusal}");
        server.pause();
        server.resume();
        eventually("it answers again", async || {
            match server.call(&["SET", "x", "1"]).await {
                reply if reply == Resp::ok() => Ok(()),
                reply => Err(reply.text()),
            }
        })
        .await;
    }
}
