"""Asks a DNS server and prints what it answers, as JSON.

usage: ask.py ADDRESS PORT, with one question per line on stdin:
{"name": "www.example.com.", "type": "A", "tcp": false, "subnet": "10.0.0.0/8", "bytes": 1232}
"""

import json
import sys

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.zone

TIMEOUT = 10


def records(section):
    return sorted(line for rrset in section for line in rrset.to_text().splitlines())


def ask(address, port, question):
    if question["type"] == "AXFR":
        transfer = dns.query.xfr(
            address, question["name"], port=port, lifetime=TIMEOUT, relativize=False
        )
        # Refuses a zone without a SOA or NS at its origin.
        zone = dns.zone.from_xfr(transfer, relativize=False)
        lines = zone.to_text(relativize=False).splitlines()
        return {"records": sorted(line for line in lines if line)}
    options = []
    if question.get("subnet"):
        network, prefix = question["subnet"].split("/")
        options.append(dns.edns.ECSOption(network, int(prefix)))
    query = dns.message.make_query(
        question["name"],
        question["type"],
        use_edns=0 if question.get("bytes") or options else False,
        payload=question.get("bytes") or 1232,
        options=options,
    )
    query.flags &= ~dns.flags.RD
    send = dns.query.tcp if question.get("tcp") else dns.query.udp
    answer = send(query, address, port=port, timeout=TIMEOUT)
    scopes = [it.scopelen for it in answer.options if isinstance(it, dns.edns.ECSOption)]
    return {
        "status": dns.rcode.to_text(answer.rcode()),
        "aa": bool(answer.flags & dns.flags.AA),
        "tc": bool(answer.flags & dns.flags.TC),
        "answer": records(answer.answer),
        "authority": records(answer.authority),
        "additional": records(answer.additional),
        "scope": scopes[0] if scopes else None,
    }


address, port = sys.argv[1], int(sys.argv[2])
for line in sys.stdin:
    print(json.dumps(ask(address, port, json.loads(line))))
