"""Signs generated requests with Tencent Cloud's own SDK and writes down what it signed and sent.

The SDK talks to a server on loopback that answers an empty response. The time is the only thing put in
its place; everything else in a vector is what the server received, save the canonical request, which the
SDK hashes on its way and which is caught there.

Every other request leaves its body as UTF-8 instead of escapes: the signature covers the octets, whatever
they are.

One JSON object per line: action, method, target, content_type, host, seconds, body, canonical_request,
authorization, secret_id, secret_key.
"""

import hashlib
import http.server
import json
import random
import string
import sys
import threading
import time

from tencentcloud.common import abstract_client, credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.dnspod.v20210323 import dnspod_client, models

COUNT = 400
SEED = 20210323

# Everything that a body or its escapes could get wrong.
ALPHABET = (
    string.ascii_letters + string.digits + " -_.~+*%/\\?&=#:;,@!$'\"()[]{}<>|^`"
    "äßéñçøł中文域名日本語한국어русскийعربي🌍e\u0301%20%2F\u00a0\t\n"
)

TYPES = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"]
LINES = [("默认", "0"), ("电信", "10=0"), ("联通", "10=1"), ("移动", "10=3"), ("境外", "3=0")]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps the request and answers nothing of interest."""

    def do_POST(self):
        self.server.received = self
        self.server.received_body = self.rfile.read(int(self.headers["content-length"]))
        body = b'{"Response":{"RequestId":"R"}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Digests:
    """`hashlib` that remembers what was hashed."""

    def __init__(self):
        self.hashed = []

    def sha256(self, data=b""):
        self.hashed.append(bytes(data))
        return hashlib.sha256(data)


def text(rng, shortest=0):
    return "".join(rng.choices(ALPHABET, k=rng.randint(shortest, 24)))


def request(rng):
    """An action of the SDK and its parameters. Any of them may be an empty text."""
    domain = {"Domain": rng.choice(["example.com", "xn--fiqs8s", "中国.example", text(rng)])}
    line, line_id = rng.choice(LINES + [(text(rng), text(rng))])
    record = {
        **domain,
        "SubDomain": rng.choice(["@", "*", "www", "_sip._tcp", text(rng)]),
        "RecordType": rng.choice(TYPES),
        "RecordLine": line,
        "RecordLineId": line_id,
        "Value": rng.choice(["192.0.2.1", "", text(rng), text(rng)]),
        "TTL": rng.randint(1, 604800),
        "Status": rng.choice(["ENABLE", "DISABLE"]),
        "Remark": rng.choice(["", text(rng)]),
        "Weight": rng.randint(0, 100),
    }
    if record["RecordType"] == "MX":
        record["MX"] = rng.randint(0, 50)
    ident = {"RecordId": rng.randint(1, 10**12)}
    page = {"Offset": rng.randint(0, 99), "Limit": rng.choice([100, 3000])}
    return rng.choice(
        [
            ("CreateRecord", record),
            ("ModifyRecord", {**record, **ident}),
            ("ModifyRecordStatus", {**domain, **ident, "Status": "DISABLE"}),
            ("DeleteRecord", {**domain, **ident}),
            ("DescribeDomainList", page),
            ("DescribeDomain", domain),
            ("DescribePackageDetail", {}),
            ("DescribeRecordLineList", {**domain, "DomainGrade": "DP_FREE"}),
            (
                "DescribeRecordList",
                {**domain, **page, "Subdomain": text(rng), "ErrorOnEmpty": "no"},
            ),
        ]
    )


def main(out):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"127.0.0.1:{server.server_port}"
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=endpoint))
    rng = random.Random(SEED)

    digests = Digests()
    abstract_client.hashlib = digests
    real_dumps = json.dumps
    real_time = time.time

    vectors = []
    while len(vectors) < COUNT:
        seconds = rng.randint(1_300_000_000, 4_000_000_000)
        secret_id = "AKID" + "".join(rng.choices(string.ascii_letters + string.digits, k=32))
        secret_key = "".join(rng.choices(string.ascii_letters + string.digits, k=32))
        client = dnspod_client.DnspodClient(
            credential.Credential(secret_id, secret_key), "", profile
        )
        action, parameters = request(rng)
        call = getattr(models, f"{action}Request")()
        call.from_json_string(real_dumps(parameters))

        digests.hashed.clear()
        escaped = len(vectors) % 2 == 0
        abstract_client.json.dumps = lambda data, *args, **named: real_dumps(
            data, *args, **{"ensure_ascii": escaped, **named}
        )
        abstract_client.time.time = lambda: seconds
        try:
            getattr(client, action)(call)
        finally:
            abstract_client.json.dumps = real_dumps
            abstract_client.time.time = real_time

        received = server.received
        assert received.headers["x-tc-action"] == action
        assert received.headers["x-tc-timestamp"] == str(seconds)
        vectors.append(
            {
                "action": action,
                "method": received.command,
                "target": received.path,
                "content_type": received.headers["content-type"],
                "host": received.headers["host"],
                "seconds": seconds,
                "body": server.received_body.decode(),
                "canonical_request": digests.hashed[-1].decode(),
                "authorization": received.headers["authorization"],
                "secret_id": secret_id,
                "secret_key": secret_key,
            }
        )
    server.shutdown()

    with open(out, "w", encoding="utf-8") as file:
        for vector in vectors:
            print(json.dumps(vector, ensure_ascii=False), file=file)


if __name__ == "__main__":
    main(sys.argv[1])
