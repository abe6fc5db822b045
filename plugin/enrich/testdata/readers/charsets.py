"""Which of the labels in a JSON object Python knows as charsets, and which of
those don't decode each ASCII character, and text of all of them, as itself."""
import codecs
import json
import sys

ASCII = bytes(range(0x20, 0x7F)) + b"\r\n\t"


def extends(codec):
    try:
        return all(codec.decode(text)[0] == text.decode("ascii") for text in [ASCII, b"a~{b", *(bytes([c]) for c in ASCII)])
    except UnicodeError:
        return False


known, bad = [], []
for label in json.load(sys.stdin):
    try:
        codec = codecs.lookup(label)
    except (LookupError, ValueError, UnicodeError):
        continue
    if not codec._is_text_encoding:
        continue
    known.append(label)
    if not extends(codec):
        bad.append(label)
print(json.dumps({"known": known, "bad": bad}))
