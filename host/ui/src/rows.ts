// A record as a row, and what a row shows when it is opened.

import { button, make, put } from "./dom.ts";
import { bytes, count, dateTime } from "./figures.ts";
import { condition } from "./language.ts";
import { type Shown, appendText, fieldsOf, valueOf, visible } from "./records.ts";
import type { Seen } from "./seen.ts";

/** What is shown of a payload in a closed row, in one that wraps, and in an open one until more is asked for. */
const LINE_CHARS = 1000;
const WRAPPED_CHARS = 3000;
const OPEN_CHARS = 16 * 1024;
const MORE_CHARS = 256 * 1024;
const LABELS_SHOWN = 3;
/** Longer ones give way to others. */
const LABEL_CHARS = 14;

export interface RowSettings {
  mark: RegExp | null;
  columns: string[];
  wrap: boolean;
  utc: boolean;
}

export interface RowActions {
  settings(): RowSettings;
  seen: Seen;
  isOpen(record: Shown): boolean;
  toggle(record: Shown): void;
  /** Asks also for a condition, or leaves out what fulfils it. */
  narrow(condition: string, isOut: boolean): void;
  column(name: string): void;
  facet(name: string): void;
  around(record: Shown): void;
  /** The address of the page that shows this record. */
  link(record: Shown): string;
}

export function rowOf(record: Shown, actions: RowActions): HTMLElement {
  const settings = actions.settings();
  const isOpen = actions.isOpen(record);
  const opener = make("button", {
    type: "button", class: "open", "aria-expanded": String(isOpen), "aria-label": `Details of the record of ${record.time}`,
    onclick: () => actions.toggle(record),
  });
  const time = make("time", { datetime: record.time, title: record.time }, dateTime(record.ms, settings.utc).slice(5));
  const payload = make("div", { class: "payload" });
  const chars = isOpen ? 0 : settings.wrap ? WRAPPED_CHARS : LINE_CHARS;
  appendText(payload, oneLine(record.payload.slice(0, chars), settings.wrap), settings.mark);
  if (!isOpen && record.payload.length > chars) {
    payload.append(make("span", { class: "clipped" }, `… ${bytes(record.payload.length)}`));
  }
  const cells = settings.columns.length > 0 ? cellsOf(record, settings, actions) : [];
  const level = make("span", { class: "level", role: "img", "aria-label": record.level === "none" ? "no level" : record.level });
  return make("div", { class: `row${isOpen ? " opened" : ""}${record.isContext ? " context" : ""}`, role: "listitem", "data-level": record.level, "data-id": record.id },
    level, opener, time, streamOf(record, actions), ...cells, isOpen ? null : payload, isOpen ? detailsOf(record, settings, actions) : null);
}

/** A line that does not wrap shows line breaks as signs. */
function oneLine(text: string, wrap: boolean): string {
  return wrap ? text : text.replace(/\n/g, "⏎").replace(/\t/g, "  ");
}

function cellsOf(record: Shown, settings: RowSettings, actions: RowActions): HTMLElement[] {
  const fields = fieldsOf(record.payload);
  return settings.columns.map((name) => {
    const value = valueOf(record, name, fields);
    if (value === undefined) return make("span", { class: "cell none" }, "–");
    const text = visible(value.slice(0, 200));
    return make("button", { type: "button", class: "cell", title: `Only ${name}:${text}`, onclick: () => actions.narrow(condition(name, value), false) }, text);
  });
}

function streamOf(record: Shown, actions: RowActions): HTMLElement {
  const chip = (name: string, text: string, term: string) =>
    make("button", { type: "button", class: text.length > LABEL_CHARS ? `${name} long` : name, title: `Only ${term}`, onclick: () => actions.narrow(term, false) }, visible(text));
  const labels = Object.entries(record.labels);
  const shown = labels.slice(0, LABELS_SHOWN).map(([name, value]) => chip("label", value, condition(`label.${name}`, value)));
  return make("span", { class: "stream" }, chip("chip", record.topic, condition("topic", record.topic)), ...shown,
    labels.length > LABELS_SHOWN ? make("span", { class: "more-labels" }, `+${labels.length - LABELS_SHOWN}`) : null);
}

