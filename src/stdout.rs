//! Printing for a reader who may have gone (`| head`), where `println!` would panic.

use std::io::{self, Write as _};

/// Prints to standard output; a reader who has gone is no error.
///
/// # Errors
/// When what is printed cannot be kept, as on a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints what a command was run for; when that fails, says so on standard error and gives `false`.
#[must_use]
pub fn deliver(text: &str) -> bool {
    print(text).inspect_err(|error| eprintln!("error: standard output cannot be written: {error}")).is_ok()
}
