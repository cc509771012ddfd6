"""A server of Route 53 on loopback, for tests: moto with what `strict.py` adds.

Prints one line of JSON once it listens: port, access_key_id, secret, and another key that may read
alone. Signatures and permissions are checked from the first request on. `POST /test-control` takes what
a test does past the API: {"zone": …, "put": set}, {"zone": …, "remove": [name, type]}, {"zones": [names]}
or {"zone": …} alone; it answers the zone's sets.
"""

import json
import os
import sys
import threading

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"

import strict  # noqa: E402
from moto.iam.models import iam_backends  # noqa: E402
from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.route53.models import RecordSet, route53_backends  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402
from werkzeug.wrappers import Request, Response  # noqa: E402

ACCOUNT = "123456789012"
FIELDS = {
    "Name": "name",
    "Type": "type",
    "TTL": "ttl",
    "ResourceRecords": "records",
    "SetIdentifier": "set_identifier",
    "Weight": "weight",
    "Region": "region",
    "HealthCheckId": "health_check_id",
    "AliasTarget": "alias_target",
    "Failover": "failover",
    "GeoLocation": "geo_location",
    "MultiValueAnswer": "multi_value_answer",
}


def user(name, actions):
    iam = iam_backends[ACCOUNT]["aws"]
    iam.create_user("us-east-1", name, "/")
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
    }
    iam.put_user_policy(name, "route53", json.dumps(policy))
    key = iam.create_access_key(name)
    return {"access_key_id": key.access_key_id, "secret": key.secret_access_key}


def show(record_set):
    fields = {field: getattr(record_set, attribute) for field, attribute in FIELDS.items()}
    return {field: value for field, value in fields.items() if value is not None}


def control(order):
    route53 = route53_backends[ACCOUNT]["aws"]
    for name in order.get("zones", []):
        route53.create_hosted_zone(name + ".", private_zone=order.get("private", False))
    if "zone" not in order:
        return [zone.resource_id for zone in route53.zones.values()]
    zone = route53.get_hosted_zone_by_name(order["zone"] + ".")
    for given in order.get("put", []):
        new = RecordSet({**given, "Name": strict.stored(given["Name"])})
        key = (new.name, new.type, new.set_identifier)
        zone.rrsets = [s for s in zone.rrsets if (s.name, s.type, s.set_identifier) != key]
        zone.rrsets.append(new)
    if "remove" in order:
        name, rtype = order["remove"]
        gone = (strict.stored(name), rtype)
        zone.rrsets = [s for s in zone.rrsets if (s.name, s.type) != gone]
    return [show(record_set) for record_set in sorted(zone.rrsets, key=strict.place)]


def end_with_parent():
    """Whoever started it holds the other end of its input, however they end."""
    sys.stdin.buffer.read()
    os._exit(0)


def main(zones):
    strict.install()
    writer = user(
        "portolan",
        [
            "route53:ListHostedZones",
            "route53:ListHostedZonesByName",
            "route53:ListGeoLocations",
            "route53:ListResourceRecordSets",
            "route53:ChangeResourceRecordSets",
        ],
    )
    reader = user("reader", ["route53:List*"])
    control({"zones": zones})
    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ, start_response):
        if environ["PATH_INFO"] != "/test-control":
            return moto(environ, start_response)
        answer = control(json.loads(Request(environ).get_data()))
        return Response(json.dumps(answer), mimetype="application/json")(environ, start_response)

    server = make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler
    )
    threading.Thread(target=end_with_parent, daemon=True).start()
    print(json.dumps({"port": server.port, **writer, "reader": reader}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
