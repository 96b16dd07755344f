//! Draws the state of `top` as the text of a terminal.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use jiff::Timestamp;

use super::{
    size::Size,
    state::{Mode, State},
};
use crate::{
    columns::{self, Choice, Column, SortKey},
    sandbox::Sandbox,
    table::{Cell, Widths},
    text::{cut, fitted, printable},
};

/// The space between two columns.
const GAP: usize = 2;

const KEYS: &str = "q quit  / filter  < > order  r reverse  w wide  enter details";

/// Moves to the first line, and holds the terminal's own drawing until [`END`].
const BEGIN: &str = "\u{1b}[?2026h\u{1b}[H";
/// Clears the lines below.
const END: &str = "\u{1b}[J\u{1b}[?2026l";
/// Clears the rest of a line.
const CLEAR: &str = "\u{1b}[K";
const REVERSED: &str = "\u{1b}[7m";
const BOLD: &str = "\u{1b}[1m";
const NORMAL: &str = "\u{1b}[0m";

/// The parts of the screen that outlive a frame.
pub(super) struct Drawing {
    colours: bool,
    widths: Widths,
    /// The columns of the widths.
    choice: Choice,
}

/// A line of the screen, as wide as the screen at most.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Plain(String),
    Bold(String),
    /// Cells with their widths.
    Row {
        cells: Vec<Cell>,
        is_selected: bool,
    },
}

// === impl Drawing ===

impl Drawing {
    pub(super) fn new(colours: bool) -> Self {
        Self { colours, widths: Widths::default(), choice: Choice::default() }
    }

    /// Returns the text that draws the screen.
    pub(super) fn frame(&mut self, state: &mut State, size: Size, now: Timestamp) -> String {
        let mut lines = self.lines(state, size, now);
        lines.truncate(size.rows);
        let lines: Vec<_> = lines.iter().map(|line| self.text(line, size)).collect();
        format!("{BEGIN}{}{END}", lines.join(&format!("{CLEAR}\r\n")) + CLEAR)
    }

    fn lines(&mut self, state: &mut State, size: Size, now: Timestamp) -> Vec<Line> {
        let selected = state.selected();
        let page = size.table_rows();
        // The selected row stays on the screen.
        state.first = state.first.clamp((selected + 1).saturating_sub(page.max(1)), selected);
        let state = &*state;
        let rows = state.rows();
        let mut lines = vec![Line::Bold(title(state)), Line::Plain(counts(state, rows.len()))];
        let sandbox = rows.get(selected).copied();
        if let Some(sandbox) = sandbox.filter(|_| state.mode == Mode::Detail) {
            let yaml = serde_saphyr::to_string(&sandbox.value).unwrap_or_default();
            lines.extend(yaml.lines().take(page + 2).map(|line| Line::Plain(printable(line))));
        } else {
            lines.extend(self.table(state, &rows, selected, page, now));
        }
        lines.resize_with(size.rows.saturating_sub(2), || Line::Plain(String::new()));
        lines.push(Line::Plain(sandbox.map(why).unwrap_or_default()));
        lines.push(Line::Bold(keys(state)));
        lines
    }

    /// Returns the titles and the visible rows. The columns only grow, so that they do not move with each change.
    fn table(
        &mut self,
        state: &State,
        rows: &[&Sandbox],
        selected: usize,
        page: usize,
        now: Timestamp,
    ) -> Vec<Line> {
        let cluster = rows.iter().any(|sandbox| sandbox.fields.cluster.is_some());
        let choice = Choice { wide: state.is_wide, cluster };
        if choice != self.choice {
            (self.choice, self.widths) = (choice, Widths::default());
        }
        let columns = columns::of(choice);
        let visible = rows.iter().enumerate().skip(state.first).take(page);
        let visible: Vec<_> =
            visible.map(|(at, sandbox)| (at, columns::row(&columns, sandbox, now))).collect();
        let titles: Vec<_> = columns.iter().map(|column| Cell::plain(titled(column, state))).collect();
        self.widths.fit(std::iter::once(&*titles).chain(visible.iter().map(|(_, cells)| &**cells)));
        let mut lines = vec![Line::Row { cells: titles, is_selected: false }];
        lines.extend(visible.into_iter().map(|(at, cells)| Line::Row { cells, is_selected: at == selected }));
        lines
    }

