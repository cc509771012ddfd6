//! The table of routes.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, any, delete, get, patch, post, put};
use http::{Method, StatusCode, Uri};

use crate::edge::Edge;
use crate::identity::Scope;
use crate::{
    ApiError, ApiState, cluster, dns, health, kv, metrics, peers, plugins, raft_peers, shards, v1,
};

/// All routes over one daemon.
pub fn router(state: Arc<ApiState>) -> Router {
    let routes = Routes::new(&state)
        .add("/", Scope::Public, get(health::root))
        .add("/v1", Scope::Public, get(health::root))
        .add("/v1/badge", Scope::Public, get(v1::badge))
        .add("/v1/status", Scope::Public, get(v1::status))
        // Public, for they look at the secret that the request shows.
        .add(
            "/v1/getClusterInfo",
            Scope::Public,
            post(v1::get_cluster_info),
        )
        .add(
            "/v1/updateClusterInfo",
            Scope::Public,
            post(v1::update_cluster_info),
        )
        .add("/healthz", Scope::Public, get(health::healthz))
        .add("/readyz", Scope::Public, get(health::readyz))
        .add("/metrics", Scope::Metrics, get(metrics::by_accept))
        .add("/raft/metrics", Scope::Metrics, get(metrics::raft))
        .add("/raft/peer", Scope::Peers, get(peers::upgrade))
        .add("/write", Scope::Keys, post(kv::write))
        .add("/read", Scope::Keys, post(kv::read))
        .add("/read-all", Scope::Keys, get(kv::read_all))
        .add("/add-learner", Scope::Cluster, post(cluster::add_learner))
        .add(
            "/change-membership",
            Scope::Cluster,
            post(cluster::change_membership),
        )
        .add(
            "/api/v1/raft/peers",
            Scope::Cluster,
            get(raft_peers::list).post(raft_peers::change),
        )
        .add("/api/v1/plugins", Scope::Plugins, get(plugins::list))
        .add("/api/v1/plugins/{name}", Scope::Plugins, get(plugins::one));
    sharded_clusters(steering(routes))
        .finish()
        .with_state(state)
}

