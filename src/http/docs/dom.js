// Elements and texts. Everything from the description or from an answer becomes text, never markup.

/** Creates an element: `el("p", {class: "note"}, "text", child)`. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Splits a line of Markdown into texts, code and strong text. */
export function inline(line) {
  return line.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
    if (part.startsWith("`")) return el("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return el("strong", {}, ...inline(part.slice(2, -2)));
    return part;
  });
}

/** Turns paragraphs and lists of Markdown into elements. */
export function markdown(text) {
  return (text ?? "").split(/\n\n+/).filter(Boolean).map((block) => {
    const lines = block.split("\n");
    if (lines.every((line) => line.startsWith("- "))) {
      return el("ul", {}, ...lines.map((line) => el("li", {}, ...inline(line.slice(2)))));
    }
    return el("p", {}, ...inline(lines.join(" ")));
  });
}
