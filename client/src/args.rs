//! The arguments of the commands.

#![expect(clippy::doc_markdown, reason = "the comments are shown as help on terminals")]

mod clusters;
mod connection;
mod examples;
mod output;
mod values;

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{NonEmptyStringValueParser, PossibleValue},
};

use lifecycle::log::{TAIL, TAIL_MAX};

pub use self::{
    clusters::{ClustersArgs, MoveArgs},
    connection::{ConnectionArgs, OwnerArgs},
    output::{CommonArgs, Format, OutputArgs, When},
    values::{LabelSelector, Mount},
};
use self::{
    examples::{
        CLUSTERS_EXAMPLES, COMPLETIONS_EXAMPLES, CREATE_EXAMPLES, DELETE_EXAMPLES, EVENTS_EXAMPLES,
        GET_EXAMPLES, LIMITS_EXAMPLES, LOGS_EXAMPLES, MAN_EXAMPLES, TOP_HELP, WAIT_EXAMPLES,
        WORKSPACES_EXAMPLES,
    },
    values::{duration, mount, pair, selector, status},
};
use crate::columns::SortKey;

/// A command that calls the API of a daemon, or that writes files for shells.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show sandboxes.
    #[command(after_help = GET_EXAMPLES)]
    Get(Box<GetArgs>),
    /// Create a sandbox.
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<CreateArgs>),
    /// Delete sandboxes.
    #[command(after_help = DELETE_EXAMPLES)]
    Delete(Box<DeleteArgs>),
    /// Count as a use of sandboxes, so that they do not become idle.
    Touch(TouchArgs),
    /// Change the lifetime or the resources of a sandbox.
    #[command(after_help = LIMITS_EXAMPLES)]
    Limits(LimitsArgs),
    /// Show each change of sandboxes as it happens, until Ctrl-C.
    #[command(after_help = EVENTS_EXAMPLES)]
    Events(EventsArgs),
    /// Show what a sandbox has printed.
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Show where the time of a sandbox's start went, and how it ended.
    Timeline(TimelineArgs),
    /// Wait until sandboxes are ready, or deleted.
    #[command(after_help = WAIT_EXAMPLES)]
    Wait(Box<WaitArgs>),
    /// Watch sandboxes in a live table.
    #[command(after_help = TOP_HELP)]
    Top(TopArgs),
    /// Show the profiles that a create may name.
    Profiles(CommonArgs),
    /// Show, enlarge or delete workspaces.
    #[command(after_help = WORKSPACES_EXAMPLES)]
    Workspaces(WorkspacesArgs),
    /// Show the daemon's clusters, drain one, or change its weight.
    #[command(after_help = CLUSTERS_EXAMPLES)]
    Clusters(ClustersArgs),
    /// Move a sandbox to another cluster: create it there, wait until it is ready, and delete it where it was.
    Move(MoveArgs),
    /// Print the completions of a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages.
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// Directory for the pages of all commands, which must exist. Without it the first page is printed.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// The selected sandboxes. Several values of one option, separated by commas, mean any of them.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct FilterArgs {
    /// Only those with this status, such as Running.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    pub status: Vec<String>,
    /// Only those with this reason, such as ImagePullBackOff.
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    pub reason: Vec<String>,
    /// Only those with these labels, such as tier=large or 'team in (a,b),!draft', as with kubectl.
    #[arg(short = 'l', long, value_name = "SELECTOR", value_parser = selector)]
    pub selector: Option<LabelSelector>,
    /// Only those of this user.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub user: Vec<String>,
    /// Only those of this conversation.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub thread: Vec<String>,
    /// Only those with this profile.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub profile: Vec<String>,
    /// Only those in this cluster.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub cluster: Vec<String>,
}

/// The arguments of `get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Ids of sandboxes; without one, all.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub ids: Vec<String>,
    /// Show changes as well, until Ctrl-C.
    #[arg(short, long)]
    pub watch: bool,
    /// Show only changes, until Ctrl-C.
    #[arg(long, conflicts_with = "watch")]
    pub watch_only: bool,
    /// Order of the rows.
    #[arg(long, value_name = "KEY", default_value = "id")]
    pub sort_by: SortKey,
    /// The selected sandboxes.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The arguments of `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Id of the sandbox; not needed if the file has it.
    #[arg(value_name = "ID", required_unless_present = "file", value_parser = NonEmptyStringValueParser::new())]
    pub id: Option<String>,
    /// File with the body of a POST /api/sandboxes, in JSON or YAML; '-' reads standard input. The flags change it.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Profile.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// User whose data is mounted.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// Conversation whose data is mounted.
    #[arg(long, value_name = "ID")]
    pub thread: Option<String>,
    /// Cluster; without it, the daemon chooses.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Labels of the clusters among which the daemon chooses, such as region=eu, as with kubectl.
    #[arg(long, value_name = "SELECTOR")]
    pub cluster_selector: Option<String>,
    /// Time to live, such as 8h.
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// Idle timeout, such as 30m.
    #[arg(long, value_name = "DURATION")]
    pub idle_timeout: Option<String>,
    /// The resources.
    #[command(flatten)]
    pub resources: ResourcesArgs,
    /// Image, if the profile allows it.
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Environment variable, if the profile allows it; may be repeated. Other users of this machine see it in the list of
    /// processes: put secrets into a --file.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub env: Vec<(String, String)>,
    /// Label, if the profile allows it; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub label: Vec<(String, String)>,
    /// Directory of the host to mount; may be repeated.
    #[arg(long, value_name = "HOST:CONTAINER[:ro]", value_parser = mount)]
    pub mount: Vec<Mount>,
    /// Network mode, if the profile allows it.
    #[arg(long, value_name = "MODE")]
    pub network: Option<String>,
    /// Size of the workspace, if the profile allows it.
    #[arg(long, value_name = "SIZE")]
    pub workspace_size: Option<String>,
    /// Whether to keep or to delete the workspace after the sandbox.
    #[arg(long, value_name = "keep|delete")]
    pub when_deleted: Option<String>,
    /// Largest number of shell sessions.
    #[arg(long, value_name = "N")]
    pub max_shell_sessions: Option<u64>,
    /// Wait until the sandbox is ready.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, requires = "wait")]
    pub timeout: Duration,
    /// The name of the caller, who becomes the owner of the sandbox.
    #[command(flatten)]
    pub owner: OwnerArgs,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Limits of a container.
