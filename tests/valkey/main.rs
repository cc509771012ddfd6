//! `make valkey`: empty Valkey servers on loopback with temporary data, to make a cluster of.

use clap::Parser;
use portolan_tests::{Flavour, RedisOptions, RedisServer};
use tokio::signal::unix::{SignalKind, signal};

/// Starts empty Valkey 9 servers in cluster mode on loopback and stops them on Ctrl-C.
#[derive(Parser)]
#[command(name = "valkey")]
struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 6)]
    nodes: u16,
    /// Where the first listens; the others follow. The cluster bus is 10000 above.
    #[arg(long, default_value_t = 7001)]
    port: u16,
    /// What clients and the servers among themselves must say.
    #[arg(long)]
    password: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let Arguments {
        nodes,
        port,
        password,
    } = Arguments::parse();
    // Before the servers start: a signal then still ends them.
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        () = serve(nodes, port, password) => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

async fn serve(nodes: u16, port: u16, password: Option<String>) {
    let mut servers = Vec::new();
    for index in 0..nodes {
        let options = RedisOptions {
            password: password.clone(),
            port: Some(port + index),
            ..RedisOptions::new(Flavour::Valkey9)
        };
        servers.push(RedisServer::start(options).await);
    }
    let addresses: Vec<String> = servers.iter().map(RedisServer::addr).collect();

    println!("{nodes} empty Valkey servers are running. Ctrl-C stops them and removes their data.");
    println!("  nodes  {}", addresses.join(","));
    println!("  look   redis-cli -p {port} cluster nodes");
    std::future::pending::<()>().await;
}
