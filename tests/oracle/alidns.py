"""Signs generated requests with Alibaba Cloud's own SDK and writes down what it signed and sent.

The SDK talks to a server on loopback that answers `{}`. Time and nonce are the only things put in its
place; everything else in a vector is what the server received, save the canonical request, which the
SDK hashes on its way and which is caught there.

One JSON object per line: action, method, path, query, headers (the signed ones), canonical_request,
authorization, access_key_id, secret.
"""

import http.server
import json
import random
import string
import sys
import threading
import urllib.parse

from alibabacloud_alidns20150109 import models
from alibabacloud_alidns20150109.client import Client
from alibabacloud_tea_openapi import utils
from alibabacloud_tea_openapi.utils_models import Config

COUNT = 400
SEED = 20150109

# Everything that a canonical form could get wrong: reserved and unreserved marks, spaces, percent signs
# that look like escapes, several scripts, a character beyond 16 bits, a combining accent.
ALPHABET = (
    string.ascii_letters + string.digits + " -_.~+*%/\\?&=#:;,@!$'\"()[]{}<>|^`"
    "äßéñçøł中文域名日本語한국어русскийعربي🌍e\u0301%20%2F\u00a0\t"
)

TYPES = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"]
LINES = ["default", "telecom", "unicom", "mobile", "edu", "oversea", "cn_unicom_hainan"]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps the request and answers nothing of interest."""

    def do_POST(self):
        self.server.received = self
        body = b"{}"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_):
        pass


def text(rng, shortest=0):
    return "".join(rng.choices(ALPHABET, k=rng.randint(shortest, 24)))


def request(rng):
    """An action of the SDK and its parameters. Any of them may be an empty text."""
    domain = rng.choice(["example.com", "xn--fiqs8s", "中国.example", text(rng)])
    rr = rng.choice(["@", "*", "www", "_sip._tcp", text(rng)])
    record = {
        "rr": rr,
        "type": rng.choice(TYPES),
        "value": rng.choice(["192.0.2.1", "", text(rng), text(rng)]),
        "ttl": rng.randint(1, 86400),
        "line": rng.choice(LINES + [text(rng)]),
    }
    if record["type"] == "MX":
        record["priority"] = rng.randint(1, 50)
    ident = str(rng.randint(1, 10**18))
    page = {"page_number": rng.randint(1, 99), "page_size": rng.choice([20, 100, 500])}
    return rng.choice(
        [
            ("add_domain_record", "AddDomainRecord", {"domain_name": domain, **record}),
            ("update_domain_record", "UpdateDomainRecord", {"record_id": ident, **record}),
            ("delete_domain_record", "DeleteDomainRecord", {"record_id": ident}),
            (
                "set_domain_record_status",
                "SetDomainRecordStatus",
                {"record_id": ident, "status": rng.choice(["Enable", "Disable"])},
            ),
            ("describe_domains", "DescribeDomains", page),
            (
                "describe_domain_info",
                "DescribeDomainInfo",
                {"domain_name": domain, "need_detail_attributes": True},
            ),
            ("describe_support_lines", "DescribeSupportLines", {"domain_name": domain, "lang": "en"}),
            ("describe_domain_records", "DescribeDomainRecords", {"domain_name": domain, **page}),
            (
                "describe_sub_domain_records",
                "DescribeSubDomainRecords",
                {"domain_name": domain, "sub_domain": f"{rr}.{domain}", **page},
            ),
        ]
    )


def main(out):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"127.0.0.1:{server.server_port}"
    rng = random.Random(SEED)

    hashed = []
    real_hash = utils.Utils.hash

    def catching_hash(raw, sign_type):
        hashed.append(bytes(raw))
        return real_hash(raw, sign_type)

    utils.Utils.hash = staticmethod(catching_hash)

    vectors = []
    while len(vectors) < COUNT:
        moment = (
            f"20{rng.randint(10, 99)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
            f"T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z"
        )
        nonce = f"{rng.getrandbits(128):032x}"
        utils.Utils.get_timestamp = staticmethod(lambda moment=moment: moment)
        utils.Utils.get_nonce = staticmethod(lambda nonce=nonce: nonce)
        access_key_id = "LTAI" + "".join(rng.choices(string.ascii_letters + string.digits, k=20))
        secret = "".join(rng.choices(string.ascii_letters + string.digits, k=30))
        client = Client(
            Config(
                access_key_id=access_key_id,
                access_key_secret=secret,
                endpoint=endpoint,
                protocol="HTTP",
            )
        )

        method, action, parameters = request(rng)
        hashed.clear()
        getattr(client, method)(getattr(models, f"{action}Request")(**parameters))

        received = server.received
        assert received.headers["x-acs-action"] == action
        target = urllib.parse.urlsplit(received.path)
        authorization = received.headers["authorization"]
        fields = dict(field.split("=", 1) for field in authorization.split(" ", 1)[1].split(","))
        vectors.append(
            {
                "action": action,
                "method": received.command,
                "path": target.path,
                "query": urllib.parse.parse_qsl(
                    target.query, keep_blank_values=True, strict_parsing=True
                ),
                "headers": {
                    name: received.headers[name] for name in fields["SignedHeaders"].split(";")
                },
                "canonical_request": hashed[-1].decode(),
                "authorization": authorization,
                "access_key_id": access_key_id,
                "secret": secret,
            }
        )
    server.shutdown()

    with open(out, "w", encoding="utf-8") as file:
        for vector in vectors:
            print(json.dumps(vector, ensure_ascii=False), file=file)


if __name__ == "__main__":
    main(sys.argv[1])
