"""Cloudflare's own client as a witness of the stand-in: what that says is what the client understands.

It lists zones and records, makes records, changes one, sends a batch, and is told of what it did wrong.
An assertion that fails is a fault of the stand-in.

Arguments: the base URL of the API (`http://127.0.0.1:4711/client/v4`), the token, and a zone that holds a
proxied A record of `proxied.<zone>`.
"""

import sys

# This script has the name of the package; the package is meant.
sys.path.pop(0)

import cloudflare
from cloudflare import Cloudflare


def refused(expected_status, expected_code, call):
    try:
        call()
    except cloudflare.APIStatusError as error:
        assert error.status_code == expected_status, error
        codes = [fault["code"] for fault in error.body["errors"]]
        assert codes == [expected_code], error
        return
    raise AssertionError(f"not refused with {expected_code}")


def main(base_url, token, zone_name):
    client = Cloudflare(api_token=token, base_url=base_url, max_retries=0)
    zones = [zone for zone in client.zones.list(per_page=50) if zone.name == zone_name]
    assert len(zones) == 1, zones
    assert zones[0].plan.legacy_id == "free" and zones[0].type == "full", zones
    zone = zones[0].id
    assert [found.id for found in client.zones.list(name=zone_name)] == [zone]
    records = client.dns.records

    made = records.create(
        zone_id=zone, type="A", name=f"witness.{zone_name}", content="192.0.2.1", ttl=300, comment="by the client"
    )
    assert made.content == "192.0.2.1" and made.proxied is False, made
    changed = records.edit(
        dns_record_id=made.id, zone_id=zone, type="A", name=made.name, content="192.0.2.2", ttl=300
    )
    assert (changed.id, changed.content, changed.comment) == (made.id, "192.0.2.2", "by the client")
    assert records.get(made.id, zone_id=zone).content == "192.0.2.2"

    done = records.batch(
        zone_id=zone,
        patches=[{"id": made.id, "type": "A", "name": made.name, "content": "192.0.2.3", "ttl": 600}],
        posts=[
            {"type": "MX", "name": zone_name, "content": f"mail.{zone_name}", "priority": 10, "ttl": 600},
            {
                "type": "SRV",
                "name": f"_sip._tcp.{zone_name}",
                "data": {"priority": 1, "weight": 2, "port": 5060, "target": f"sip.{zone_name}"},
                "ttl": 600,
            },
            {"type": "CAA", "name": zone_name, "data": {"flags": 0, "tag": "issue", "value": "ca.example"}, "ttl": 600},
            {"type": "TXT", "name": zone_name, "content": '"v=spf1 -all"', "ttl": 1},
        ],
    )
    assert len(done.patches) == 1 and len(done.posts) == 4, done
    assert done.posts[1].content == f"1 2 5060 sip.{zone_name}", done

    # Several pages, one name, and what is behind the proxy.
    names = sorted(record.name for record in records.list(zone_id=zone, per_page=2, order="name"))
    assert len(names) == 6 and len(set(names)) == 4, names
    assert [r.content for r in records.list(zone_id=zone, name={"exact": made.name})] == ["192.0.2.3"]
    proxied = list(records.list(zone_id=zone, proxied=True))
    assert [(r.name, r.ttl) for r in proxied] == [(f"proxied.{zone_name}", 1)], proxied

    # A replacement, as against a change, falls back to defaults.
    replaced = records.update(
        dns_record_id=made.id, zone_id=zone, type="A", name=made.name, content="192.0.2.4", ttl=600
    )
    assert replaced.comment is None, replaced

    # One bad record keeps the whole batch out.
    refused(
        400,
        81053,
        lambda: records.batch(
            zone_id=zone,
            deletes=[{"id": proxied[0].id}],
            posts=[{"type": "CNAME", "name": made.name, "content": "a.example", "ttl": 1}],
        ),
    )
    assert records.get(proxied[0].id, zone_id=zone).proxied is True
    refused(400, 81058, lambda: records.create(zone_id=zone, type="A", name=made.name, content="192.0.2.4", ttl=60))
    refused(400, 1004, lambda: records.create(zone_id=zone, type="A", name=made.name, content="192.0.2.9", ttl=2))
    refused(404, 81044, lambda: records.delete("0" * 32, zone_id=zone))
    refused(404, 7003, lambda: records.get(made.id, zone_id="0" * 32))
    stranger = Cloudflare(api_token="wrong", base_url=base_url, max_retries=0)
    refused(403, 9109, lambda: list(stranger.zones.list()))
    print("witnessed")


if __name__ == "__main__":
    main(*sys.argv[1:])
