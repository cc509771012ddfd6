//! Sources: web pages that show the address from which they are asked.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, Response};
use url::Url;

use super::admissible;
use super::agree::agree;
use super::error::{Failure, Said};
use super::method::BySources;
use super::page::only_address;
use crate::error::SteeringError;
use crate::family::Family;
use crate::outbound::{Outbound, Reach, why};

/// An address and some words around it are far shorter.
const MAX_BODY: usize = 4096;

/// One client for each way of asking.
pub(super) struct Clients {
    clients: Vec<(Reach, Client)>,
    timeout: Duration,
}

impl Clients {
    pub(super) fn new(outbound: &Outbound, timeout: Duration) -> Result<Self, SteeringError> {
        let mut clients = Vec::new();
        for family in Family::ALL {
            for private in [false, true] {
                let reach = Reach {
                    family: Some(family),
                    private,
                };
                clients.push((reach, outbound.client(reach, timeout)?));
            }
        }
        Ok(Self { clients, timeout })
    }

    /// The address that a source shows; the error is a sentence.
    async fn ask(&self, url: &str, reach: Reach, family: Family) -> Result<IpAddr, String> {
        let url = Url::parse(url).map_err(|error| format!("the URL is malformed: {error}"))?;
        reach.admit_url(&url).map_err(|error| error.to_string())?;
        let client = self.clients.iter().find(|(of, _)| *of == reach);
        let (_, client) = client.ok_or("there is no client for it")?;
        let failed = |error| why(error, self.timeout);
        let response = client.get(url).send().await.map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!(
                "it answers {status}; redirects are not followed, give the URL that it leads to"
            ));
        }
        if !status.is_success() {
            return Err(format!("it answers {status}"));
        }
        let page = body(response, self.timeout).await?;
        admissible(only_address(&page, family)?, reach.private)
    }
}

async fn body(mut response: Response, timeout: Duration) -> Result<String, String> {
    let mut body = Vec::new();
    while let Some(part) = response
        .chunk()
        .await
        .map_err(|error| why(error, timeout))?
    {
        body.extend_from_slice(&part);
        if body.len() > MAX_BODY {
            return Err(format!("the answer is longer than {MAX_BODY} bytes"));
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The address that two sources show.
pub(super) async fn detect(
    clients: &Clients,
    family: Family,
    by: &BySources,
) -> Result<IpAddr, Failure> {
    let reach = Reach {
        family: Some(family),
        private: by.allow_private,
    };
    let urls = by.urls_for(family);
    agree(&urls, |url| async move {
        Said {
            source: url.clone(),
            answer: clients.ask(url, reach, family).await,
        }
    })
    .await
}
