//! Printing to standard output, which may be closed (`| head`); `println!` would panic.

use std::io::{self, Write as _};

/// Prints to standard output. A closed pipe is not an error.
///
/// # Errors
/// If the output cannot be written, for example on a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints the result of a command; if that fails, prints the error on standard error and returns `false`.
#[must_use]
pub fn deliver(text: &str) -> bool {
    print(text).inspect_err(|error| eprintln!("error: standard output cannot be written: {error}")).is_ok()
}
