//! `make powerdns`: a PowerDNS on loopback with temporary data, for the tour in the README.

use std::net::SocketAddr;

use clap::Parser;
use portolan_tests::{PowerDns, PowerDnsOptions};
use tokio::signal::unix::{SignalKind, signal};

/// Starts PowerDNS on loopback with temporary data and stops it on Ctrl-C.
#[derive(Parser)]
#[command(name = "powerdns")]
struct Arguments {
    /// Where its HTTP API listens.
    #[arg(long, default_value = "127.0.0.1:8081")]
    api: SocketAddr,
    /// Where it answers DNS queries.
    #[arg(long, default_value = "127.0.0.1:5300")]
    dns: SocketAddr,
    /// The API's key.
    #[arg(long, default_value = "tour-key")]
    key: String,
    /// The zone that it serves.
    #[arg(long, default_value = "example.test")]
    zone: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let Arguments {
        api,
        dns,
        key,
        zone,
    } = Arguments::parse();
    let options = PowerDnsOptions {
        api,
        dns,
        key: key.clone(),
        zone: zone.clone(),
    };
    let server = PowerDns::start_with(options).await;

    println!("PowerDNS is running. Ctrl-C stops it and removes its data.");
    println!("  API    http://{}", server.api_address());
    println!("  key    {key}");
    println!("  zone   {zone}");
    println!(
        "  query  dig @{} -p {} {zone} SOA +short",
        dns.ip(),
        dns.port()
    );

    // `make` and service managers stop it with SIGTERM; either way the server ends with this process.
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}