function detailsOf(record: Shown, settings: RowSettings, actions: RowActions): HTMLElement {
  const copied = (what: string, text: () => string) => {
    const copy = button(what, async () => {
      const done = await navigator.clipboard?.writeText(text()).then(() => true, () => false);
      copy.textContent = done ? "Copied" : "Not allowed";
    });
    return copy;
  };
  const bar = make("div", { class: "row-actions" },
    copied("Copy line", () => record.payload),
    copied("Copy JSON", () => JSON.stringify({ id: record.id, time: record.time, topic: record.topic, labels: record.labels, payload: record.payload })),
    copied("Copy link", () => new URL(actions.link(record), location.href).href),
    make("a", { class: "button", href: actions.link(record) }, "Link"),
    button("Around this", () => actions.around(record), { class: "around" }),
    make("span", { class: "facts" }, make("code", {}, record.id), ` ${dateTime(record.ms, settings.utc)} · ${bytes(record.payload.length)}`,
      record.isBinary ? " · not UTF-8: bytes that are none are shown as �" : null));
  return make("div", { class: "details" }, bar, fieldsTable(record, actions), raw(record, settings.mark));
}

function fieldsTable(record: Shown, actions: RowActions): HTMLElement {
  const rows: [string, string, string][] = [["topic", record.topic, "topic"]];
  for (const [name, value] of Object.entries(record.labels)) rows.push([`label.${name}`, value, "label"]);
  for (const [name, value] of fieldsOf(record.payload)) rows.push([actions.seen.nameOf(name), value, "field"]);
  const sign = (text: string, label: string, onclick: () => void) => button(text, onclick, { class: "sign", title: label, "aria-label": label });
  const body = rows.map(([name, value, kind]) => {
    const isShort = value.length <= 1024;
    const text = visible(value.slice(0, 2000));
    return make("tr", {},
      make("td", { class: "signs" },
        isShort ? sign("=", `Only ${name}:${value.slice(0, 60)}`, () => actions.narrow(condition(name, value), false)) : null,
        isShort ? sign("≠", `Without ${name}:${value.slice(0, 60)}`, () => actions.narrow(condition(name, value), true)) : null,
        sign("▥", `A column of ${name}`, () => actions.column(name)),
        sign("#", `Count the values of ${name}`, () => actions.facet(name))),
      make("th", { scope: "row", class: `name-${kind}` }, name),
      make("td", { class: "value" }, isShort ? make("button", { type: "button", class: "plain", onclick: () => actions.narrow(condition(name, value), false) }, text || '""') : text));
  });
  return make("table", { class: "fields" }, make("caption", { class: "unseen" }, "Fields"),
    make("colgroup", {}, make("col", { class: "col-signs" }), make("col", { class: "col-name" }), make("col", {})), make("tbody", {}, ...body));
}

/** The payload as it is; of a long one the beginning, and a button for more. */
function raw(record: Shown, mark: RegExp | null): HTMLElement {
  const text = make("pre", { class: "raw", tabindex: 0, role: "region", "aria-label": "The record as it is" });
  appendText(text, record.payload.slice(0, OPEN_CHARS), mark);
  const element = make("div", { class: "raw-box" }, text);
  let until = OPEN_CHARS;
  const more = button("", () => {
    appendText(text, record.payload.slice(until, until + MORE_CHARS), null);
    until += MORE_CHARS;
    label();
  }, { class: "show-more" });
  const label = () => {
    const left = record.payload.length - until;
    more.textContent = `Show more: ${count(left)} characters are left`;
    if (left <= 0) more.remove();
  };
  if (record.payload.length > OPEN_CHARS) element.append(more);
  label();
  return element;
}

/** The head of the list: what the columns are. */
export function headOf(columns: string[], remove: (name: string) => void): HTMLElement {
  const head = make("div", { class: "list-head" });
  put(head, make("span", {}), make("span", {}), make("span", {}, "Time"), make("span", { class: "stream" }, "Stream"),
    ...columns.map((name) => make("span", { class: "cell" }, name, button("×", () => remove(name), { class: "plain", "aria-label": `Remove the column ${name}` }))),
    make("span", {}, "Record"));
  return head;
}
