//! Name resolution that checks what it answers.
//!
//! The client dials exactly the addresses that are checked here, so there is no second look-up that
//! could answer differently (DNS rebinding). Each binding has its own client, and with it its own
//! connections: one that a private grant opened is never used by another binding.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;
use crate::Grants;

/// Finds the addresses of a host name. The daemon uses the system's; tests bring their own.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of `host`, at least one.
    fn lookup(&self, host: String)
    -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// The operating system's resolver.
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((host, 0))
                .await?
                .map(|address| address.ip())
                .collect())
        })
    }
}

/// A look-up that refuses addresses which the binding's grants do not open.
pub(crate) struct GuardedResolver {
    pub(crate) grants: Arc<Grants>,
    pub(crate) lookup: Arc<dyn Lookup>,
}

/// A granted public name led to an address that is not public.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{host}` resolves to {ip}, which is not a public address")]
pub(crate) struct NotPublic {
    pub(crate) host: String,
    pub(crate) ip: IpAddr,
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAddress {
    #[error(transparent)]
    NotPublic(NotPublic),
    #[error(transparent)]
    Unknown(#[from] io::Error),
}

/// The addresses of a name that may be dialled.
pub(super) fn addresses(
    grants: &Grants,
    lookup: &dyn Lookup,
    host: String,
) -> impl Future<Output = Result<Vec<IpAddr>, NoAddress>> + Send + use<> {
    let open = grants.hosts.iter().any(|grant| grant.opens_private(&host));
    let looking = lookup.lookup(host.clone());
    async move {
        let ips = looking.await?;
        // One bad address among good ones condemns all: it is not for chance to decide.
        match ips.iter().copied().find(|ip| !open && !is_public(*ip)) {
            Some(ip) => Err(NoAddress::NotPublic(NotPublic { host, ip })),
            None => Ok(ips),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = addresses(&self.grants, &*self.lookup, name.as_str().to_owned());
        Box::pin(async move {
            let ips = looking.await.map_err(|error| match error {
                NoAddress::NotPublic(refused) => Box::<dyn Error + Send + Sync>::from(refused),
                NoAddress::Unknown(error) => error.into(),
            })?;
            let addresses: Addrs = Box::new(ips.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}
