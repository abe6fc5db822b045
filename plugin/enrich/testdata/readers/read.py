"""What Python finds as grant_type in each line: a body in base64."""
import base64
import json
import sys
from urllib.parse import parse_qsl


def form(text, name=lambda n: n):
    try:
        return [v for n, v in parse_qsl(text, keep_blank_values=True) if name(n) == "grant_type"]
    except ValueError:
        return []


def from_json(text):
    try:
        value = json.loads(text)
    except ValueError:
        return []
    if not isinstance(value, dict) or "grant_type" not in value:
        return []
    value = value["grant_type"]
    return [value if isinstance(value, str) else json.dumps(value)]


for line in sys.stdin:
    text = base64.b64decode(line).decode("utf-8", "replace")
    print(json.dumps({
        "python": form(text),
        "python before 3.9.2": form(text.replace(";", "&")),
        "python, names in any case": form(text, str.lower),
        "python json": from_json(text),
    }))
