// Copy buttons: data-copy holds the text, or data-copy-from the id of the element whose text is meant.

const write = async (text) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain HTTP browsers give no clipboard; selecting in a scratch field still works.
  const field = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("copy refused");
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copyFrom);
  const text = button.dataset.copy ?? source?.value ?? source?.textContent ?? "";
  try {
    await write(text);
    button.dispatchEvent(new CustomEvent("toast", { bubbles: true, detail: { message: "Copied.", tone: "ok" } }));
  } catch {
    button.dispatchEvent(
      new CustomEvent("toast", { bubbles: true, detail: { message: "The browser refused to copy.", tone: "bad" } }),
    );
  } finally {
    button.focus();
  }
});
