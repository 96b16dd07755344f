//! Tables as kubectl prints them: columns of equal width, three spaces apart.

use crate::text;

/// The text of a value that is absent.
pub const NONE: &str = "<none>";

/// A colour of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// The terminal's own.
    #[default]
    Plain,
    /// Good.
    Green,
    /// Not good yet.
    Yellow,
    /// Bad.
    Red,
    /// Of little interest.
    Grey,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The text, without control characters.
    pub text: String,
    /// Its colour.
    pub colour: Colour,
}

/// The widths of the columns, which only grow while rows are added.
#[derive(Debug, Default)]
pub struct Widths(Vec<usize>);

/// How a table is printed.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether the first line has the titles.
    pub headers: bool,
    /// Whether cells are coloured.
    pub colours: bool,
}

// === impl Colour ===

impl Colour {
    /// Returns the text in this colour, for a terminal.
    #[must_use]
    pub fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Grey => "90",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

// === impl Cell ===

impl Cell {
    /// Returns a cell with this text in a colour.
    #[must_use]
    pub fn new(text: &str, colour: Colour) -> Self {
        Self { text: text::printable(text), colour }
    }

    /// Returns a cell with this text.
    #[must_use]
    pub fn plain(text: impl AsRef<str>) -> Self {
        Self::new(text.as_ref(), Colour::Plain)
    }

    /// Returns a cell with this text, or with [`NONE`].
    #[must_use]
    pub fn optional(text: Option<impl AsRef<str>>) -> Self {
        text.filter(|text| !text.as_ref().is_empty()).map_or_else(|| Self::plain(NONE), Self::plain)
    }
}

// === impl Widths ===

impl Widths {
    /// Widens the columns so that these rows fit.
    pub(crate) fn fit<'a>(&mut self, rows: impl Iterator<Item = &'a [Cell]>) {
        for row in rows {
            self.0.resize(self.0.len().max(row.len()), 0);
            for (width, cell) in self.0.iter_mut().zip(row) {
                *width = (*width).max(text::width(&cell.text));
            }
        }
    }

    /// Returns the widths.
    pub(crate) fn all(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }
}

/// Returns the rows as text, with the titles if the style asks for them.
#[must_use]
pub fn render(titles: &[&str], rows: &[Vec<Cell>], widths: &mut Widths, style: Style) -> String {
    let titles: Vec<_> = titles.iter().map(Cell::plain).collect();
    let heading = style.headers.then_some(titles.as_slice());
    let lines = || heading.into_iter().chain(rows.iter().map(Vec::as_slice));
    // The last cell of a shorter row is a sentence, which may reach over the other columns.
    widths.fit(
        lines().map(|row| if row.len() < titles.len() { &row[..row.len().saturating_sub(1)] } else { row }),
    );
    let mut shown = String::new();
    for row in lines() {
        let last = row.len().saturating_sub(1);
        for (at, (cell, width)) in row.iter().zip(&widths.0).enumerate() {
            let text = if style.colours { cell.colour.paint(&cell.text) } else { cell.text.clone() };
            shown.push_str(&text);
            if at < last {
                let padding = width.saturating_sub(text::width(&cell.text)) + 3;
                shown.extend(std::iter::repeat_n(' ', padding));
            }
        }
        // The last cell may be empty.
        shown.truncate(shown.trim_end_matches(' ').len());
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(texts: [&str; 2]) -> Vec<Cell> {
        texts.map(Cell::plain).into()
    }

    /// Guards that columns line up, also with wide letters, and that lines have no spaces at their end.
    #[test]
    fn columns_line_up() {
        let rows = [row(["a", "1"]), row(["日本", "22"])];
        let style = Style { headers: true, colours: false };
        let shown = render(&["ID", "X"], &rows, &mut Widths::default(), style);
        assert_eq!(shown, "ID     X\na      1\n日本   22\n");
    }

    /// Guards that a sentence in a shorter row widens no column.
    #[test]
    fn a_sentence_widens_no_column() {
        let rows = [row(["a", "1"]), vec![Cell::plain("a sentence")], row(["b", "2"])];
        let style = Style { headers: true, colours: false };
        let shown = render(&["ID", "X"], &rows, &mut Widths::default(), style);
        assert_eq!(shown, "ID   X\na    1\na sentence\nb    2\n");
    }

    /// Guards that rows which are added later have the columns of those before.
    #[test]
    fn columns_only_grow() {
        let (mut widths, style) = (Widths::default(), Style { headers: false, colours: false });
        assert_eq!(render(&["ID", "X"], &[row(["abcd", "1"])], &mut widths, style), "abcd   1\n");
        assert_eq!(render(&["ID", "X"], &[row(["a", "1"])], &mut widths, style), "a      1\n");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let rows = [vec![Cell::new("ok", Colour::Green), Cell::plain("x")]];
        let shown =
            render(&["A", "B"], &rows, &mut Widths::default(), Style { headers: true, colours: true });
        assert_eq!(shown, "A    B\n\u{1b}[32mok\u{1b}[0m   x\n");
    }
}
