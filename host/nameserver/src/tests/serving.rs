use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use portolan_consensus::{Revision, Space, Txn};
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::fixtures::{Rig, shown, zone};
use crate::follow::{self, Pictures};
use crate::meter::Meter;
use crate::options::{Options, RateOptions};
use crate::{Nameserver, StartError, delete_zone};

/// Longer than anything takes that is expected to come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    rig: Rig,
    address: SocketAddr,
    registry: Registry,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

fn options() -> Options {
    Options {
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        rate: RateOptions {
            answers_per_second: 0,
            ..RateOptions::default()
        },
        ..Options::default()
    }
}

async fn serve(rig: Rig, options: Options) -> Served {
    let registry = Registry::new();
    let started = Nameserver::start(rig.member.clone(), options, &registry).await;
    let server = started.unwrap().unwrap();
    let (address, stop) = (server.address(), CancellationToken::new());
    let running = tokio::spawn(server.run(stop.clone()));
    Served {
        rig,
        address,
        registry,
        stop,
        running,
    }
}

fn query(name: &str, rtype: RecordType) -> Vec<u8> {
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    message.to_vec().unwrap()
}

impl Served {
    async fn udp(&self, packet: &[u8]) -> Message {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.send_to(packet, self.address).await.unwrap();
        let mut buffer = vec![0; 4096];
        let received = timeout(PATIENCE, socket.recv(&mut buffer)).await;
        Message::from_vec(&buffer[..received.unwrap().unwrap()]).unwrap()
    }

    async fn a(&self, name: &str) -> Vec<String> {
        shown(&self.udp(&query(name, RecordType::A)).await.answers)
    }

