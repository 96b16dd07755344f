//! The command line for people: calls the REST API of a daemon, and prints tables.
//!
//! [`args`] defines the commands, and [`run`] carries one out. Each command is a file in `commands`. The output is a
//! pure function of an answer and the time: [`columns`] and [`table`] for tables, `top::screen` for the live table. [`copy`]
//! keeps the state of all sandboxes from a stream of events, which [`follow`] keeps open.

pub mod age;
pub mod api;
pub mod args;
pub mod columns;
mod commands;
pub mod copy;
pub mod environment;
pub mod error;
mod filter;
pub mod follow;
pub mod output;
pub mod sandbox;
mod session;
pub mod sse;
pub mod table;
pub mod text;
mod tls;
mod top;
pub mod url;

pub use self::{args::Command, commands::run, environment::Environment, error::Exit, output::Console};

/// Carries out a command on the streams of this process. `program` is the definition of the whole command line.
pub async fn run_process(command: Command, program: clap::Command, environment: &Environment) -> Exit {
    output::with_process(environment, async |console| run(command, program, environment, console).await).await
}
