// `| {{name}} TEXT` keeps records that contain a text. The contract is in wit/: exports are objects by the names of its
// interfaces, functions and fields in camel case. A result is what is returned, an error what is thrown.

// What a query may say behind the name. The node checks it, fills in defaults, and tells who asks what is wrong.
// `x-args`: the first argument without a name is `text`.
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["text"],
  properties: { text: { type: "string", minLength: 1, description: "what a record must contain" } },
  "x-args": { positional: ["text"] },
};

export const about = {
  describe() {
    return {
      name: "{{name}}",
      version: "0.1.0",
      summary: "Keeps records that contain a text.",
      configSchema: JSON.stringify(SCHEMA),
      needs: [],
    };
  },
};

// One instance serves one query at a time, and is opened anew for the next.
let text;

export const filter = {
  open(params) {
    text = new TextEncoder().encode(JSON.parse(params).text);
    // A record without the text is never given to the filter: the store looks for it itself.
    return { words: [], literals: [[text]], columns: {}, inOrder: false };
  },

  // One bit for each record, the lowest first. Record n is arena[ends[n - 1]..ends[n]].
  matches({ arena, ends }) {
    const kept = new Uint8Array((ends.length + 7) >> 3);
    let start = 0;
    ends.forEach((end, n) => {
      if (holds(arena.subarray(start, end))) kept[n >> 3] |= 1 << (n & 7);
      start = end;
    });
    return kept;
  },
};

function holds(record) {
  for (let at = record.indexOf(text[0]); at >= 0; at = record.indexOf(text[0], at + 1)) {
    if (text.every((byte, i) => record[at + i] === byte)) return true;
  }
  return false;
}
