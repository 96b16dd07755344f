//! The command line.

mod doctor;

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use lifecycle::ids::{ClusterName, PROFILE_NAME_PATTERN, ProfileName};

pub use self::doctor::DoctorArgs;
use crate::settings::{Kind, SETTINGS, Spec, is_log, sources::FlagValues};

/// Gives AI-agent backends isolated sandboxes on Kubernetes over a small REST API.
#[derive(Debug, Parser)]
#[command(name = "sandbox-provisioner", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve {
        /// The settings.
        #[command(flatten)]
        settings: SettingsArgs,
        /// Check the settings, print the effective ones as TOML (without secrets), and exit.
        #[arg(long)]
        check: bool,
    },
    /// Print the Pod and the Service that a request would create, or the network policies, without a cluster.
    #[command(after_help = RENDER_EXAMPLES)]
    Render {
        /// File with the body of a POST /api/sandboxes; '-' reads standard input.
        #[arg(long, value_name = "FILE", required_unless_present = "network_policies")]
        request: Option<PathBuf>,
        /// Profile to use instead of the request's.
        #[arg(long, value_name = "NAME", value_parser = profile_name)]
        profile: Option<ProfileName>,
        /// Cluster whose settings are used; needed if the settings have several.
        #[arg(long, value_name = "NAME", value_parser = cluster_name)]
        cluster: Option<ClusterName>,
        /// Print the network policies of the settings as YAML, for `kubectl apply`.
        #[arg(long, conflicts_with_all = ["request", "profile"])]
        network_policies: bool,
        /// The settings.
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Run the embedded Kubernetes cluster alone, for kubectl and other clients.
    #[command(after_help = CLUSTER_EXAMPLES)]
    Cluster(ClusterArgs),
    /// Check the settings, the cluster and the daemon, and tell the cause and the remedy of each fault.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Check whether a running daemon is alive; exits 0 if it is, 1 if not.
    #[command(after_help = HEALTH_EXAMPLES)]
    Health {
        /// URL to request, instead of /health at the configured listen address.
        // Parsed by the program itself: clap would quote an invalid one, and a URL may contain a password.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The settings.
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// The commands that call the API of a daemon.
    #[command(flatten)]
    Client(client::Command),
}

/// The settings on the command line: a file, and a flag for each setting.
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

/// A flag for each setting that may have one, or for the settings of the log only.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags<const LOG_ONLY: bool = false>(pub FlagValues);

/// The arguments of the embedded cluster.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Listen address of the API server; with port 0 the system chooses a port.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Node ports for Services.
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767")]
    pub node_port_range: NodePortRange,
    /// Number of nodes; more than one are in the zones `zone-a`, `zone-b` and `zone-c`.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub nodes: u8,
    /// Do not answer HTTP on the sandboxes' node ports.
    #[arg(long)]
    pub no_sandbox_servers: bool,
    /// The protection of the API server.
    #[cfg(feature = "rbac")]
    #[command(flatten)]
    pub guard: GuardArgs,
    /// The log settings.
    #[command(flatten)]
    pub log: SettingFlags<true>,
}

/// The protection of the embedded cluster's API server, and how clients find it.
#[cfg(feature = "rbac")]
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access")]
pub struct GuardArgs {
    /// Serve HTTPS with a self-signed certificate, generated at each start. It is valid for localhost, its
    /// addresses, host.docker.internal and the listen address.
    #[arg(long)]
    pub tls: bool,
    /// Additional name or address for which the certificate is valid; may be repeated. Implies --tls.
    #[arg(long, value_name = "NAME")]
    pub tls_name: Vec<String>,
    /// Enforce RBAC. Requests without a token are anonymous and have almost no permissions. Implies --tls, as
    /// kubectl sends no token over plain HTTP, and needs --write-kubeconfig, which gets an administrator's token.
    #[arg(long, requires = "write_kubeconfig")]
    pub rbac: bool,
    /// Write a kubeconfig for this cluster, which only you can read. A file that this program did not write is not
    /// overwritten.
    #[arg(long, value_name = "FILE")]
    pub write_kubeconfig: Option<PathBuf>,
}

/// The node ports for Services, both ends included; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePortRange {
    first: u16,
    last: u16,
}

/// Parses the name of a profile.
fn profile_name(text: &str) -> Result<ProfileName, String> {
    ProfileName::parse(text).ok_or_else(|| format!("expected {PROFILE_NAME_PATTERN}"))
}

/// Parses the name of a cluster.
fn cluster_name(text: &str) -> Result<ClusterName, String> {
    ClusterName::parse(text).ok_or_else(|| format!("expected {PROFILE_NAME_PATTERN}"))
}

/// Not a valid node port range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node port range is FIRST-LAST, with 1 <= FIRST <= LAST <= 65535, such as 30000-32767")]
pub struct InvalidNodePortRange;

const EXAMPLES: &str = "\
Examples:
  sandbox-provisioner serve --embedded              try it without Kubernetes
  sandbox-provisioner serve --config settings.toml  run it on a cluster
  sandbox-provisioner serve --check                 print the effective settings and their origins
  sandbox-provisioner get                           show the sandboxes of a running daemon

Settings come from the file, then the environment, then the flags; the last value wins.";

