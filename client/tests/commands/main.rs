//! The commands against a fake daemon: their requests, their output, and their exit statuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod changes;
mod failures;
mod get;
mod https;
mod lists;
mod logs;
mod server;
mod streams;
mod waits;

use std::{ffi::OsString, io};

use clap::{CommandFactory as _, Parser};
use client::{Command, Console, Environment, Exit, run};
use serde_json::{Value, json};

/// The key in the environment of every command. It must not be printed.
const KEY: &str = "hunter2";

/// The program with only these commands.
#[derive(Debug, Parser)]
#[command(name = "sandbox-provisioner")]
struct Program {
    #[command(subcommand)]
    command: Command,
}

/// The result of a command.
#[derive(Debug)]
struct Outcome {
    exit: Exit,
    out: String,
    err: String,
}

/// Runs a command against the server with this URL.
async fn command(url: &str, args: &[&str]) -> Outcome {
    command_with(&[("PROVISIONER_URL", url), ("PROVISIONER_API_KEY", KEY)], args).await
}

/// Runs a command with these environment variables.
async fn command_with(variables: &[(&str, &str)], args: &[&str]) -> Outcome {
    let mut out = Vec::new();
    let (exit, err) = command_to(&mut out, variables, args).await;
    let outcome = Outcome { exit, out: String::from_utf8(out).unwrap(), err };
    assert!(!format!("{outcome:?}").contains(KEY), "the key is printed: {outcome:?}");
    outcome
}

/// Runs a command with this standard output. Returns its exit status and its standard error.
async fn command_to(out: &mut dyn io::Write, variables: &[(&str, &str)], args: &[&str]) -> (Exit, String) {
    let environment = Environment::from_lookup(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    });
    let program = Program::try_parse_from(["sandbox-provisioner"].iter().chain(args)).unwrap();
    let mut err = Vec::new();
    let console =
        &mut Console { out, err: &mut err, has_colours: false, out_is_terminal: false, is_terminal: false };
    let exit = run(program.command, Program::command(), &environment, console).await;
    (exit, String::from_utf8(err).unwrap())
}

/// Returns a sandbox as the daemon sends it, with more or other fields.
fn sandbox(id: &str, more: &Value) -> Value {
    let mut sandbox = json!({
        "sandbox_id": id, "sandbox_url": "http://n:1", "status": "Running", "ready": true, "container_id": "u-1",
        "lark_cli_broker": false, "max_shell_sessions": 10,
    });
    for (name, value) in more.as_object().unwrap() {
        sandbox[name] = value.clone();
    }
    sandbox
}

/// Returns the body of the 404 of a sandbox.
fn not_found(id: &str) -> Value {
    json!({"detail": format!("Sandbox '{id}' not found"), "sandbox_id": id, "status": "NotFound"})
}

#[test]
fn the_definition_is_sound() {
    Program::command().debug_assert();
}
