// The queries asked before, newest first, kept by the browser.

import { kept } from "./dom.ts";

const KEPT_MAX = 100;

export function history(): string[] {
  try {
    const list: unknown = JSON.parse(kept.get("history") ?? "[]");
    return Array.isArray(list) ? list.filter((query) => typeof query === "string") : [];
  } catch {
    return [];
  }
}

export function remember(query: string): void {
  const text = query.trim();
  if (!text) return;
  const list = [text, ...history().filter((other) => other !== text)];
  kept.set("history", JSON.stringify(list.slice(0, KEPT_MAX)));
}
