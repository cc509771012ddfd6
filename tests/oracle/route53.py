"""Signs generated requests with AWS's own SDK and writes down what it signed and would send.

botocore builds each request from the parameters of its operation, as a client would; nothing leaves.
Time and credentials are put in its place, and the canonical request is caught where it is hashed.

One JSON object per line: operation, method, path, query, headers (the signed ones), body, seconds, region,
canonical_request, authorization, access_key_id, secret.
"""

import datetime
import json
import random
import string
import sys
import urllib.parse

import botocore.auth
import botocore.session
from botocore.auth import SigV4Auth
from botocore.config import Config

COUNT = 400
SEED = 20130401

# Everything that a canonical form could get wrong: reserved and unreserved marks, spaces, percent signs
# that look like escapes, several scripts, a character beyond 16 bits, a combining accent.
ALPHABET = (
    string.ascii_letters + string.digits + " -_.~+*%/\\?&=#:;,@!$'\"()[]{}<>|^`"
    "äßéñçøł中文域名日本語한국어русскийعربي🌍e\u0301%20%2F\u00a0\t"
)
# What may stand in a path without a client taking it for another path.
PATH_ALPHABET = string.ascii_letters + string.digits + "-_~+*% &=:;,@!$'()é中🌍"
TYPES = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"]
REGIONS = ["us-east-1", "cn-northwest-1", "us-gov-west-1"]


def text(rng, alphabet=ALPHABET, shortest=0):
    return "".join(rng.choices(alphabet, k=rng.randint(shortest, 24)))


def record_set(rng):
    name = rng.choice(["example.com.", "*.example.com.", "\\052.example.com.", text(rng)])
    record = {
        "Name": name,
        "Type": rng.choice(TYPES),
        "TTL": rng.randint(0, 2**31 - 1),
        "ResourceRecords": [{"Value": text(rng)} for _ in range(rng.randint(1, 3))],
    }
    if rng.random() < 0.5:
        record["SetIdentifier"] = text(rng, shortest=1)
        record["GeoLocation"] = rng.choice([{"CountryCode": "*"}, {"ContinentCode": "AS"}])
    return record


def request(rng):
    """An operation and its parameters."""
    zone = rng.choice(["Z1D633PJN98FT9", text(rng, PATH_ALPHABET, 1).strip() or "Z"])
    items = str(rng.randint(1, 300))
    kind = rng.randrange(5)
    if kind == 0:
        changes = [
            {"Action": rng.choice(["CREATE", "DELETE"]), "ResourceRecordSet": record_set(rng)}
            for _ in range(rng.randint(1, 3))
        ]
        batch = {"Changes": changes}
        return "ChangeResourceRecordSets", {"HostedZoneId": zone, "ChangeBatch": batch}
    if kind == 1:
        return "ListHostedZonesByName", {"DNSName": text(rng), "MaxItems": items}
    if kind == 2:
        return "ListHostedZones", {"Marker": text(rng), "MaxItems": items}
    if kind == 3:
        return "ListGeoLocations", {
            "StartCountryCode": rng.choice(["CN", "*"]),
            "StartSubdivisionCode": "WA",
            "MaxItems": items,
        }
    return "ListResourceRecordSets", {
        "HostedZoneId": zone,
        "StartRecordName": text(rng),
        "StartRecordType": rng.choice(TYPES),
        "StartRecordIdentifier": text(rng, shortest=1),
        "MaxItems": items,
    }


def main(out):
    rng = random.Random(SEED)
    session = botocore.session.Session()
    caught = []
    moment = None

    real_canonical_request = SigV4Auth.canonical_request

    def catching_canonical_request(self, request):
        canonical = real_canonical_request(self, request)
        caught.append(canonical)
        return canonical

    SigV4Auth.canonical_request = catching_canonical_request
    botocore.auth.get_current_datetime = lambda **_: moment

    vectors = []
    while len(vectors) < COUNT:
        seconds = rng.randint(1_000_000_000, 4_000_000_000)
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
        access_key_id = "AKIA" + "".join(rng.choices(string.ascii_uppercase + string.digits, k=16))
        secret = "".join(rng.choices(string.ascii_letters + string.digits + "+/", k=40))
        region = rng.choice(REGIONS)
        client = session.create_client(
            "route53",
            region_name=region,
            endpoint_url="http://127.0.0.1:9",
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret,
            config=Config(signature_version="v4"),
        )
        sent = []

        def keep(request, sent=sent, **_):
            sent.append(request)
            return botocore.awsrequest.AWSResponse(request.url, 200, {}, None)

        client.meta.events.register("before-send", keep)
        operation, parameters = request(rng)
        caught.clear()
        try:
            client._make_api_call(operation, parameters)
        except Exception:
            # There is no reply to read; what matters has left by then.
            if not sent:
                raise
        request_sent = sent[0]
        headers = {name.lower(): value for name, value in request_sent.headers.items()}
        decode = lambda value: value.decode() if isinstance(value, bytes) else value  # noqa: E731
        authorization = decode(headers["authorization"])
        signed = authorization.split("SignedHeaders=", 1)[1].split(",", 1)[0].split(";")
        target = urllib.parse.urlsplit(request_sent.url)
        headers["host"] = target.netloc
        body = request_sent.body or b""
        vectors.append(
            {
                "operation": operation,
                "method": request_sent.method,
                "path": target.path,
                "query": urllib.parse.parse_qsl(
                    target.query, keep_blank_values=True, strict_parsing=bool(target.query)
                ),
                "headers": {name: decode(headers[name]) for name in signed},
                "body": decode(body),
                "seconds": seconds,
                "region": authorization.split("/")[2],
                "canonical_request": caught[-1],
                "authorization": authorization,
                "access_key_id": access_key_id,
                "secret": secret,
            }
        )

    with open(out, "w", encoding="utf-8") as file:
        for vector in vectors:
            print(json.dumps(vector, ensure_ascii=False), file=file)


if __name__ == "__main__":
    main(sys.argv[1])
