// The page: its state is its URL (?q=&from=&to=), so every search can be sent to somebody.

import { make, marker, row } from "./rows.js";
import { SearchError, after, search, topics } from "./search.js";

const PAGE_ROWS = 500;
const DEFAULT_FROM = "15m";
const TOPICS_SHOWN = 12;
const at = (id) => document.getElementById(id);
const form = at("search");
const input = at("q");
const range = at("range");
const rows = at("rows");
const count = new Intl.NumberFormat("en");

/** The search under way, aborted by the next one. */
let running = null;
/**
 * What is shown: the parameters asked, the number of rows, the id of the last one and how many rows have it,
 * the last statistics.
 */
let shown = null;

/** The search that the URL asks for. Without any parameter it is the default one. */
function fromUrl() {
  const params = new URLSearchParams(location.search);
  const from = params.get("from") ?? (params.has("q") || params.has("to") ? "" : DEFAULT_FROM);
  return { q: params.get("q") ?? "", from, to: params.get("to") ?? "" };
}

function toUrl({ q, from, to }) {
  const params = new URLSearchParams();
  if (q) params.set("q", q);
  params.set("from", from);
  if (to) params.set("to", to);
  return `?${params}`;
}

/** Times of the inputs are local; those of the URL are UTC. */
function localInput(text) {
  const time = new Date(text);
  if (!text || Number.isNaN(time.getTime())) return "";
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function utc(text) {
  return text ? new Date(text).toISOString().replace(".000Z", "Z") : "";
}

function fillForm({ q, from, to }) {
  input.value = q;
  const preset = !to && [...range.options].find((option) => option.value === from && from !== "custom");
  if (!preset && !to && /^-?\d+[smhdw]$/.test(from)) {
    range.append(new Option(`Last ${from.replace("-", "")}`, from));
    range.value = from;
  } else {
    range.value = preset ? from : "custom";
  }
  at("from").value = localInput(from);
  at("to").value = localInput(to);
  at("custom").hidden = range.value !== "custom";
}

function readForm() {
  const q = input.value.trim();
  if (range.value !== "custom") return { q, from: range.value, to: "" };
  return { q, from: utc(at("from").value), to: utc(at("to").value) };
}

function go(params) {
  history.pushState(null, "", toUrl(params));
  fillForm(params);
  start(params);
}

/** Forgets what is shown and runs a search. */
function start(params) {
  shown = { params, mark: marker(params.q), rows: 0, last: null, same: 0, stats: null };
  rows.replaceChildren();
  document.title = params.q ? `${params.q} · weir` : "weir";
  run({ q: params.q, from: params.from, to: params.to });
}

/**
 * Goes on at the last row shown: others may have its id. The range stays the one that was searched: "15m" has
 * moved on.
 */
function older() {
  run({ q: shown.params.q, from: shown.stats?.from ?? shown.params.from, to: after(shown.last) });
}

async function run(params) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  busy(true);
  notice("problem");
  notice("missing");
  at("empty").hidden = true;
  const writer = batched((records) => {
    if (running !== mine) return;
    rows.append(...records.map((record) => row(record, shown.mark, narrow)));
    shown.rows += records.length;
    const last = records.at(-1).id;
    const same = records.length - records.findIndex((record) => record.id === last);
    shown.same = last === shown.last ? shown.same + same : same;
    shown.last = last;
    status();
  });
  const edge = shown.last;
  let known = shown.same;
  const limit = String(PAGE_ROWS + known);
  // Rows with one id always come in the same order: those that are shown already come first.
  const found = (records) => writer.add(records.filter(({ id }) => id !== edge || known-- <= 0));
  try {
    const stats = await search({ ...params, limit }, mine.signal, found);
    writer.flush();
    if (running === mine) finish(stats);
  } catch (error) {
    writer.flush();
    if (running === mine) fail(error);
  } finally {
    if (running === mine) {
      running = null;
      busy(false);
    }
  }
}

/** Collects records for one change of the page per frame: the browser lays out once for all of them. */
function batched(write) {
  let waiting = [];
  let timer = 0;
  const flush = () => {
    clearTimeout(timer);
    timer = 0;
    const records = waiting;
    waiting = [];
    if (records.length > 0) write(records);
  };
  const add = (records) => {
    waiting.push(...records);
    timer ||= setTimeout(flush, 16);
  };
  return { add, flush };
}

