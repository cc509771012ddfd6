//! The TCP side of a node.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    commands::{Session, Step},
    network::Shared,
    resp::Resp,
};

/// How often a command that waits is tried again.
const RETRY: Duration = Duration::from_millis(2);

/// Accepts connections until it is aborted, which ends them too.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, port: u16, generation: u64) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(converse(shared.clone(), stream, port, generation));
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn converse(
    shared: Arc<Shared>,
    mut stream: TcpStream,
    port: u16,
    generation: u64,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::default();
    let (mut input, mut output) = (Vec::new(), Vec::new());
    loop {
        while let Some((request, length)) = Resp::decode(&input)? {
            input.drain(..length);
            let command = arguments(request);
            match carry_out(&shared, port, generation, &mut session, &command).await {
                Some(answer) => answer.encode(&mut output),
                None => return Ok(()),
            }
        }
        stream.write_all(&output).await?;
        output.clear();
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// The answer, or `None` where the connection ends instead.
async fn carry_out(
    shared: &Shared,
    port: u16,
    generation: u64,
    session: &mut Session,
    command: &[Vec<u8>],
) -> Option<Resp> {
    // A stopped process has not received anything yet.
    while !shared.lock().receive(port, generation, command) {
        tokio::time::sleep(RETRY).await;
    }
    loop {
        let step = shared.lock().execute(port, generation, session, command);
        match step {
            Step::Answer(answer) => return Some(answer),
            Step::Close => return None,
            Step::Wait => tokio::time::sleep(RETRY).await,
        }
    }
}

fn arguments(request: Resp) -> Vec<Vec<u8>> {
    let Resp::Array(items) = request else {
        return Vec::new();
    };
    let items = items.into_iter();
    items
        .map(|item| match item {
            Resp::Bulk(bytes) => bytes,
            other => other.text().into_bytes(),
        })
        .collect()
}
