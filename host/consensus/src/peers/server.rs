//! The answering side of a connection.

use std::sync::Arc;

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, mpsc};

use super::frame::{Direction, Frame, write_queue};
use super::message::{
    Answer, Ask, Forward, ForwardReply, Hello, HelloReply, InstallSnapshot, Join, JoinReply,
    Message, PreVote, PullSnapshot, PulledPiece, SnapshotPiece, Welcome,
};
use crate::error::Error;
use crate::key::ClusterKey;
use crate::member::Member;
use crate::raft::{SnapshotMeta, TypeConfig};
use crate::snapshot::{Assembler, Disassembler};

/// Replies that wait for the socket.
const QUEUE: usize = 256;

/// What one connection remembers between requests.
#[derive(Default)]
struct Session {
    /// Whether the asker has said hello as a member of this group.
    same_group: std::sync::atomic::AtomicBool,
    /// The snapshot that the leader is sending.
    incoming: Mutex<Option<(u64, Assembler)>>,
    /// The state that the asker is pulling.
    outgoing: Mutex<Option<(SnapshotMeta, Disassembler)>>,
}

/// Answers requests until the connection ends.
pub(crate) async fn serve(
    member: Member,
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let (mut read, write) = tokio::io::split(io);
    let (queue, outbox) = mpsc::channel(QUEUE);
    let writer = tokio::spawn(write_queue(write, outbox));
    let session = Arc::new(Session::default());
    loop {
        let frame = tokio::select! {
            frame = Frame::read(&mut read) => frame,
            () = member.stopped() => break,
        };
        match frame {
            Ok(Some(frame)) if frame.direction == Direction::Request => {
                let (member, session, queue) = (member.clone(), session.clone(), queue.clone());
                tokio::spawn(async move {
                    let reply = answer(&member, &session, &frame).await;
                    let reply = Frame {
                        id: frame.id,
                        kind: frame.kind,
                        direction: Direction::Reply,
                        body: reply,
                    };
                    // The asker may be gone; it will ask again.
                    let _ = queue.send(reply.encode()).await;
                });
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "a peer connection is closed");
                break;
            }
        }
    }
    drop(queue);
    // What is queued goes out; the asker sees the end behind it.
    let _ = writer.await;
}

async fn answer(member: &Member, session: &Session, frame: &Frame) -> Bytes {
    match frame.kind {
        Hello::KIND => reply(frame, |hello| hello_from(member, session, hello)).await,
        Join::KIND => reply(frame, |join| accept_join(member, join)).await,
        Welcome::KIND => reply(frame, |welcome| enter(member, session, welcome)).await,
        _ if !session
            .same_group
            .load(std::sync::atomic::Ordering::Acquire) =>
        {
            let answer: Result<(), Error> = Err(Error::OtherGroup { id: member.id() });
            encode(&answer)
        }
        AppendEntriesRequest::<TypeConfig>::KIND => {
            reply(frame, async |request| {
                let answer = member.raft().append_entries(request).await;
                match &answer {
                    Ok(AppendEntriesResponse::HigherVote(_)) | Err(_) => {}
                    Ok(_) => member.heard_leader(),
                }
                answer.map_err(|e| member.fatal(&e))
            })
            .await
        }
        VoteRequest::<TypeConfig>::KIND => {
            reply(frame, async |request| {
                member
                    .raft()
                    .vote(request)
                    .await
                    .map_err(|e| member.fatal(&e))
            })
            .await
        }
        PreVote::KIND => {
            reply(frame, async |PreVote(request)| {
                member
                    .raft()
                    .pre_vote(request)
                    .await
                    .map_err(|e| member.fatal(&e))
            })
            .await
        }
        TransferLeaderRequest::<TypeConfig>::KIND => {
            reply(frame, async |request: TransferLeaderRequest<TypeConfig>| {
                member
                    .raft()
                    .handle_transfer_leader(request)
                    .await
                    .map_err(|e| member.fatal(&e))
            })
            .await
        }
        SnapshotPiece::KIND => reply(frame, |piece| take_piece(session, piece)).await,
        InstallSnapshot::KIND => reply(frame, |install| finish(member, session, install)).await,
        PullSnapshot::KIND => reply(frame, |pull| give_piece(member, session, pull)).await,
        Ask::KIND => reply(frame, |ask: Ask| member.answer(ask)).await,
        Forward::KIND => reply(frame, |request| forwarded(member, request)).await,
        other => {
            let answer: Result<(), Error> = Err(Error::UnknownMessage { kind: other });
            encode(&answer)
        }
    }
}

