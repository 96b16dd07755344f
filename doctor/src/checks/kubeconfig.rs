//! Group 02: the kubeconfig and the credentials in it.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use kubernetes::{
    connect::ConnectError,
    inspect::{ClientError, CredentialsError, OpenError, Origin, PluginError},
    kubeconfig::KubeconfigError,
};

use crate::{
    check::{Check, Outcome, check},
    facts::{AccessFacts, Facts},
};

pub(super) const CHECKS: &[Check] = &[
    check("SP0201", "the kubeconfig exists", &[], exists),
    check("SP0202", "the kubeconfig is a file", &["SP0201"], is_file),
    check("SP0203", "the kubeconfig can be read", &["SP0202"], is_readable),
    check("SP0204", "the kubeconfig is complete and valid", &["SP0203"], is_valid),
    check("SP0205", "the credentials can be loaded", &["SP0204"], loads_credentials),
    check("SP0206", "the credential plugin works", &["SP0204"], plugin_works),
    check("SP0207", "the certificates, keys and proxy can be used", &["SP0205", "SP0206"], is_usable),
    check("SP0208", "the client certificate is valid for a while", &["SP0207"], client_certificate),
    check("SP0209", "the token is valid for a while", &["SP0207"], token),
];

/// The time before the end of a client certificate at which a check warns.
const CERTIFICATE_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The time before the end of a token that is not renewed at which a check warns.
const TOKEN_SOON: SignedDuration = SignedDuration::from_hours(24);

