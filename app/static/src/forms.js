// Marks the fields an error names, and keeps empty filters out of the address.

const controls = (form, name) => form.querySelectorAll(`[name="${CSS.escape(name)}"]`);

const unmark = (control) => {
  control.removeAttribute("aria-invalid");
  const message = control.closest(".field")?.querySelector(".field-error");
  if (message) message.textContent = "";
};

const mark = (form, name, message) => {
  const [control] = controls(form, name);
  const place = control?.closest(".field")?.querySelector(".field-error");
  if (!place) return null;
  control.setAttribute("aria-invalid", "true");
  place.textContent = message;
  return control;
};

const formOf = (ctx) => ctx.request.form ?? ctx.sourceElement.closest?.("form");

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  const form = formOf(ctx);
  if (!form || !(ctx.response?.status >= 400)) return;
  const items = document.querySelectorAll("#toasts .toast-item:last-child [data-field]");
  const marked = [...items].map((item) => mark(form, item.dataset.field, item.dataset.message)).filter(Boolean);
  marked[0]?.focus();
});

document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
  const form = formOf(ctx);
  if (!form) return;
  for (const control of form.querySelectorAll("[aria-invalid]")) unmark(control);
  if (form.matches("[data-filters]")) {
    for (const [name, value] of [...ctx.request.body]) if (value === "") ctx.request.body.delete(name);
  }
});

document.addEventListener("input", (event) => {
  if (event.target.matches("[aria-invalid]")) unmark(event.target);
});