    /// Asks until the answer is this.
    async fn comes_to_answer(&self, name: &str, expected: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let got = self.a(name).await;
            if got == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{name} remains {got:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map_or(&[][..], |family| family.get_metric());
        let value = |metric: &prometheus::proto::Metric| {
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        metrics.iter().map(value).sum()
    }

    async fn stop(self) -> Rig {
        self.stop.cancel();
        timeout(PATIENCE, self.running).await.unwrap().unwrap();
        self.rig
    }
}

async fn exchange(stream: &mut TcpStream, packet: &[u8]) -> Message {
    let mut framed = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(packet);
    stream.write_all(&framed).await.unwrap();
    receive(stream).await
}

async fn receive(stream: &mut TcpStream) -> Message {
    let length = timeout(PATIENCE, stream.read_u16()).await.unwrap().unwrap();
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await.unwrap();
    Message::from_vec(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_served_as_they_come_and_after_a_restart() {
    let served = serve(Rig::start().await, options()).await;
    let refused = served.udp(&query("www.example.com.", RecordType::A)).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    served.rig.create(&["www A 192.0.2.1"]).await;
    served
        .comes_to_answer("www.example.com.", &["www.example.com. 300 A 192.0.2.1"])
        .await;
    let soa = served.udp(&query("example.com.", RecordType::SOA)).await;
    let RData::SOA(soa) = &soa.answers[0].data else {
        panic!("{soa}")
    };
    assert_eq!(served.metric("portolan_nameserver_zones"), 1.0);
    assert_eq!(
        served.metric("portolan_nameserver_zone_serial"),
        f64::from(soa.serial)
    );
    assert!(served.metric("portolan_nameserver_queries_total") >= 3.0);

    let rig = served.stop().await;
    let served = serve(rig, options()).await;
    assert_eq!(
        served.a("www.example.com.").await,
        ["www.example.com. 300 A 192.0.2.1"]
    );
    delete_zone(&served.rig.member, &zone()).await.unwrap();
    served.comes_to_answer("www.example.com.", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_falls_behind_the_history_reads_again() {
    let rig = Rig::start().await;
    // The history keeps 16 MiB.
    for round in 0..12 {
        let txn = Txn::new().put(Space::User, format!("blob-{round}"), vec![b'x'; 3 << 19]);
        rig.member.txn(txn).await.unwrap();
    }
    rig.create(&["www A 192.0.2.1"]).await;
    let pictures = Pictures::default();
    let mut seen = pictures.subscribe();
    let (meter, stop) = (
        Meter::new(&Registry::new()).unwrap(),
        CancellationToken::new(),
    );
    let following = follow::follow(&rig.member, &pictures, &meter, Revision(1), &stop);
    let shown = seen.wait_for(|picture| picture.served().count() == 1);
    tokio::select! {
        () = following => panic!("it ended"),
        shown = timeout(PATIENCE, shown) => drop(shown.unwrap().unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_several_queries_and_an_idle_one_is_closed() {
    let options = Options {
        tcp_connections: 1,
        tcp_idle_ms: 1_000,
        ..options()
    };
    let served = serve(Rig::start().await, options).await;
    served.rig.create(&["www A 192.0.2.1"]).await;
    served
        .comes_to_answer("www.example.com.", &["www.example.com. 300 A 192.0.2.1"])
        .await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    for name in ["www.example.com.", "no.example.com.", "www.example.com."] {
        let got = exchange(&mut stream, &query(name, RecordType::A)).await;
        assert_eq!(got.answers.len(), usize::from(name.starts_with("www")));
    }
    // There is room for one, which the first has.
    let mut second = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(
        timeout(PATIENCE, second.read(&mut [0; 1]))
            .await
            .unwrap()
            .unwrap_or(0),
        0
    );
    assert_eq!(
        timeout(PATIENCE, stream.read(&mut [0; 1]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
    // And then another has it.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut third = TcpStream::connect(served.address).await.unwrap();
        let packet = query("www.example.com.", RecordType::A);
        let mut framed = vec![0, u8::try_from(packet.len()).unwrap()];
        framed.extend(packet);
        if third.write_all(&framed).await.is_ok() && third.read_u16().await.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "no connection is free");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_answered_in_part() {
    let options = Options {
        rate: RateOptions {
            answers_per_second: 1,
            burst_seconds: 10,
            slip: 1,
            ..RateOptions::default()
        },
        ..options()
    };
    let served = serve(Rig::start().await, options).await;
    served.rig.create(&["www A 192.0.2.1"]).await;
    let mut truncated = 0;
    for _ in 0..100 {
        let got = served.udp(&query("www.example.com.", RecordType::A)).await;
        truncated += u32::from(got.metadata.truncation);
    }
    assert!(truncated > 0, "nothing was held back");
    assert_eq!(
        served.metric("portolan_nameserver_rate_limited_total"),
        f64::from(truncated)
    );
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let got = exchange(&mut stream, &query("www.example.com.", RecordType::A)).await;
    assert!(!got.metadata.truncation, "over tcp it is not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_transferred_to_whom_it_may_be() {
    let rig = Rig::start().await;
    rig.create(&[
        "www A 192.0.2.1",
        "www A@CT 192.0.2.2",
        "w A 1*192.0.2.3 2*192.0.2.4",
    ])
    .await;
    let many: Vec<String> = (0..2_000)
        .map(|host| format!("host-{host} A 192.0.2.9"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    rig.create(&many).await;
    let served = serve(rig, options()).await;
    let axfr = query("example.com.", RecordType::AXFR);
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let refused = exchange(&mut stream, &axfr).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    assert!(refused.answers.is_empty());
    let rig = served.stop().await;

    let allowed = Options {
        transfer: vec!["127.0.0.0/8".parse().unwrap()],
        ..options()
    };
    let served = serve(rig, allowed).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let mut records = exchange(&mut stream, &axfr).await.answers;
    let mut messages = 1;
    while records.len() < 2 || records.last().unwrap().record_type() != RecordType::SOA {
        records.extend(receive(&mut stream).await.answers);
        messages += 1;
    }
    assert!(messages > 1);
    // Two SOAs, an NS, www, two values of w, the hosts; nothing of CT.
    assert_eq!(records.len(), 2 + 1 + 1 + 2 + 2_000);
    assert_eq!(records.first(), records.last());
    assert!(
        !shown(&records)
            .iter()
            .any(|record| record.ends_with("192.0.2.2"))
    );

    // Who has the serial already gets it alone, and over UDP it says to come over TCP.
    let mut ixfr = Message::from_vec(&query("example.com.", RecordType::IXFR)).unwrap();
    ixfr.add_authority(records[0].clone());
    let ixfr = ixfr.to_vec().unwrap();
    assert_eq!(exchange(&mut stream, &ixfr).await.answers, records[..1]);
    assert_eq!(served.udp(&ixfr).await.answers, records[..1]);
    let refused = served.udp(&axfr).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    let other = query("example.net.", RecordType::AXFR);
    let refused = exchange(&mut stream, &other).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::NotAuth);
}

#[tokio::test(flavor = "multi_thread")]
async fn secondaries_are_told_of_each_serial_until_they_answer() {
    let secondary = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let options = Options {
        notify: vec![secondary.local_addr().unwrap()],
        ..options()
    };
    let served = serve(Rig::start().await, options).await;
    let mut buffer = [0; 512];
    let mut receive = async || {
        let (length, from) = timeout(PATIENCE, secondary.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        let message = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(message.metadata.op_code, OpCode::Notify);
        let RData::SOA(soa) = &message.answers[0].data else {
            panic!("{message}")
        };
        (soa.serial, message.clone(), from)
    };
    let acknowledge = async |message: Message, from| {
        let answer = message.into_response().to_vec().unwrap();
        secondary.send_to(&answer, from).await.unwrap();
    };
    served.rig.create(&["www A 192.0.2.1"]).await;
    // The first word is lost, and said again.
    let (lost, _, _) = receive().await;
    let (mut serial, message, from) = receive().await;
    assert_eq!(serial, lost);
    acknowledge(message, from).await;
    served.rig.create(&["w2 A 192.0.2.1"]).await;
    let soa = served.udp(&query("example.com.", RecordType::SOA)).await;
    let RData::SOA(soa) = &soa.answers[0].data else {
        panic!("{soa}")
    };
    let current = soa.serial;
    while serial < current {
        let (told, message, from) = receive().await;
        assert!(told > serial, "{told} after {serial}");
        serial = told;
        acknowledge(message, from).await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_read_again_when_they_change() {
    let rig = Rig::start().await;
    rig.create(&["www A 192.0.2.1", "www A@CT 192.0.2.2"]).await;
    let path = rig.data.path().join("lines.txt");
    std::fs::write(&path, "CT 10.0.0.0/8").unwrap();
    let options = Options {
        lines: Some(path.clone()),
        ..options()
    };
    let served = serve(rig, options).await;
    let (default, ct) = (
        "www.example.com. 300 A 192.0.2.1",
        "www.example.com. 300 A 192.0.2.2",
    );
    assert_eq!(served.a("www.example.com.").await, [default]);
    std::fs::write(&path, "CT 127.0.0.0/8 # here").unwrap();
    served.comes_to_answer("www.example.com.", &[ct]).await;
    std::fs::write(&path, "").unwrap();
    served.comes_to_answer("www.example.com.", &[default]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_starting_is_named() {
    let rig = Rig::start().await;
    let start =
        async |options| Nameserver::start(rig.member.clone(), options, &Registry::new()).await;
    assert!(
        start(Options::default()).await.unwrap().is_none(),
        "off by default"
    );
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let listen = Options {
        listen: Some(address),
        ..options()
    };
    let error = start(listen).await.err().unwrap();
    assert!(matches!(&error, StartError::Listen { .. }));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let path = rig.data.path().join("lines.txt");
    let with_lines = || Options {
        lines: Some(path.clone()),
        ..options()
    };
    let error = start(with_lines()).await.err().unwrap().to_string();
    assert!(error.contains("lines.txt: No such file"), "{error}");
    std::fs::write(&path, "CT 10.0.0.0/8\nCT x").unwrap();
    let error = start(with_lines()).await.err().unwrap().to_string();
    assert!(
        error.contains("lines.txt: line 2: `x` is not a network"),
        "{error}"
    );
    let error = start(Options {
        udp_bytes: 100,
        ..options()
    })
    .await
    .err()
    .unwrap();
    assert_eq!(
        error.to_string(),
        "[dns] udp_bytes is 100; write 512 to 4096"
    );
}
