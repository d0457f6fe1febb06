// What stands around a record in its stream, with steps outward on either side.

import { ApiError, idAfter, query } from "./api.ts";
import { button, make, put } from "./dom.ts";
import { condition } from "./language.ts";
import { type Shown, shown } from "./records.ts";
import { type RowActions, rowOf } from "./rows.ts";

const STEP = 10;
/** What the node gives at most. */
const REACH_MAX = 1000;

export interface ContextView {
  element: HTMLDialogElement;
  open(id: string): void;
  close(): boolean;
}

export function contextView(actions: Omit<RowActions, "isOpen" | "toggle">, closed: () => void): ContextView {
  const title = make("h2", { id: "context-title" });
  const rows = make("div", { class: "context-rows", role: "list", "aria-label": "Records around one", tabindex: 0 });
  const problem = make("p", { class: "wrong", role: "alert", hidden: true });
  const earlier = button(`${STEP} earlier`, () => step("before"), { class: "outward" });
  const later = button(`${STEP} later`, () => step("after"), { class: "outward" });
  const element = make("dialog", { class: "context", "aria-labelledby": "context-title" },
    make("div", { class: "dialog-head" }, title, button("Close", () => element.close(), { class: "close" })), problem, earlier, rows, later);
  element.addEventListener("close", () => {
    running?.abort();
    closed();
  });
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close();
  });

  let id = "";
  let reach = { before: STEP, after: STEP };
  let records: Shown[] = [];
  let running: AbortController | null = null;
  const opened = new Set<string>();

  function step(side: "before" | "after"): void {
    reach = { ...reach, [side]: Math.min(REACH_MAX, reach[side] + STEP * (reach[side] > 50 ? 10 : 1)) };
    void load();
  }

  async function load(): Promise<void> {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    element.setAttribute("aria-busy", "true");
    problem.hidden = true;
    try {
      const found: Shown[] = [];
      // The range holds this record alone; the node looks for its neighbours outside of it, in its stream.
      await query({ q: "", from: id, to: idAfter(id), before: reach.before, after: reach.after }, mine.signal, (rows) => found.push(...rows.map(shown)));
      const own = found.find((record) => record.id === id);
      if (!own) throw new ApiError({ message: `there is no record ${id}`, hint: "it may have been deleted since" });
      records = found.filter((record) => record.topic === own.topic && JSON.stringify(record.labels) === JSON.stringify(own.labels));
      const stream = [condition("topic", own.topic), ...Object.entries(own.labels).map(([name, value]) => condition(`label.${name}`, value))];
      put(title, "Around a record of ", make("code", {}, stream.join(" ")));
      drawAll();
    } catch (error) {
      if (mine.signal.aborted) return;
      problem.hidden = false;
      problem.textContent = (error as Error).message;
    }
    element.removeAttribute("aria-busy");
  }

  function drawAll(): void {
    const top = rows.querySelector(".anchor")?.getBoundingClientRect().top;
    const all: RowActions = {
      ...actions,
      isOpen: (record) => opened.has(record.id),
      toggle(record) {
        if (!opened.delete(record.id)) opened.add(record.id);
        drawAll();
      },
    };
    put(rows, ...records.map((record) => {
      const row = rowOf(record, all);
      row.classList.toggle("anchor", record.id === id);
      row.classList.remove("context");
      return row;
    }));
    const anchor = rows.querySelector(".anchor");
    // Steps outward leave the record where it was seen.
    if (anchor && top !== undefined) rows.scrollTop += anchor.getBoundingClientRect().top - top;
    else anchor?.scrollIntoView({ block: "center" });
    const at = records.findIndex((record) => record.id === id);
    earlier.disabled = at < reach.before || reach.before >= REACH_MAX;
    later.disabled = records.length - 1 - at < reach.after || reach.after >= REACH_MAX;
    earlier.textContent = earlier.disabled ? "Nothing earlier near it" : "Show earlier";
    later.textContent = later.disabled ? "Nothing later near it" : "Show later";
  }

  return {
    element,
    open(of) {
      id = of;
      reach = { before: STEP, after: STEP };
      records = [];
      opened.clear();
      put(rows);
      put(title, "Around a record");
      if (!element.open) element.showModal();
      void load();
    },
    close() {
      const wasOpen = element.open;
      if (wasOpen) element.close();
      return wasOpen;
    },
  };
}
