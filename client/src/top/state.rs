//! The state of the screen of `top`.

use crate::{
    args::FilterArgs,
    columns::{SortKey, compare},
    copy::Copy,
    follow::News,
    sandbox::Sandbox,
};

use super::size::Size;

/// The sort keys in the order of their columns.
const SORT_KEYS: [SortKey; 9] = [
    SortKey::Id,
    SortKey::Status,
    SortKey::Ready,
    SortKey::Reason,
    SortKey::Age,
    SortKey::Idle,
    SortKey::Expires,
    SortKey::Profile,
    SortKey::Cluster,
];

/// The longest filter, in letters.
const WORDS_MAX: usize = 200;

/// The state.
pub(super) struct State {
    /// The URL of the daemon.
    pub(super) url: String,
    /// The sandboxes.
    pub(super) copy: Copy,
    /// Why there is no connection.
    pub(super) lost: Option<String>,
    /// The order of the rows.
    pub(super) sort: SortKey,
    /// Whether the order is reversed.
    pub(super) is_reversed: bool,
    /// Whether all columns are shown.
    pub(super) is_wide: bool,
    /// The words that rows must have.
    pub(super) words: String,
    /// The mode of the screen.
    pub(super) mode: Mode,
    /// The first row on the screen.
    pub(super) first: usize,
    filter: FilterArgs,
    /// The selected sandbox and its row.
    selected: (Option<String>, usize),
}

/// A mode of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The table is shown.
    Table,
    /// The table is shown, and keys change the words.
    Typing,
    /// The selected sandbox is shown.
    Detail,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    Quit,
}

// === impl State ===

impl State {
    pub(super) fn new(url: String, filter: FilterArgs, sort: SortKey) -> Self {
        Self {
            url,
            copy: Copy::default(),
            lost: None,
            sort,
            is_reversed: false,
            is_wide: false,
            words: String::new(),
            mode: Mode::Table,
            first: 0,
            filter,
            selected: (None, 0),
        }
    }

    /// Takes in an event or a change of the connection.
    pub(super) fn news(&mut self, news: News) {
        match news {
            News::Event(event) => {
                self.copy.apply(&event);
            }
            News::Lost(why) => self.lost = Some(why),
            News::Restored => {
                self.lost = None;
                self.copy.begin();
            }
        }
    }

    /// Returns the sandboxes of the table, in their order.
    pub(super) fn rows(&self) -> Vec<&Sandbox> {
        let words = self.words.to_lowercase();
        let words: Vec<_> = words.split_whitespace().collect();
        let is_shown = |sandbox: &&Sandbox| {
            self.filter.matches(&sandbox.fields) && (words.is_empty() || has_words(sandbox, &words))
        };
        let mut rows: Vec<_> = self.copy.sandboxes().filter(is_shown).collect();
        rows.sort_by(|one, other| {
            let order = compare(self.sort, one, other);
            if self.is_reversed { order.reverse() } else { order }
        });
        rows
    }

    /// Returns the row of the selected sandbox. If it is gone, the row in its place is selected.
    pub(super) fn selected(&mut self) -> usize {
        let rows = self.rows();
        let (id, row) = &self.selected;
        let found = id.as_ref().and_then(|id| rows.iter().position(|sandbox| sandbox.id() == id));
        let row = found.unwrap_or_else(|| (*row).min(rows.len().saturating_sub(1)));
        let id = rows.get(row).map(|sandbox| sandbox.id().to_owned());
        self.selected = (id, row);
        row
    }

    fn select(&mut self, row: usize) {
        let rows = self.rows();
        let row = row.min(rows.len().saturating_sub(1));
        let id = rows.get(row).map(|sandbox| sandbox.id().to_owned());
        self.selected = (id, row);
    }

