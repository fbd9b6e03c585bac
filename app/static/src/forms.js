// Marks the fields an error names, takes back complaints that are settled, and keeps empty filters out of the address.

const controls = (form, name) => form.querySelectorAll(`[name="${CSS.escape(name)}"]`);

const unmark = (control) => {
  control.removeAttribute("aria-invalid");
  const message = control.closest(".field")?.querySelector(".field-error");
  if (message) message.textContent = "";
};

// True when the message stands at its field.
const mark = (form, name, message) => {
  const [control] = controls(form, name);
  control?.setAttribute("aria-invalid", "true");
  const place = control?.closest(".field")?.querySelector(".field-error");
  if (place) place.textContent = message;
  return place !== null && place !== undefined;
};

const formOf = (ctx) => ctx.request.form ?? ctx.sourceElement.closest?.("form");

// What the last failure of a form or button left among the messages: its next try, or its dialog's end, takes it away.
const complaints = new WeakMap();
const settle = (asker) => {
  complaints.get(asker)?.remove();
  complaints.delete(asker);
};

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (!(ctx.response?.status >= 400)) return;
  const form = formOf(ctx);
  const complaint = document.querySelector("#toasts .toast-item:last-child");
  if (!complaint) return;
  complaints.set(form ?? ctx.sourceElement, complaint);
  if (!form) return;
  const items = [...complaint.querySelectorAll("[data-field]")];
  for (const item of items) if (mark(form, item.dataset.field, item.dataset.message)) item.remove();
  form.querySelector("[aria-invalid]")?.focus();
  // Said at its field is said: a message with nothing left to tell would only repeat it.
  if (items.length > 0 && !complaint.querySelector("[data-field]")) settle(form);
});

document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
  const form = formOf(ctx);
  settle(form ?? ctx.sourceElement);
  if (!form) return;
  for (const control of form.querySelectorAll("[aria-invalid]")) unmark(control);
  // What is saved is what the address says now: the filters, and not those of when the page was loaded.
  const query = form.querySelector("[data-query]");
  if (query) ctx.request.body.set(query.name, location.search.slice(1));
  if (form.matches("[data-filters]")) {
    for (const [name, value] of [...ctx.request.body]) if (value === "") ctx.request.body.delete(name);
  }
});

document.addEventListener("input", (event) => {
  if (event.target.matches("[aria-invalid]")) unmark(event.target);
});

document.addEventListener(
  "close",
  (event) => {
    for (const form of event.target.querySelectorAll("form")) {
      settle(form);
      form.querySelectorAll("[aria-invalid]").forEach(unmark);
    }
  },
  true,
);
