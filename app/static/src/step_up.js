// A dangerous change wants a fresh confirmation of who asks: this asks for it, and then sends the same request again.

const dialog = document.getElementById("step-up");
let waiting = null;

document.addEventListener("step-up", (event) => {
  waiting = event.target;
  dialog?.showModal();
});

const again = (asker) => {
  if (!asker?.isConnected) return;
  // The question that a button asks before its request was answered already.
  asker.setAttribute("data-again", "");
  if (asker.matches("form")) asker.requestSubmit();
  else asker.click();
  setTimeout(() => asker.removeAttribute("data-again"));
};

let confirmed = false;
dialog?.addEventListener("htmx:after:request", ({ detail: { ctx } }) => (confirmed = ctx.response.status < 400));
dialog?.addEventListener("close", () => {
  dialog.querySelector("form").reset();
  if (confirmed) again(waiting);
  confirmed = false;
  waiting = null;
});
