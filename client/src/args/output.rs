//! How a command prints its result.

use clap::{Args, ValueEnum};

use super::connection::ConnectionArgs;

/// How results are printed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Leave out the titles of tables.
    #[arg(long)]
    pub no_headers: bool,
    /// Whether to use colours; 'auto' means on a terminal, without NO_COLOR.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

/// The arguments of all commands that show something.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// The connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// A format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// The API's JSON.
    Json,
    /// The same as YAML.
    Yaml,
    /// Only the ids, one a line.
    Name,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
