//! Reading: hosted zones, and pages of record sets.

use portolan_plugin::{Host, dns::Error, http::Effect, names::with_dot};

use crate::{
    client::lost, escape::name_from_service, route53::Route53, rrset::RrSet, xml::Element,
};

/// The most record sets per page of ListResourceRecordSets.
const SET_PAGE: &str = "300";
/// The most items per page of the other lists.
pub(crate) const PAGE: &str = "100";

/// Where a page of record sets begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// As the service spells it.
    name: String,
    rtype: Option<String>,
    identifier: Option<String>,
}

impl Start {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = vec![("name", self.name.clone())];
        query.extend(self.rtype.clone().map(|rtype| ("type", rtype)));
        query.extend(self.identifier.clone().map(|id| ("identifier", id)));
        query
    }

    /// One text: names and types have no spaces.
    pub(crate) fn text(&self) -> String {
        let rtype = self.rtype.as_deref().unwrap_or_default();
        match &self.identifier {
            Some(identifier) => format!("{} {rtype} {identifier}", self.name),
            None => format!("{} {rtype}", self.name),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ').map(str::to_owned);
        Some(Self {
            name: parts.next()?,
            rtype: Some(parts.next()?),
            identifier: parts.next(),
        })
    }
}

impl Route53 {
    /// The id of the hosted zone of this name.
    pub(crate) fn zone_id(&self, host: &dyn Host, zone: &str) -> Result<String, Error> {
        let what = format!("looking for the hosted zone {zone}");
        let query = [("dnsname", with_dot(zone)), ("maxitems", PAGE.to_owned())];
        let reply = self.client.get(
            host,
            "hostedzonesbyname",
            &query,
            "ListHostedZonesByName",
            &what,
        )?;
        // The list goes on with the names that follow.
        let mut zones = self.hosted_zones(&reply, &what)?;
        zones.retain(|(_, name)| name == zone);
        if zones.len() > 1 {
            let ids: Vec<&str> = zones.iter().map(|(id, _)| id.as_str()).collect();
            return Err(Error::Invalid(format!(
                "{what}: there are several; name the one to use in the setting `hosted_zone_ids`: {}",
                ids.join(", ")
            )));
        }
        match zones.pop() {
            Some((id, _)) => Ok(id),
            None => Err(Error::NotFound(format!(
                "{what}: the account has no public one that may be used here"
            ))),
        }
    }

    /// Ids and names of the hosted zones in a reply that can be used: public ones that no other service
    /// of AWS keeps for itself.
    pub(crate) fn hosted_zones(
        &self,
        reply: &Element,
        what: &str,
    ) -> Result<Vec<(String, String)>, Error> {
        let mut zones = Vec::new();
        for zone in &child(reply, "HostedZones", what)?.children {
            let config = zone.child("Config");
            let is_private =
                config.and_then(|config| config.text_of("PrivateZone")) == Some("true");
            let id = part(zone, "Id", what)?;
            let id = id.strip_prefix("/hostedzone/").unwrap_or(id);
            let is_listed = self.hosted_zone_ids.is_empty()
                || self.hosted_zone_ids.iter().any(|listed| listed == id);
            if is_private || !is_listed || zone.child("LinkedService").is_some() {
                continue;
            }
            zones.push((id.to_owned(), name_from_service(part(zone, "Name", what)?)));
        }
        Ok(zones)
    }

    /// One page of a zone's record sets, whatever they are, and where the next one begins.
    pub(crate) fn page(
        &self,
        host: &dyn Host,
        zone_id: &str,
        start: Option<&Start>,
        what: &str,
    ) -> Result<(Vec<RrSet>, Option<Start>), Error> {
        let mut query = vec![("maxitems", SET_PAGE.to_owned())];
        query.extend(start.map(Start::query).unwrap_or_default());
        let path = format!("hostedzone/{zone_id}/rrset");
        let reply = self
            .client
            .get(host, &path, &query, "ListResourceRecordSets", what)?;
        let sets = child(&reply, "ResourceRecordSets", what)?
            .children
            .iter()
            .map(RrSet::parse)
            .collect::<Option<_>>()
            .ok_or_else(|| lost(Effect::Read, what, "a record set without a name or a type"))?;
        if !is_truncated(&reply, what)? {
            return Ok((sets, None));
        }
        let next = Start {
            name: part(&reply, "NextRecordName", what)?.to_owned(),
            rtype: Some(part(&reply, "NextRecordType", what)?.to_owned()),
            identifier: reply.text_of("NextRecordIdentifier").map(str::to_owned),
        };
        if start == Some(&next) {
            return Err(lost(Effect::Read, what, "no next page"));
        }
        Ok((sets, Some(next)))
    }

    /// All record sets of a name, whatever they are.
    pub(crate) fn name_sets(
        &self,
        host: &dyn Host,
        zone_id: &str,
        name: &str,
    ) -> Result<Vec<RrSet>, Error> {
        let what = format!("reading the record sets of {name}");
        let mut start = Some(Start {
            name: with_dot(name),
            rtype: None,
            identifier: None,
        });
        let mut found = Vec::new();
        while let Some(from) = start {
            let (sets, next) = self.page(host, zone_id, Some(&from), &what)?;
            found.extend(sets.into_iter().filter(|set| set.name == name));
            start = next.filter(|next| name_from_service(&next.name) == name);
        }
        Ok(found)
    }

    /// All record sets of a zone, whatever they are.
    pub(crate) fn zone_sets(
        &self,
        host: &dyn Host,
        zone_id: &str,
        zone: &str,
    ) -> Result<Vec<RrSet>, Error> {
        let what = format!("reading the record sets of {zone}");
        let (mut found, mut start) = self.page(host, zone_id, None, &what)?;
        while let Some(from) = start {
            let (sets, next) = self.page(host, zone_id, Some(&from), &what)?;
            found.extend(sets);
            start = next;
        }
        Ok(found)
    }
}

/// A child that a reply always has. Nothing is made of a reply without it: a missing list is not an
/// empty one.
pub(crate) fn child<'a>(parent: &'a Element, name: &str, what: &str) -> Result<&'a Element, Error> {
    parent
        .child(name)
        .ok_or_else(|| lost(Effect::Read, what, &format!("no {name}")))
}

/// The text of such a child.
pub(crate) fn part<'a>(parent: &'a Element, name: &str, what: &str) -> Result<&'a str, Error> {
    child(parent, name, what).map(|child| child.text.as_str())
}

pub(crate) fn is_truncated(reply: &Element, what: &str) -> Result<bool, Error> {
    Ok(part(reply, "IsTruncated", what)? == "true")
}
