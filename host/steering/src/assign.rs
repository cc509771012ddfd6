//! Which site serves which line: the decision, pure.
//!
//! For each line and family of a service there is one owner at a time (or, with `spread`, all healthy
//! sites that serve the line). The first of these decides:
//!
//! 1. A site that is healthy comes before one that is up again and not yet for long enough, that before
//!    one that is being drained, and one that is down is none.
//! 2. A site that serves the line comes before one that takes it over.
//! 3. The lower priority number, then the code.
//!
//! Three rules keep lines where they are. An owner that has only just come back need not wait to keep what
//! it has. An owner of whom nothing is known keeps it: missing information moves nothing. And where no
//! site can serve a line, it stays as it is: a record that points to a dead site is better than none.

use std::collections::BTreeMap;

use portolan_consensus::documents::Document;
use serde::{Deserialize, Serialize};

use crate::family::Family;
use crate::names::{LineCode, SiteCode};
use crate::services::Service;
use crate::sites::{Intent, Site};

/// How a site stands for a service in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It can serve.
    Up,
    /// It is up again, and gets its lines back at this time (milliseconds since 1970).
    Returning { at_ms: u64 },
    /// Nothing is known.
    Unknown,
    /// It cannot serve.
    Down,
}

impl Health {
    /// Of what needs both: the worse of the two.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Down, _) | (_, Self::Down) => Self::Down,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Returning { at_ms: one }, Self::Returning { at_ms: other }) => Self::Returning {
                at_ms: one.max(other),
            },
            (Self::Returning { at_ms }, _) | (_, Self::Returning { at_ms }) => {
                Self::Returning { at_ms }
            }
            (Self::Up, Self::Up) => Self::Up,
        }
    }
}

/// What the decision needs to know of the world.
pub(crate) trait Sight {
    /// How a site stands for a service.
    fn health(&self, service: &Service, site: &Site, family: Family) -> Health;
    /// Whether a site has an address of the family.
    fn has_address(&self, site: &Site, family: Family) -> bool;
}

/// Who serves a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// One, or several with `spread`, in order.
    pub(crate) sites: Vec<SiteCode>,
    /// Since when. Milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// Why they, and not those before.
    pub(crate) why: String,
}

/// Who serves the lines of a service. Intent first: it is stored before a provider hears of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owners {
    pub(crate) lines: BTreeMap<LineCode, BTreeMap<Family, Owner>>,
}

impl Document for Owners {}

impl Owners {
    pub(crate) fn of(&self, line: &LineCode, family: Family) -> Option<&Owner> {
        self.lines.get(line)?.get(&family)
    }

    fn set(&mut self, line: &LineCode, family: Family, owner: Owner) {
        let families = self.lines.entry(line.clone()).or_default();
        families.insert(family, owner);
    }
}

/// A line that changes hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) line: LineCode,
    pub(crate) family: Family,
    /// Empty where nobody served it.
    pub(crate) from: Vec<SiteCode>,
    pub(crate) to: Vec<SiteCode>,
    pub(crate) why: String,
}

/// Decides who serves the lines of a service from now on.
pub(crate) fn assign(
    service: &Service,
    sites: &[Site],
    sight: &impl Sight,
    before: &Owners,
    now_ms: u64,
) -> Owners {
    let mut after = Owners::default();
    for line in service_lines(service, sites) {
        for family in service.types.iter().map(|rtype| rtype.family()) {
            let standing = before.of(&line, family);
            let choice = Choice {
                service,
                sites,
                sight,
                line: &line,
                family,
                standing,
            };
            let chosen = choice.make();
            let owner = match standing {
                Some(standing) if chosen.is_empty() || chosen == standing.sites => standing.clone(),
                None if chosen.is_empty() => continue,
                _ => Owner {
                    why: choice.why(&chosen),
                    sites: chosen,
                    since_ms: now_ms,
                },
            };
            after.set(&line, family, owner);
        }
    }
    after
}

/// What changes hands from one decision to the next.
pub(crate) fn moves(before: &Owners, after: &Owners) -> Vec<Move> {
    let mut moves = Vec::new();
    for (line, families) in &after.lines {
        for (family, owner) in families {
            let from = before.of(line, *family);
            let from = from.map(|owner| owner.sites.clone()).unwrap_or_default();
            if from != owner.sites {
                moves.push(Move {
                    line: line.clone(),
                    family: *family,
                    from,
                    to: owner.sites.clone(),
                    why: owner.why.clone(),
                });
            }
        }
    }
    moves
}

