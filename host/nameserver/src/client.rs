//! Who asks: by the client subnet that a resolver sends along (RFC 7871), or by the source address.

use std::net::IpAddr;

use hickory_proto::op::Edns;
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use ipnet::IpNet;

/// Where an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// What its line is looked up by.
    pub(crate) address: IpAddr,
    /// The option of the query, to be sent back.
    subnet: Option<ClientSubnet>,
}

impl Client {
    /// Of a query that came from `source`; none when its client subnet is malformed, which calls for
    /// FORMERR (RFC 7871 §7.1.2).
    pub(crate) fn of(source: IpAddr, edns: Option<&Edns>) -> Option<Self> {
        let source = source.to_canonical();
        let option = edns.and_then(|edns| edns.option(EdnsCode::Subnet));
        let Some(EdnsOption::Subnet(subnet)) = option else {
            return Some(Self {
                address: source,
                subnet: None,
            });
        };
        let network = IpNet::new(subnet.addr(), subnet.source_prefix()).ok()?;
        if network.trunc() != network || subnet.scope_prefix() != 0 {
            return None;
        }
        // A prefix of 0 says that the resolver keeps the client to itself (§7.1.2).
        let address = match subnet.source_prefix() {
            0 => source,
            _ => subnet.addr().to_canonical(),
        };
        Some(Self {
            address,
            subnet: Some(*subnet),
        })
    }

    /// The option to send back: it says for which network the answer holds, none where the query had
    /// none. `scope` is 0 where it holds for everyone.
    pub(crate) fn echo(&self, scope: u8) -> Option<EdnsOption> {
        let mut subnet = self.subnet?;
        if subnet.source_prefix() > 0 {
            subnet.set_scope_prefix(scope);
        }
        Some(EdnsOption::Subnet(subnet))
    }
}
