//! Name servers on loopback.

use std::net::SocketAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;

/// What a name server does with a query.
type Behaviour = fn(&Message) -> Vec<Message>;

struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NameServer {
    async fn new(behaviour: Behaviour) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
                let query = Message::from_vec(&buffer[..length]).unwrap();
                for response in behaviour(&query) {
                    let bytes = response.to_vec().unwrap();
                    socket.send_to(&bytes, client).await.unwrap();
                }
            }
        });
        Self { address, task }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn response(query: &Message, answers: Vec<RData>) -> Message {
    let mut response = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    response.queries = query.queries.clone();
    let name = query.queries[0].name().clone();
    response.add_answers(
        answers
            .into_iter()
            .map(|data| Record::from_rdata(name.clone(), 0, data)),
    );
    response
}

fn a(last: u8) -> RData {
    RData::A(A::new(8, 8, 8, last))
}

fn txt(text: &str) -> RData {
    RData::TXT(TXT::new(vec![text.to_owned()]))
}

fn true_a(query: &Message) -> Vec<Message> {
    assert_eq!(query.queries[0].query_type(), RecordType::A);
    vec![response(query, vec![a(8)])]
}

fn true_txt(query: &Message) -> Vec<Message> {
    assert_eq!(query.queries[0].query_type(), RecordType::TXT);
    let subnet = txt("edns0-client-subnet 8.8.4.0/24");
    vec![response(query, vec![subnet, txt("8.8.8.8")])]
}

/// Responses that are not to this query come before the true one.
fn noisy(query: &Message) -> Vec<Message> {
    let mut other_id = response(query, vec![a(1)]);
    other_id.metadata.id = query.metadata.id.wrapping_add(1);
    let mut other_question = response(query, vec![a(2)]);
    let other = Name::from_ascii("other.example.com.").unwrap();
    other_question.queries = vec![Query::query(other, RecordType::A)];
    let not_a_response = query.clone();
    let mut noise = vec![other_id, other_question, not_a_response];
    noise.extend(true_a(query));
    noise
}

async fn asked(behaviours: &[(Behaviour, &str)]) -> Result<Vec<IpAddr>, DetectError> {
    let mut servers = Vec::new();
    for (behaviour, _) in behaviours {
        servers.push(NameServer::new(*behaviour).await);
    }
    let kinds = behaviours.iter().map(|(_, kind)| kind);
    let resolvers: Vec<Value> = servers
        .iter()
        .zip(kinds)
        .map(|(server, kind)| {
            json!({"server": server.address.to_string(), "name": "my.example.com", "record": kind})
        })
        .collect();
    v4(json!([{"method": "dns", "resolvers": resolvers, "allow_private": true}])).await
}

#[tokio::test]
async fn two_name_servers_that_agree_are_believed() {
    let found = asked(&[(true_a, "address"), (true_txt, "txt")]).await;
    assert_eq!(found.unwrap(), addresses(&["8.8.8.8"]));
}

#[tokio::test]
async fn only_responses_to_the_query_count() {
    let found = asked(&[(noisy, "address"), (noisy, "address")]).await;
    assert_eq!(found.unwrap(), addresses(&["8.8.8.8"]));
}

#[tokio::test]
async fn a_name_server_that_lies_or_is_silent_is_outvoted() {
    let found = asked(&[
        (|query| vec![response(query, vec![a(9)])], "address"),
        (|_| Vec::new(), "address"),
        (true_a, "address"),
        (true_a, "address"),
    ]);
    assert_eq!(found.await.unwrap(), addresses(&["8.8.8.8"]));
}

#[tokio::test]
async fn what_is_no_answer_is_told_for_each_name_server() {
    let refused: Behaviour = |query| {
        let mut refused = response(query, Vec::new());
        refused.metadata.response_code = ResponseCode::Refused;
        vec![refused]
    };
    let truncated: Behaviour = |query| {
        let mut truncated = response(query, vec![a(8)]);
        truncated.metadata.truncation = true;
        vec![truncated]
    };
    let error = asked(&[
        (refused, "address"),
        (truncated, "address"),
        (|query| vec![response(query, vec![a(1), a(2)])], "address"),
        (|query| vec![response(query, Vec::new())], "address"),
        (|query| vec![response(query, vec![txt("hello")])], "txt"),
        (|_| Vec::new(), "address"),
    ])
    .await
    .unwrap_err()
    .to_string();
    for sentence in [
        "Query Refused",
        "too long for a datagram",
        "answers both 8.8.8.1 and 8.8.8.2",
        "holds no ipv4 address",
        "no answer within 1500 ms",
        "my.example.com @127.0.0.1:",
    ] {
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
}

#[tokio::test]
async fn private_name_servers_take_a_choice() {
    let server = NameServer::new(true_a).await;
    let resolvers = [
        json!({"server": server.address.to_string(), "name": "my.example.com"}),
        json!({"server": "10.255.255.1", "name": "my.example.com"}),
    ];
    let error = v4(json!([{"method": "dns", "resolvers": resolvers}])).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("127.0.0.1 is not a global address"),
        "{error}"
    );
    assert!(error.contains("10.255.255.1 is not a global"), "{error}");
}
