// Keeps <time> elements true: "now" becomes "24 min ago". The words are those of `ago` in app/core/templating.py.

// The server's clock counts: how far this one is off was seen when the page arrived.
const arrived = performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0);
const ahead = arrived - Date.parse(document.documentElement.dataset.rendered);
const TOLERATED = 5000;
const now = () => Date.now() - (Math.abs(ahead) > TOLERATED ? ahead : 0);

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];
const span = (seconds, round) => {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? UNITS.at(-1);
  return `${round(seconds / size)} ${unit}`;
};
const words = (moment) => {
  const seconds = (now() - moment) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds < 0 ? `in ${span(-seconds, Math.round)}` : `${span(seconds, Math.floor)} ago`;
};

const age = () => {
  if (document.hidden) return;
  const selection = document.getSelection();
  for (const element of document.querySelectorAll("time[datetime]")) {
    const text = words(Date.parse(element.dateTime));
    const held = !selection.isCollapsed && selection.containsNode(element, true);
    if (!held && element.textContent !== text) element.textContent = text;
  }
};

setInterval(age, 5000);
document.addEventListener("visibilitychange", age);
