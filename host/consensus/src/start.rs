//! Starting a member: its directory, its log, its state, its core.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::BasicNode;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ask::Answers;
use crate::checkpoint::{self, Checkpoint, CheckpointError, Checkpointer};
use crate::error::StartError;
use crate::group::Group;
use crate::identity::{ClusterId, DataDir, MemberFile};
use crate::join;
use crate::key::ClusterKey;
use crate::log::LogStore;
use crate::member::{Inner, Leadership, Member};
use crate::observe;
use crate::options::{Options, StartMode};
use crate::peers::network::Peers;
use crate::raft::Raft;
use crate::read_gate::{self, ReadGate};
use crate::state::State;
use crate::state_machine::StateMachine;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::types::MemberId;

/// What a group of one is founded with where no id was asked for.
const FIRST_ID: MemberId = 1;

impl Member {
    /// Opens the data directory and starts the member. With an empty directory it does what
    /// [`Options::start`] says; otherwise it rejoins its group by itself.
    ///
    /// It returns when the member runs, which is before it has found a leader. A member that joins
    /// waits here until somebody of the group has answered.
    ///
    /// # Errors
    /// A sentence that says what to do: see [`StartError`].
    pub async fn start(options: Options) -> Result<Member, StartError> {
        let config = Arc::new(options.raft.to_openraft()?);
        let telemetry = Telemetry::register(&options.registry)
            .map_err(|error| StartError::Options(error.to_string()))?;
        let telemetry = Arc::new(telemetry);

        let dir = DataDir::open(&options.data)?;
        let (file, key) = identify(&dir, &options).await?;
        let group = Arc::new(Group::new(dir, options.advertise.clone(), file, key));

        let log = LogStore::open(
            &group.dir.log(),
            group.dir.path(),
            options.raft.log_chunk_bytes,
            telemetry.clone(),
        )?;
        let (checkpoint, state) = open_checkpoint(&group, &log).await?;
        check_address(&state, &group)?;

        let store = Store::new(state);
        let interval = Duration::from_millis(options.raft.checkpoint_ms);
        let checkpointer =
            Checkpointer::start(checkpoint, store.clone(), interval, telemetry.clone()).map_err(
                StartError::io("start the checkpoint thread of", group.dir.state()),
            )?;

        let peers = Peers::new(group.clone(), telemetry.clone());
        let machine = StateMachine::new(store.clone(), checkpointer.clone());
        let raft = Raft::new(group.id, config, peers.clone(), log.clone(), machine)
            .await
            .map_err(|error| StartError::Raft(error.to_string()))?;
        found(&raft, &group).await?;

        let (leadership_sender, leadership) = watch::channel(Leadership::default());
        let (failure_sender, failure) = watch::channel(None);
        let (gate, gate_inbox) = ReadGate::new();
        let inner = Inner {
            group: group.clone(),
            raft: raft.clone(),
            store,
            log,
            checkpointer,
            peers,
            options: options.raft,
            limits: options.limits,
            gate,
            telemetry: telemetry.clone(),
            answers: Answers::default(),
            heard_leader: Mutex::default(),
            leadership,
            failure,
            stop: CancellationToken::new(),
        };
        let member = Member(Arc::new(inner));

        tokio::spawn(observe::follow_leadership(
            raft,
            group.clone(),
            telemetry,
            leadership_sender,
        ));
        tokio::spawn(observe::follow_core(member.downgrade(), failure_sender));
        tokio::spawn(read_gate::run(member.downgrade(), gate_inbox));
        if !group.file().joining.is_empty() {
            tokio::spawn(join::become_voter(member.downgrade()));
        }
        Ok(member)
    }
}

