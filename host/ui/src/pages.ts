// What the pages about the node share: tables that are asked for again and again while they are seen.

import { type Child, make, put } from "./dom.ts";
import { bytes, compact, count } from "./figures.ts";

const AGAIN_MS = 2000;

export interface Page {
  element: HTMLElement;
  start(): void;
  leave(): void;
}

/** A page that is made anew every two seconds. `ask` gives what stands on it. */
export function page(title: string, words: string, ask: (signal: AbortSignal) => Promise<Child[]>): Page {
  const problem = make("section", { class: "notice bad", role: "alert", hidden: true });
  const body = make("div", { class: "page-body" });
  const element = make("div", { class: "page" }, make("h1", {}, title), make("p", { class: "dim" }, words), problem, body);
  let running: AbortController | null = null;
  let timer = 0;

  async function round(): Promise<void> {
    running = new AbortController();
    const mine = running;
    try {
      const children = await ask(mine.signal);
      if (mine.signal.aborted) return;
      problem.hidden = true;
      // What is being read or pressed stays.
      if (!body.contains(document.activeElement) && !hasSelection(body)) put(body, ...children);
    } catch (error) {
      if (mine.signal.aborted) return;
      problem.hidden = false;
      problem.textContent = (error as Error).message;
    }
    timer = window.setTimeout(() => void round(), AGAIN_MS);
  }

  return {
    element,
    start: () => void round(),
    leave() {
      running?.abort();
      clearTimeout(timer);
    },
  };
}

function hasSelection(element: Element): boolean {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && element.contains(selection.anchorNode);
}

/** A table with a caption for those who do not see it. */
export function table(caption: string, columns: string[], rows: Child[][]): HTMLElement {
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, at) =>
    at === 0 ? make("th", { scope: "row" }, cell ?? "–") : make("td", {}, cell === undefined || cell === null || cell === "" ? make("span", { class: "dim" }, "–") : cell))));
  return make("div", { class: "table-box", tabindex: 0, role: "region", "aria-label": caption },
    make("table", { class: "page-table" }, make("caption", { class: "unseen" }, caption),
      make("thead", {}, make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, ...body)));
}

export function tiles(list: [string, Child][]): HTMLElement {
  return make("dl", { class: "tiles" }, ...list.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** A word with a colour: good, bad, or neither. */
export function badge(word: string, mood: "good" | "bad" | "warn" | "plain"): HTMLElement {
  return make("span", { class: `badge ${mood}` }, word);
}

export const known = (n: number | undefined): string => (n === undefined ? "–" : count(n));
export const knownBytes = (n: number | undefined): string => (n === undefined ? "–" : bytes(n));
export const perSecond = (n: number | undefined): string => (n === undefined ? "–" : `${n < 10 ? n.toFixed(1) : compact(n)}/s`);

/** How long ago a time was. */
export function ago(time: string | undefined): string {
  if (!time) return "";
  const s = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000));
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 172_800) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86_400)} d ago`;
}