const SERVE_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner serve --embedded
  sandbox-provisioner serve --kubeconfig-path ~/.kube/config --node-host localhost
  PROVISIONER_API_KEY=… sandbox-provisioner serve --listen 0.0.0.0:8002
  sandbox-provisioner serve --config settings.toml --check

Every setting has an environment variable and a key in the file too: the key is the flag with '_' for '-', and the \
variable is given in brackets. An empty value unsets a setting that has no default.
SIGTERM and SIGINT shut the daemon down: readiness fails, new connections are refused after the drain delay, and \
requests in flight finish. A second signal stops it at once. SIGHUP reads the settings file again, which can add \
clusters and change their weights; without a settings file it shuts the daemon down.
Exit status: 0 after a shutdown or a successful check, 1 if it cannot run, 2 for invalid settings or flags, 3 if the \
drain deadline cut requests short, 128 plus the signal's number after a second signal.";

const RENDER_EXAMPLES: &str = "\
Examples:
  echo '{\"sandbox_id\":\"abc-123\"}' | sandbox-provisioner render --request -
  sandbox-provisioner render --request body.json --userdata-pvc-name userdata
  sandbox-provisioner render --request body.json --config settings.toml --profile large
  sandbox-provisioner render --network-policies --config settings.toml | kubectl apply -f -

Exit status: 0 with {\"pod\":…,\"service\":…} or the policies on standard output, 1 with the error that the API would return, \
2 for invalid settings or flags.";

const CLUSTER_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner cluster --listen 127.0.0.1:8001
  kubectl --server http://127.0.0.1:8001 get pods -A

The daemon with the permissions of config/rbac.yaml, in a cluster of its own. This needs a program that was \
built with `cargo build --features kubectl,rbac`:
  sandbox-provisioner cluster --listen 127.0.0.1:6443 --rbac --write-kubeconfig admin.yaml &
  kubectl --kubeconfig admin.yaml apply -f config/rbac.yaml
  kubectl --kubeconfig admin.yaml create token sandbox-provisioner -n sandbox-provisioner

It keeps everything in memory, and requires no credentials without --rbac.
Exit status: 0 after a signal, 1 if it cannot run, 2 for invalid flags.";

const HEALTH_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner health
  sandbox-provisioner health --url http://127.0.0.1:8002/readyz";

// === impl SettingFlags ===

/// Returns the flag of a setting, unless the setting is a secret.
fn flag(spec: &'static Spec) -> Option<Arg> {
    let name = spec.flag.as_deref()?;
    let value = if spec.default.is_some() { "default" } else { "example" };
    let arg = Arg::new(spec.variable)
        .long(name)
        .value_name("VALUE")
        .help(format!("{} [{}; {value}: {}]", spec.help, spec.variable, spec.example))
        .help_heading(spec.heading);
    Some(match spec.kind {
        // `--embedded` alone means true, and the value of another argument is never taken for its own.
        Kind::Boolean => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .action(ArgAction::Set),
        Kind::Text | Kind::Number => arg.allow_hyphen_values(true),
    })
}

impl<const LOG_ONLY: bool> Args for SettingFlags<LOG_ONLY> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(SETTINGS.iter().filter(|spec| !LOG_ONLY || is_log(spec)).filter_map(flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<const LOG_ONLY: bool> FromArgMatches for SettingFlags<LOG_ONLY> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |spec: &Spec| matches.try_get_one::<String>(spec.variable).ok().flatten().cloned();
        Ok(Self(FlagValues(SETTINGS.iter().filter_map(|spec| Some((spec.variable, value(spec)?))).collect())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.0.extend(Self::from_arg_matches(matches)?.0.0);
        Ok(())
    }
}

// === impl NodePortRange ===

impl NodePortRange {
    /// Returns the first port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// Returns the last port, which is included.
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

    /// A boolean flag needs no value and takes none that is not attached; a value may begin with a dash or be empty.
    #[test]
    fn flags_are_read() {
        let parse = |args: &[&str]| {
            let all = ["sandbox-provisioner", "serve"].iter().chain(args);
            Cli::try_parse_from(all).map(|cli| match cli.command {
                Command::Serve { settings, check } => (settings.flags.0.0, check),
                other => panic!("{other:?}"),
            })
        };
        let (flags, check) =
            parse(&["--embedded", "--check", "--node-host", "-x", "--skills-pvc-name="]).unwrap();
        assert!(check);
        let flags: Vec<_> = flags.iter().map(|(variable, text)| (*variable, text.as_str())).collect();
        let expected = [("NODE_HOST", "-x"), ("PROVISIONER_EMBEDDED", "true"), ("SKILLS_PVC_NAME", "")];
        assert_eq!(flags, expected);
        assert_eq!(parse(&["--embedded=false"]).unwrap().0["PROVISIONER_EMBEDDED"], "false");
        assert!(parse(&["--embedded", "false"]).is_err());
        assert!(parse(&["--api-key", "x"]).is_err(), "a secret has no flag");
        assert!(parse(&["--listen", "a", "--listen", "b"]).is_err());
    }

    /// The help names every setting's variable, so that it can be found from the shell.
    #[test]
    fn the_help_names_every_variable() {
        let help = Cli::command().find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        for spec in SETTINGS.iter().filter(|spec| spec.flag.is_some()) {
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
