//! The status page.

use portolan_steering::{Overview, ServiceOverview, SiteOverview};

use super::escape::escape;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
    color-scheme:light dark}table{border-collapse:collapse;width:100%;margin-bottom:2rem}\
    th,td{text-align:left;padding:.35rem .75rem;border-bottom:1px solid #8884;vertical-align:top}\
    .live{color:#2e8b57}.lost{color:#c0392b}";

/// `part` is what this member is in its group.
pub(super) fn write(overview: &Overview, part: &str) -> String {
    let name = escape(&overview.name);
    let sites: String = overview.sites.iter().map(site).collect();
    let services: String = overview.services.iter().map(service).collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Portolan: {name}</title><style>{STYLE}</style></head><body>\
         <h1>{name}</h1><p>Portolan {}, {part}. {} of {} sites live.</p>\
         <h2>Sites</h2><table><tr><th>Site</th><th>State</th><th>Lines</th></tr>{sites}</table>\
         <h2>Services</h2><table><tr><th>Service</th><th>Name</th><th>Line</th><th>Served by</th></tr>\
         {services}</table></body></html>\n",
        env!("CARGO_PKG_VERSION"),
        overview.live(),
        overview.sites.len(),
    )
}

fn site(site: &SiteOverview) -> String {
    let class = if site.is_live { "live" } else { "lost" };
    let state = match site.state.as_str() {
        "forced" if site.is_live => "forced up",
        "forced" => "forced down",
        state => state,
    };
    let lines = match site.lines.is_empty() {
        true => "none".to_owned(),
        false => escape(&site.lines.join(", ")),
    };
    format!(
        "<tr><td>{}</td><td class=\"{class}\">{state}</td><td>{lines}</td></tr>",
        escape(&site.name)
    )
}

fn service(service: &ServiceOverview) -> String {
    let (name, domain) = (escape(&service.name), escape(&service.domain));
    if service.served.is_empty() {
        return format!("<tr><td>{name}</td><td>{domain}</td><td></td><td>nobody yet</td></tr>");
    }
    let rows = service.served.iter().map(|served| {
        format!(
            "<tr><td>{name}</td><td>{domain}</td><td>{} ({})</td><td>{}</td></tr>",
            escape(&served.line),
            served.family,
            escape(&served.sites.join(", "))
        )
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use portolan_steering::{Family, ServedLine, SiteState};

    use super::*;

    #[test]
    fn it_shows_who_serves_what_and_nothing_as_markup() {
        let overview = Overview {
            name: "Shanghai <1>".into(),
            sites: vec![SiteOverview {
                name: "Shanghai <1>".into(),
                state: SiteState::Forced,
                is_live: false,
                lines: vec!["CT".into(), "a&b".into()],
            }],
            services: vec![ServiceOverview {
                name: "测试".into(),
                domain: "www.example.com".into(),
                served: vec![ServedLine {
                    line: "CT".into(),
                    family: Family::Ipv4,
                    sites: vec!["Hong \"Kong\"".into()],
                }],
            }],
        };
        let page = write(&overview, "follower");
        for shown in [
            "Shanghai &lt;1&gt;",
            "class=\"lost\">forced down",
            "CT, a&amp;b",
            "测试",
            "www.example.com",
            "CT (ipv4)",
            "Hong &quot;Kong&quot;",
            "0 of 1 sites live",
            "follower",
        ] {
            assert!(page.contains(shown), "{shown} in {page}");
        }
        assert!(!page.contains("<1>"));
    }
}
