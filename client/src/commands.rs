//! The commands.

mod change;
mod clusters;
mod create;
mod delete;
mod events;
mod generate;
mod get;
mod list;
mod logs;
mod profiles;
mod timeline;
mod wait;
mod watch;
mod workspaces;

use crate::{
    args::Command,
    environment::Environment,
    error::{Exit, Failure},
    output::Console,
    session::Session,
    top,
};

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
        Command::Get(args) => get::run(session!(args.common.connection), &args).await,
        Command::Create(args) => create::run(session!(args.common.connection), &args).await,
        Command::Delete(args) => delete::run(session!(args.connection), &args).await,
        Command::Touch(args) => change::touch(session!(args.common.connection), &args).await,
        Command::Limits(args) => change::limits(session!(args.common.connection), &args).await,
        Command::Events(args) => events::run(session!(args.common.connection), &args).await,
        Command::Logs(args) => logs::run(session!(args.connection), &args).await,
        Command::Timeline(args) => timeline::run(session!(args.common.connection), &args).await,
        Command::Wait(args) => wait::run(session!(args.connection), &args).await,
        Command::Top(args) => top::run(session!(args.connection), &args).await,
        Command::Profiles(args) => profiles::run(session!(args.connection), &args).await,
        Command::Workspaces(args) => workspaces::run(environment, console, args).await,
        Command::Move(args) => change::move_to(session!(args.common.connection), &args).await,
        Command::Clusters(args) => clusters::run(session!(args.common.connection), &args).await,
        Command::Completions { shell } => generate::completions(program, shell, console),
        Command::Man { dir } => generate::manual(program, dir.as_deref(), console),
    }
}

/// Returns an error without a message of its own, unless everything was done.
pub(crate) fn finished(exit: Exit) -> Result<(), Failure> {
    if exit == Exit::Success { Ok(()) } else { Err(Failure::Reported(exit)) }
}
