"""Signs generated requests with Huawei Cloud's own SDK and writes down what it signed and sent.

The SDK talks to a server on loopback that answers `{}`. The time is the only thing put in its place;
everything else in a vector is what the server received, save the canonical request, which the SDK hashes
on its way and which is caught there.

One JSON object per line: method, path (its parts, decoded), query, headers (the signed ones), body,
canonical_request, authorization, access_key, secret.
"""

import http.server
import json
import os
import random
import string
import sys
import threading
import urllib.parse

# The SDK leaves an id of the application in the home directory, unless there is none.
os.environ["HOME"] = os.devnull

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.signer.signer import Signer
from huaweicloudsdkdns import v2

COUNT = 400
SEED = 20191115

# Everything that a canonical form could get wrong: reserved and unreserved marks, spaces, percent signs
# that look like escapes, several scripts, a character beyond 16 bits, a combining accent.
ALPHABET = (
    string.ascii_letters + string.digits + " -_.~+*%/\\?&=#:;,@!$'\"()[]{}<>|^`"
    "äßéñçøł中文域名日本語한국어русскийعربي🌍e\u0301%20%2F\u00a0\t"
)

TYPES = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"]
LINES = ["default_view", "Dianxin", "Liantong", "Yidong", "Jiaoyuwang", "Abroad", "Dianxin_Hainan"]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps the request and answers nothing of interest."""

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        self.server.received = (self, self.rfile.read(length))
        body = b"{}"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = do_POST

    def log_message(self, *_):
        pass


def text(rng, shortest=0):
    return "".join(rng.choices(ALPHABET, k=rng.randint(shortest, 24)))


def request(rng):
    """A call of the SDK. Any text may be empty, save those in a path."""

    def ident():
        plain = "".join(rng.choices("0123456789abcdef", k=32))
        return rng.choice([plain, plain, text(rng, 1).replace("/", "").strip() or plain])

    name = rng.choice(["example.com.", "*.example.com.", "中国.example.", text(rng)])
    values = {
        "ttl": rng.randint(1, 2**31 - 1),
        "records": [rng.choice(["192.0.2.1", "", text(rng)]) for _ in range(rng.randint(1, 3))],
    }
    described = {"description": text(rng)} if rng.random() < 0.3 else {}
    page = {"limit": rng.randint(1, 500), "offset": rng.randint(0, 10**6)}
    return rng.choice(
        [
            lambda c: c.list_public_zones(
                v2.ListPublicZonesRequest(type="public", name=name, **page)
            ),
            lambda c: c.list_record_sets_with_line(
                v2.ListRecordSetsWithLineRequest(
                    zone_id=text(rng), name=name, search_mode="equal", records=text(rng), **page
                )
            ),
            lambda c: c.create_record_set_with_line(
                v2.CreateRecordSetWithLineRequest(
                    zone_id=ident(),
                    body=v2.CreateRecordSetWithLineRequestBody(
                        name=name,
                        type=rng.choice(TYPES),
                        line=rng.choice(LINES + [text(rng)]),
                        **values,
                        **described,
                    ),
                )
            ),
            lambda c: c.update_record_sets(
                v2.UpdateRecordSetsRequest(
                    zone_id=ident(),
                    recordset_id=ident(),
                    body=v2.UpdateRecordSetsReq(name=name, type=rng.choice(TYPES), **values),
                )
            ),
            lambda c: c.batch_update_record_set_with_line(
                v2.BatchUpdateRecordSetWithLineRequest(
                    zone_id=ident(),
                    body=v2.BatchUpdateRecordSetWithLineRequestBody(
                        recordsets=[
                            v2.BatchUpdateRecordSet(id=ident(), weight=1, **values, **described)
                        ]
                    ),
                )
            ),
            lambda c: c.set_record_sets_status(
                v2.SetRecordSetsStatusRequest(
                    recordset_id=ident(),
                    body=v2.SetRecordSetsStatusRequestBody(status="ENABLE"),
                )
            ),
            lambda c: c.delete_record_sets(
                v2.DeleteRecordSetsRequest(zone_id=ident(), recordset_id=ident())
            ),
            lambda c: c.list_system_lines(v2.ListSystemLinesRequest(locale=text(rng), **page)),
            lambda c: c.list_custom_line(
                v2.ListCustomLineRequest(name=text(rng), show_detail=False, **page)
            ),
        ]
    )


def main(out):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rng = random.Random(SEED)

    moment = None
    real_time = Signer._process_header_time
    real_string = Signer._process_string_to_sign
    signed = []

    def catching_time(cls, request):
        request.header_params["X-Sdk-Date"] = moment
        return real_time(request)

    def catching_string(self, canonical_request, time):
        signed.append(canonical_request)
        return real_string(self, canonical_request, time)

    Signer._process_header_time = classmethod(catching_time)
    Signer._process_string_to_sign = catching_string

    vectors = []
    while len(vectors) < COUNT:
        moment = (
            f"20{rng.randint(10, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
            f"T{rng.randint(0, 23):02}{rng.randint(0, 59):02}{rng.randint(0, 59):02}Z"
        )
        access_key = "".join(rng.choices(string.ascii_uppercase + string.digits, k=20))
        secret = "".join(rng.choices(string.ascii_letters + string.digits, k=40))
        project = "".join(rng.choices("0123456789abcdef", k=32))
        client = (
            v2.DnsClient.new_builder()
            .with_credentials(BasicCredentials(access_key, secret, project))
            .with_endpoint(f"http://127.0.0.1:{server.server_port}")
            .build()
        )
        signed.clear()
        request(rng)(client)

        received, body = server.received
        target = urllib.parse.urlsplit(received.path)
        authorization = received.headers["authorization"]
        fields = dict(field.split("=", 1) for field in authorization.split(" ", 1)[1].split(", "))
        vectors.append(
            {
                "method": received.command,
                "path": [urllib.parse.unquote(part) for part in target.path.split("/")[1:]],
                "query": urllib.parse.parse_qsl(
                    target.query, keep_blank_values=True, strict_parsing=bool(target.query)
                ),
                "headers": {
                    name: received.headers[name] for name in fields["SignedHeaders"].split(";")
                },
                "body": body.decode(),
                "canonical_request": signed[-1],
                "authorization": authorization,
                "access_key": access_key,
                "secret": secret,
            }
        )
    server.shutdown()

    with open(out, "w", encoding="utf-8") as file:
        for vector in vectors:
            print(json.dumps(vector, ensure_ascii=False), file=file)


if __name__ == "__main__":
    main(sys.argv[1])
