// Short messages. A server sends one as a fragment into #toasts, or as a `toast` event by HX-Trigger.

const region = document.getElementById("toasts");
const template = document.getElementById("toast-template");
const STAY = 5000;
const STAY_WITH_BUTTON = 15_000;

// Inside a modal dialog everything else is inert, so the messages move to where they can be read and closed.
const settle = () => {
  const home = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  if (region.parentElement !== home) home.append(region);
};
new MutationObserver(settle).observe(document.body, { subtree: true, childList: true, attributeFilter: ["open"] });

const text = (item) => item.querySelector(".toast-body").textContent.trim().replace(/\s+/g, " ");

// One message of a kind is enough: a poll that fails all night must not paper the screen.
const arrived = (item) => {
  for (const other of region.querySelectorAll(".toast-item")) {
    if (other !== item && text(other) === text(item)) other.remove();
  }
  if (item.dataset.tone === "bad") return;
  const leave = () => (item.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : item.remove());
  setTimeout(leave, item.querySelector("[hx-post]") ? STAY_WITH_BUTTON : STAY);
};
new MutationObserver((changes) => {
  for (const node of changes.flatMap((change) => [...change.addedNodes])) {
    if (node.nodeType === 1 && node.matches(".toast-item")) arrived(node);
  }
}).observe(region, { childList: true });

// The way back: a button that POSTs, and puts the answer where the act's own answer went.
const undoButton = ({ url, target, values }) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn btn-small";
  button.textContent = "Undo";
  button.dataset.toastClose = "";
  button.setAttribute("hx-post", url);
  button.setAttribute("hx-target", target);
  button.setAttribute("hx-swap", "outerMorph");
  button.setAttribute("hx-vals", JSON.stringify(values));
  return button;
};

const add = (message, tone = "ok", undo = null) => {
  const item = template.content.querySelector(`[data-tone="${tone}"]`)?.cloneNode(true);
  if (!item) return;
  item.querySelector(".toast-title").textContent = message;
  if (undo && document.querySelector(undo.target)) item.querySelector(".toast-body").after(undoButton(undo));
  region.append(item);
  htmx.process(item);
};

document.addEventListener("toast", ({ detail }) => add(detail.message, detail.tone, detail.undo));
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-toast-close]")) event.target.closest(".toast-item").remove();
});

// An error that brings no fragment of its own (a proxy's page, a Problem in JSON) must not replace what is shown.
document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (ctx.response.status < 400 || ctx.hx.retarget || ctx.hx.redirect || ctx.hx.refresh) return;
  event.preventDefault();
  let message = `The server answered with ${ctx.response.status}.`;
  try {
    const problem = JSON.parse(ctx.text);
    message = problem.detail ?? problem.title ?? message;
  } catch {
    // Not a Problem: the status is all there is to say.
  }
  add(message, "bad");
});

document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!ctx || ctx.response) return;
  if (ctx.sourceElement.closest?.("[data-live]") === ctx.sourceElement) return; // a missed refresh is shown in the head line
  add("The server did not answer. Nothing was changed as far as this page knows.", "bad");
});
