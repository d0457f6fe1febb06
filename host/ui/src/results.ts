// The list of records found, of a search or live: its rows, its columns, which are open, which one is current.

import { make, put } from "./dom.ts";
import { marker } from "./language.ts";
import { List } from "./list.ts";
import type { Shown } from "./records.ts";
import { type RowActions, headOf, rowOf } from "./rows.ts";
import type { State } from "./state.ts";

const ROW_HEIGHT = 26;
const SMALL_ROW_HEIGHT = 44;

export interface Results {
  element: HTMLElement;
  records(): readonly Shown[];
  /** How rows look from now on. */
  look(state: State): void;
  show(records: readonly Shown[], isMore: boolean): void;
  clear(): void;
  /** Goes to the next or previous record, or error. */
  step(rows: number): void;
  stepToError(direction: 1 | -1): boolean;
  toggle(): void;
  toTop(): void;
  isAtTop(): boolean;
}

export function results(actions: Omit<RowActions, "settings" | "isOpen" | "toggle">, scrolled: (isAtTop: boolean) => void): Results {
  const opened = new Set<Shown>();
  let state: State | null = null;
  let mark: RegExp | null = null;
  const small = matchMedia("(max-width: 720px)");

  const all: RowActions = {
    ...actions,
    settings: () => ({ mark, columns: state?.columns ?? [], wrap: state?.wrap ?? false, utc: state?.utc ?? false }),
    isOpen: (record) => opened.has(record),
    toggle(record) {
      if (!opened.delete(record)) opened.add(record);
      list.mark(list.items.indexOf(record));
      list.refresh(record);
    },
  };
  const list = new List<Shown>({
    label: "Records",
    rowHeight: () => (small.matches ? SMALL_ROW_HEIGHT : ROW_HEIGHT),
    row: (record) => rowOf(record, all),
    scrolled: (top) => scrolled(top < ROW_HEIGHT),
  });
  const head = make("div", { class: "head-place" });
  const element = make("section", { class: "results", "aria-label": "Results" }, head, list.element);
  small.addEventListener("change", () => list.redraw());

  function stepToError(direction: 1 | -1): boolean {
    const { items } = list;
    let at = list.current < 0 ? (direction > 0 ? -1 : items.length) : list.current;
    for (at += direction; at >= 0 && at < items.length; at += direction) {
      if (items[at]?.level === "error") {
        list.go(at);
        return true;
      }
    }
    return false;
  }

  return {
    element,
    records: () => list.items,
    look(next) {
      const was = state;
      state = next;
      mark = marker(next.q);
      list.element.classList.toggle("wrap", next.wrap);
      const columns = next.columns;
      element.style.setProperty("--columns", columns.map(() => "minmax(4rem, 11rem)").join(" ") || "0");
      element.classList.toggle("has-columns", columns.length > 0);
      put(head, headOf(columns, actions.column));
      const isSame = was && was.wrap === next.wrap && was.utc === next.utc && was.q === next.q && was.columns.join() === columns.join();
      if (!isSame) list.redraw();
    },
    show: (records, isMore) => list.set(records, isMore),
    clear() {
      opened.clear();
      list.clear();
    },
    step: (rows) => list.step(rows),
    stepToError,
    toggle() {
      const record = list.items[list.current];
      if (record) all.toggle(record);
    },
    toTop: () => list.toTop(),
    isAtTop: () => list.element.scrollTop < ROW_HEIGHT,
  };
}
