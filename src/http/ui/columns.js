// The columns of the table.

import { badge, h, setText, tone } from "./dom.js";
import { since, until } from "./format.js";

/**
 * The columns in order. `fill` draws a cell; `tick` is the text of a cell that changes with time. An optional column is
 * shown only if a sandbox has a value in it.
 */
export const COLUMNS = [
  {
    name: "id",
    title: "Sandbox",
    fill(cell, row, href) {
      const link = cell.firstChild ?? cell.appendChild(h("a", { tabindex: "-1", class: "id" }));
      setText(link, row.id);
      if (link.getAttribute("href") !== href) link.setAttribute("href", href);
      link.title = row.id;
    },
  },
  {
    name: "status",
    title: "Status",
    fill(cell, row) {
      const wanted = `badge ${tone(row)}`;
      const mark = cell.firstChild ?? cell.appendChild(badge("quiet", ""));
      if (mark.className !== wanted) mark.className = wanted;
      setText(mark, row.status);
    },
  },
  { name: "ready", title: "Ready", fill: (cell, row) => setText(cell, row.ready ? "Yes" : "No") },
  {
    name: "reason",
    title: "Reason",
    fill(cell, row) {
      setText(cell, row.reason || "–");
      const message = row.data.message ? `${row.data.message}` : "";
      if (cell.title !== message) cell.title = message;
    },
  },
  { name: "age", title: "Age", tick: (row, now) => since(row.created, now) },
  { name: "idle", title: "Idle", tick: (row, now) => since(row.idle, now) },
  { name: "expires", title: "Expires", tick: (row, now) => until(row.expires, now) },
  { name: "profile", title: "Profile", fill: (cell, row) => setText(cell, row.profile || "–"), isOptional: true },
  { name: "owner", title: "Owner", fill: (cell, row) => setText(cell, row.owner || "–"), isOptional: true },
  { name: "cluster", title: "Cluster", fill: (cell, row) => setText(cell, row.cluster || "–"), isOptional: true },
];

/** Returns the names of the columns to show. */
export function shown(rows) {
  const used = new Set();
  const optional = COLUMNS.filter(({ isOptional }) => isOptional);
  for (const row of rows.values()) {
    for (const { name } of optional) if (row[name]) used.add(name);
    if (used.size === optional.length) break;
  }
  return COLUMNS.filter(({ name, isOptional }) => !isOptional || used.has(name)).map(({ name }) => name);
}
