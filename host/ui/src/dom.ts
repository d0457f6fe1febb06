// Elements without a framework. Everything that comes from a log becomes text nodes, never markup.

export type Child = Node | string | null | undefined | false;
export type Attributes = Record<string, unknown>;

/** Makes an element: `make("button", { class: "x", onclick: f }, "text", child)`. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(name), attributes, children);
}

/** The same for drawings. */
export function draw<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child): child is Node | string => !!child || child === ""));
  return element;
}

/** Replaces what stands in an element. */
export function put(element: Element, ...children: Child[]): void {
  element.replaceChildren(...children.filter((child): child is Node | string => !!child));
}

/** A small drawing of one path, for buttons. */
export function icon(path: string): SVGSVGElement {
  return draw("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, draw("path", { d: path }));
}

/** A button with text. */
export function button(text: string, onclick: (event: MouseEvent) => void, attributes: Attributes = {}): HTMLButtonElement {
  return make("button", { type: "button", onclick, ...attributes }, text);
}

/** Calls `work` once per frame however often it is asked for. */
export function framed(work: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

/** Calls `work` once things have been quiet for so long. */
export function settled<A extends unknown[]>(quiet_ms: number, work: (...args: A) => void): (...args: A) => void {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => work(...args), quiet_ms);
  };
}

/** Whether keys go into a text. */
export function isTyping(): boolean {
  const element = document.activeElement;
  return element instanceof HTMLElement && /^(?:INPUT|SELECT|TEXTAREA)$/.test(element.tagName) && !isTick(element);
}

function isTick(element: HTMLElement): boolean {
  return element instanceof HTMLInputElement && (element.type === "checkbox" || element.type === "radio");
}

/** What the browser keeps for this page; without leave to keep things, nothing. */
export const kept = {
  get(name: string): string | null {
    try {
      return localStorage.getItem(`weir.${name}`);
    } catch {
      return null;
    }
  },
  set(name: string, value: string): void {
    try {
      localStorage.setItem(`weir.${name}`, value);
    } catch {
      // Full, or forbidden: the page works without.
    }
  },
};
