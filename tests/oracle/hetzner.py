"""Works with a server of the Hetzner Cloud API through Hetzner's own client, and says what it saw.

Arguments: the API's URL with /v1, a token, a zone. Changes the zone:

- reads the set www/A, comments its first record, labels it, gives it a TTL and protects it;
- makes the set made/TXT, adds a record to it, and takes the first one away;
- makes the set gone/A and deletes it.

Prints one JSON object: zones (names), ids (of all sets, before the changes), www (the set as it was first
read), made (the set at the end), and refused (the codes of what must not work).
"""

import json
import sys

from hcloud import APIException, Client
from hcloud.zones import ZoneRecord


def plain(rrset):
    return {
        "id": rrset.id,
        "ttl": rrset.ttl,
        "labels": rrset.labels,
        "protected": rrset.protection["change"],
        "records": [[record.value, record.comment] for record in rrset.records],
    }


def refusal(request):
    try:
        request()
    except APIException as error:
        return error.code
    return "nothing"


def main(url, token, name):
    client = Client(token, api_endpoint=url, poll_interval=0.02)
    zones = [zone.name for zone in client.zones.get_all()]
    zone = client.zones.get(name)
    assert zone.mode == "primary" and zone.ttl == 3600, zone.data_model
    ids = [rrset.id for rrset in zone.get_rrset_all()]

    www = zone.get_rrset("www", "A")
    first = plain(www)
    value = www.records[0].value
    www.update_rrset_records([ZoneRecord(value=value, comment="rack 1")]).wait_until_finished()
    zone.update_rrset(www, labels={"team": "ops"})
    www.change_rrset_ttl(120).wait_until_finished()
    www.change_rrset_protection(change=True).wait_until_finished()

    records = [ZoneRecord(value='"a"'), ZoneRecord(value='"b"', comment="second")]
    created = zone.create_rrset(name="made", type="TXT", ttl=300, records=records)
    created.action.wait_until_finished()
    created.rrset.add_rrset_records([ZoneRecord(value='"c"')]).wait_until_finished()
    created.rrset.remove_rrset_records([ZoneRecord(value='"a"')]).wait_until_finished()

    gone = zone.create_rrset(name="gone", type="A", records=[ZoneRecord(value="192.0.2.9")])
    gone.action.wait_until_finished()
    gone.rrset.delete_rrset().action.wait_until_finished()

    def make(name, value, **more):
        return lambda: zone.create_rrset(name=name, type="A", records=[ZoneRecord(value=value)], **more)

    refused = {
        "twice": refusal(make("www", "192.0.2.1")),
        "short ttl": refusal(make("new", "192.0.2.1", ttl=59)),
        "upper case": refusal(make("NEW", "192.0.2.1")),
        "no address": refusal(make("new", "2001:db8::1")),
        "protected": refusal(lambda: www.set_rrset_records([ZoneRecord(value="192.0.2.9")])),
        "gone": refusal(lambda: zone.get_rrset("gone", "A")),
        "copied": refusal(lambda: client.zones.get("copied.example").get_rrset_all()),
        "token": refusal(lambda: Client("nobody's", api_endpoint=url).zones.get_all()),
    }
    made = plain(zone.get_rrset("made", "TXT"))
    print(json.dumps({"zones": zones, "ids": ids, "www": first, "made": made, "refused": refused}))


if __name__ == "__main__":
    main(*sys.argv[1:])
