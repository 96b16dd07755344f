//! The size of the screen.

/// The lines around the table: the title, the counts, the titles of the columns, the reason, and the keys.
const OTHER_LINES: usize = 5;

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

// === impl Size ===

impl Size {
    /// Returns the number of rows of the table.
    pub(super) fn table_rows(self) -> usize {
        self.rows.saturating_sub(OTHER_LINES)
    }
}
