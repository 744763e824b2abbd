"""Judges the status and the metrics of a product with the programs that others read them with.

usage: status.py ADDRESS, the status token on stdin. Prints what it found.
"""

import json
import sys
import urllib.error
import urllib.request

import jsonschema
from prometheus_client.parser import text_string_to_metric_families

SCHEMA = "docs/status.schema.json"


def get(address, token=None):
    """Returns code and text of a page."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def main(address):
    token = sys.stdin.read().strip()
    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    for given in (None, token):
        jsonschema.validate(json.loads(get(f"{address}/status", given)[1]), schema)
    details = json.loads(get(f"{address}/status", token)[1])["details"]
    known = set(schema["properties"]["details"]["properties"])
    print("undescribed:", *sorted(set(details) - known))

    code, _ = get(f"{address}/metrics")
    print("metrics for strangers:", code)
    code, text = get(f"{address}/metrics", token)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = [sample for family in families.values() for sample in family.samples]
    ready = sorted(
        sample.labels["service"]
        for sample in families["casque_service_state"].samples
        if sample.labels["state"] == "ready" and sample.value == 1
    )
    print("metrics:", code, len(families) >= 9, len(samples) > 50)
    print("ready:", *ready)
    print("probes:", get(f"{address}/livez")[0], get(f"{address}/readyz")[0])


main(sys.argv[1])
