// A dialog that asks before something is done, and says why it failed.

import { h } from "./dom.js";

/**
 * Shows a dialog with a form. `run` is called with the form's data; if it throws, the dialog stays and shows the message.
 * Resolves to whether it was done. With `isLocked` the dialog has no way but the form.
 */
export function ask({ title, body = [], submit, isDangerous = false, cancel = "Cancel", run }) {
  return new Promise((resolve) => {
    const failure = h("p", { class: "failure", role: "alert" });
    const confirm = h("button", { type: "submit", class: isDangerous ? "danger" : "primary" }, submit);
    const close = h("button", { type: "button", onclick: () => dialog.close() }, cancel);
    const form = h("form", { method: "dialog" },
      h("h2", { id: "dialog-title" }, title),
      body,
      failure,
      h("div", { class: "buttons" }, close, confirm));
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
    let isDone = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (confirm.disabled) return;
      confirm.disabled = true;
      failure.textContent = "";
      try {
        await run(new FormData(form));
        isDone = true;
        dialog.close();
      } catch (error) {
        failure.textContent = error.message;
        confirm.disabled = false;
        confirm.focus();
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isDone);
    });
    document.body.append(dialog);
    dialog.showModal();
    // What destroys something is never one key press away.
    const first = form.querySelector("input, select") ?? (isDangerous ? close : confirm);
    first.focus();
  });
}