#[derive(Debug, Clone, Default, Args)]
pub struct ResourcesArgs {
    /// Limit of CPU, such as 2 or 500m.
    #[arg(long, value_name = "QUANTITY")]
    pub cpu: Option<String>,
    /// Limit of memory, such as 2Gi.
    #[arg(long, value_name = "QUANTITY")]
    pub memory: Option<String>,
    /// Limit of disk, such as 1Gi.
    #[arg(long, value_name = "QUANTITY")]
    pub ephemeral_storage: Option<String>,
}

/// The arguments of `delete`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct DeleteArgs {
    /// Ids of sandboxes.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub ids: Vec<String>,
    /// Delete all sandboxes.
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// Ask before each delete.
    #[arg(short, long)]
    pub interactive: bool,
    /// Only say which sandboxes would be deleted.
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until the sandboxes are gone.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, requires = "wait")]
    pub timeout: Duration,
    /// The name of the caller.
    #[command(flatten)]
    pub owner: OwnerArgs,
    /// The selected sandboxes.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// The arguments of `touch`.
#[derive(Debug, Args)]
pub struct TouchArgs {
    /// Ids of sandboxes.
    #[arg(value_name = "ID", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub ids: Vec<String>,
    /// The name of the caller.
    #[command(flatten)]
    pub owner: OwnerArgs,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The arguments of `limits`.
#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["ttl", "idle_timeout", "cpu", "memory", "ephemeral_storage"])]
pub struct LimitsArgs {
    /// Id of a sandbox.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// Time to live since the creation, such as 8h; 'default' restores that of the settings.
    #[arg(long, value_name = "DURATION|default")]
    pub ttl: Option<String>,
    /// Idle timeout, such as 30m; 'default' restores that of the settings.
    #[arg(long, value_name = "DURATION|default")]
    pub idle_timeout: Option<String>,
    /// The resources, which are changed while the sandbox runs.
    #[command(flatten)]
    pub resources: ResourcesArgs,
    /// The name of the caller.
    #[command(flatten)]
    pub owner: OwnerArgs,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The arguments of `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Id of a sandbox; the stream ends with it. Without one, all sandboxes.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: Option<String>,
    /// Show the present state of the sandboxes first.
    #[arg(long)]
    pub initial: bool,
    /// The selected sandboxes.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The arguments of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Id of a sandbox.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// Go on with each new line, until the container ends or Ctrl-C.
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last lines.
    #[arg(long, value_name = "N", default_value_t = TAIL, value_parser = clap::value_parser!(u32).range(0..=i64::from(TAIL_MAX)))]
    pub tail: u32,
    /// Log of the container that has ended last, as after a crash.
    #[arg(short, long)]
    pub previous: bool,
    /// Begin each line with its time.
    #[arg(long)]
    pub timestamps: bool,
    /// Only lines of this last time, such as 5m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// Another container of the Pod, such as a sidecar.
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// The connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// The arguments of `timeline`.
#[derive(Debug, Args)]
pub struct TimelineArgs {
    /// Id of a sandbox, which may have ended within the last hour.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The arguments of `wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Ids of sandboxes.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub ids: Vec<String>,
    /// All sandboxes that exist now.
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// State to wait for.
    #[arg(long = "for", value_name = "STATE", default_value = "ready")]
    pub state: State,
    /// How long to wait; 0s looks once.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// The selected sandboxes.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// A state that `wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The URL works.
    Ready,
    /// The sandbox does not exist.
    Deleted,
}

/// The arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Order of the rows at the beginning.
    #[arg(long, value_name = "KEY", default_value = "id")]
    pub sort_by: SortKey,
    /// The selected sandboxes.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Whether to use colours; 'auto' means without NO_COLOR.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// The connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// The arguments of `workspaces`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WorkspacesArgs {
    /// The change; without one the workspaces are shown.
    #[command(subcommand)]
    pub action: Option<WorkspaceAction>,
    /// The output and the connection.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// A change of workspaces.
#[derive(Debug, Subcommand)]
pub enum WorkspaceAction {
    /// Delete workspaces that no sandbox uses, with their data.
    Delete {
        /// Ids of workspaces.
        #[arg(value_name = "ID", required = true, value_parser = NonEmptyStringValueParser::new())]
        ids: Vec<String>,
        /// The connection.
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Enlarge a workspace.
    Resize {
        /// Id of a workspace.
        #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
        id: String,
        /// New size, such as 20Gi.
        #[arg(value_name = "SIZE")]
        size: String,
        /// The output and the connection.
        #[command(flatten)]
        common: CommonArgs,
    },
}

// === impl State ===

impl ValueEnum for State {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Ready, Self::Deleted]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Ready => PossibleValue::new("ready"),
            // kubectl's word is accepted, too.
            Self::Deleted => PossibleValue::new("deleted").alias("delete"),
        })
    }
}
