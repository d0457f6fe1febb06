// Asks the node and hands on records as they come. No page in here.

/** One failed search: what the node said, or what kept it from saying anything. */
export class SearchError extends Error {
  constructor({ message, hint, column }) {
    super(message);
    this.hint = hint;
    this.column = column;
  }
}

/**
 * Runs a query, newest record first. Calls `found` with arrays of records; resolves to the statistics.
 * Aborting `signal` closes the connection, which cancels the query on the node.
 */
export async function search(params, signal, found) {
  const url = new URL("../api/v1/query", location.href);
  for (const [name, value] of Object.entries({ ...params, order: "desc", format: "ndjson" })) {
    if (value) url.searchParams.set(name, value);
  }
  const response = await reach(url, signal);
  let stats = null;
  await eachLines(response.body, (lines) => {
    const records = [];
    for (const line of lines) {
      const value = JSON.parse(line);
      if (value.error) throw new SearchError(value.error);
      if (value.stats) stats = value.stats;
      else records.push(value);
    }
    if (records.length > 0) found(records);
  });
  if (stats === null) {
    throw new SearchError({ message: "the connection ended before the answer did", hint: "search again" });
  }
  return stats;
}

/** The id that follows one: ranges exclude their end. Empty, which is no end at all, after the last one. */
export function after(id) {
  const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const at = id.search(/Z*$/) - 1;
  if (id.slice(0, at + 1) === "7") return "";
  return id.slice(0, at) + digits[digits.indexOf(id[at]) + 1] + "0".repeat(id.length - 1 - at);
}

/** The topics that the node knows, most records first. */
export async function topics() {
  const response = await reach(new URL("../api/v1/streams", location.href));
  const records = new Map();
  for (const stream of (await response.json()).streams) {
    records.set(stream.topic, (records.get(stream.topic) ?? 0) + (stream.records ?? 0));
  }
  return [...records].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([topic]) => topic);
}

async function reach(url, signal) {
  let response;
  try {
    response = await fetch(url, { signal, headers: { accept: "application/x-ndjson, application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new SearchError({ message: "the node cannot be reached", hint: "is it running?" });
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new SearchError(body?.error ?? { message: `the node answered ${response.status} ${response.statusText}` });
}

/** Calls `take` with the whole lines of each chunk. A last line without its newline was cut off: ignored. */
async function eachLines(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parts = [];
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new SearchError({ message: "the connection ended before the answer did", hint: "search again" });
    }
    if (chunk.done) return;
    const end = chunk.value.lastIndexOf("\n");
    if (end < 0) {
      parts.push(chunk.value);
      continue;
    }
    parts.push(chunk.value.slice(0, end));
    const lines = parts.join("").split("\n");
    parts.length = 0;
    parts.push(chunk.value.slice(end + 1));
    take(lines);
  }
}
