// The most frequent values of level, topic, labels and chosen fields, counted by the node.

import { isAbort, query } from "./api.ts";
import { button, make, put } from "./dom.ts";
import { compact, count } from "./figures.ts";
import { condition } from "./language.ts";
import { LEVELS, type Level } from "./records.ts";
import type { Seen } from "./seen.ts";
import type { State } from "./state.ts";

const VALUES = 10;
const LABELS_MAX = 20;

export interface FacetsView {
  element: HTMLElement;
  start(state: State, signal: AbortSignal): void;
  levels(counts: Map<Level, number>): void;
  clear(): void;
}

interface Actions {
  narrow(condition: string, isOut: boolean): void;
  /** Adds or removes a chosen field. */
  choose(field: string): void;
}

interface Value {
  value: string | null;
  count: number;
}

export function facetsView(seen: Seen, actions: Actions): FacetsView {
  const levels = facet("level", true);
  const places = make("div", { class: "facet-list" });
  const field = make("input", { type: "text", class: "facet-field", "aria-label": "A field to count", placeholder: "count a field…", list: "facet-names" });
  const names = make("datalist", { id: "facet-names" });
  const chooser = make("form", { class: "facet-add", onsubmit: (event: Event) => {
    event.preventDefault();
    const name = field.value.trim();
    field.value = "";
    if (name) actions.choose(name);
  } }, field, names, make("button", { type: "submit", "aria-label": "Count the values of this field" }, "+"));
  field.addEventListener("focus", () => put(names, ...seen.fields().map((name) => make("option", { value: seen.nameOf(name) }))));
  const element = make("aside", { class: "facets", "aria-label": "Values" }, make("div", { class: "facet-list" }, levels), places, chooser);
  /** Those that were opened or closed by hand. */
  const opened = new Map<string, boolean>();
  let now: { state: State; signal: AbortSignal } | null = null;
  let queue: (() => Promise<void>)[] = [];
  let isBusy = false;

  function facet(name: string, isOpen: boolean, remove?: () => void): HTMLDetailsElement {
    return make("details", { class: "facet", "data-facet": name, open: isOpen },
      make("summary", {}, make("span", {}, name), remove ? make("button", { type: "button", class: "plain", "aria-label": `Stop counting ${name}`, onclick: (event: Event) => { event.preventDefault(); remove(); } }, "×") : null),
      make("div", { class: "values" }));
  }

  function fill(facet: HTMLElement, name: string, values: Value[], words?: string): void {
    const most = Math.max(1, ...values.map((value) => value.count));
    const rows = values.map(({ value, count: n }) => {
      const bar = make("span", { class: `share${name === "level" ? ` level-${value}` : ""}` });
      bar.style.width = `${Math.max(1, (n / most) * 100)}%`;
      const text = value === null ? "(none)" : value;
      const term = value === null ? null : condition(name, value);
      return make("li", {},
        bar,
        term && !(name === "level" && value === "none")
          ? make("button", { type: "button", class: "plain value", title: `Only ${term}`, onclick: () => actions.narrow(term, false) }, text)
          : make("span", { class: "value" }, text),
        make("span", { class: "n", title: count(n) }, compact(n)),
        term && !(name === "level" && value === "none")
          ? button("≠", () => actions.narrow(term, true), { class: "sign", title: `Without ${term}`, "aria-label": `Without ${term}` })
          : null);
    });
    const place = facet.querySelector(".values");
    if (place) put(place, rows.length > 0 ? make("ul", {}, ...rows) : make("p", { class: "dim" }, words ?? "nothing"));
  }

  async function work(): Promise<void> {
    if (isBusy) return;
    isBusy = true;
    for (let job = queue.shift(); job; job = queue.shift()) await job();
    isBusy = false;
  }

  /** Counts the values of one, behind those that wait already. */
  function ask(facet: HTMLElement, name: string): void {
    if (!now || facet.dataset["asked"]) return;
    facet.dataset["asked"] = "1";
    const { state, signal } = now;
    fill(facet, name, [], "counting…");
    queue.push(async () => {
      if (signal.aborted) return;
      try {
        const values: Value[] = [];
        await query({ q: `${state.q} | top ${VALUES} by ${name}`, from: state.from, to: state.to }, signal, (rows) => {
          for (const row of rows) {
            const sum = JSON.parse(row.payload ?? "{}") as Record<string, unknown>;
            const key = Object.keys(sum).find((key) => key !== "count" && key !== "share_percent");
            const value = key === undefined ? null : sum[key];
            values.push({ value: value === null || value === undefined ? null : String(value), count: Number(sum["count"]) });
          }
        });
        fill(facet, name, values);
        facet.dataset["done"] = "1";
      } catch (error) {
        if (!isAbort(error)) fill(facet, name, [], (error as Error).message);
      }
    });
    void work();
  }

  return {
    element,
    start(state, signal) {
      now = { state, signal };
      queue = [];
      const labels = seen.labels().slice(0, LABELS_MAX).map((label) => `label.${label}`);
      const wanted = ["topic", ...labels, ...state.facets];
      const made = [...new Set(wanted)].map((name) => {
        const isChosen = state.facets.includes(name);
        const isOpen = opened.get(name) ?? (name === "topic" || isChosen);
        const one = facet(name, isOpen, isChosen ? () => actions.choose(name) : undefined);
        one.addEventListener("toggle", () => {
          opened.set(name, one.open);
          if (one.open) ask(one, name);
        });
        return { one, name, isOpen };
      });
      put(places, ...made.map(({ one }) => one));
      for (const { one, name, isOpen } of made) if (isOpen) ask(one, name);
    },
    levels(counts) {
      fill(levels, "level", LEVELS.filter((level) => (counts.get(level) ?? 0) > 0).map((level) => ({ value: level, count: counts.get(level) ?? 0 })));
    },
    clear() {
      now = null;
      queue = [];
      fill(levels, "level", [], "–");
      put(places);
    },
  };
}