fn steering(routes: Routes<'_>) -> Routes<'_> {
    routes
        .add("/api/v1/dns/providers", Scope::Dns, get(dns::providers))
        .add(
            "/api/v1/dns/providers/{name}",
            Scope::Dns,
            get(dns::provider)
                .put(dns::put_provider)
                .patch(dns::patch_provider)
                .delete(dns::delete_provider),
        )
        .add(
            "/api/v1/dns/zones/{zone}/records",
            Scope::Dns,
            get(dns::records).put(dns::put_records),
        )
        .add(
            "/api/v1/dns/zones/{zone}/history",
            Scope::Dns,
            get(dns::history),
        )
        .add("/api/v1/dns/plan", Scope::Dns, get(dns::plan))
        .add("/api/v1/dns/status", Scope::Dns, get(dns::status))
        .add("/api/v1/dns/zones", Scope::Dns, get(dns::zones))
        .add("/api/v1/dns/history", Scope::Dns, get(dns::histories))
        .add("/api/v1/dns/apply", Scope::Dns, post(dns::apply))
        .add("/api/v1/dns/sites", Scope::Dns, get(dns::sites::list))
        .add(
            "/api/v1/dns/sites/{code}",
            Scope::Dns,
            get(dns::sites::one)
                .put(dns::sites::put)
                .patch(dns::sites::patch)
                .delete(dns::sites::delete),
        )
        .add(
            "/api/v1/dns/sites/{code}/drain",
            Scope::Dns,
            post(dns::sites::drain),
        )
        .add(
            "/api/v1/dns/sites/{code}/resume",
            Scope::Dns,
            post(dns::sites::resume),
        )
        .add(
            "/api/v1/dns/sites/{code}/force",
            Scope::Dns,
            post(dns::sites::force),
        )
        .add("/api/v1/dns/services", Scope::Dns, get(dns::services::list))
        .add(
            "/api/v1/dns/services/{name}",
            Scope::Dns,
            get(dns::services::one)
                .put(dns::services::put)
                .patch(dns::services::patch)
                .delete(dns::services::delete),
        )
        .add("/api/v1/dns/webhooks", Scope::Dns, get(dns::webhooks::list))
        .add(
            "/api/v1/dns/webhooks/{name}",
            Scope::Dns,
            get(dns::webhooks::one)
                .put(dns::webhooks::put)
                .delete(dns::webhooks::delete),
        )
        .add(
            "/api/v1/dns/webhooks/{name}/test",
            Scope::Dns,
            post(dns::webhooks::test),
        )
        .add("/api/v1/dns/survivor", Scope::Dns, get(dns::survivor::list))
        .add("/api/v1/dns/events", Scope::Dns, get(dns::events::events))
}

fn sharded_clusters(routes: Routes<'_>) -> Routes<'_> {
    routes
        .add(
            "/api/v1/controller/leader",
            Scope::Shards,
            get(shards::leader),
        )
        .add(
            "/api/v1/namespaces",
            Scope::Shards,
            get(shards::namespaces).post(shards::create_namespace),
        )
        .add(
            "/api/v1/namespaces/{namespace}",
            Scope::Shards,
            delete(shards::delete_namespace),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters",
            Scope::Shards,
            get(shards::clusters).post(shards::create_cluster),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}",
            Scope::Shards,
            get(shards::cluster).delete(shards::delete_cluster),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/import",
            Scope::Shards,
            post(shards::import_cluster),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/sync",
            Scope::Shards,
            post(shards::sync),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/settings",
            Scope::Shards,
            get(shards::settings).put(shards::put_settings),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/password",
            Scope::Shards,
            put(shards::put_password),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/rebalance",
            Scope::Shards,
            post(shards::rebalance),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/automatic",
            Scope::Shards,
            get(shards::automatic)
                .put(shards::put_automatic)
                .delete(shards::delete_automatic),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/plans",
            Scope::Shards,
            get(shards::plans),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/plans/{id}",
            Scope::Shards,
            get(shards::plan),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/plans/{id}/apply",
            Scope::Shards,
            post(shards::apply),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/plans/{id}/explain",
            Scope::Shards,
            get(shards::explain),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/nodes/{id}",
            Scope::Shards,
            patch(shards::change_node),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/shards",
            Scope::Shards,
            get(shards::shards).post(shards::create_shard),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}",
            Scope::Shards,
            get(shards::shard)
                .patch(shards::change_shard)
                .delete(shards::delete_shard),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/migrate",
            Scope::Shards,
            post(shards::migrate),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/migrations",
            Scope::Shards,
            get(shards::migrations),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/migrations/{id}/{action}",
            Scope::Shards,
            post(shards::change_migration),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/events",
            Scope::Shards,
            get(shards::events),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}/failover",
            Scope::Shards,
            post(shards::failover),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}/nodes",
            Scope::Shards,
            get(shards::nodes).post(shards::create_node),
        )
        .add(
            "/api/v1/namespaces/{namespace}/clusters/{cluster}/shards/{shard}/nodes/{id}",
            Scope::Shards,
            delete(shards::delete_node),
        )
}

/// Builds the table: a route cannot be added without its scope, and each gets its [`Edge`].
struct Routes<'a> {
    state: &'a ApiState,
    router: Router<Arc<ApiState>>,
}

impl<'a> Routes<'a> {
    fn new(state: &'a ApiState) -> Self {
        Self {
            state,
            router: Router::new(),
        }
    }

    fn add(
        mut self,
        template: &'static str,
        scope: Scope,
        methods: MethodRouter<Arc<ApiState>>,
    ) -> Self {
        let edge = Edge::new(scope, self.state.http.route(template));
        self.router = self
            .router
            .route(template, methods.fallback(wrong_method).layer(edge));
        self
    }

    /// Closes the table with the answer for every other path, which all count as one route.
    fn finish(self) -> Router<Arc<ApiState>> {
        let edge = Edge::new(Scope::Public, self.state.http.route("unknown"));
        self.router
            .fallback_service(any(no_such_route).layer(edge).with_state(()))
    }
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!(
            "{} does not answer to {method}; the Allow header names what it does",
            uri.path()
        ),
    )
}

async fn no_such_route(method: Method, uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {method} {}", uri.path()))
}
