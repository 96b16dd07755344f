//! The arguments of `doctor`.

use std::time::Duration;

use clap::Args;
use doctor::Format;
use lifecycle::ids::ClusterName;

use super::SettingsArgs;

/// The arguments of `doctor`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct DoctorArgs {
    /// Checks to run: codes such as SP0201, or groups such as rights; all by default.
    #[arg(value_name = "CHECK")]
    pub checks: Vec<String>,
    /// Form of the output: table, short (one line for each fault) or json.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Run the slow checks too.
    #[arg(long)]
    pub slow: bool,
    /// Repeat the checks until none fails, for at most this time.
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5m",
        value_parser = duration
    )]
    pub wait: Option<Duration>,
    /// Exit with status 1 also after a warning.
    #[arg(long)]
    pub strict: bool,
    /// Delete orphans: Pods without their Service, and Services without their Pod, that are older than 60 s.
    #[arg(long)]
    pub fix: bool,
    /// List the checks, and run none.
    #[arg(long, conflicts_with_all = ["slow", "wait", "strict", "fix"])]
    pub list: bool,
    /// Cluster to check, if the settings have several; all by default.
    #[arg(long, value_name = "NAME", value_parser = super::cluster_name)]
    pub cluster: Option<ClusterName>,
    /// URL of the daemon, instead of the configured listen address; a daemon must then be there.
    // Parsed by the program itself: clap would quote an invalid one, and a URL may contain a password.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Time for all checks but the slow ones.
    #[arg(long, value_name = "DURATION", default_value = "2.8s", value_parser = timeout)]
    pub timeout: Duration,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// The examples.
pub(super) const EXAMPLES: &str = "\
Examples:
  sandbox-provisioner doctor                      check everything
  sandbox-provisioner doctor kubeconfig SP0401    check one group and one more
  sandbox-provisioner doctor -o short --strict    for scripts
  sandbox-provisioner doctor --wait=2m            until the cluster is there
  sandbox-provisioner doctor --cluster west       one of several clusters
  sandbox-provisioner doctor SP0805               try whether network policies are enforced (makes two Pods for a moment)

It changes nothing, except with --fix. Run it with the settings of the daemon, on the same machine or in the same
container. docs/doctor.md explains each code.
Exit status: 0 if no check fails, 1 if one fails (with --strict also after a warning), 2 for invalid settings or flags.";

/// Parses the time of a wait.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).ok();
    let range = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
    parsed
        .filter(|time| range.contains(time))
        .ok_or_else(|| "expected a duration from 1s to 24h, such as 5m".to_owned())
}

/// Parses the time of the checks. Seconds may have a fraction.
fn timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').and_then(|number| number.parse::<f64>().ok());
    let parsed = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let range = Duration::from_millis(100)..=Duration::from_secs(120);
    parsed
        .filter(|time| range.contains(time))
        .ok_or_else(|| "expected seconds from 0.1s to 120s, such as 10s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards the bounds of both durations.
    #[test]
    fn durations_have_bounds() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(timeout("2.8s"), Ok(Duration::from_millis(2800)));
        for text in ["0s", "25h", "5", "", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["0s", "121s", "5", "1m", "NaNs", "-1s"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }
}
