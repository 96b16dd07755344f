//! Gathers the facts, concurrently and within a deadline. Changes nothing in the cluster: writes are dry runs.

mod cluster;
mod daemon;
mod dial;

use std::time::Duration;

use jiff::SignedDuration;
use kubernetes::{
    connect::{Connection, Limits},
    inspect::{self, OpenError, Opened, ReachError, Validity},
};
use lifecycle::traits::Clock as _;
use tokio::time::Instant;

use crate::{
    facts::{AccessFacts, ClusterFacts, Facts, NetworkFacts},
    selection::Selection,
    subject::{Cluster, Subject},
};

/// The part of the time for the way to the API server.
const REACH_SHARE: u32 = 2;

/// Gathers the facts that the selected checks need, within about `time`. Slow checks have their own time.
pub async fn gather(subject: &Subject, selection: &Selection, time: Duration) -> Facts {
    let deadline = Instant::now() + time;
    let (found, daemon, node_host) = futures::join!(
        // Both are large.
        Box::pin(find_cluster(subject, selection, deadline, time)),
        Box::pin(daemon::gather(subject, selection, deadline)),
        dial::resolve(subject, deadline),
    );
    let Found { access, reach, cluster, dialled } = found;
    Facts {
        settings: subject.settings.clone(),
        machine: subject.machine,
        access,
        reach,
        cluster,
        double_of: None,
        network: NetworkFacts { node_host, dialled },
        daemon,
    }
}

struct Found {
    access: AccessFacts,
    reach: Option<Result<Option<Validity>, ReachError>>,
    cluster: ClusterFacts,
    dialled: dial::Dialled,
}

async fn find_cluster(subject: &Subject, selection: &Selection, deadline: Instant, time: Duration) -> Found {
    let (access, reach, connection) = match &subject.cluster {
        Cluster::Embedded { connection, has_sandboxes } => {
            (AccessFacts::Embedded { has_sandboxes: *has_sandboxes }, None, Some(connection.clone()))
        }
        Cluster::Configured(_) => match open(subject, deadline).await {
            Err(error) => (AccessFacts::Failed(error), None, None),
            Ok(opened) => {
                let reach_deadline = deadline.min(Instant::now() + time / REACH_SHARE);
                let reach = inspect::reach(&opened, reach_deadline).await;
                let connection = reach.is_ok().then_some(opened.connection);
                (AccessFacts::Opened(opened.access), Some(reach), connection)
            }
        },
    };
    let Some(connection) = connection else {
        return Found { access, reach, cluster: ClusterFacts::default(), dialled: Vec::new() };
    };
    let (mut cluster, dialled) = Box::pin(cluster::gather(subject, selection, &connection, deadline)).await;
    cluster.skew = skew(&connection, subject);
    Found { access, reach, cluster, dialled }
}

async fn open(subject: &Subject, deadline: Instant) -> Result<Opened, OpenError> {
    let Cluster::Configured(options) = &subject.cluster else { return Err(OpenError::TimedOut) };
    let limits = Limits { in_flight: 16, ..Limits::default() };
    inspect::open(options, &subject.settings.template.namespace, limits, deadline).await
}

/// Returns the difference of the API server's clock, which is that of this machine before the first answer.
fn skew(connection: &Connection, subject: &Subject) -> Option<SignedDuration> {
    let now = jiff::Timestamp::now();
    let skew = connection.wall().duration_since(now);
    // A diagnosis may be made as of another time.
    Some(skew.saturating_add(now.duration_since(subject.machine.now)))
        .map(|skew| if skew.abs() < SignedDuration::from_secs(2) { SignedDuration::ZERO } else { skew })
}