async fn reply<M: Message>(frame: &Frame, handle: impl AsyncFnOnce(M) -> Answer<M>) -> Bytes {
    let answer = match postcard::from_bytes(&frame.body) {
        Ok(message) => handle(message).await,
        Err(_) => Err(Error::UnknownMessage { kind: frame.kind }),
    };
    encode(&answer)
}

fn encode<T: serde::Serialize>(answer: &Result<T, Error>) -> Bytes {
    // An answer that cannot be encoded cannot be told apart from a broken one by the asker either.
    postcard::to_stdvec(answer).unwrap_or_default().into()
}

async fn hello_from(member: &Member, session: &Session, hello: Hello) -> Result<HelloReply, Error> {
    let group = member.group();
    let (id, cluster) = (group.id, group.cluster());
    if let Some(asked) = hello.to.filter(|asked| *asked != id) {
        return Err(Error::WrongMember { asked, found: id });
    }
    if let (Some(theirs), Some(ours)) = (hello.cluster, cluster) {
        if theirs != ours {
            return Err(Error::OtherGroup { id });
        }
        session
            .same_group
            .store(true, std::sync::atomic::Ordering::Release);
    }
    Ok(HelloReply { id, cluster })
}

async fn forwarded(member: &Member, request: Forward) -> Result<ForwardReply, Error> {
    match request {
        // A member that joins knows no leader yet: whoever it asks passes the request on.
        Forward::AddVoter { .. } => member.submit(request).await,
        _ => member.lead(request).await,
    }
}

async fn accept_join(member: &Member, join: Join) -> Result<JoinReply, Error> {
    member.admit(join).await
}

async fn enter(member: &Member, session: &Session, welcome: Welcome) -> Result<(), Error> {
    let group = member.group();
    match group.cluster() {
        Some(ours) if ours == welcome.cluster => {}
        Some(_) => return Err(Error::OtherGroup { id: group.id }),
        None => {
            let reason = |reason: String| Error::Stopped {
                id: group.id,
                reason,
            };
            let key = ClusterKey::from_bytes(&welcome.key)
                .ok_or_else(|| reason("the group's key has a wrong length".into()))?;
            group
                .enter(welcome.cluster, key)
                .map_err(|error| reason(error.to_string()))?;
            tracing::info!(cluster = %welcome.cluster, "taken into a group");
        }
    }
    session
        .same_group
        .store(true, std::sync::atomic::Ordering::Release);
    Ok(())
}

async fn take_piece(session: &Session, message: SnapshotPiece) -> Result<(), Error> {
    let mut incoming = session.incoming.lock().await;
    let (_, assembler) = match incoming.as_mut() {
        Some(current) if current.0 == message.transfer => current,
        _ => incoming.insert((message.transfer, Assembler::default())),
    };
    match assembler.push(message.piece) {
        Ok(()) => Ok(()),
        Err(reason) => {
            *incoming = None;
            Err(Error::BadSnapshot { reason })
        }
    }
}

async fn finish(
    member: &Member,
    session: &Session,
    message: InstallSnapshot,
) -> Result<openraft::raft::SnapshotResponse<TypeConfig>, Error> {
    let assembler = match session.incoming.lock().await.take() {
        Some((transfer, assembler)) if transfer == message.transfer => assembler,
        _ => {
            return Err(Error::BadSnapshot {
                reason: "its pieces did not all arrive".into(),
            });
        }
    };
    let image = assembler
        .finish(&message.meta)
        .map_err(|reason| Error::BadSnapshot { reason })?;
    let snapshot = crate::raft::Snapshot {
        meta: message.meta,
        snapshot: image,
    };
    member
        .raft()
        .install_full_snapshot(message.vote, snapshot)
        .await
        .map_err(|error| member.stopped_by(error.to_string()))
}

async fn give_piece(
    member: &Member,
    session: &Session,
    message: PullSnapshot,
) -> Result<PulledPiece, Error> {
    let mut outgoing = session.outgoing.lock().await;
    if message.restart {
        let image = member.store().image();
        *outgoing = Some((image.meta(), Disassembler::new(image)));
    }
    let Some((meta, pieces)) = outgoing.as_mut() else {
        return Err(Error::BadSnapshot {
            reason: "the transfer was not begun".into(),
        });
    };
    Ok(PulledPiece {
        meta: meta.clone(),
        piece: pieces.next(),
    })
}
