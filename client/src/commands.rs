//! The commands.

mod change;
mod clusters;
mod create;
mod delete;
mod events;
mod generate;
mod get;
mod list;
mod profiles;
mod timeline;
mod wait;
mod watch;
mod workspaces;

use crate::{
    api::Api,
    args::{Command, ConnectionArgs},
    environment::Environment,
    error::{Exit, Failure},
    output::Console,
    top,
};

/// A command's connection and streams.
pub(crate) struct Session<'a, 'c> {
    pub(crate) api: Api,
    pub(crate) console: &'a mut Console<'c>,
}

/// Carries out a command. `program` is the definition of the whole command line, for completions and manual pages.
pub async fn run(
    command: Command,
    program: clap::Command,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    // On the heap: the states of all commands together are large.
    match Box::pin(outcome(command, program, environment, console)).await {
        Ok(()) => Exit::Success,
        Err(failure) => {
            console.error(&failure);
            failure.exit()
        }
    }
}

async fn outcome(
    command: Command,
    program: clap::Command,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    macro_rules! session {
        ($connection:expr) => {
            &mut Session::new(environment, &$connection, console)?
        };
    }
    match command {
        Command::Get(args) => get::run(session!(args.connection), &args).await,
        Command::Create(args) => create::run(session!(args.connection), &args).await,
        Command::Delete(args) => delete::run(session!(args.connection), &args).await,
        Command::Touch(args) => change::touch(session!(args.connection), &args).await,
        Command::Limits(args) => change::limits(session!(args.connection), &args).await,
        Command::Events(args) => events::run(session!(args.connection), &args).await,
        Command::Timeline(args) => timeline::run(session!(args.connection), &args).await,
        Command::Wait(args) => wait::run(session!(args.connection), &args).await,
        Command::Top(args) => top::run(session!(args.connection), &args).await,
        Command::Profiles(args) => profiles::run(session!(args.connection), &args).await,
        Command::Workspaces(args) => workspaces::run(environment, console, args).await,
        Command::Clusters(args) => clusters::run(session!(args.connection), &args).await,
        Command::Completions { shell } => generate::completions(program, shell, console),
        Command::Man { dir } => generate::manual(program, dir.as_deref(), console),
    }
}

// === impl Session ===

impl<'a, 'c> Session<'a, 'c> {
    fn new(
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

/// Returns an error without a message of its own, unless everything was done.
pub(crate) fn finished(exit: Exit) -> Result<(), Failure> {
    if exit == Exit::Success { Ok(()) } else { Err(Failure::Reported(exit)) }
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