/// The lines that a service has records on.
pub(crate) fn service_lines(service: &Service, sites: &[Site]) -> Vec<LineCode> {
    if let Some(lines) = &service.lines {
        return lines.iter().cloned().collect();
    }
    let runs = sites.iter().filter(|site| service.runs_at(&site.code));
    let mut lines: Vec<LineCode> = runs
        .flat_map(|site| site.lines.iter().map(|own| own.line.clone()))
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

/// The sites that have a line if all are well, the best first.
pub(crate) fn in_order<'s>(
    service: &Service,
    sites: &'s [Site],
    line: &LineCode,
    reached: impl Fn(&Site) -> bool,
) -> Vec<&'s Site> {
    let able = sites.iter().filter(|site| {
        let in_use = matches!(site.intent, Intent::Auto | Intent::ForcedUp);
        in_use && service.runs_at(&site.code) && reached(site)
    });
    let mut order: Vec<(bool, u32, &Site)> = able
        .filter_map(|site| {
            let own = site.priority(line);
            Some((own.is_none(), own.or(site.fallback)?, site))
        })
        .collect();
    order.sort_by_key(|(takes_over, priority, site)| (*takes_over, *priority, site.code.clone()));
    order.into_iter().map(|(_, _, site)| site).collect()
}

/// The choice of one line's owner.
struct Choice<'a, S> {
    service: &'a Service,
    sites: &'a [Site],
    sight: &'a S,
    line: &'a LineCode,
    family: Family,
    standing: Option<&'a Owner>,
}

/// The better, the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    Healthy,
    Returning,
    Draining,
    DrainingAndReturning,
}

/// A site that could serve the line.
struct Candidate<'a> {
    fitness: Fitness,
    takes_over: bool,
    priority: u32,
    code: &'a SiteCode,
}

