// The drawer shows one row's details beside its list. Whatever is swapped into #drawer opens it.

const frame = document.getElementById("drawer-frame");
const content = document.getElementById("drawer");

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  const target = typeof ctx.target === "string" ? document.querySelector(ctx.target) : ctx.target;
  if (target !== content || ctx.response.status >= 400) return;
  if (!frame.open) frame.showModal();
  frame.scrollTop = 0;
});

frame?.addEventListener("close", (event) => {
  if (event.target !== frame) return; // a dialog inside the drawer
  content.replaceChildren();
});

// A click anywhere on the row is a click on its link, which works by keyboard and without scripts too.
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-drawer]");
  if (!row || event.target.closest("a, button, input, select, label, summary, textarea")) return;
  if (!getSelection().isCollapsed) return;
  const link = row.querySelector("a.row-link");
  if (!link) return;
  if (event.ctrlKey || event.metaKey) {
    open(link.href, "_blank", "noopener");
    return;
  }
  link.focus({ preventScroll: true }); // where focus returns when the drawer closes
  link.click();
});
