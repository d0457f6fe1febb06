// What is in a record: text, level, fields. Read as the node reads it, as far as the eye needs it.

import type { Row } from "./api.ts";

export type Level = "error" | "warn" | "info" | "debug" | "none";
export const LEVELS: Level[] = ["error", "warn", "info", "debug", "none"];

/** A record as the page keeps it. */
export interface Shown {
  id: string;
  time: string;
  ms: number;
  topic: string;
  labels: Record<string, string>;
  payload: string;
  isBinary: boolean;
  isContext: boolean;
  level: Level;
}

export function shown(row: Row): Shown {
  const payload = row.payload ?? decoded(row.payload_base64 ?? "");
  return {
    id: row.id,
    time: row.time,
    ms: Date.parse(row.time),
    topic: row.topic,
    labels: row.labels,
    payload,
    isBinary: row.payload === undefined,
    isContext: row.context === true,
    level: levelOf(payload),
  };
}

function decoded(base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
}

const HEAD = 96;
const NAMES: Record<string, Level> = {
  error: "error", err: "error", emerg: "error", fatal: "error", critical: "error", crit: "error", panic: "error",
  alert: "error", severe: "error", warn: "warn", warning: "warn", info: "info", notice: "info", debug: "debug",
  trace: "debug",
};
const WORDS = /\w+/g;

/** The level that a line names in its head. Words in small letters count only behind a sign: prose has them, too. */
export function levelOf(payload: string): Level {
  const priority = /^<(\d{1,3})>/.exec(payload);
  if (priority) {
    const grade = Number(priority[1]) & 7;
    return grade <= 3 ? "error" : grade === 4 ? "warn" : grade <= 6 ? "info" : "debug";
  }
  const glog = /^([EFWID])\d{4} /.exec(payload);
  if (glog) return ({ E: "error", F: "error", W: "warn", I: "info", D: "debug" } as const)[glog[1] as "E"] ?? "none";
  const head = payload.slice(0, HEAD);
  for (const match of head.matchAll(WORDS)) {
    const word = match[0];
    const level = NAMES[word.toLowerCase()];
    if (!level || match.index + word.length > HEAD) continue;
    const isMarked = match.index > 0 && '="[(<:|'.includes(head[match.index - 1] ?? " ");
    if (isMarked || word === word.toUpperCase() || /^[A-Z]/.test(word)) return level;
  }
  return "none";
}

const FIELDS_MAX = 200;
const PARSED_MAX = 64 * 1024;
const PAIR = /(?:^|[\s,])([A-Za-z_@][\w.@-]*)=("(?:[^"\\]|\\.)*"|[^\s,]*)/g;

/** The fields of a payload, JSON or logfmt. Names of nested ones have dots. */
export function fieldsOf(payload: string): Map<string, string> {
  const fields = new Map<string, string>();
  if (payload.length > PARSED_MAX) return fields;
  if (payload.startsWith("{")) {
    try {
      flatten(JSON.parse(payload), "", fields);
      return fields;
    } catch {
      // Not JSON after all.
    }
  }
  for (const [, name, value] of payload.matchAll(PAIR)) {
    if (name === undefined || value === undefined || fields.size >= FIELDS_MAX) break;
    fields.set(name, value.startsWith('"') ? unquoted(value) : value);
  }
  return fields;
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}

function flatten(value: unknown, name: string, out: Map<string, string>): void {
  if (out.size >= FIELDS_MAX) return;
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, member] of Object.entries(value)) flatten(member, name ? `${name}.${key}` : key, out);
  } else if (name) {
    out.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
}

/** The value that a name of a query means in a record. */
export function valueOf(record: Shown, name: string, fields: Map<string, string>): string | undefined {
  if (name === "topic") return record.topic;
  if (name === "level") return record.level;
  if (name.startsWith("label.")) return record.labels[name.slice(6)];
  if (name.startsWith("field.")) return fields.get(name.slice(6));
  return fields.get(name) ?? record.labels[name];
}

// What would be invisible, move the text around it, or pass for something else.
const CONTROLS =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu;

/** Appends text with its matches marked and its control characters made visible. */
export function appendText(parent: Element, text: string, mark: RegExp | null): void {
  let from = 0;
  if (mark) {
    for (const match of text.matchAll(mark)) {
      if (match[0] === "") continue;
      appendPlain(parent, text.slice(from, match.index));
      const marked = document.createElement("mark");
      appendPlain(marked, match[0]);
      parent.append(marked);
      from = match.index + match[0].length;
    }
  }
  appendPlain(parent, text.slice(from));
}

function appendPlain(parent: Element, text: string): void {
  let from = 0;
  for (const match of text.matchAll(CONTROLS)) {
    const symbol = document.createElement("span");
    symbol.className = "control";
    symbol.textContent = symbolOf(match[0]);
    parent.append(text.slice(from, match.index), symbol);
    from = match.index + match[0].length;
  }
  if (from < text.length) parent.append(text.slice(from));
}

/** Text in which every character can be seen. */
export function visible(text: string): string {
  return text.replace(CONTROLS, symbolOf);
}

function symbolOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}
