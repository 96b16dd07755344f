//! Printing for a reader who may have gone (`| head`), where `println!` would panic.

use std::io::{self, Write as _};

/// Prints to standard output; a reader who has gone is no error worth ending for.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
