"""What Amazon's documentation of Route 53 demands and moto does not do.

moto takes almost any change of record sets: it deletes by identifier across all names, refuses to create
what once stood there, knows no conflicts, and its pages cannot go on within one name. The parts that
matter are put in its place here, from the API reference and the developer guide; HTTP, XML, signatures
and permissions stay moto's own, but for one mistake in what it takes for signed.
"""

import ipaddress
import re

from moto.core.responses import ActionResult
from moto.iam.access_control import IAMRequestBase
from moto.route53 import models, responses, urls
from moto.route53.exceptions import Route53ClientError

MAX_RECORDS = 1000
MAX_CHARACTERS = 32_000
MAX_VALUE = 4000
MAX_TTL = 2_147_483_647
MAX_ITEMS = 300
POLICIES = {
    "weight": "weighted",
    "region": "latency",
    "geo_location": "geolocation",
    "failover": "failover",
    "multi_value_answer": "multivalue answer",
}

CONTINENTS = {"AF": "Africa", "AS": "Asia", "EU": "Europe", "NA": "North America"}
COUNTRIES = {"CN": "China", "DE": "Germany", "JP": "Japan", "US": "United States"}
STATES = {"CA": "California", "WA": "Washington"}


def stored(name):
    """A name as the service stores and shows it: lower case, odd characters as octal codes."""
    # A code that stands for a plain character is that character.
    name = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), name).lower()
    name = name if name.endswith(".") else name + "."
    return re.sub(r"[^a-z0-9_.-]", lambda odd: f"\\{ord(odd[0]):03o}", name)


def policy(record_set):
    found = [policy for field, policy in POLICIES.items() if getattr(record_set, field) is not None]
    return found[0] if found else "simple"


def place(record_set):
    """Where a set stands in a listing."""
    reversed_labels = ".".join(reversed(record_set.name.rstrip(".").split("."))) + "."
    return (reversed_labels, record_set.type, record_set.set_identifier or "")


def shown(record_set):
    identifier = record_set.set_identifier
    identifier = f", set identifier='{identifier}'" if identifier else ""
    return f"resource record set [name='{record_set.name}', type='{record_set.type}'{identifier}]"


def invalid(message):
    return Route53ClientError("InvalidChangeBatch", f"[{message}]")


def wanted(change):
    given = dict(change["ResourceRecordSet"])
    given["Name"] = stored(given["Name"])
    records = given.get("ResourceRecords")
    if records is not None:
        given["ResourceRecords"] = [record["Value"] for record in records]
    if given.get("TTL") is not None:
        given["TTL"] = int(given["TTL"])
    return models.RecordSet(given)


def check_value(rtype, value):
    problem = f"Invalid Resource Record: 'FATAL problem: {{}} encountered with '{value}''"
    if len(value) > MAX_VALUE:
        raise invalid(problem.format("ValueTooLong"))
    try:
        if rtype == "A":
            ipaddress.IPv4Address(value)
        elif rtype == "AAAA":
            ipaddress.IPv6Address(value)
    except ValueError:
        raise invalid(problem.format(f"{rtype}RRDATAIllegalAddress")) from None
    if rtype == "TXT":
        strings = re.findall(r'"((?:[^"\\]|\\.)*)"', value)
        if not strings or re.sub(r'"(?:[^"\\]|\\.)*"', "", value).strip():
            raise invalid(problem.format("InvalidCharacterString (Value should be enclosed in quotation marks)"))
        octets = [re.sub(r"\\([0-7]{3}|.)", "x", string) for string in strings]
        if any(len(string) > 255 for string in octets):
            raise invalid(problem.format("CharacterStringTooLong"))
        if not value.isascii():
            raise invalid(problem.format("UnsupportedCharacter"))


def check_contents(record_set, zone):
    name, rtype = record_set.name, record_set.type
    if name != zone.name and not name.endswith("." + zone.name):
        raise invalid(f"RRSet with DNS name {name} is not permitted in zone {zone.name}")
    if record_set.alias_target:
        return
    if record_set.ttl is None or not record_set.records:
        raise Route53ClientError(
            "InvalidInput",
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], "
            f"or TrafficPolicyInstanceId], but found none in Change with [Name={name}, Type={rtype}]",
        )
    if not 0 <= record_set.ttl <= MAX_TTL:
        raise Route53ClientError("InvalidInput", f"1 validation error detected: TTL {record_set.ttl}")
    if len(set(record_set.records)) != len(record_set.records):
        raise invalid(f"Duplicate Resource Record: '{record_set.records}'")
    if rtype == "CNAME" and len(record_set.records) != 1:
        raise invalid(f"RRSet of type CNAME with DNS name {name} must have one value")
    if rtype == "CNAME" and name == zone.name:
        raise invalid(f"RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {zone.name}")
    for value in record_set.records:
        check_value(rtype, value)


def check_neighbours(new, others, zone):
    """Whether a set may stand beside those of its name."""
    for other in others:
        if other.type == new.type:
            if not (other.set_identifier and new.set_identifier):
                raise invalid(
                    f"RRSet with DNS name {new.name}, type {new.type} cannot be created as other RRSets "
                    "exist with the same name and type"
                )
            if policy(other) != policy(new):
                raise invalid(
                    f"RRSet with DNS name {new.name}, type {new.type}, SetIdentifier {new.set_identifier} "
                    "cannot be created because another routing policy exists with the same name and type: "
                    "conflicting routing policies"
                )
            if new.geo_location is not None and other.geo_location == new.geo_location:
                raise invalid(
                    f"Cannot create {shown(new)}: the same geolocation already exists as {shown(other)}"
                )
        elif other.type == "CNAME":
            raise invalid(
                f"RRSet of type {new.type} with DNS name {new.name} is not permitted because a conflicting "
                f"RRSet of type CNAME with the same DNS name already exists in zone {zone.name}"
            )
        elif new.type == "CNAME":
            raise invalid(
                f"RRSet of type CNAME with DNS name {new.name} is not permitted as it conflicts with other "
                f"records with the same DNS name in zone {zone.name}"
            )
    if new.set_identifier and new.type in ("NS", "SOA"):
        raise invalid(f"RRSet of type {new.type} cannot have a routing policy")


