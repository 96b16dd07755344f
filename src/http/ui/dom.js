// Builds elements. Children that are strings become text, never markup.

/**
 * Returns an element. Properties that begin with `on` are listeners, `true` and `false` set and omit an attribute, and
 * null omits it.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets the text of an element if it is another. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const byId = (id) => document.getElementById(id);

/** Returns a button that copies a text. */
export function copyButton(text, name) {
  const button = h("button", { type: "button", class: "small", "aria-label": `Copy ${name}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select the text to copy it";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return button;
}

/** Returns a label with a mark of the tone: `good`, `warn`, `bad` or `quiet`. The text carries the meaning. */
export const badge = (tone, text) => h("span", { class: `badge ${tone}` }, text);

/** Returns the tone of a sandbox. */
export function tone(row) {
  if (row.ready) return "good";
  if (row.status === "Terminating" || row.status === "Succeeded") return "quiet";
  if (row.status === "Failed") return "bad";
  return row.reason ? "bad" : "warn";
}
