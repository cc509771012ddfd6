//! `dns-message` on its way into the guard.

use portolan_tsig::{Algorithm, Expect};

use super::{Outgoing, State};
use crate::{
    guard::{DnsError, DnsRequest, TsigKey},
    wit::portolan::plugin::dns_message,
};

impl State {
    /// Sends a DNS message and waits for all that answer it.
    async fn converse(
        &mut self,
        request: dns_message::Request,
        expect: Expect,
    ) -> Result<Vec<Vec<u8>>, DnsError> {
        let key = |tsig: dns_message::Tsig| TsigKey {
            name: tsig.key_name,
            algorithm: match tsig.algorithm {
                dns_message::Algorithm::HmacSha1 => Algorithm::HmacSha1,
                dns_message::Algorithm::HmacSha224 => Algorithm::HmacSha224,
                dns_message::Algorithm::HmacSha256 => Algorithm::HmacSha256,
                dns_message::Algorithm::HmacSha384 => Algorithm::HmacSha384,
                dns_message::Algorithm::HmacSha512 => Algorithm::HmacSha512,
            },
            credential: tsig.credential,
        };
        let request = DnsRequest {
            server: request.server,
            message: request.message,
            key: request.tsig.map(key),
            expect,
        };
        let Outgoing { binding, budget } = &self.hooks;
        binding.guard.converse(budget, &mut self.dns, request).await
    }
}

impl dns_message::Host for State {
    async fn exchange(
        &mut self,
        request: dns_message::Request,
    ) -> Result<Vec<u8>, dns_message::Error> {
        let messages = self.converse(request, Expect::Answer).await?;
        // One is the least and the most that this expects.
        Ok(messages.into_iter().next().unwrap_or_default())
    }

    async fn transfer(
        &mut self,
        request: dns_message::Request,
    ) -> Result<Vec<Vec<u8>>, dns_message::Error> {
        Ok(self.converse(request, Expect::Zone).await?)
    }
}

impl From<DnsError> for dns_message::Error {
    fn from(error: DnsError) -> Self {
        match error {
            DnsError::Denied(text) => Self::Denied(text),
            DnsError::Invalid(text) => Self::Invalid(text),
            DnsError::Limit(text) => Self::Limit(text),
            DnsError::NotSent(text) => Self::NotSent(text),
            DnsError::Interrupted(text) => Self::Interrupted(text),
            DnsError::KeyRefused(text) => Self::KeyRefused(text),
            DnsError::UnsignedRefusal { code, text } => {
                let message = text;
                Self::UnsignedRefusal(dns_message::Refusal { code, message })
            }
            DnsError::BadSignature(text) => Self::BadSignature(text),
        }
    }
}