    fn text(&self, line: &Line, size: Size) -> String {
        match line {
            Line::Plain(text) => cut(text, size.columns),
            Line::Bold(text) => format!("{BOLD}{}{NORMAL}", cut(text, size.columns)),
            Line::Row { cells, is_selected } => {
                let mut shown = String::new();
                let mut left = size.columns;
                for (cell, width) in cells.iter().zip(self.widths.all()) {
                    let text = fitted(&cell.text, width.min(left));
                    // Colours would end the mark of the selected row.
                    let painted = if self.colours && !is_selected { cell.colour.paint(&text) } else { text };
                    shown.push_str(&painted);
                    left -= width.min(left);
                    let gap = GAP.min(left);
                    shown.extend(std::iter::repeat_n(' ', gap));
                    left -= gap;
                }
                if *is_selected { format!("{REVERSED}{shown}{NORMAL}") } else { shown }
            }
        }
    }
}

/// Returns the title of a column, with a mark if it has the order of the rows.
fn titled(column: &Column, state: &State) -> String {
    let key = match column.title {
        "ID" => SortKey::Id,
        "STATUS" => SortKey::Status,
        "READY" => SortKey::Ready,
        "REASON" => SortKey::Reason,
        "AGE" => SortKey::Age,
        "IDLE" => SortKey::Idle,
        "EXPIRES" => SortKey::Expires,
        "PROFILE" => SortKey::Profile,
        "CLUSTER" => SortKey::Cluster,
        other => return other.to_owned(),
    };
    let mark = match (key == state.sort, state.is_reversed) {
        (false, _) => "",
        (true, false) => "^",
        (true, true) => "v",
    };
    format!("{}{mark}", column.title)
}

fn title(state: &State) -> String {
    let away: Vec<_> = state.copy.stale().collect();
    let connection = match &state.lost {
        Some(why) => format!("NO CONNECTION: {why}"),
        None if !away.is_empty() => format!("STALE: {}", away.join("; ")),
        None if state.copy.is_complete() => "live".to_owned(),
        None => "loading".to_owned(),
    };
    printable(&format!("{}  {connection}", state.url))
}

/// Returns the numbers of sandboxes, and the order and the filter of the table.
fn counts(state: &State, shown: usize) -> String {
    let mut by_status = BTreeMap::<&str, usize>::new();
    let (mut all, mut ready) = (0, 0);
    for sandbox in state.copy.sandboxes() {
        all += 1;
        ready += usize::from(sandbox.fields.ready);
        *by_status.entry(sandbox.fields.shown_status()).or_default() += 1;
    }
    let by_status: Vec<_> = by_status.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let mut text = format!("{all} sandboxes, {ready} ready");
    if !by_status.is_empty() {
        text = format!("{text}: {}", by_status.join(", "));
    }
    if shown != all {
        text = format!("{text}  ({shown} shown)");
    }
    // The column of the order may not be on the screen.
    let key = state.sort.to_possible_value().map(|key| key.get_name().to_owned()).unwrap_or_default();
    let reversed = if state.is_reversed { ", reversed" } else { "" };
    printable(&format!("{text}, by {key}{reversed}"))
}

/// Returns why the selected sandbox does not run, and advice.
fn why(sandbox: &Sandbox) -> String {
    let fields = &sandbox.fields;
    let Some(reason) = fields.shown_reason() else { return String::new() };
    let more = [fields.shown_message(), fields.hint.as_deref()];
    let texts: Vec<_> = std::iter::once(reason).chain(more.into_iter().flatten()).collect();
    printable(&format!("{}: {}", sandbox.id(), texts.join(", ")))
}

