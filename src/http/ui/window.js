// Which rows of a long table are drawn.

/** Returns the first row to draw and the row after the last: those in sight and some beyond. */
export function visible({ scrollTop, height, rowHeight, count, beyond }) {
  const size = Math.max(1, rowHeight);
  const first = Math.floor(scrollTop / size) - beyond;
  const last = Math.ceil((scrollTop + height) / size) + beyond;
  const end = Math.min(count, Math.max(0, last));
  return { first: Math.max(0, Math.min(first, end)), end };
}

/** Returns where to scroll to show a row; null if it is in sight. */
export function scrollFor(index, { scrollTop, height, rowHeight }) {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  const bottom = top + rowHeight - height;
  return bottom > scrollTop ? bottom : null;
}

/** Returns the row to which a key moves from another; null if the key does not move. -1 is before the first row. */
export function moved(key, index, count, page) {
  if (count === 0) return null;
  const to = {
    ArrowDown: index + 1,
    ArrowUp: index < 0 ? 0 : index - 1,
    PageDown: Math.max(index, 0) + page,
    PageUp: index - page,
    Home: 0,
    End: count - 1,
  }[key];
  return to === undefined ? null : Math.min(count - 1, Math.max(0, to));
}
