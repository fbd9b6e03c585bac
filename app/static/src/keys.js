// Keyboard: Ctrl-K palette, ? keys, / search, j and k along rows.

const palette = document.getElementById("palette");
const input = palette?.querySelector("input");
const entries = [...(palette?.querySelectorAll("li") ?? [])];

const shown = () => entries.filter((entry) => !entry.hidden).map((entry) => entry.querySelector("a"));
const filter = () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const entry of entries) {
    const label = entry.textContent.toLowerCase();
    entry.hidden = !words.every((word) => label.includes(word));
  }
  const [first] = shown();
  for (const entry of entries) entry.toggleAttribute("data-chosen", entry.contains(first ?? null));
  palette.querySelector("[data-none]").hidden = first !== undefined;
};
const openPalette = () => {
  if (!palette || document.querySelector("dialog[open]")) return;
  input.value = "";
  filter();
  palette.showModal();
};

input?.addEventListener("input", filter);
palette?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target === input) {
    event.preventDefault();
    shown()[0]?.click();
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  const stops = [input, ...shown()];
  const step = event.key === "ArrowDown" ? 1 : stops.length - 1;
  stops[(stops.indexOf(document.activeElement) + step) % stops.length].focus();
});

const moveRow = (step) => {
  const links = [...document.querySelectorAll("main .row-link")];
  if (links.length === 0) return;
  const row = document.activeElement?.closest("tr");
  const at = links.findIndex((link) => row?.contains(link));
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
  links[next].focus();
};

const actions = {
  "?": () => document.getElementById("keys")?.showModal(),
  "/": () => document.querySelector("main input[type=search]")?.focus(),
  j: () => moveRow(1),
  k: () => moveRow(-1),
};

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
  // Focus may still rest in a dialog that was closed a moment ago; nobody is typing there.
  if (event.target.closest("input, textarea, select, [contenteditable]") && !event.target.closest("dialog:not([open])")) return;
  if (document.querySelector("dialog[open]")) return;
  event.preventDefault();
  actions[event.key]();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-palette-open]")) openPalette();
});
