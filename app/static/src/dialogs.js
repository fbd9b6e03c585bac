// Native dialogs: buttons that open and close them, and the question asked before a request (hx-confirm).

const show = (dialog) => dialog && !dialog.open && dialog.showModal();

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog-open]");
  if (opener) show(document.getElementById(opener.dataset.dialogOpen));

  if (event.target.closest("[data-dialog-close]")) event.target.closest("dialog")?.close();
});

// A press on the backdrop closes, unless the press began inside (selecting text and letting go outside).
let pressed = null;
document.addEventListener("pointerdown", (event) => (pressed = event.target));
document.addEventListener("click", (event) => {
  const dialog = event.target;
  if (dialog.tagName !== "DIALOG" || pressed !== dialog) return;
  const box = dialog.getBoundingClientRect();
  const inside =
    event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
  if (!inside) dialog.close();
});

// [data-once] holds what is shown once, as a token's secret is: closing the dialog, or leaving the page, ends it.
const forget = (dialog) => {
  for (const holder of dialog.querySelectorAll("[data-once]:not(:empty)")) {
    holder.replaceChildren();
    dialog.querySelectorAll("form").forEach((form) => form.reset());
  }
};
document.addEventListener("close", (event) => forget(event.target), true);
addEventListener("pagehide", () => forget(document));

// Success closes the dialog whose form asked, unless the answer was put inside that dialog.
document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
  const dialog = ctx.sourceElement.closest?.("dialog.dialog");
  if (!dialog || ctx.request.method === "GET" || ctx.response.status >= 400) return;
  const target = typeof ctx.target === "string" ? document.querySelector(ctx.target) : ctx.target;
  if (target !== ctx.sourceElement && dialog.contains(target)) return;
  dialog.close();
  dialog.querySelector("form")?.reset();
});

const confirmation = document.getElementById("confirm");

document.addEventListener("htmx:confirm", (event) => {
  const { ctx, issueRequest, dropRequest } = event.detail;
  event.preventDefault();
  const { confirmLabel, confirmTone, confirmDetail } = ctx.sourceElement.dataset;
  if (ctx.sourceElement.hasAttribute("data-again")) return issueRequest();
  const accept = confirmation.querySelector("[data-accept]");
  confirmation.querySelector("[data-question]").textContent = ctx.confirm;
  confirmation.querySelector("[data-detail]").textContent = confirmDetail ?? "";
  accept.textContent = confirmLabel ?? "Continue";
  accept.className = `btn ${confirmTone === "danger" ? "btn-danger-solid" : "btn-primary"}`;
  confirmation.returnValue = "";
  confirmation.addEventListener(
    "close",
    () => (confirmation.returnValue === "accept" ? issueRequest() : dropRequest()),
    { once: true },
  );
  confirmation.showModal();
});
