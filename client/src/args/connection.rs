//! How a command reaches the daemon, and as whom.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::values::{duration, owner};

/// How the daemon is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// The URL of the daemon.
    // Parsed by the program itself: clap would quote an invalid one, and a URL may contain a password.
    #[arg(
        long,
        value_name = "URL",
        help = "URL of the daemon [PROVISIONER_URL; default: http://127.0.0.1:8002]"
    )]
    pub url: Option<String>,
    /// The file with the API key.
    #[arg(
        long,
        value_name = "FILE",
        help = "File with the API key [PROVISIONER_API_KEY_FILE; PROVISIONER_API_KEY is the key itself]"
    )]
    pub api_key_file: Option<PathBuf>,
    /// The file with the certificates to trust.
    #[arg(
        long,
        value_name = "FILE",
        help = "File with the certificates (PEM) to trust for https, in place of the system's [PROVISIONER_CA_FILE]"
    )]
    pub ca_file: Option<PathBuf>,
    /// How long the daemon has to answer a call.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub request_timeout: Duration,
}

/// The name of the caller.
#[derive(Debug, Clone, Default, Args)]
pub struct OwnerArgs {
    /// Name of the caller, sent as X-Owner. Another owner's sandbox in use is not deleted.
    #[arg(long, value_name = "NAME", value_parser = owner)]
    pub owner: Option<String>,
}
