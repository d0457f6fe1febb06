// A list of which only the rows in view are elements. Rows may have any height: it is measured when they are seen.

import { framed, make } from "./dom.ts";
import { Heights } from "./heights.ts";

/** Above and below what is seen, in pixels. */
const MARGIN = 400;
const STEP_PAGES = 0.9;

export interface ListOptions<T extends object> {
  label: string;
  /** The height of a row that was not seen yet. */
  rowHeight: () => number;
  row: (item: T, index: number) => HTMLElement;
  /** Told when the end comes into view, and where the list was scrolled to. */
  scrolled?: (top: number, isAtEnd: boolean) => void;
}

/** A row that is an element, and what was last said of it: nothing is set twice. */
interface Drawn {
  element: HTMLElement;
  index: number;
  top: number;
  isMeasured: boolean;
}

export class List<T extends object> {
  readonly element: HTMLElement;
  readonly #space: HTMLElement;
  readonly #heights = new Heights();
  readonly #shown = new Map<T, Drawn>();
  readonly #options: ListOptions<T>;
  readonly #measure: ResizeObserver;
  readonly draw: () => void;
  #items: readonly T[] = [];
  #current = -1;

  constructor(options: ListOptions<T>) {
    this.#options = options;
    this.#space = make("div", { class: "space", role: "list", "aria-label": options.label });
    this.element = make("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": options.label }, this.#space);
    this.draw = framed(() => this.#draw());
    this.element.addEventListener("scroll", () => {
      this.#draw(false);
      const { scrollTop, clientHeight, scrollHeight } = this.element;
      options.scrolled?.(scrollTop, scrollTop + clientHeight > scrollHeight - MARGIN);
    }, { passive: true });
    this.#measure = new ResizeObserver(() => this.draw());
    this.#measure.observe(this.element);
  }

  get items(): readonly T[] {
    return this.#items;
  }

  get current(): number {
    return this.#current;
  }

  /** Shows other items. With `isMore` those of before are still there, and new ones stand behind them. */
  set(items: readonly T[], isMore = false): void {
    this.#items = items;
    if (isMore) {
      this.#heights.grow(items.length, this.#options.rowHeight());
    } else {
      this.#heights.reset(items.length, this.#options.rowHeight());
      if (this.#current >= items.length) this.#current = -1;
    }
    this.draw();
  }

  /** Begins anew: nothing of what was drawn is kept. */
  clear(): void {
    this.redraw();
    this.#current = -1;
    this.element.scrollTop = 0;
    this.set([]);
  }

  /** Makes every row anew: how they look has changed. */
  redraw(): void {
    for (const { element } of this.#shown.values()) {
      this.#measure.unobserve(element);
      element.remove();
    }
    this.#shown.clear();
    this.#heights.reset(this.#items.length, this.#options.rowHeight());
    this.draw();
  }

  /** Makes one row anew. */
  refresh(item: T): void {
    const shown = this.#shown.get(item);
    if (!shown) return;
    const hadFocus = shown.element.contains(document.activeElement);
    this.#measure.unobserve(shown.element);
    shown.element.remove();
    this.#shown.delete(item);
    this.#draw();
    if (hadFocus) this.#shown.get(item)?.element.querySelector<HTMLElement>("button")?.focus({ preventScroll: true });
  }

  /** Draws what is in view. Unless `isAnew`, rows that were measured before have not changed: scrolling alone. */
  #draw(isAnew = true): void {
    const { scrollTop, clientHeight } = this.element;
    if (isAnew) for (const drawn of this.#shown.values()) drawn.isMeasured = false;
    // Heights of rows that come into view are learned, and what stands below them moves: until that rests.
    for (let round = 0; round < 3; round += 1) {
      const first = this.#heights.at(Math.max(0, scrollTop - MARGIN));
      const last = Math.min(this.#items.length - 1, this.#heights.at(scrollTop + clientHeight + MARGIN));
      this.#fill(first, last);
      if (!this.#learn()) break;
    }
    this.#space.style.height = `${this.#heights.total}px`;
    for (const drawn of this.#shown.values()) {
      const top = this.#heights.top(drawn.index);
      if (top === drawn.top) continue;
      drawn.top = top;
      drawn.element.style.transform = `translateY(${top}px)`;
    }
  }

  #fill(first: number, last: number): void {
    const wanted = new Set<T>();
    const fresh = document.createDocumentFragment();
    for (let index = first; index <= last; index += 1) {
      const item = this.#items[index];
      if (item === undefined) continue;
      wanted.add(item);
      let shown = this.#shown.get(item);
      if (!shown) {
        shown = { element: this.#options.row(item, index), index: -1, top: Number.NaN, isMeasured: false };
        this.#shown.set(item, shown);
        fresh.append(shown.element);
        // What is open may grow by itself.
        if (shown.element.classList.contains("opened")) this.#measure.observe(shown.element);
      } else if (shown.isMeasured) {
        continue;
      }
      if (shown.index !== index) shown.element.setAttribute("aria-posinset", String(index + 1));
      shown.index = index;
      shown.element.setAttribute("aria-setsize", String(this.#items.length));
      shown.element.classList.toggle("current", index === this.#current);
    }
    for (const [item, { element }] of this.#shown) {
      if (wanted.has(item)) continue;
      this.#measure.unobserve(element);
      element.remove();
      this.#shown.delete(item);
    }
    this.#space.append(fresh);
  }

  #learn(): boolean {
    let changed = false;
    for (const drawn of this.#shown.values()) {
      if (drawn.isMeasured) continue;
      drawn.isMeasured = true;
      const { element, index } = drawn;
      const height = element.offsetHeight;
      if (height > 0 && Math.abs(height - this.#heights.of(index)) >= 0.5) {
        this.#heights.set(index, height);
        changed = true;
      }
    }
    return changed;
  }

  /** Makes a row the current one and brings it into view. */
  go(index: number): void {
    if (this.#items.length === 0) return;
    this.#current = Math.max(0, Math.min(this.#items.length - 1, index));
    const top = this.#heights.top(this.#current);
    const { scrollTop, clientHeight } = this.element;
    const height = Math.min(this.#heights.of(this.#current), clientHeight);
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.element.scrollTop = top + height - clientHeight;
    this.#draw();
  }

  /** Moves the current row by a number of rows, or of pages. */
  step(rows: number, isPages = false): void {
    if (!isPages) return this.go(this.#current + rows);
    this.element.scrollTop += rows * this.element.clientHeight * STEP_PAGES;
  }

  /** Marks a row as the current one where it stands. */
  mark(index: number): void {
    this.#current = index;
    this.draw();
  }

  toTop(): void {
    this.element.scrollTop = 0;
    this.draw();
  }
}