/// Returns the error of the connection, or the outcome without one.
fn error(facts: &Facts) -> Result<&OpenError, Outcome> {
    match &facts.access {
        AccessFacts::Opened(_) => Err(Outcome::passed("")),
        AccessFacts::Embedded { .. } => Err(Outcome::skipped("the embedded cluster needs none")),
        AccessFacts::Failed(error) => Ok(error),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn exists(facts: &Facts) -> Outcome {
    match error(facts) {
        Err(Outcome::Passed(_)) => match &facts.access {
            AccessFacts::Opened(access) if access.origin == Origin::ServiceAccount => {
                Outcome::skipped("the service account of the Pod is used")
            }
            _ => Outcome::passed(""),
        },
        Err(outcome) => outcome,
        Ok(OpenError::Connect(ConnectError::NotFound { path, setting, .. })) => Outcome::failed(
            format!("there is no file at {}, or it is empty", shown(path)),
            format!("{setting} is the path on the machine, or in the container, where the daemon runs"),
            format!("mount or copy a kubeconfig there, or set {setting} to its path"),
        ),
        Ok(_) => Outcome::passed(""),
    }
}

fn is_file(facts: &Facts) -> Outcome {
    match error(facts) {
        Err(outcome) => outcome,
        Ok(OpenError::Connect(ConnectError::IsDirectory { path, .. })) => Outcome::failed(
            format!("{} is a directory", shown(path)),
            "Docker creates a directory for a mount whose source does not exist",
            "delete the directory on the host, put the file in its place, and create the container again",
        ),
        Ok(_) => Outcome::passed(""),
    }
}

fn is_readable(facts: &Facts) -> Outcome {
    match error(facts) {
        Err(outcome) => outcome,
        Ok(OpenError::Connect(ConnectError::Unreadable { path, kind })) => Outcome::failed(
            format!("{}: {kind}", shown(path)),
            "the user of the process may not read the file; only root reads files below /root",
            "run the daemon as the owner of the file, or give it a readable copy",
        ),
        Ok(_) => Outcome::passed(""),
    }
}

/// Returns whether an error of the kubeconfig is about its credential plugin.
fn is_of_plugin(why: &KubeconfigError) -> bool {
    matches!(
        why,
        KubeconfigError::NoCommand | KubeconfigError::NeedsTerminal(_) | KubeconfigError::PluginVersion(_)
    )
}

fn is_valid(facts: &Facts) -> Outcome {
    match error(facts) {
        Err(outcome) => outcome,
        Ok(OpenError::Connect(ConnectError::Invalid { path, why })) if !is_of_plugin(why) => Outcome::failed(
            format!("{}: {why}", shown(path)),
            "the file is not a kubeconfig, or its current context is incomplete",
            "compare with `kubectl config view --minify`; docs/kubeconfig.md lists the accepted parts",
        ),
        Ok(OpenError::Connect(error @ ConnectError::InCluster)) => Outcome::failed(
            error.to_string(),
            "Kubernetes sets both variables in every Pod; something has replaced them",
            "remove the variables from the Pod's manifest",
        ),
        Ok(_) => Outcome::passed(""),
    }
}

fn loads_credentials(facts: &Facts) -> Outcome {
    let why = match error(facts) {
        Err(outcome) => return outcome,
        Ok(OpenError::TimedOut) => "a file with credentials could not be read in time".to_owned(),
        Ok(OpenError::Connect(ConnectError::Credentials { why, .. }))
            if !matches!(why, CredentialsError::Plugin(_)) =>
        {
            why.to_string()
        }
        Ok(_) => return Outcome::passed(""),
    };
    Outcome::failed(
        why,
        "the kubeconfig names files that exist only on another machine, or that this user may not read",
        "mount the files at the same paths, or embed them with `kubectl config view --flatten --raw`",
    )
}

fn plugin_works(facts: &Facts) -> Outcome {
    let (found, is_missing) = match error(facts) {
        Err(outcome) => return outcome,
        Ok(OpenError::Connect(ConnectError::Invalid { why, .. })) if is_of_plugin(why) => {
            (why.to_string(), false)
        }
        Ok(OpenError::Connect(ConnectError::Credentials { why: CredentialsError::Plugin(why), .. })) => {
            (why.to_string(), matches!(why, PluginError::NotFound(_)))
        }
        Ok(_) => return Outcome::passed(""),
    };
    let (cause, action) = if is_missing {
        (
            "the plugin is a program that must be installed where the daemon runs; the container image has none",
            "install the plugin, or use a kubeconfig with the token of a service account",
        )
    } else {
        (
            "the plugin needs a login, a network or variables that the daemon does not have",
            "run the command of the kubeconfig by hand as the daemon's user",
        )
    };
    Outcome::failed(found, cause, action)
}

fn is_usable(facts: &Facts) -> Outcome {
    match error(facts) {
        Err(outcome) => outcome,
        Ok(OpenError::Connect(ConnectError::Client { why, .. })) => {
            let action = match why {
                ClientError::Tls(_) => "replace the certificate or the key in the kubeconfig",
                ClientError::Proxy => {
                    "correct proxy-url, or set K8S_API_SERVER to an address without a proxy"
                }
                ClientError::Impersonation => "correct the names to act as in the kubeconfig",
            };
            Outcome::failed(why.to_string(), "a value of the kubeconfig has an unsupported form", action)
        }
        Ok(_) => Outcome::passed(""),
    }
}

fn client_certificate(facts: &Facts) -> Outcome {
    let access = match facts.access() {
        Ok(access) => access,
        Err(outcome) => return outcome,
    };
    let Some(validity) = access.client_certificate else {
        return Outcome::skipped("there is no client certificate");
    };
    let action = "get a new kubeconfig from the administrator of the cluster (`kubeadm certs renew`)";
    if validity.from > facts.machine.now {
        let found = format!("the client certificate is valid only from {} on", validity.from);
        return Outcome::failed(found, "the clock of this machine is wrong", "set the clock");
    }
    left(validity.until, facts.machine.now, CERTIFICATE_SOON, "the client certificate", action)
}

fn token(facts: &Facts) -> Outcome {
    let access = match facts.access() {
        Ok(access) => access,
        Err(outcome) => return outcome,
    };
    let Some(end) = access.token_end else {
        return Outcome::skipped("there is no token with an end");
    };
    let soon = if access.token_is_renewed { SignedDuration::ZERO } else { TOKEN_SOON };
    let action = "create a new token, or use tokenFile or a credential plugin, which the daemon reads again";
    left(end, facts.machine.now, soon, "the token", action)
}

/// Compares an end with the time.
pub(super) fn left(
    end: Timestamp,
    now: Timestamp,
    soon: SignedDuration,
    what: &str,
    action: &str,
) -> Outcome {
    let left = end.duration_since(now);
    if left <= SignedDuration::ZERO {
        return Outcome::failed(format!("{what} has expired at {end}"), "it was not renewed", action);
    }
    if left < soon {
        let cause = "it ends, and nothing renews it by itself";
        return Outcome::warned(format!("{what} expires at {end}"), cause, action);
    }
    Outcome::passed(format!("until {end}"))
}