impl<S: Sight> Choice<'_, S> {
    fn make(&self) -> Vec<SiteCode> {
        let mut candidates: Vec<Candidate<'_>> = self
            .sites
            .iter()
            .filter_map(|site| self.candidate(site))
            .collect();
        candidates.sort_by_key(|it| (it.fitness, it.takes_over, it.priority, it.code.clone()));
        let spread: Vec<SiteCode> = candidates
            .iter()
            .filter(|it| self.service.spread && it.fitness == Fitness::Healthy && !it.takes_over)
            .map(|it| it.code.clone())
            .collect();
        if spread.is_empty() {
            let first = candidates.first();
            first.map(|it| it.code.clone()).into_iter().collect()
        } else {
            spread
        }
    }

    fn candidate<'s>(&self, site: &'s Site) -> Option<Candidate<'s>> {
        if !self.can_serve(site) {
            return None;
        }
        let own = site.priority(self.line);
        Some(Candidate {
            fitness: self.fitness(site)?,
            takes_over: own.is_none(),
            priority: own.or(site.fallback)?,
            code: &site.code,
        })
    }

    /// Whether it could if it were up.
    fn can_serve(&self, site: &Site) -> bool {
        self.service.runs_at(&site.code)
            && self.sight.has_address(site, self.family)
            && (site.priority(self.line).is_some() || site.fallback.is_some())
    }

    fn fitness(&self, site: &Site) -> Option<Fitness> {
        let owns = self.owns(&site.code);
        let health = self.sight.health(self.service, site, self.family);
        match (site.intent, health) {
            (Intent::ForcedUp, _) | (Intent::Auto, Health::Up) => Some(Fitness::Healthy),
            (Intent::ForcedDown, _) | (_, Health::Down) => None,
            (Intent::Auto, _) if owns => Some(Fitness::Healthy),
            (Intent::Auto, Health::Returning { .. }) => Some(Fitness::Returning),
            (Intent::Draining, Health::Up) => Some(Fitness::Draining),
            (Intent::Draining, _) if owns => Some(Fitness::Draining),
            (Intent::Draining, Health::Returning { .. }) => Some(Fitness::DrainingAndReturning),
            (_, Health::Unknown) => None,
        }
    }

    fn owns(&self, code: &SiteCode) -> bool {
        self.standing
            .is_some_and(|owner| owner.sites.contains(code))
    }

    /// Why the line goes to `chosen`.
    fn why(&self, chosen: &[SiteCode]) -> String {
        let Some(standing) = self.standing else {
            return "first served".to_owned();
        };
        if let Some(left) = standing.sites.iter().find(|code| !chosen.contains(code)) {
            let site = self.sites.iter().find(|site| site.code == *left);
            let gone = match site {
                None => Some("is gone".to_owned()),
                Some(site) if !self.can_serve(site) => Some("no longer serves it".to_owned()),
                Some(site) => match (site.intent, self.fitness(site)) {
                    (Intent::ForcedDown | Intent::Draining, _) => {
                        Some(format!("is {}", site.intent))
                    }
                    (_, None) => Some("is down".to_owned()),
                    _ => None,
                },
            };
            if let Some(gone) = gone {
                return format!("{left} {gone}");
            }
        }
        match chosen.iter().find(|code| !standing.sites.contains(code)) {
            Some(joins) => format!("{joins} is back"),
            None => "the order of the sites changed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What a test says of the sites' health; up where it says nothing.
    struct Told(BTreeMap<&'static str, Health>);

    impl Sight for Told {
        fn health(&self, _: &Service, site: &Site, _: Family) -> Health {
            let told = self.0.get(site.code.as_str());
            told.copied().unwrap_or(Health::Up)
        }

        fn has_address(&self, site: &Site, family: Family) -> bool {
            !site.fixed(family).is_empty()
        }
    }

    fn sites() -> Vec<Site> {
        let site = |code: &str, host: u8, lines: Value, fallback: Value| {
            let address = format!("203.0.113.{host}");
            serde_json::from_value(json!({
                "code": code, "lines": lines, "fallback": fallback,
                "addresses": {"ipv4": [address]},
            }))
            .unwrap()
        };
        vec![
            site("bj", 1, json!(["CU", "CMCC"]), json!(20)),
            site("hk", 2, json!(["default", "OverSea"]), json!(10)),
            site("sh", 3, json!([{"line": "CT", "priority": 1}]), json!(30)),
        ]
    }

    fn service(change: Value) -> Service {
        let mut body = json!({"name": "s", "zone": "example.com", "record": "@", "types": ["A"]});
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    fn owner(owners: &Owners, line: &str) -> Vec<String> {
        let line = LineCode::parse(line).unwrap();
        let owner = owners.of(&line, Family::Ipv4);
        let sites = owner.map(|owner| owner.sites.clone()).unwrap_or_default();
        sites.iter().map(ToString::to_string).collect()
    }

    fn decide(
        service: &Service,
        sites: &[Site],
        told: &[(&'static str, Health)],
        before: &Owners,
    ) -> Owners {
        assign(
            service,
            sites,
            &Told(told.iter().copied().collect()),
            before,
            7,
        )
    }

    #[test]
    fn each_line_is_served_by_its_own_site() {
        let owners = decide(&service(json!({})), &sites(), &[], &Owners::default());
        let lines: Vec<&str> = owners.lines.keys().map(LineCode::as_str).collect();
        assert_eq!(lines, ["CMCC", "CT", "CU", "OverSea", "default"]);
        assert_eq!(owner(&owners, "CT"), ["sh"]);
        assert_eq!(owner(&owners, "CU"), ["bj"]);
        assert_eq!(owner(&owners, "default"), ["hk"]);
    }

    #[test]
    fn a_dead_sites_lines_go_to_one_site_and_come_back_once_it_is_stable() {
        let (service, sites) = (service(json!({})), sites());
        let first = decide(&service, &sites, &[], &Owners::default());
        let dead = decide(&service, &sites, &[("sh", Health::Down)], &first);
        assert_eq!(owner(&dead, "CT"), ["hk"], "the lowest fallback");
        let moved = moves(&first, &dead);
        assert_eq!(moved.len(), 1);
        assert_eq!(moved[0].why, "sh is down");
        let returning = [("sh", Health::Returning { at_ms: 99 })];
        assert_eq!(decide(&service, &sites, &returning, &dead), dead);
        let back = decide(&service, &sites, &[], &dead);
        assert_eq!(owner(&back, "CT"), ["sh"]);
        assert_eq!(moves(&dead, &back)[0].why, "sh is back");
    }

    #[test]
    fn nobody_to_serve_a_line_leaves_it_where_it_is() {
        let (service, sites) = (service(json!({})), sites());
        let first = decide(&service, &sites, &[], &Owners::default());
        let down = ["bj", "hk", "sh"].map(|code| (code, Health::Down));
        assert_eq!(decide(&service, &sites, &down, &first), first);
        let never = decide(&service, &sites, &down, &Owners::default());
        assert_eq!(never, Owners::default(), "nothing was there, nothing comes");
    }

    #[test]
    fn what_is_not_known_moves_nothing() {
        let (service, sites) = (service(json!({})), sites());
        let first = decide(&service, &sites, &[], &Owners::default());
        let unknown = ["bj", "hk", "sh"].map(|code| (code, Health::Unknown));
        assert_eq!(decide(&service, &sites, &unknown, &first), first);
        let new = decide(&service, &sites, &unknown, &Owners::default());
        assert_eq!(owner(&new, "CT"), Vec::<String>::new());
        let other = [("sh", Health::Down), ("hk", Health::Unknown)];
        assert_eq!(
            owner(&decide(&service, &sites, &other, &first), "CT"),
            ["bj"]
        );
    }

    #[test]
    fn an_owner_that_is_just_back_keeps_what_it_has() {
        let (service, sites) = (service(json!({})), sites());
        let first = decide(&service, &sites, &[], &Owners::default());
        let just = [("sh", Health::Returning { at_ms: 99 })];
        assert_eq!(decide(&service, &sites, &just, &first), first);
    }

    #[test]
    fn a_drained_site_gives_away_what_others_can_serve() {
        let (service, mut sites) = (service(json!({})), sites());
        let first = decide(&service, &sites, &[], &Owners::default());
        sites[2].intent = Intent::Draining;
        let drained = decide(&service, &sites, &[], &first);
        assert_eq!(owner(&drained, "CT"), ["hk"]);
        assert_eq!(moves(&first, &drained)[0].why, "sh is draining");
        let alone = [("hk", Health::Down), ("bj", Health::Down)];
        assert_eq!(
            owner(&decide(&service, &sites, &alone, &first), "CT"),
            ["sh"]
        );
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let (service, mut sites) = (service(json!({})), sites());
        let first = decide(&service, &sites, &[], &Owners::default());
        sites[2].intent = Intent::ForcedUp;
        assert_eq!(
            decide(&service, &sites, &[("sh", Health::Down)], &first),
            first
        );
        sites[2].intent = Intent::ForcedDown;
        assert_eq!(owner(&decide(&service, &sites, &[], &first), "CT"), ["hk"]);
    }

    #[test]
    fn a_line_is_spread_over_the_sites_that_serve_it() {
        let mut sites = sites();
        sites[0]
            .lines
            .push(serde_json::from_value(json!("CT")).unwrap());
        let service = service(json!({"spread": true}));
        let first = decide(&service, &sites, &[], &Owners::default());
        assert_eq!(owner(&first, "CT"), ["sh", "bj"], "by priority");
        let one = decide(&service, &sites, &[("sh", Health::Down)], &first);
        assert_eq!(owner(&one, "CT"), ["bj"]);
        let both = [("sh", Health::Down), ("bj", Health::Down)];
        let taken = decide(&service, &sites, &both, &one);
        assert_eq!(owner(&taken, "CT"), ["hk"], "one site takes over, not all");
    }

    #[test]
    fn a_site_without_addresses_or_readiness_takes_nothing() {
        let (service, mut sites) = (service(json!({})), sites());
        let first = decide(&service, &sites, &[], &Owners::default());
        sites[1].addresses.clear();
        sites[0].fallback = None;
        let dead = decide(&service, &sites, &[("sh", Health::Down)], &first);
        assert_eq!(owner(&dead, "CT"), ["sh"], "nobody else can");
        assert_eq!(
            owner(&dead, "default"),
            ["hk"],
            "sh is down, and bj does not"
        );
    }

    fn any_health() -> impl Strategy<Value = Health> {
        prop_oneof![
            Just(Health::Up),
            Just(Health::Down),
            Just(Health::Unknown),
            Just(Health::Returning { at_ms: 9 }),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: a line that was served stays served, by one site, and a
        /// second look at the same world changes nothing.
        #[test]
        fn one_owner_at_a_time_and_never_none(
            worlds in proptest::collection::vec([any_health(), any_health(), any_health()], 1..20),
        ) {
            let (service, sites) = (service(json!({})), sites());
            let mut owners = decide(&service, &sites, &[], &Owners::default());
            for [bj, hk, sh] in worlds {
                let told = [("bj", bj), ("hk", hk), ("sh", sh)];
                let after = decide(&service, &sites, &told, &owners);
                for line in ["CMCC", "CT", "CU", "OverSea", "default"] {
                    prop_assert_eq!(owner(&after, line).len(), 1);
                }
                prop_assert_eq!(&decide(&service, &sites, &told, &after), &after);
                for moved in moves(&owners, &after) {
                    let to = moved.to[0].as_str();
                    let health = told.iter().find(|(code, _)| *code == to).unwrap().1;
                    prop_assert!(!matches!(health, Health::Down | Health::Unknown));
                }
                owners = after;
            }
        }
    }
}
