//! The connection and the streams of a command.

use crate::{
    api::Api,
    args::ConnectionArgs,
    environment::Environment,
    error::{Exit, Failure},
    output::Console,
};

/// A command's connection and streams.
pub(crate) struct Session<'a, 'c> {
    pub(crate) api: Api,
    pub(crate) console: &'a mut Console<'c>,
}

// === impl Session ===

impl<'a, 'c> Session<'a, 'c> {
    pub(crate) fn new(
        environment: &Environment,
        connection: &ConnectionArgs,
        console: &'a mut Console<'c>,
    ) -> Result<Self, Failure> {
        Ok(Self { api: Api::new(environment.target(connection)?)?, console })
    }

    /// Reports the failure of one of several ids. Returns the worse of two statuses.
    pub(crate) fn report(&mut self, failure: &Failure, before: Exit) -> Exit {
        self.console.error(failure);
        worse(before, failure.exit())
    }
}

/// Returns the exit status of several outcomes: that of the failures if they agree.
fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Success, exit) | (exit, Exit::Success) => exit,
        (one, other) if one == other => one,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_differ_are_a_general_one() {
        assert_eq!(worse(Exit::Success, Exit::Success), Exit::Success);
        assert_eq!(worse(Exit::NotFound, Exit::Success), Exit::NotFound);
        assert_eq!(worse(Exit::NotFound, Exit::NotFound), Exit::NotFound);
        assert_eq!(worse(Exit::NotFound, Exit::Unavailable), Exit::Failed);
    }
}