    /// Takes in a key. Returns whether the program ends.
    pub(super) fn press(&mut self, key: Key, size: Size) -> bool {
        if key == Key::Quit {
            return true;
        }
        if self.mode == Mode::Typing {
            self.typed(key);
            return false;
        }
        let (row, page) = (self.selected(), size.table_rows().max(1));
        match key {
            Key::Letter('q') | Key::Escape | Key::Enter if self.mode == Mode::Detail => {
                self.mode = Mode::Table;
            }
            Key::Letter('q') => return true,
            Key::Up | Key::Letter('k') => self.select(row.saturating_sub(1)),
            Key::Down | Key::Letter('j') => self.select(row + 1),
            Key::PageUp => self.select(row.saturating_sub(page)),
            Key::PageDown => self.select(row + page),
            Key::Home | Key::Letter('g') => self.select(0),
            Key::End | Key::Letter('G') => self.select(usize::MAX),
            Key::Letter('>') => self.sort = neighbour(self.sort, 1),
            Key::Letter('<') => self.sort = neighbour(self.sort, SORT_KEYS.len() - 1),
            Key::Letter('r') => self.is_reversed = !self.is_reversed,
            Key::Letter('w') => self.is_wide = !self.is_wide,
            Key::Letter('/') => self.mode = Mode::Typing,
            Key::Enter if !self.rows().is_empty() => self.mode = Mode::Detail,
            Key::Escape => self.words.clear(),
            Key::Letter(_) | Key::Enter | Key::Backspace | Key::Quit => {}
        }
        false
    }

    /// Changes the words.
    fn typed(&mut self, key: Key) {
        match key {
            Key::Letter(letter) if self.words.chars().count() < WORDS_MAX => self.words.push(letter),
            Key::Backspace => {
                self.words.pop();
            }
            Key::Enter => self.mode = Mode::Table,
            Key::Escape => {
                self.mode = Mode::Table;
                self.words.clear();
            }
            _ => {}
        }
    }
}

/// Returns the sort key that is this many places further.
fn neighbour(key: SortKey, places: usize) -> SortKey {
    let at = SORT_KEYS.iter().position(|other| *other == key).unwrap_or_default();
    SORT_KEYS[(at + places) % SORT_KEYS.len()]
}