function finish(stats) {
  shown.stats = stats;
  status();
  at("older").hidden = !stats.limited;
  if (!stats.complete) {
    const parts = stats.missing.map((part) => {
      const where = [part.node || "this node", part.place].filter(Boolean).join(", ");
      return make("li", {}, `${where}: ${part.from ?? "the beginning"} to ${part.to ?? "now"}: ${part.why}`);
    });
    if (stats.missing_more > 0) parts.push(make("li", {}, `and ${count.format(stats.missing_more)} more`));
    notice("missing", make("p", {}, make("strong", {}, "This answer is incomplete.")), make("ul", {}, ...parts));
  }
  if (shown.rows === 0) nothing(stats);
}

function fail(error) {
  at("older").hidden = true;
  if (shown.rows > 0) status();
  else at("status").replaceChildren();
  if (error.name === "AbortError") return;
  if (!(error instanceof SearchError)) throw error;
  const parts = [make("p", {}, make("strong", {}, error.message))];
  if (error.column) {
    const query = [...shown.params.q];
    const caret = `${" ".repeat(Math.min(error.column - 1, query.length))}^`;
    parts.push(make("pre", {}, `${query.join("").replace(/\s/g, " ")}\n${caret}`));
    const before = query.slice(0, error.column - 1).join("").length;
    input.focus();
    input.setSelectionRange(before, before + 1);
  }
  if (error.hint) parts.push(make("p", {}, error.hint));
  notice("problem", ...parts);
}

function nothing(stats) {
  const { q, from, to } = shown.params;
  const title = q ? "Nothing found" : "No records here";
  const scanned = `${count.format(stats.records_scanned)} records were looked at.`;
  const parts = [make("h2", {}, title), make("p", {}, scanned)];
  if (from || to) {
    const all = make("button", { type: "button" }, "Search all time");
    all.addEventListener("click", () => go({ q, from: "", to: "" }));
    parts.push(all);
  } else if (!q) {
    parts.push(make("p", {}, "Send some: ", make("code", {}, `curl --data-binary @app.log ${ingestUrl()}`)));
  }
  at("empty").replaceChildren(...parts);
  at("empty").hidden = false;
}

function ingestUrl() {
  return new URL("../api/v1/ingest?topic=demo", location.href).href;
}

function status() {
  const parts = [make("strong", {}, count.format(shown.rows)), shown.rows === 1 ? " record" : " records"];
  const { stats } = shown;
  if (stats) {
    const scanned = `${count.format(stats.records_scanned)} (${bytes(stats.bytes_scanned)})`;
    parts.push(` · searched ${scanned} in ${count.format(stats.duration_ms)} ms`);
    if (stats.bytes_skipped > 0) parts.push(` · passed over ${bytes(stats.bytes_skipped)}`);
  }
  at("status").replaceChildren(...parts);
}

function bytes(amount) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (amount >= 1000 && unit < units.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`;
}

function notice(id, ...children) {
  at(id).replaceChildren(...children);
  at(id).hidden = children.length === 0;
}

function busy(is) {
  at("progress").hidden = !is;
  rows.setAttribute("aria-busy", String(is));
  // Two buttons and not one that changes: Enter in the box presses the first, and never means "stop".
  at("go").hidden = is;
  at("stop").hidden = !is;
  if (is) at("older").hidden = true;
}

/** Adds a term to the query, unless it is there. */
function narrow(term) {
  const params = readForm();
  if (params.q.includes(term)) return;
  const q = params.q.includes(" OR ") ? `(${params.q}) ${term}` : `${params.q} ${term}`.trim();
  go({ ...params, q });
}

async function showTopics() {
  const known = await topics().catch(() => []);
  const chips = known.slice(0, TOPICS_SHOWN).map((topic) => {
    const term = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(topic) ? `topic:${topic}` : `topic:${JSON.stringify(topic)}`;
    const chip = make("button", { type: "button", className: "chip", title: `Search for ${term}` }, topic);
    chip.addEventListener("click", () => narrow(term));
    return chip;
  });
  at("topics").replaceChildren(...chips);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  go(readForm());
});
at("stop").addEventListener("click", () => running?.abort());
range.addEventListener("change", () => {
  at("custom").hidden = range.value !== "custom";
  if (range.value === "custom") at("from").focus();
  else go(readForm());
});
at("wrap").addEventListener("change", () => rows.classList.toggle("wrap", at("wrap").checked));
at("older").addEventListener("click", older);
document.addEventListener("keydown", (event) => {
  const typing = /^(?:INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    input.focus();
    input.select();
  } else if (event.key === "Escape") {
    if (running) running.abort();
    else input.blur();
  }
});
addEventListener("popstate", () => {
  fillForm(fromUrl());
  start(fromUrl());
});

at("zone").textContent = `${Intl.DateTimeFormat().resolvedOptions().timeZone} time`;
fillForm(fromUrl());
start(fromUrl());
showTopics();
