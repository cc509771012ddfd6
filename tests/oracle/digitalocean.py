"""Has DigitalOcean's own client (pydo) use a domains API on loopback, and writes down what it saw.

Arguments: the endpoint, the token, a file for what came of it. It lists the domains, writes records
(one of each kind), changes one by PUT and one by PATCH, deletes one, and meets the errors that it
knows. One JSON object is written: `domains`, `before`, `created`, `after` (all records then), `named`
(those of one name), `errors` (statuses and ids by what was tried).
"""

import json
import sys

from azure.core.exceptions import HttpResponseError
from pydo import Client

ZONE = "example.com"

WANTED = [
    {"type": "A", "name": "pydo", "data": "192.0.2.10", "ttl": 600},
    {"type": "A", "name": "pydo", "data": "192.0.2.11", "ttl": 600},
    {"type": "AAAA", "name": "pydo", "data": "2001:db8::10", "ttl": 600},
    {"type": "CNAME", "name": "alias", "data": f"{ZONE}.", "ttl": 600},
    {"type": "MX", "name": "@", "data": "mail.example.net.", "priority": 10, "ttl": 600},
    {"type": "TXT", "name": "@", "data": "v=spf1 -all", "ttl": 600},
    {"type": "NS", "name": "sub", "data": "ns1.example.net.", "ttl": 600},
    {"type": "CAA", "name": "@", "data": "ca.example.", "flags": 0, "tag": "issue", "ttl": 600},
    {
        "type": "SRV",
        "name": "_sip._tcp",
        "data": "sip.example.net.",
        "priority": 1,
        "weight": 2,
        "port": 5060,
        "ttl": 600,
    },
    {"type": "A", "name": "doomed", "data": "192.0.2.12"},
]


# The client refuses to send a token by plain HTTP unless told otherwise.
PLAIN = {"enforce_https": False}


def everything(list_page, key, **filters):
    """All items of a list, page by page, as the links say."""
    items, page = [], 1
    while True:
        reply = list_page(per_page=3, page=page, **filters, **PLAIN)
        items += reply[key]
        if "next" not in reply.get("links", {}).get("pages", {}):
            assert len(items) == reply["meta"]["total"], reply["meta"]
            return items
        page += 1


def refusal(call, *arguments, **named):
    """The status and id of what must be refused."""
    try:
        reply = call(*arguments, **named, **PLAIN)
    except HttpResponseError as error:
        return [error.status_code, json.loads(error.response.text())["id"]]
    # The client knows 404, and answers it.
    return [404, reply["id"]] if set(reply) >= {"id", "message"} else [200, ""]


def main(endpoint, token, out):
    domains = Client(token, endpoint=endpoint).domains

    def records(**filters):
        def list_page(**page):
            return domains.list_records(ZONE, **page)

        return everything(list_page, "domain_records", **filters)

    seen = {
        "domains": [domain["name"] for domain in everything(domains.list, "domains")],
        "before": records(),
    }
    created = [
        domains.create_record(ZONE, body=wanted, **PLAIN)["domain_record"] for wanted in WANTED
    ]
    seen["created"] = created
    first, second = created[:2]
    moved = {"type": "A", "data": "192.0.2.20", "ttl": 900}
    domains.update_record(ZONE, first["id"], body=moved, **PLAIN)
    domains.patch_record(ZONE, second["id"], body={"type": "A", "ttl": 900}, **PLAIN)
    domains.delete_record(ZONE, created[-1]["id"], **PLAIN)
    seen["after"] = records()
    seen["named"] = records(name=f"pydo.{ZONE}", type="A")

    host_without_dot = {"type": "CNAME", "name": "bad", "data": "www.example.net"}
    clash = {"type": "A", "name": "alias", "data": "192.0.2.1"}
    seen["errors"] = {
        "dot": refusal(domains.create_record, ZONE, body=host_without_dot),
        "clash": refusal(domains.create_record, ZONE, body=clash),
        "gone": refusal(domains.delete_record, ZONE, created[-1]["id"]),
        "zone": refusal(domains.list_records, "example.org"),
        "token": refusal(Client("wrong", endpoint=endpoint).domains.list_records, ZONE),
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(seen, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
