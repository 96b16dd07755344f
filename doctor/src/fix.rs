//! Deletes orphans, as the daemon does: after the grace, only objects with both labels, and only in the observed state.

use std::{fmt, sync::Arc};

use kubernetes::{
    cluster::KubeCluster,
    connect::{Connection, Limits},
    inspect,
    probe::ProbeOptions,
};
use lifecycle::{
    ids::SandboxId,
    traits::{Cluster as _, KnownUids, Outcome, Preconditions},
};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::{
    checks,
    facts::Facts,
    subject::{Cluster, Subject},
};

/// The time for loading the credentials again.
const OPEN_TIME: Duration = Duration::from_secs(5);

/// The fate of one orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The object, such as `Pod sandbox-a`.
    pub object: String,
    /// `Err` with the reason if it was not deleted.
    pub result: Result<(), String>,
}

/// Deletes the orphans of the facts. While a daemon runs it deletes nothing, because the daemon does so itself.
///
/// # Errors
/// Returns the reason if nothing can be deleted.
pub async fn fix(subject: &Subject, facts: &Facts) -> Result<Vec<Fixed>, String> {
    if facts.sandboxes().is_err() {
        return Err("nothing was deleted: the sandboxes could not be read".to_owned());
    }
    let orphans = checks::orphans_of(facts);
    if orphans.is_empty() {
        return Ok(Vec::new());
    }
    if matches!(facts.daemon.health, Some(Ok(200))) {
        return Err(format!(
            "nothing was deleted: a daemon runs at {}, and it deletes orphans by itself; its log says why it cannot",
            facts.daemon.url
        ));
    }
    let connection = connect(subject).await?;
    let template = Arc::new(facts.settings.template.clone());
    let cluster = KubeCluster::new(connection, template, ProbeOptions::default());
    let mut fixed = Vec::new();
    for (id, is_pod) in orphans {
        fixed.push(delete(&cluster, id, is_pod).await);
    }
    Ok(fixed)
}

async fn connect(subject: &Subject) -> Result<Connection, String> {
    let options = match &subject.cluster {
        Cluster::Embedded { connection, .. } => return Ok(connection.clone()),
        Cluster::Configured(options) => options,
    };
    let namespace = &subject.settings.template.namespace;
    let opened = inspect::open(options, namespace, Limits::default(), Instant::now() + OPEN_TIME).await;
    opened.map(|opened| opened.connection).map_err(|error| error.to_string())
}

/// Reads both objects again, and deletes the orphan if it still is one.
async fn delete(cluster: &KubeCluster, id: SandboxId, is_pod: bool) -> Fixed {
    let object = if is_pod {
        format!("Pod {}", kubernetes::names::pod(&id))
    } else {
        format!("Service {}", kubernetes::names::service(&id))
    };
    let result = async {
        let seen = cluster.read(id.clone(), KnownUids::default()).await.map_err(|fault| fault.to_string())?;
        if let Some(foreign) = seen.foreign {
            return Err(format!("left alone: {} is a foreign object", foreign.what));
        }
        match (seen.seen.pod, seen.seen.service) {
            (Some(pod), None) if is_pod => {
                let only = Preconditions { uid: pod.uid, version: Some(pod.version) };
                done(cluster.delete_pod(id, only).await)
            }
            (None, Some(service)) if !is_pod => {
                let only = Preconditions { uid: service.uid, version: Some(service.version) };
                done(cluster.delete_service(id, only).await)
            }
            (None, None) => Ok(()),
            _ => Err("left alone: it is not an orphan any more".to_owned()),
        }
    };
    Fixed { object, result: result.await }
}

fn done<T>(outcome: Outcome<T>) -> Result<(), String> {
    match outcome {
        Outcome::Done(_) => Ok(()),
        Outcome::Refused(fault) | Outcome::Unknown(fault) => Err(fault.to_string()),
    }
}

// === impl Fixed ===

impl Fixed {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "object": self.object,
            "deleted": self.result.is_ok(),
            "message": self.result.as_ref().err(),
        })
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(()) => write!(f, "deleted the orphan {}", self.object),
            Err(why) => write!(f, "could not delete the orphan {}: {why}", self.object),
        }
    }
}
