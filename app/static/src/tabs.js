// Where tabs do not fit, the active one is brought into sight.

const reveal = () => {
  for (const tabs of document.querySelectorAll(".tabs")) {
    const active = tabs.querySelector("[aria-current]")?.getBoundingClientRect();
    const box = tabs.getBoundingClientRect();
    if (active && (active.left < box.left || active.right > box.right)) {
      tabs.scrollLeft += active.left + active.width / 2 - (box.left + box.width / 2);
    }
  }
};

reveal();
