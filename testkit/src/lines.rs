//! A log that is followed, as a client reads it.

use http_body_util::BodyExt;
use tokio::task::JoinHandle;

use crate::{NoAnswer, client::StreamBody};

/// The lines of a text that does not end by itself. Dropping it closes the connection.
pub struct Lines {
    body: StreamBody,
    text: String,
    connection: Option<JoinHandle<()>>,
}

// === impl Lines ===

impl Lines {
    pub(crate) fn new(body: StreamBody, connection: Option<JoinHandle<()>>) -> Self {
        Self { body, text: String::new(), connection }
    }

    /// Returns the next line; `None` at the end of the text.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn next(&mut self) -> Result<Option<String>, NoAnswer> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.into();
                return Ok(Some(line));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            self.text += std::str::from_utf8(&frame?.into_data().unwrap()).unwrap();
        }
    }

    /// Returns the lines up to the end of the text.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.next().await.expect("the text ends in order") {
            lines.push(line);
        }
        lines
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.abort();
        }
    }
}
