// Runs before the first paint, so that a chosen theme never flashes. Without a choice the system decides.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const choices = ["auto", "light", "dark"];

  const chosen = () => {
    try {
      const value = localStorage.getItem("theme");
      return choices.includes(value) ? value : "auto";
    } catch {
      return "auto"; // Storage may be forbidden; the system's theme still works.
    }
  };

  const apply = (choice) => {
    root.dataset.themeChoice = choice;
    root.dataset.bsTheme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
    const toggle = document.querySelector("[data-theme-toggle]");
    toggle?.setAttribute("aria-label", `Theme: ${choice}`);
    toggle?.setAttribute("title", `Theme: ${choice}`);
  };

  root.classList.add("js");
  apply(chosen());
  system.addEventListener("change", () => apply(chosen()));
  document.addEventListener("DOMContentLoaded", () => apply(chosen()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-toggle]")) return;
    const next = choices[(choices.indexOf(chosen()) + 1) % choices.length];
    try {
      localStorage.setItem("theme", next);
    } catch {
      // The choice then lasts for this page only.
    }
    apply(next);
  });
})();
