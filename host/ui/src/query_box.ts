// The box of the query: a text area with a coloured copy beneath it, and a list of what could be written.

import { ApiError, query as ask } from "./api.ts";
import { type Completion, complete } from "./completion.ts";
import { button, icon, make, put, settled } from "./dom.ts";
import { tokens } from "./language.ts";
import { history } from "./query_history.ts";
import type { Seen } from "./seen.ts";

const CHECK_AFTER_MS = 300;

export interface QueryBox {
  element: HTMLElement;
  focus(): void;
  set(query: string): void;
  get(): string;
  /** Shows where a query is wrong, or, with null, that it is not. */
  wrong(error: ApiError | null): void;
  /** Closes what is open; false when nothing was. */
  close(): boolean;
}

export function queryBox(seen: Seen, plugins: () => readonly string[], go: () => void): QueryBox {
  const copy = make("pre", { class: "copy", "aria-hidden": "true" });
  const input = make("textarea", {
    id: "q", rows: 1, spellcheck: "false", autocapitalize: "off", autocorrect: "off", autocomplete: "off",
    maxlength: 16384, role: "combobox", "aria-label": "Query", "aria-expanded": "false", "aria-autocomplete": "list",
    "aria-controls": "choices", "aria-describedby": "query-error",
    placeholder: 'payment declined   "exact bytes"   /reg(ex)?/   -healthz   topic:orders   status>=500   | count by path',
  });
  const choices = make("ul", { id: "choices", class: "choices", role: "listbox", "aria-label": "Completions", hidden: true });
  const problem = make("div", { id: "query-error", class: "query-error", role: "alert", hidden: true });
  const past = make("button", { type: "button", class: "plain past", title: "Earlier queries", "aria-label": "Earlier queries", onclick: () => openHistory() },
    icon("M8 4v4l2.5 2M2.5 8a5.5 5.5 0 1 0 1.7-4M2 2v3h3"));
  const lens = icon("M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9M10.5 10.5l3.5 3.5");
  lens.classList.add("lens");
  const element = make("div", { class: "box" },
    make("div", { class: "field" }, lens, make("div", { class: "layers" }, copy, input), make("kbd", { "aria-hidden": "true" }, "/"), past),
    choices, problem);

  let open: Completion | null = null;
  let chosen = -1;
  let column: number | null = null;
  let checking: AbortController | null = null;

  function paint(): void {
    const text = input.value;
    const at = column === null ? -1 : Math.min([...text].slice(0, column - 1).join("").length, Math.max(0, text.length - 1));
    const spans = tokens(text).map((token) => {
      const isWrong = at >= token.from && at < token.to;
      return make("span", { class: `q-${token.kind}${isWrong ? " q-wrong" : ""}` }, token.text);
    });
    // A last line that is empty has height only behind something.
    put(copy, ...spans, text.endsWith("\n") ? " " : null);
  }

  function wrong(error: ApiError | null): void {
    column = error?.column ?? null;
    input.setAttribute("aria-invalid", String(error !== null));
    problem.hidden = error === null;
    if (error) {
      const where = error.column === undefined ? null : make("button", { type: "button", class: "column", onclick: () => toColumn(error.column ?? 1) }, `column ${error.column}`);
      const message = error.message.replace(/^column \d+: /, "");
      put(problem, where, make("span", {}, message), error.hint ? make("span", { class: "hint" }, error.hint) : null);
    }
    paint();
  }

  function toColumn(at: number): void {
    const place = [...input.value].slice(0, at - 1).join("").length;
    input.focus();
    input.setSelectionRange(place, place);
  }

  /** Asks for nothing, to hear whether the query can be read. */
  const check = settled(CHECK_AFTER_MS, async () => {
    checking?.abort();
    checking = new AbortController();
    const text = input.value;
    try {
      await ask({ q: text, from: "now", to: "now", limit: 1 }, checking.signal, () => {});
      if (input.value === text) wrong(null);
    } catch (error) {
      // What is being typed is not wrong yet at its very end.
      if (error instanceof ApiError && error.column !== undefined && input.value === text && !text.trimEnd().endsWith("|")) wrong(error);
    }
  });

  function show(completion: Completion | null): void {
    open = completion && completion.items.length > 0 ? completion : null;
    chosen = -1;
    choices.hidden = open === null;
    input.setAttribute("aria-expanded", String(open !== null));
    input.removeAttribute("aria-activedescendant");
    put(choices, ...(open?.items ?? []).map((item, at) =>
      make("li", { id: `choice-${at}`, role: "option", "aria-selected": "false", onmousedown: (event: Event) => { event.preventDefault(); take(at); } },
        make("span", { class: `what what-${item.kind}` }, item.kind), make("code", {}, item.insert.trim() || item.insert),
        item.detail ? make("span", { class: "detail" }, item.detail) : null)));
  }

  function choose(step: number): void {
    if (!open) return;
    const count = open.items.length;
    chosen = chosen < 0 && step < 0 ? count - 1 : (chosen + step + count) % count;
    for (const [at, child] of [...choices.children].entries()) child.setAttribute("aria-selected", String(at === chosen));
    input.setAttribute("aria-activedescendant", `choice-${chosen}`);
    choices.children[chosen]?.scrollIntoView({ block: "nearest" });
  }

  function take(at: number): void {
    const item = open?.items[at];
    if (!open || !item) return;
    const { from, to } = open;
    if (item.kind === "history") {
      input.value = item.insert;
      input.setSelectionRange(input.value.length, input.value.length);
    } else {
      const isFinal = !/[:.=\s]$/.test(item.insert);
      const space = isFinal && !/^\s/.test(input.value.slice(to)) ? " " : "";
      input.setRangeText(item.insert + space, from, to, "end");
    }
    changed();
  }

  function openHistory(): void {
    input.focus();
    show({ from: 0, to: input.value.length, items: history().map((query) => ({ insert: query, kind: "history" })) });
  }

  function suggest(): void {
    if (document.activeElement !== input) return;
    if (input.selectionStart !== input.selectionEnd) return show(null);
    show(complete(input.value, input.selectionStart, seen, plugins()));
  }

  function changed(): void {
    column = null;
    problem.hidden = true;
    input.removeAttribute("aria-invalid");
    paint();
    suggest();
    check();
  }

  input.addEventListener("input", changed);
  input.addEventListener("blur", () => show(null));
  input.addEventListener("scroll", () => { copy.scrollTop = input.scrollTop; });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const isUp = event.key === "ArrowUp";
    if (isUp || event.key === "ArrowDown") {
      if (open) choose(isUp ? -1 : 1);
      else if (isUp && !input.value.includes("\n")) openHistory();
      else suggest();
      event.preventDefault();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (open && chosen >= 0) take(chosen);
      else {
        show(null);
        go();
      }
    } else if (event.key === "Tab" && open && !event.shiftKey) {
      event.preventDefault();
      take(Math.max(chosen, 0));
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      suggest();
    } else if (event.key === "Escape" && open) {
      event.stopPropagation();
      show(null);
    }
  });

  return {
    element,
    focus() {
      input.focus();
      input.select();
    },
    set(query) {
      if (input.value !== query) input.value = query;
      show(null);
      wrong(null);
    },
    get: () => input.value.trim(),
    wrong,
    close() {
      const wasOpen = open !== null;
      show(null);
      return wasOpen;
    },
  };
}

/** The button that asks, or stops what was asked. */
export function goButton(go: () => void, stop: () => void): { element: HTMLElement; running(is: boolean): void } {
  const search = button("Search", go, { id: "go", class: "primary" });
  const end = button("Stop", stop, { id: "stop", class: "primary stop", hidden: true });
  return {
    element: make("div", { class: "go" }, search, end),
    running(is) {
      search.hidden = is;
      end.hidden = !is;
    },
  };
}