/// Finds out, or decides, who this member is.
async fn identify(
    dir: &DataDir,
    options: &Options,
) -> Result<(MemberFile, Option<ClusterKey>), StartError> {
    if let Some(file) = dir.read_member()? {
        if let Some(wanted) = options.id.filter(|wanted| *wanted != file.id) {
            let path = dir.path().to_path_buf();
            return Err(StartError::WrongId {
                path,
                found: file.id,
                wanted,
            });
        }
        let key = if file.cluster.is_some() {
            Some(dir.read_key()?)
        } else {
            None
        };
        return Ok((file, key));
    }
    match &options.start {
        StartMode::Bootstrap => {
            let key = ClusterKey::random();
            let id = options.id.unwrap_or(FIRST_ID);
            let mut file = MemberFile::new(id, Some(ClusterId::random()));
            file.founding = true;
            dir.write_key(&key)?;
            dir.write_member(&file)?;
            tracing::info!(id, "founding a group of one");
            Ok((file, Some(key)))
        }
        StartMode::Standby => {
            let id = options.id.ok_or(StartError::StandbyWithoutId)?;
            let file = MemberFile::new(id, None);
            dir.write_member(&file)?;
            tracing::info!(id, "standing by for a group to add this member");
            Ok((file, None))
        }
        StartMode::Join(addresses) => {
            let (file, key) =
                join::ask_to_join(dir, options.id, &options.advertise, addresses).await?;
            Ok((file, Some(key)))
        }
    }
}

/// Opens the checkpoint. One that is damaged is put aside; what it held comes from the log where that
/// is complete, and from another member otherwise.
async fn open_checkpoint(group: &Group, log: &LogStore) -> Result<(Checkpoint, State), StartError> {
    let path = group.dir.state();
    let purged = log.purged();
    let opened = Checkpoint::open(&path).and_then(|(checkpoint, state)| {
        // It lost its files, and began anew.
        if state.applied < purged {
            Err(CheckpointError::Behind)
        } else {
            Ok((checkpoint, state))
        }
    });
    let error = match opened {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    let aside = checkpoint::set_aside(&path).map_err(StartError::io("put aside", &path))?;
    tracing::error!(
        %error, aside = %aside.display(),
        "the checkpoint is damaged and was put aside; rebuilding it"
    );
    let lost = |reason: String| StartError::LostCheckpoint {
        checkpoint: path.clone(),
        data: group.dir.path().to_path_buf(),
        purged: purged.map_or(0, |id| id.index),
        reason,
    };
    let (mut checkpoint, state) =
        Checkpoint::open(&path).map_err(|error| lost(error.to_string()))?;
    let Some(purged) = purged else {
        return Ok((checkpoint, state));
    };
    let cluster = group
        .cluster()
        .ok_or_else(|| lost("this member has no group".into()))?;
    let image = join::pull_state(cluster, &group.file(), purged)
        .await
        .map_err(lost)?;
    checkpoint
        .rewrite(&image.0)
        .map_err(|error| lost(error.to_string()))?;
    Ok((checkpoint, (*image.0).clone()))
}

/// The group addresses a member by what its membership says; any other address would never be reached.
fn check_address(state: &State, group: &Group) -> Result<(), StartError> {
    match state.membership.membership().get_node(&group.id) {
        Some(node) if node.addr != group.advertise => Err(StartError::WrongAddress {
            id: group.id,
            known: node.addr.clone(),
            advertised: group.advertise.clone(),
        }),
        _ => Ok(()),
    }
}

/// Gives a group that is being founded its first membership.
async fn found(raft: &Raft, group: &Group) -> Result<(), StartError> {
    if !group.file().founding {
        return Ok(());
    }
    let failed = |error: String| StartError::Raft(error);
    if !raft
        .is_initialized()
        .await
        .map_err(|error| failed(error.to_string()))?
    {
        let members = BTreeMap::from([(group.id, BasicNode::new(group.advertise.clone()))]);
        raft.initialize(members)
            .await
            .map_err(|error| failed(error.to_string()))?;
    }
    group.update(|file| file.founding = false)
}
