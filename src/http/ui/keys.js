// Asks for the API key.

import { hasKey, send, setKey } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";

let isOpen = false;

/** Asks for the key until the daemon accepts one. `onAccepted` is called then. */
export async function askForKey(wasRefused, onAccepted) {
  if (isOpen) return;
  isOpen = true;
  try {
    const isDone = await ask({
      title: "API key",
      body: [
        wasRefused && h("p", { class: "failure" }, "The daemon refused the key that this tab has."),
        h("p", { id: "key-note" }, "The daemon needs its API key. This tab keeps the key until you close it, and sends it only to the daemon."),
        h("label", { for: "key" }, "Key"),
        h("input", { id: "key", name: "key", type: "password", required: true, autocomplete: "off", spellcheck: "false", "aria-describedby": "key-note" }),
      ],
      submit: "Use this key",
      cancel: "Not now",
      run: (form) => accept(form.get("key")),
    });
    if (isDone) onAccepted();
  } finally {
    isOpen = false;
  }
}

/** Tries the key with a call that changes nothing. */
async function accept(text) {
  const before = hasKey();
  if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text)) throw new Error("A key has only visible ASCII characters.");
  setKey(text);
  let response;
  try {
    response = await send("api/capabilities");
  } catch {
    setKey(null);
    throw new Error("The daemon does not answer.");
  }
  if (response.status === 401) {
    setKey(null);
    throw new Error(before ? "The daemon refused this key too." : "The daemon refused this key.");
  }
}
