//! The command line.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};

use crate::settings::{
    keys::{Key, Kind, SPECS, Spec},
    layers::FlagValues,
};

/// Gives AI-agent backends isolated sandboxes on Kubernetes over a small REST API.
#[derive(Debug, Parser)]
#[command(name = "sandbox-provisioner", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Todo,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Todo {
    /// Run the daemon.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve {
        /// Which settings.
        #[command(flatten)]
        settings: SettingsArgs,
        /// Check the settings, print those in force as TOML (secrets hidden), and exit.
        #[arg(long)]
        check: bool,
    },
    /// Print the Pod and the Service that a request would make, without touching a cluster.
    #[command(after_help = RENDER_EXAMPLES)]
    Render {
        /// The body of a POST /api/sandboxes, in a file; '-' reads standard input.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Which settings.
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Run the embedded Kubernetes cluster alone, for kubectl and other clients.
    #[command(after_help = CLUSTER_EXAMPLES)]
    Cluster(ClusterArgs),
    /// Ask a running daemon whether it is alive; exits 0 if it is, 1 if not.
    #[command(after_help = HEALTH_EXAMPLES)]
    Health {
        /// What to ask, in place of /health at the configured listen address.
        // Read by the program itself: clap would quote the whole of a bad one, and a URL may hold a password.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// Which settings.
        #[command(flatten)]
        settings: SettingsArgs,
    },
}

/// Where settings come from on the command line: a file, and a flag for each of them.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// The settings file.
    #[arg(
        long,
        value_name = "FILE",
        help = "The settings file (TOML) [SANDBOX_PROVISIONER_CONFIG; default: none]"
    )]
    pub config: Option<PathBuf>,
    /// The flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// A flag for each setting that may have one.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags(pub FlagValues);

/// The flags about logs, for commands that need no other setting.
#[derive(Debug, Clone, Default)]
pub struct LogFlags(pub FlagValues);

/// What the embedded cluster alone needs to know.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Where its API server listens; port 0 lets the system choose one.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// The ports that it gives to Services.
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767")]
    pub node_port_range: NodePortRange,
    /// Do not answer HTTP on the sandboxes' node ports.
    #[arg(long)]
    pub no_sandbox_servers: bool,
    /// How its API server is guarded.
    #[cfg(feature = "rbac")]
    #[command(flatten)]
    pub guard: GuardArgs,
    /// How to log.
    #[command(flatten)]
    pub log: LogFlags,
}

/// How the embedded cluster's API server is guarded, and how clients find it.
#[cfg(feature = "rbac")]
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access")]
pub struct GuardArgs {
    /// Serve HTTPS with a self-signed certificate, generated at each start. It is valid for localhost, its
    /// addresses, host.docker.internal and the listen address.
    #[arg(long)]
    pub tls: bool,
    /// One more name or address that the certificate is valid for; may be repeated. Implies --tls.
    #[arg(long, value_name = "NAME")]
    pub tls_name: Vec<String>,
    /// Enforce RBAC. Requests without a token are anonymous and have almost no permissions. Implies --tls, as
    /// kubectl sends no token over plain HTTP, and needs --write-kubeconfig, which gets an administrator's token.
    #[arg(long, requires = "write_kubeconfig")]
    pub rbac: bool,
    /// Write a kubeconfig for this cluster, readable by you alone. A file that it did not write itself is left as it
    /// is.
    #[arg(long, value_name = "FILE")]
    pub write_kubeconfig: Option<PathBuf>,
}

/// The ports that a cluster gives to Services, both ends included: never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePortRange {
    first: u16,
    last: u16,
}

/// A text that is no [`NodePortRange`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node port range is FIRST-LAST, with 1 <= FIRST <= LAST <= 65535, such as 30000-32767")]
pub struct InvalidNodePortRange;

const EXAMPLES: &str = "\
Examples:
  sandbox-provisioner serve --embedded              try it, with no Kubernetes at hand
  sandbox-provisioner serve --config settings.toml  run it on a cluster
  sandbox-provisioner serve --check                 see the settings in force, and where each comes from

Settings come from the file, then the environment, then the flags; the last one given wins.";

const SERVE_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner serve --embedded
  sandbox-provisioner serve --kubeconfig-path ~/.kube/config --node-host localhost
  PROVISIONER_API_KEY=… sandbox-provisioner serve --listen 0.0.0.0:8002
  sandbox-provisioner serve --config settings.toml --check

Every setting has an environment variable and a key in the file too: the file's key is the flag with '_' for
'-', and the variable is named in brackets. An empty value unsets a setting that has no default.
SIGTERM, SIGINT and SIGHUP shut it down: it is not ready any more, takes no new connections a moment later, and
ends what is in flight; a second signal ends it at once.
Exit status: 0 after a shutdown or a good check, 1 when it cannot run, 2 for bad settings or flags, 3 when the drain
deadline cut requests short, 128 and the signal's number when a second signal ended it.";

const RENDER_EXAMPLES: &str = "\
Examples:
  echo '{\"sandbox_id\":\"abc-123\"}' | sandbox-provisioner render --request -
  sandbox-provisioner render --request body.json --userdata-pvc-name userdata

