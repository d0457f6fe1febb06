// Records as elements. Everything that comes from a log becomes text nodes, never markup.

const SHOWN_CHARS = 4096;
const MORE_CHARS = 256 * 1024;
// What would be invisible, move the text around it, or pass for something else.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu;
const LEVELS = [
  ["error", /\b(?:error|err|fatal|crit(?:ical)?|panic(?:ked)?|emerg(?:ency)?|severe)\b/i],
  ["warning", /\bwarn(?:ing)?\b/i],
  ["info", /\b(?:info|notice)\b/i],
  ["debug", /\b(?:debug|trace)\b/i],
];

/** Makes an element: `make("p", { className: "x" }, "text", child)`. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** The row of a record. `mark` is a global RegExp or null; `narrow` is called with a term to search for. */
export function row(record, mark, narrow) {
  const payload = textOf(record);
  const element = make("li", { className: "row" });
  const level = levelOf(payload);
  if (level) element.dataset.level = level;
  const open = make("button", { type: "button", className: "open", title: "Details" });
  open.setAttribute("aria-label", "Details");
  open.setAttribute("aria-expanded", "false");
  const shown = make("div", { className: "payload" });
  show(shown, payload.slice(0, SHOWN_CHARS), mark);
  element.append(open, timeOf(record), streamOf(record, narrow), shown);
  if (payload.length > SHOWN_CHARS) clip(shown, payload);
  let details = null;
  open.addEventListener("click", () => {
    const expanded = element.classList.toggle("expanded");
    open.setAttribute("aria-expanded", String(expanded));
    details ??= detailsOf(record, payload);
    if (expanded) element.append(details);
    else details.remove();
  });
  return element;
}

function textOf(record) {
  if (record.payload !== undefined) return record.payload;
  const bytes = Uint8Array.from(atob(record.payload_base64), (c) => c.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}

function levelOf(payload) {
  const head = payload.slice(0, 300);
  return LEVELS.find(([, pattern]) => pattern.test(head))?.[0];
}

function timeOf(record) {
  const time = new Date(record.time);
  const two = (n) => String(n).padStart(2, "0");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  const text = `${day} ${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  return make("time", { dateTime: record.time, title: record.time }, text);
}

function streamOf(record, narrow) {
  const chip = (className, text, term) => {
    const button = make("button", { type: "button", className, title: `Search for ${term}` }, visible(text));
    button.addEventListener("click", () => narrow(term));
    return button;
  };
  const labels = Object.entries(record.labels);
  return make(
    "div",
    { className: "stream" },
    chip("chip", record.topic, `topic:${quoted(record.topic)}`),
    ...labels.map(([name, value]) => chip("label", `${name}=${value}`, `label.${name}:${quoted(value)}`)),
  );
}

function detailsOf(record, payload) {
  const copy = make("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    const copied = await navigator.clipboard?.writeText(payload).then(() => true, () => false);
    copy.textContent = copied ? "Copied" : "The browser forbids it";
  });
  const bytes = make("span", {}, `${payload.length.toLocaleString("en")} characters`);
  const details = make("div", { className: "details" }, copy, make("code", {}, record.id), make("code", {}, record.time), bytes);
  if (record.payload_base64 !== undefined) {
    details.append(make("span", {}, "not UTF-8: bytes that are none are shown as \ufffd"));
  }
  return details;
}

/** Puts a button after a payload that is too long to be shown whole; each press shows some more. */
function clip(shown, payload) {
  let until = SHOWN_CHARS;
  const more = make("button", { type: "button" });
  const label = () => {
    more.textContent = `… show more (${(payload.length - until).toLocaleString("en")} characters left)`;
  };
  label();
  more.addEventListener("click", () => {
    const element = shown.closest(".row");
    if (!element.classList.contains("expanded")) element.querySelector(".open").click();
    more.remove();
    show(shown, payload.slice(until, until + MORE_CHARS), null);
    until += MORE_CHARS;
    if (until < payload.length) {
      label();
      shown.append(more);
    }
  });
  shown.append(more);
}

/** Appends text with its matches marked. */
function show(parent, text, mark) {
  let from = 0;
  if (mark) {
    for (const match of text.matchAll(mark)) {
      if (match[0] === "") continue;
      showPlain(parent, text.slice(from, match.index));
      const marked = make("mark");
      showPlain(marked, match[0]);
      parent.append(marked);
      from = match.index + match[0].length;
    }
  }
  showPlain(parent, text.slice(from));
}

/** Appends text with its control characters made visible. */
function showPlain(parent, text) {
  let from = 0;
  for (const match of text.matchAll(CONTROLS)) {
    parent.append(text.slice(from, match.index), make("span", { className: "control" }, symbol(match[0])));
    from = match.index + match[0].length;
  }
  parent.append(text.slice(from));
}

function visible(text) {
  return text.replace(CONTROLS, symbol);
}

function symbol(character) {
  const code = character.codePointAt(0);
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return `\\u${code.toString(16).padStart(4, "0")}`;
}

function quoted(value) {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(value)) return value;
  return `"${value.replace(/[\\"]/g, "\\$&")}"`;
}

/**
 * What to mark for a query: its words, quoted texts and regexes that are not negated. A guide for the eye,
 * not the query language: what it cannot read it leaves unmarked.
 */
export function marker(query) {
  const terms = [];
  const token = /(-|NOT\s+)?(~?)(?:"((?:[^"\\]|\\.)*)"|\/((?:[^/\\]|\\.)+)\/|([^\s()"]+))/g;
  for (const [, not, anyCase, bytes, regex, bare] of query.matchAll(token)) {
    const condition = bare !== undefined && /:|!=|[<>]/.test(bare);
    if (not || bare === "OR" || bare === "AND" || bare === "NOT" || condition) continue;
    const literal = bytes?.replace(/\\(["\\])/g, "$1") ?? bare?.replace(/^~/, "");
    const edges = bare !== undefined ? ["(?<![\\w\u0080-\uffff])", "(?![\\w\u0080-\uffff])"] : ["", ""];
    const source = regex ?? edges.join(literal.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const fold = anyCase ? source.replace(/[a-z]/gi, (c) => `[${c.toLowerCase()}${c.toUpperCase()}]`) : source;
    try {
      new RegExp(regex ? source : fold);
      terms.push(regex ? source : fold);
    } catch {
      // A regex of the node's language that JavaScript does not know.
    }
  }
  return terms.length > 0 ? new RegExp(terms.join("|"), "g") : null;
}
