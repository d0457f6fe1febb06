// What could stand at the caret of a query.

import { FILTERS } from "./filters.ts";
import { quoted, tokens } from "./language.ts";
import { LEVELS } from "./records.ts";
import type { Seen } from "./seen.ts";

export interface Item {
  /** What is put in. */
  insert: string;
  /** What it is, in a word. */
  kind: string;
  detail?: string;
}

export interface Completion {
  from: number;
  to: number;
  items: Item[];
}

const ITEMS_MAX = 50;

/** What fits at the caret. `plugins` are the names of filters that are not standard ones. */
export function complete(text: string, caret: number, seen: Seen, plugins: readonly string[]): Completion {
  const all = tokens(text);
  const before = all.filter((token) => token.from < caret);
  const at = before.at(-1);
  const pipe = before.findLast((token) => token.kind === "pipe");
  const isOpen = at !== undefined && at.to >= caret && at.kind !== "blank" && at.kind !== "pipe" && at.kind !== "paren";
  const from = isOpen ? at.from : caret;
  const typed = text.slice(from, caret);
  const offer = (items: Item[], start = from, part = typed): Completion => ({ from: start, to: caret, items: fitting(items, part) });

  if (pipe) {
    const filter = before.find((token) => token.kind === "filter" && token.from > pipe.from);
    if (!filter || filter.to >= caret) return offer(filterItems(plugins), isOpen ? from : caret);
    if (at?.kind === "text" || at?.kind === "regex") return { from: caret, to: caret, items: [] };
    return offer(argumentItems(filter.text, seen));
  }
  if (at?.kind === "text" || at?.kind === "regex") return { from: caret, to: caret, items: [] };
  const sign = at?.kind === "compare" ? at : at?.kind === "value" ? before.at(-2) : undefined;
  const field = sign?.kind === "compare" ? before[before.indexOf(sign) - 1] : undefined;
  if (sign && field && at && at.to >= caret) {
    const start = at.kind === "value" ? at.from : caret;
    return offer(valueItems(field.text, seen), start, text.slice(start, caret));
  }
  return offer(typed || before.length === 0 ? termItems(seen) : [...termItems(seen), { insert: "| ", kind: "pipe", detail: "to a filter" }]);
}

function fitting(items: Item[], typed: string): Item[] {
  const low = typed.toLowerCase().replace(/^"/, "");
  const rank = (item: Item) => {
    const text = item.insert.toLowerCase().replace(/^"/, "");
    return text.startsWith(low) ? 0 : text.includes(low) ? 1 : 2;
  };
  const ranked = items.map((item) => ({ item, rank: rank(item) })).filter(({ rank }) => rank < 2);
  const sorted = ranked.sort((a, b) => a.rank - b.rank).map(({ item }) => item);
  // What stands there already needs no help.
  return sorted.filter((item) => item.insert.trim() !== typed).slice(0, ITEMS_MAX);
}

function filterItems(plugins: readonly string[]): Item[] {
  const standard = FILTERS.map(({ name, form, does }) => ({ insert: `${name} `, kind: "filter", detail: `${form}: ${does}` }));
  const others = plugins.filter((name) => !FILTERS.some((filter) => filter.name === name));
  return [...standard, ...others.map((name) => ({ insert: `${name} `, kind: "filter", detail: "a plugin of this node" }))];
}

function argumentItems(name: string, seen: Seen): Item[] {
  const filter = FILTERS.find((filter) => filter.name === name);
  if (!filter) return [];
  const words = filter.words.map((word) => ({ insert: word, kind: "parameter", detail: filter.form }));
  return filter.takesFields ? [...words, ...nameItems(seen, "")] : words;
}

function nameItems(seen: Seen, sign: string): Item[] {
  const topic = { insert: `topic${sign}`, kind: "topic" };
  const labels = seen.labels().map((name) => ({ insert: `label.${name}${sign}`, kind: "label" }));
  const fields = seen.fields().map((name) => ({ insert: `${seen.nameOf(name)}${sign}`, kind: "field" }));
  return [topic, ...labels, ...fields];
}

function termItems(seen: Seen): Item[] {
  return [{ insert: "level:", kind: "level", detail: "error, warn, info, debug; level>=warn" }, ...nameItems(seen, ":")];
}

function valueItems(name: string, seen: Seen): Item[] {
  const of = (values: string[], kind: string) => values.map((value) => ({ insert: quoted(value), kind }));
  if (name === "topic") return of(seen.topics(), "topic");
  if (name === "level") return of(LEVELS.filter((level) => level !== "none"), "level");
  if (name.startsWith("label.")) return of(seen.labelValues(name.slice(6)), "value");
  const field = name.startsWith("field.") ? name.slice(6) : name;
  const values = seen.fieldValues(field);
  return of(values.length > 0 ? values : seen.labelValues(field), "value");
}
