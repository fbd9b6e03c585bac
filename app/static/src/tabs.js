// Where tabs or the lines of the menu do not fit, the active one is brought into sight.

const revealTab = (tabs) => {
  const active = tabs.querySelector("[aria-current]")?.getBoundingClientRect();
  const box = tabs.getBoundingClientRect();
  if (active && (active.left < box.left || active.right > box.right)) {
    tabs.scrollLeft += active.left + active.width / 2 - (box.left + box.width / 2);
  }
};
const revealLine = (menu) => {
  const active = menu.querySelector("[aria-current]")?.getBoundingClientRect();
  const box = menu.getBoundingClientRect();
  if (active && (active.top < box.top || active.bottom > box.bottom)) {
    menu.scrollTop += active.top + active.height / 2 - (box.top + box.height / 2);
  }
};
const reveal = () => {
  document.querySelectorAll(".tabs").forEach(revealTab);
  document.querySelectorAll(".menu").forEach(revealLine);
};

document.getElementById("side")?.addEventListener("toggle", reveal); // on phones it is shown when asked for
reveal();
