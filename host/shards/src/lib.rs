//! Sharded clusters: what will live here.
//!
//! Portolan controls clusters of Kvrocks and Redis servers (*nodes*), each split into *shards* of a
//! master and its replicas that own *slots*. The parts to come, as the design names them:
//!
//! - the **model**: namespaces, clusters, shards, nodes and slot ranges as versioned documents in the
//!   store's `shards` space, with the sharded-clusters contract on top;
//! - the **engine**, a port with two implementations, `kvrocks` (CLUSTERX) and `redis` (Redis and
//!   Valkey), and an in-memory twin for tests;
//! - **probe** and **failover**: a master is replaced only when a majority of voters cannot reach it,
//!   by its most advanced replica;
//! - **migration** and **rebalancing**: plugins propose moves, the host disposes; every intent is
//!   written to the store before the first command leaves, and resumed by the next leader.
//!
//! The crate knows the store (`portolan-consensus`) and the plugin host (`portolan-sandbox`), and
//! not the DNS side: what joins the two is an event in the store.