Exit status: 0 with {\"pod\":…,\"service\":…} on standard output, 1 with the error as the API would answer it,
2 for bad settings or flags.";

const CLUSTER_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner cluster --listen 127.0.0.1:8001
  kubectl --server http://127.0.0.1:8001 get pods -A

The daemon under the rights that it is shipped with, in a cluster of its own. This needs a program that was
built with `cargo build --features kubectl,rbac`:
  sandbox-provisioner cluster --listen 127.0.0.1:6443 --rbac --write-kubeconfig admin.yaml &
  kubectl --kubeconfig admin.yaml apply -f config/rbac.yaml
  kubectl --kubeconfig admin.yaml create token sandbox-provisioner -n sandbox-provisioner

It keeps everything in memory, and asks nobody for credentials unless told to with --rbac.
Exit status: 0 after a signal, 1 when it cannot run, 2 for bad flags.";

const HEALTH_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner health
  sandbox-provisioner health --url http://127.0.0.1:8002/readyz";

// === impl SettingFlags, LogFlags ===

/// A flag for a setting. The texts come from the table, so that they cannot differ from the file's.
fn flag(spec: &'static Spec) -> Option<Arg> {
    let name = spec.flag?;
    let default = spec.default.map_or(String::new(), |default| format!("; default: {default}"));
    let arg = Arg::new(spec.name)
        .long(name)
        .value_name("VALUE")
        .help(format!("{} [{}{default}]", spec.help, spec.variable))
        .help_heading(spec.section.heading());
    Some(match spec.kind {
        // `--embedded` alone means true, and the value of another argument is never taken for its own.
        Kind::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .action(ArgAction::Set),
        Kind::Text | Kind::Number => arg.allow_hyphen_values(true),
    })
}

fn with_flags(command: Command, wanted: impl Fn(Key) -> bool) -> Command {
    command.args(SPECS.iter().filter(|spec| wanted(spec.key)).filter_map(flag))
}

fn given(matches: &ArgMatches) -> FlagValues {
    let value = |spec: &Spec| matches.try_get_one::<String>(spec.name).ok().flatten().cloned();
    FlagValues(SPECS.iter().filter_map(|spec| Some((spec.key, value(spec)?))).collect())
}

macro_rules! flags_of {
    ($name:ident, $wanted:expr) => {
        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self(given(matches)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.0.0.extend(given(matches).0);
                Ok(())
            }
        }

        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                with_flags(command, $wanted)
            }

            fn augment_args_for_update(command: Command) -> Command {
                with_flags(command, $wanted)
            }
        }
    };
}
flags_of!(SettingFlags, |_| true);
flags_of!(LogFlags, |key| matches!(key, Key::LogFormat | Key::LogLevel));

// === impl NodePortRange ===

impl NodePortRange {
    /// The first port of the range.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port of the range, which belongs to it.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }
}

impl FromStr for NodePortRange {
    type Err = InvalidNodePortRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').ok_or(InvalidNodePortRange)?;
        let port = |text: &str| text.parse().map_err(|_| InvalidNodePortRange);
        let (first, last) = (port(first)?, port(last)?);
        if first == 0 || first > last {
            return Err(InvalidNodePortRange);
        }
        Ok(Self { first, last })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Clap's own check of the whole definition: doubled names, impossible combinations.
    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// A switch needs no value and takes none that is not attached; a value may begin with a dash or be empty.
    #[test]
    fn flags_are_read() {
        let parse = |args: &[&str]| {
            let all = ["sandbox-provisioner", "serve"].iter().chain(args);
            Cli::try_parse_from(all).map(|cli| match cli.command {
                Todo::Serve { settings, check } => (settings.flags.0.0, check),
                other => panic!("{other:?}"),
            })
        };
        let (flags, check) =
            parse(&["--embedded", "--check", "--node-host", "-x", "--skills-pvc-name="]).unwrap();
        assert!(check);
        let flags: Vec<_> = flags.iter().map(|(key, text)| (*key, text.as_str())).collect();
        assert_eq!(flags, [(Key::NodeHost, "-x"), (Key::SkillsPvc, ""), (Key::Embedded, "true")]);
        assert_eq!(parse(&["--embedded=false"]).unwrap().0[&Key::Embedded], "false");
        assert!(parse(&["--embedded", "false"]).is_err());
        assert!(parse(&["--api-key", "x"]).is_err(), "a secret has no flag");
        assert!(parse(&["--listen", "a", "--listen", "b"]).is_err());
    }

    /// The help names every setting's variable, so that it can be found from the shell.
    #[test]
    fn the_help_names_every_variable() {
        let help = Cli::command().find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        for spec in SPECS.iter().filter(|spec| !spec.key.is_secret()) {
            assert!(help.contains(spec.variable), "{}", spec.variable);
        }
    }

    #[test]
    fn node_port_ranges_are_not_empty() {
        let range: NodePortRange = "30000-30000".parse().unwrap();
        assert_eq!((range.first(), range.last()), (30000, 30000));
        for bad in ["", "1", "0-5", "5-4", "1-70000", "a-b", "1-2-3"] {
            assert_eq!(bad.parse::<NodePortRange>(), Err(InvalidNodePortRange), "{bad:?}");
        }
    }
}
