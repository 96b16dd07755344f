//! The arguments of the commands about clusters.

use clap::{Args, builder::NonEmptyStringValueParser};

use super::{connection::OwnerArgs, output::CommonArgs};

/// The arguments of `clusters`.
#[derive(Debug, Args)]
pub struct ClustersArgs {
    /// Name of a cluster; without one, all.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Set the share of the new sandboxes, in relation to the other clusters.
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "name")]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub weight: Option<u16>,
    /// Give the cluster no new sandboxes, whatever its weight.
    #[arg(long, requires = "name")]
    pub drain: bool,
    /// End the drain.
    #[arg(long, requires = "name", conflicts_with = "drain")]
    pub undrain: bool,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The arguments of `move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// Id of a sandbox.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// Name of the cluster on which it is created again.
    #[arg(value_name = "CLUSTER", value_parser = NonEmptyStringValueParser::new())]
    pub cluster: String,
    /// The name of the caller.
    #[command(flatten)]
    pub owner: OwnerArgs,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}