/// Returns whether each word, in lower case, is a part of one of the sandbox's texts.
fn has_words(sandbox: &Sandbox, words: &[&str]) -> bool {
    let fields = &sandbox.fields;
    let texts = [
        Some(sandbox.id()),
        Some(fields.shown_status()),
        fields.shown_reason(),
        fields.profile.as_deref(),
        fields.cluster.as_deref(),
        fields.user_id.as_deref(),
        fields.thread_id.as_deref(),
    ];
    let labels = fields.labels.iter().map(|(key, value)| format!("{key}={value}").to_lowercase());
    let texts: Vec<_> = texts.into_iter().flatten().map(str::to_lowercase).chain(labels).collect();
    words.iter().all(|word| texts.iter().any(|text| text.contains(word)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sse::Event;

    const SIZE: Size = Size { columns: 80, rows: 10 };

    fn event(name: &str, data: serde_json::Value) -> News {
        News::Event(Event { id: None, name: name.to_owned(), data })
    }

    fn state(ids: &[&str]) -> State {
        let mut state = State::new("http://h:1".to_owned(), FilterArgs::default(), SortKey::Id);
        for id in ids {
            state.news(event(
                "added",
                json!({"sandbox_id": id, "status": "Running", "profile": format!("P-{id}")}),
            ));
        }
        state
    }

    fn ids(state: &State) -> String {
        state.rows().iter().map(|sandbox| sandbox.id()).collect()
    }

    fn selected(state: &mut State) -> String {
        let row = state.selected();
        state.rows().get(row).map(|sandbox| sandbox.id().to_owned()).unwrap_or_default()
    }

    /// Guards that each key moves the selection within the table.
    #[test]
    fn keys_move_the_selection() {
        let mut state = state(&["a", "b", "c", "d", "e", "f", "g", "h"]);
        assert_eq!(selected(&mut state), "a");
        let page = SIZE.table_rows();
        assert_eq!(page, 5);
        for (key, wanted) in [
            (Key::Up, "a"),
            (Key::Down, "b"),
            (Key::Letter('j'), "c"),
            (Key::Letter('k'), "b"),
            (Key::PageDown, "g"),
            (Key::PageDown, "h"),
            (Key::PageUp, "c"),
            (Key::End, "h"),
            (Key::Letter('g'), "a"),
            (Key::Letter('G'), "h"),
            (Key::Home, "a"),
        ] {
            assert!(!state.press(key, SIZE));
            assert_eq!(selected(&mut state), wanted, "{key:?}");
        }
    }

    /// Guards that the selection stays on its sandbox when others come and go, and on its row when it ends.
    #[test]
    fn the_selection_follows_its_sandbox() {
        let mut state = state(&["b", "c", "d"]);
        state.press(Key::Down, SIZE);
        assert_eq!(selected(&mut state), "c");
        state.news(event("added", json!({"sandbox_id": "a", "status": "Running"})));
        assert_eq!(selected(&mut state), "c");
        state.news(event("deleted", json!({"sandbox_id": "c", "status": "NotFound"})));
        assert_eq!(selected(&mut state), "d");
        state.news(event("deleted", json!({"sandbox_id": "d", "status": "NotFound"})));
        assert_eq!(selected(&mut state), "b");
    }

    /// Guards that words filter the rows while they are typed, and that letters are then not commands.
    #[test]
    fn words_filter_the_rows() {
        let mut state = state(&["qa", "qb", "c"]);
        state.press(Key::Letter('/'), SIZE);
        for (key, wanted) in [
            (Key::Letter('q'), "qaqb"),
            (Key::Letter(' '), "qaqb"),
            (Key::Letter('B'), "qb"),
            (Key::Backspace, "qaqb"),
            (Key::Enter, "qaqb"),
            (Key::Letter('r'), "qbqa"),
            (Key::Escape, "qbqac"),
        ] {
            assert!(!state.press(key, SIZE), "{key:?}");
            assert_eq!(ids(&state), wanted, "{key:?}");
        }
        state.press(Key::Letter('/'), SIZE);
        state.press(Key::Letter('x'), SIZE);
        assert_eq!(selected(&mut state), "");
        assert!(
            !state.press(Key::Enter, SIZE) && !state.press(Key::Enter, SIZE) && state.mode == Mode::Table
        );
    }

    /// Guards that each order is reached with one key, forwards and backwards.
    #[test]
    fn orders_are_a_circle() {
        let mut state = state(&[]);
        for _ in 0..SORT_KEYS.len() {
            let before = state.sort;
            state.press(Key::Letter('>'), SIZE);
            assert_ne!(state.sort, before);
        }
        assert_eq!(state.sort, SortKey::Id);
        state.press(Key::Letter('<'), SIZE);
        assert_eq!(state.sort, SortKey::Cluster);
    }

    /// Guards the ways out, first from the detail and then from the program.
    #[test]
    fn q_and_ctrl_c_quit() {
        let mut state = state(&["a"]);
        state.press(Key::Enter, SIZE);
        assert_eq!(state.mode, Mode::Detail);
        assert!(!state.press(Key::Letter('q'), SIZE) && state.mode == Mode::Table);
        assert!(state.press(Key::Letter('q'), SIZE));
        state.press(Key::Letter('/'), SIZE);
        assert!(state.press(Key::Quit, SIZE));
    }

    #[test]
    fn a_lost_connection_is_known() {
        let mut state = state(&["a"]);
        state.news(News::Lost("why".to_owned()));
        assert_eq!(state.lost.as_deref(), Some("why"));
        state.news(News::Restored);
        assert_eq!((state.lost.as_deref(), &*ids(&state)), (None, "a"));
    }
}
