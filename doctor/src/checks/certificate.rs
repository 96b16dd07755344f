//! Group 04: the API server's certificate.

use jiff::SignedDuration;
use kubernetes::inspect::{ReachError, TlsFault, Validity};

use super::{json::list, kubeconfig::left};
use crate::{
    check::{Check, Outcome, check},
    facts::Facts,
};

pub(super) const CHECKS: &[Check] = &[
    check("SP0401", "the API server speaks TLS", &["SP0303"], speaks_tls),
    check("SP0402", "the certificate is from the kubeconfig's authority", &["SP0401"], is_trusted),
    check("SP0403", "the certificate has the name of the server", &["SP0401"], has_name),
    check("SP0404", "the certificate is valid now", &["SP0401"], is_valid),
    check("SP0405", "the certificate is valid for a while", &["SP0402", "SP0403", "SP0404"], lasts),
    check("SP0406", "the certificate is checked", &["SP0207"], is_checked),
];

/// The time before the end of the certificate at which a check warns.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Returns the fault of the handshake, the validity of the certificate, or the outcome without a handshake.
fn handshake(facts: &Facts) -> Result<Result<Option<Validity>, &TlsFault>, Outcome> {
    let access = facts.access()?;
    if !access.is_https {
        return Err(Outcome::skipped("the connection uses plain HTTP"));
    }
    if access.has_proxy {
        return Err(Outcome::skipped("a proxy makes the connection"));
    }
    match &facts.reach {
        Some(Ok(validity)) => Ok(Ok(*validity)),
        Some(Err(ReachError::Tls(fault))) => Ok(Err(fault)),
        _ => Err(Outcome::skipped("not tried")),
    }
}

fn speaks_tls(facts: &Facts) -> Outcome {
    let (found, cause, action) = match handshake(facts) {
        Err(outcome) => return outcome,
        Ok(Err(TlsFault::NotTls)) => (
            "the server answers without TLS".to_owned(),
            "the address is that of another service, or the API server speaks plain HTTP there",
            "correct the port, or use http:// in the kubeconfig or in K8S_API_SERVER",
        ),
        Ok(Err(TlsFault::Other(why))) => (
            why.clone(),
            "something between this machine and the API server interrupts TLS, or the versions do not fit",
            "try `kubectl version` from the same machine; look at proxies and load balancers between",
        ),
        Ok(_) => return Outcome::passed(""),
    };
    Outcome::failed(found, cause, action)
}

fn is_trusted(facts: &Facts) -> Outcome {
    match handshake(facts) {
        Err(outcome) => outcome,
        Ok(Err(TlsFault::UnknownAuthority)) => Outcome::failed(
            "the certificate is from an unknown authority",
            "the cluster was created again, or the kubeconfig is of another cluster",
            "get the kubeconfig again from the cluster",
        ),
        Ok(_) => Outcome::passed(""),
    }
}

fn has_name(facts: &Facts) -> Outcome {
    match handshake(facts) {
        Err(outcome) => outcome,
        Ok(Err(TlsFault::WrongName { expected, presented })) => Outcome::failed(
            format!("the certificate is for {}, and not for {expected}", list(presented)),
            "the API server is reached under a name that its certificate does not have",
            "set PROVISIONER_TLS_SERVER_NAME to a name of the certificate",
        ),
        Ok(_) => Outcome::passed(""),
    }
}

fn is_valid(facts: &Facts) -> Outcome {
    let clock = "if the date is right, the clock of this machine is wrong";
    match handshake(facts) {
        Err(outcome) => outcome,
        Ok(Err(TlsFault::Expired { end })) => Outcome::failed(
            end.map_or("it has expired".to_owned(), |end| format!("it has expired at {end}")),
            format!("it was not renewed; {clock}"),
            "renew the certificates of the cluster (`kubeadm certs renew all`), or set the clock",
        ),
        Ok(Err(TlsFault::NotYetValid { begin })) => Outcome::failed(
            begin.map_or("it is not yet valid".to_owned(), |begin| {
                format!("it is valid only from {begin} on")
            }),
            format!("the certificate is new; {clock}"),
            "set the clock of this machine",
        ),
        Ok(_) => Outcome::passed(""),
    }
}

fn lasts(facts: &Facts) -> Outcome {
    let action = "renew the certificates of the cluster (`kubeadm certs renew all`)";
    match handshake(facts) {
        Err(outcome) => outcome,
        Ok(Ok(Some(validity))) => {
            left(validity.until, facts.machine.now, SOON, "the API server's certificate", action)
        }
        Ok(_) => Outcome::skipped("its end could not be read"),
    }
}

fn is_checked(facts: &Facts) -> Outcome {
    match facts.access() {
        Err(outcome) => outcome,
        Ok(access) if !access.is_https => Outcome::skipped("the connection uses plain HTTP"),
        Ok(access) if access.checks_certificate => Outcome::passed(""),
        Ok(_) => Outcome::warned(
            "any certificate of the API server is accepted",
            "PROVISIONER_INSECURE_SKIP_TLS_VERIFY or insecure-skip-tls-verify is on",
            "remove it, and set PROVISIONER_TLS_SERVER_NAME if only the name differs; anyone on the way reads the \
             credentials",
        ),
    }
}
