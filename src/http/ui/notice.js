// What the page says about the connection and about actions.

import { banner, label } from "./connection.js";
import { now as daemonNow } from "./clock.js";
import { byId, h, setText } from "./dom.js";
import { moment } from "./format.js";

let clearing;

/** Says that an action was done. Screen readers read it. */
export function say(text) {
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(clearing);
  clearing = setTimeout(() => {
    toast.textContent = "";
    toast.hidden = true;
  }, 6000);
}

/** Shows the state of the connection. `lastNews` is the daemon's time of the last event. */
export function showConnection(state, model, lastNews, { retry, enterKey }) {
  const pill = byId("connection");
  const { tone, text } = label(state, model.stale);
  pill.className = `badge ${tone}`;
  setText(pill, text);

  const box = byId("banner");
  const since = lastNews === null ? "" : moment(lastNews, daemonNow());
  const said = banner(state, { stale: model.stale, isComplete: model.complete, since, now: Date.now() });
  box.hidden = said === null;
  document.body.classList.toggle("outdated", said !== null);
  if (!said) {
    box.replaceChildren();
    return;
  }
  box.className = `banner ${said.tone}`;
  const action = said.canRetry ? ["Try now", retry] : said.canEnterKey ? ["Enter the key", enterKey] : null;
  const button = box.querySelector("button");
  if (!box.firstChild || (button?.textContent ?? "") !== (action?.[0] ?? "")) {
    box.replaceChildren(
      h("span", {}),
      ...(action ? [h("button", { type: "button", class: "small", onclick: action[1] }, action[0])] : []));
  }
  setText(box.firstChild, said.text);
}
