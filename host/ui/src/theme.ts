// Dark or light: as the system says, or by hand.

import { kept, make } from "./dom.ts";

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

function stored(): Theme {
  return THEMES.find((theme) => theme === kept.get("theme")) ?? "system";
}

function apply(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

export function themePicker(): HTMLElement {
  apply(stored());
  const select = make("select", { id: "theme", "aria-label": "Colours", onchange: () => {
    const theme = THEMES.find((theme) => theme === select.value) ?? "system";
    kept.set("theme", theme);
    apply(theme);
  } }, ...THEMES.map((theme) => make("option", { value: theme, selected: theme === stored() }, theme[0]?.toUpperCase() + theme.slice(1))));
  return select;
}