/// Returns the keys, or the words that are being typed.
fn keys(state: &State) -> String {
    match (state.mode == Mode::Typing, state.words.is_empty()) {
        (true, _) => format!("filter: {}_", printable(&state.words)),
        (false, true) => KEYS.to_owned(),
        (false, false) => format!("filter: {}  (esc clears it)  {KEYS}", printable(&state.words)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::state::Key, *};
    use crate::{args::FilterArgs, follow::News, sse::Event, text::width};

    const SIZE: Size = Size { columns: 64, rows: 8 };

    fn news(name: &str, data: serde_json::Value) -> News {
        News::Event(Event { id: None, name: name.to_owned(), data })
    }

    fn state(count: usize) -> State {
        let mut state = State::new("http://h:1".to_owned(), FilterArgs::default(), SortKey::Id);
        for number in 0..count {
            state.news(news(
                "added",
                json!({"sandbox_id": format!("s{number}"), "status": "Running", "ready": true, "sandbox_url": "http://n:1",
                    "created_at": "2026-01-02T03:00:00Z"}),
            ));
        }
        state.news(news("synced", json!({})));
        state
    }

    /// Returns the lines of the screen without commands of the terminal; `>` marks the selected row.
    fn screen(state: &mut State, size: Size) -> Vec<String> {
        let frame = Drawing::new(false).frame(state, size, "2026-01-02T03:05:32Z".parse().unwrap());
        let text = frame.strip_prefix(BEGIN).unwrap().strip_suffix(END).unwrap();
        let text = text.replace(REVERSED, ">").replace(BOLD, "").replace(NORMAL, "").replace(CLEAR, "");
        text.split("\r\n").map(|line| line.trim_end().to_owned()).collect()
    }

    /// Guards the whole screen.
    #[test]
    fn the_screen_is_drawn() {
        let mut state = state(2);
        state.news(news(
            "reason",
            json!({"sandbox_id": "s1", "status": "Pending", "reason": "Unschedulable", "message": "no\u{1b}room", "hint": "add a node"}),
        ));
        state.press(Key::Down, SIZE);
        assert_eq!(
            screen(&mut state, SIZE),
            [
                "http://h:1  live",
                "2 sandboxes, 1 ready: 1 Pending, 1 Running, by id",
                "ID^  STATUS   READY  REASON         AGE     IDLE    EXPIRES  URL",
                "s0   Running  True   <none>         5m32s   <none>  <none>   ht…",
                ">s1   Pending  False  Unschedulable  <none>  <none>  <none>   <n…",
                "",
                "s1: Unschedulable, no\\u{1b}room, add a node",
                KEYS,
            ]
        );
    }

    /// Guards that the selected row is visible wherever it is, and that every screen has its size.
    #[test]
    fn the_selected_row_is_visible() {
        let mut state = state(50);
        for (key, first) in [(Key::End, "s7"), (Key::Home, "s0"), (Key::PageDown, "s1"), (Key::PageUp, "s0")]
        {
            state.press(key, SIZE);
            let lines = screen(&mut state, SIZE);
            assert!(lines[3].trim_start_matches('>').starts_with(first), "{key:?}: {lines:?}");
            assert_eq!(lines.iter().filter(|line| line.starts_with('>')).count(), 1);
        }
        for rows in 0..12 {
            for columns in [0, 1, 5, 64, 200] {
                let size = Size { columns, rows };
                let lines = screen(&mut state, size);
                assert!(lines.len() == rows || rows == 0, "{rows}: {lines:?}");
                assert!(lines.iter().all(|line| width(line.trim_start_matches('>')) <= columns), "{lines:?}");
            }
        }
    }

    /// Guards the words for each state of the connection, of the filter and of the detail.
    #[test]
    fn states_are_shown() {
        let wide = Size { columns: 200, rows: 24 };
        let mut state = state(3);
        state.news(news("stale", json!({"detail": "no watch"})));
        assert_eq!(screen(&mut state, wide)[0], "http://h:1  STALE: no watch");
        state.news(News::Lost("refused".to_owned()));
        assert_eq!(screen(&mut state, wide)[0], "http://h:1  NO CONNECTION: refused");
        state.press(Key::Letter('/'), wide);
        state.press(Key::Letter('2'), wide);
        let lines = screen(&mut state, wide);
        assert_eq!(
            (&*lines[1], &*lines[23]),
            ("3 sandboxes, 3 ready: 3 Running  (1 shown), by id", "filter: 2_")
        );
        state.press(Key::Enter, wide);
        state.press(Key::Enter, wide);
        let lines = screen(&mut state, wide);
        assert!(lines.contains(&"sandbox_id: s2".to_owned()), "{lines:?}");
        state.press(Key::Escape, wide);
        state.press(Key::Letter('w'), wide);
        state.press(Key::Letter('r'), wide);
        let titles = &screen(&mut state, wide)[2];
        assert!(titles.starts_with("IDv") && titles.ends_with("MESSAGE"), "{titles}");
    }

    /// Guards that colours are only in rows that are not selected.
    #[test]
    fn colours_are_optional() {
        let mut state = state(2);
        let now = "2026-01-02T03:05:32Z".parse().unwrap();
        let count = |colours, state: &mut State| {
            Drawing::new(colours).frame(state, SIZE, now).matches("\u{1b}[32m").count()
        };
        assert_eq!(count(false, &mut state), 0);
        assert_eq!(count(true, &mut state), 2, "the status and the readiness of one row");
    }
}
