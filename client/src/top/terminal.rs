//! The terminal while `top` runs: raw input, and a screen of its own. It is restored at the end, also after a panic.

use std::{
    io::{self, Write},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor, execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};

use super::size::Size;

/// Whether the terminal is changed.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// A terminal that shows `top`. Dropping it restores the terminal.
pub(super) struct Terminal<'a> {
    out: &'a mut dyn Write,
}

// === impl Terminal ===

impl<'a> Terminal<'a> {
    pub(super) fn enter(out: &'a mut dyn Write) -> io::Result<Self> {
        restore_before_panics();
        CHANGED.store(true, Ordering::SeqCst);
        // From here on, dropping it restores what is changed so far.
        let mut terminal = Self { out };
        terminal::enable_raw_mode()?;
        execute!(&mut terminal.out, EnterAlternateScreen, cursor::Hide)?;
        Ok(terminal)
    }

    pub(super) fn draw(&mut self, frame: &str) -> io::Result<()> {
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        restore();
    }
}

/// Returns the size of the terminal.
pub(super) fn size() -> io::Result<Size> {
    let (columns, rows) = terminal::size()?;
    Ok(Size { columns: columns.into(), rows: rows.into() })
}

/// Restores the terminal if it is changed.
fn restore() {
    if CHANGED.swap(false, Ordering::SeqCst) {
        // Nothing is left to try if one of them fails.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
}

/// A message of a panic would be lost on the other screen.
fn restore_before_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
    });
}