def check_quota(changes):
    records = characters = 0
    for change in changes:
        values = [record["Value"] for record in change["ResourceRecordSet"].get("ResourceRecords") or []]
        times = 2 if change["Action"] == "UPSERT" else 1
        records += times * len(values)
        characters += times * sum(map(len, values))
    if records > MAX_RECORDS:
        raise invalid(f"Number of records limit of {MAX_RECORDS} exceeded.")
    if characters > MAX_CHARACTERS:
        raise invalid(f"Number of characters limit of {MAX_CHARACTERS} exceeded.")


def change_resource_record_sets(self, zoneid, change_list):
    zone = self.get_hosted_zone(zoneid)
    check_quota(change_list)
    standing = list(zone.rrsets)
    for change in change_list:
        action, new = change["Action"], wanted(change)
        key = (new.name, new.type, new.set_identifier)
        old = next((s for s in standing if (s.name, s.type, s.set_identifier) == key), None)
        if action == "DELETE":
            if old is None:
                raise invalid(f"Tried to delete {shown(new)} but it was not found")
            if (int(old.ttl or 0), sorted(old.records or []), old.geo_location) != (
                int(new.ttl or 0),
                sorted(new.records or []),
                new.geo_location,
            ):
                raise invalid(
                    f"Tried to delete {shown(new)} but the values provided do not match the current values"
                )
            if new.name == zone.name and new.type in ("NS", "SOA"):
                # It may come back within the batch.
                comes_back = any(
                    other["Action"] != "DELETE" and wanted(other).name == new.name and wanted(other).type == new.type
                    for other in change_list
                )
                if not comes_back:
                    raise invalid(f"A HostedZone must contain at least one {new.type} record for the zone itself.")
        else:
            check_contents(new, zone)
            if action == "CREATE" and old is not None:
                raise invalid(f"Tried to create {shown(new)} but it already exists")
            others = [s for s in standing if s is not old and s.name == new.name]
            check_neighbours(new, others, zone)
        standing = [s for s in standing if s is not old]
        if action != "DELETE":
            standing.append(new)
    zone.rrsets = standing


def list_resource_record_sets(self):
    start_name = self._get_param("StartRecordName")
    start_type = self._get_param("StartRecordType")
    identifier = self._get_param("StartRecordIdentifier")
    max_items = min(self._get_int_param("MaxItems", MAX_ITEMS), MAX_ITEMS)
    if start_type and not start_name:
        raise Route53ClientError("InvalidInput", "The input is not valid")
    zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
    sets = sorted(zone.rrsets, key=place)
    if start_name:
        start = models.RecordSet(
            {"Name": stored(start_name), "Type": start_type or "", "SetIdentifier": identifier}
        )
        sets = [record_set for record_set in sets if place(record_set) >= place(start)]
    page, rest = sets[:max_items], sets[max_items:]
    result = {"ResourceRecordSets": page, "IsTruncated": bool(rest), "MaxItems": max_items}
    if rest:
        result["NextRecordName"] = rest[0].name
        result["NextRecordType"] = rest[0].type
        result["NextRecordIdentifier"] = rest[0].set_identifier
    return ActionResult(result)


def list_geo_locations(self):
    """A few of the service's places, in its order: continents by code, then countries and their parts."""
    places = [{"ContinentCode": code, "ContinentName": name} for code, name in CONTINENTS.items()]
    places.append({"CountryCode": "*", "CountryName": "Default"})
    for code, name in COUNTRIES.items():
        country = {"CountryCode": code, "CountryName": name}
        places.append(country)
        if code == "US":
            for state, title in STATES.items():
                places.append({**country, "SubdivisionCode": state, "SubdivisionName": title})
    start = tuple(self._get_param(f"Start{part}Code") for part in ("Continent", "Country", "Subdivision"))

    def codes(place):
        return tuple(place.get(f"{part}Code") for part in ("Continent", "Country", "Subdivision"))

    first = next((i for i, place in enumerate(places) if codes(place) == start), 0)
    # Small pages, so that there are several.
    page, rest = places[first : first + 4], places[first + 4 :]
    result = {"GeoLocationDetailsList": page, "IsTruncated": bool(rest), "MaxItems": 4}
    if rest:
        for part, code in zip(("Continent", "Country", "Subdivision"), codes(rest[0]), strict=True):
            result[f"Next{part}Code"] = code
    return ActionResult(result)


create_aws_request = IAMRequestBase._create_aws_request


def signed_request(self):
    """moto takes the parameters of a query for a body where there is none, and so no `GET` is ever signed
    right for it. The check itself is botocore's."""
    request = create_aws_request(self)
    request.data = self._body
    return request


def install():
    IAMRequestBase._create_aws_request = signed_request
    models.Route53Backend.change_resource_record_sets = change_resource_record_sets
    responses.Route53.list_resource_record_sets = list_resource_record_sets
    responses.Route53.list_geo_locations = list_geo_locations
    urls.url_paths[r"{0}/(?P<api_version>[\d_-]+)/geolocations$"] = responses.Route53.dispatch
