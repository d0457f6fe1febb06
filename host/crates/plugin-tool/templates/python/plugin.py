"""`| {{name}} TEXT` keeps records that contain a text.

The contract is in wit/: exports are classes by the names of its interfaces. A result is what is returned, an error what
is raised: `Err(Failure(...))`.
"""

import json

from wit_world import exports
from wit_world.imports.types import Batch, Columns, Hints, Info

# What a query may say behind the name. The node checks it, fills in defaults, and tells who asks what is wrong.
# `x-args`: the first argument without a name is `text`.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1, "description": "what a record must contain"}},
    "x-args": {"positional": ["text"]},
}


class About(exports.About):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Keeps records that contain a text.", json.dumps(SCHEMA), [])


# One instance serves one query at a time, and is opened anew for the next.
text = b""


class Filter(exports.Filter):
    def open(self, params: str) -> Hints:
        global text
        text = json.loads(params)["text"].encode()
        # A record without the text is never given to the filter: the store looks for it itself.
        return Hints([], [[text]], Columns(0), False)

    def matches(self, records: Batch) -> bytes:
        """One bit for each record, the lowest first. Record n is arena[ends[n - 1]:ends[n]]."""
        kept, start = bytearray((len(records.ends) + 7) // 8), 0
        for n, end in enumerate(records.ends):
            if text in records.arena[start:end]:
                kept[n // 8] |= 1 << n % 8
            start = end
        return bytes(kept)
