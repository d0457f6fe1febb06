// The query language as far as a page must know it: what to colour, where a condition goes, what to mark.
// The node has the last word; what is read wrongly here is coloured wrongly, and nothing worse.

export type Kind =
  | "word" | "text" | "regex" | "operator" | "paren" | "field" | "compare" | "value" | "pipe" | "filter"
  | "argument" | "name" | "blank";

export interface Token {
  kind: Kind;
  from: number;
  to: number;
  text: string;
}

const STAGE_WORDS = new Set(["by", "every", "as", "and", "or", "not", "in", "exists"]);
/** `name` and a sign, as a condition begins. */
const CONDITION = /^([\p{L}_@][\p{L}\p{N}_.@-]*)(!=|>=|<=|:|>|<|=)/u;

/** All of a text as tokens, in order, nothing left out. */
export function tokens(text: string): Token[] {
  const out: Token[] = [];
  let at = 0;
  let inStage = false;
  let expectsFilter = false;
  const push = (kind: Kind, length: number) => {
    if (length > 0) out.push({ kind, from: at, to: at + length, text: text.slice(at, at + length) });
    at += length;
  };
  while (at < text.length) {
    const rest = text.slice(at);
    const blank = /^[\s,]+/.exec(rest);
    if (blank && (inStage || !blank[0].includes(","))) {
      push("blank", blank[0].length);
      continue;
    }
    const first = rest[0] ?? "";
    if (/\s/.test(first)) {
      push("blank", 1);
    } else if (first === "|") {
      push("pipe", 1);
      inStage = true;
      expectsFilter = true;
    } else if (first === '"') {
      push("text", quotedLength(rest, '"'));
    } else if (first === "/") {
      push("regex", quotedLength(rest, "/"));
    } else if (first === "(" || first === ")") {
      push("paren", 1);
    } else if (expectsFilter) {
      push("filter", /^[^\s|"()]+/.exec(rest)?.[0].length ?? 1);
      expectsFilter = false;
    } else if (inStage) {
      argument(rest, push);
    } else if (first === "-" || first === "~") {
      push("operator", 1);
    } else {
      term(rest, push);
    }
  }
  return out;
}

function term(rest: string, push: (kind: Kind, length: number) => void): void {
  const bare = /^[^\s()"|]+/.exec(rest)?.[0] ?? rest[0] ?? "";
  const condition = CONDITION.exec(bare);
  if (/^(?:AND|OR|NOT)$/.test(bare)) {
    push("operator", bare.length);
  } else if (condition && !/^(?::|\/\/)/.test(bare.slice(condition[0].length))) {
    push("field", condition[1]?.length ?? 0);
    push("compare", condition[2]?.length ?? 0);
    push("value", bare.length - condition[0].length);
  } else {
    push("word", bare.length);
  }
}

function argument(rest: string, push: (kind: Kind, length: number) => void): void {
  const bare = /^[^\s"|,()]+/.exec(rest)?.[0] ?? rest[0] ?? "";
  const compare = /^([\w.@>-]*?)(!=|>=|<=|!~|~|=|:|>|<)/.exec(bare);
  if (STAGE_WORDS.has(bare)) {
    push("operator", bare.length);
  } else if (compare && compare[1]) {
    push("name", compare[1].length);
    push("compare", compare[2]?.length ?? 0);
    const left = rest.slice(compare[0].length);
    if (left.startsWith("/")) push("regex", quotedLength(left, "/"));
    else push("value", bare.length - compare[0].length);
  } else {
    push(/^\d/.test(bare) ? "value" : "argument", bare.length);
  }
}

/** How long a quoted part is, its end included; to the end of the text when it has none. */
function quotedLength(text: string, quote: string): number {
  for (let at = 1; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === quote) return at + 1;
  }
  return text.length;
}

/** What stands before the first pipe, and the pipes. */
export function split(text: string): { search: string; pipes: string } {
  const pipe = tokens(text).find((token) => token.kind === "pipe");
  return pipe ? { search: text.slice(0, pipe.from).trim(), pipes: text.slice(pipe.from) } : { search: text.trim(), pipes: "" };
}

/** The names of the filters of a query, in order. */
export function filtersOf(text: string): string[] {
  return tokens(text).filter((token) => token.kind === "filter").map((token) => token.text);
}

/** A query that also asks for `condition`, or, with `isOut`, for what does not fulfil it. */
export function narrowed(query: string, condition: string, isOut = false): string {
  const { search, pipes } = split(query);
  const added = isOut ? `-${condition}` : condition;
  const isEither = tokens(search).some((token) => token.kind === "operator" && token.text === "OR");
  const terms = isEither ? `(${search})` : search;
  // Twice the same condition says nothing more; the opposite one is replaced.
  const opposite = isOut ? condition : `-${condition}`;
  const words = terms.split(" ");
  if (!isEither && words.includes(added)) return query;
  const kept = isEither ? terms : words.filter((word) => word !== opposite).join(" ");
  return [kept, added, pipes].filter(Boolean).join(" ");
}

/** A value as a condition takes it. */
export function quoted(value: string): string {
  if (/^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u.test(value)) return value;
  return `"${value.replace(/[\\"]/g, "\\$&")}"`;
}

/** The condition that a field has a value. */
export function condition(name: string, value: string): string {
  return `${name}:${quoted(value)}`;
}

/** What is marked in the records found: words, texts and regexes that are not negated. */
export function marker(query: string): RegExp | null {
  const terms: string[] = [];
  const { search } = split(query);
  let isOut = false;
  let anyCase = false;
  for (const token of tokens(search)) {
    if (token.kind === "operator" && (token.text === "-" || token.text === "NOT")) {
      isOut = true;
      continue;
    }
    if (token.kind === "operator" && token.text === "~") {
      anyCase = true;
      continue;
    }
    if (token.kind === "blank") continue;
    const source = isOut ? null : sourceOf(token, anyCase);
    if (source) terms.push(source);
    isOut = false;
    anyCase = false;
  }
  if (terms.length === 0) return null;
  return new RegExp(terms.join("|"), "g");
}

function sourceOf(token: Token, anyCase: boolean): string | null {
  const literal = (text: string) => {
    const escaped = text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return anyCase ? escaped.replace(/[a-z]/gi, (c) => `[${c.toLowerCase()}${c.toUpperCase()}]`) : escaped;
  };
  let source = null;
  if (token.kind === "word") {
    source = `(?<![\\w\u0080-\uffff])${literal(token.text)}(?![\\w\u0080-\uffff])`;
  } else if (token.kind === "text" && token.text.length > 2) {
    source = literal(token.text.slice(1, -1).replace(/\\(["\\])/g, "$1"));
  } else if (token.kind === "regex" && token.text.length > 2) {
    source = token.text.slice(1, -1);
  }
  try {
    if (source) new RegExp(source);
    return source;
  } catch {
    // A regex of the node's language that JavaScript does not know.
    return null;
  }
}
