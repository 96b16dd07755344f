//! Reads the facts of the cluster, all at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _, join_all};
use kubernetes::{connect::Connection, inspect, manifest};
use lifecycle::{
    ids::{ProfileName, SandboxId, ThreadId, UserId},
    request::CreateRequest,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::dial::{self, Dialled};
use crate::{
    checks::{RIGHTS, Right, claims_of, named_classes},
    facts::{ClusterFacts, Read, Unread},
    selection::Selection,
    subject::Subject,
};

/// The id in the manifests of dry runs.
const DRY_RUN_ID: &str = "doctor-dry-run";

/// The maximum number of profiles whose Pods are tried.
const PROFILES_MAX: usize = 16;

/// The longest text of metrics that is read, in bytes.
const METRICS_MAX: usize = 64 << 20;

/// The time for the API server's metrics.
const METRICS_TIME: Duration = Duration::from_secs(10);

/// Reads all facts before `deadline`, and dials sandboxes as soon as they are known.
pub(super) async fn gather(
    subject: &Subject,
    selection: &Selection,
    connection: &Connection,
    deadline: Instant,
) -> (ClusterFacts, Dialled) {
    let reader = &Reader { subject, connection, deadline };
    let template = &subject.settings.template;
    let namespace = &template.namespace;
    let (runtimes, priorities) = named_classes(template);
    let claims = claims_of(template).into_iter().map(|(_, claim)| claim.to_owned()).collect();
    let is_restricted = template.profiles.iter().any(|(_, profile)| profile.is_network_restricted());
    let version = async {
        let begin = Instant::now();
        let version = reader.get("/version").await;
        let latency = version.is_ok().then(|| begin.elapsed());
        (version, latency)
    };
    let policies = async {
        if !is_restricted {
            return Err(Unread::NotAsked);
        }
        Ok(inspect::network_policies(connection, template, reader.left()).await?)
    };
    let metrics = async {
        if !selection.asks_for("SP0310") {
            return Err(Unread::NotAsked);
        }
        Ok(inspect::text(connection, "/metrics", METRICS_MAX, METRICS_TIME).await?)
    };
    // The call for the version comes first: its time is the latency, without the wait for the other calls.
    let (version, latency) = version.await;
    if version.as_ref().is_err_and(|unread| unread.kind().is_some_and(is_hopeless)) {
        return (ClusterFacts { version, latency, ..ClusterFacts::default() }, Vec::new());
    }
    let of_claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    let quota_path = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    let namespace_path = format!("/api/v1/namespaces/{namespace}");
    let health = futures::future::join(reader.ok("/readyz"), reader.ok("/readyz/etcd"));
    let objects = futures::future::join3(
        reader.get(&namespace_path),
        reader.list(&quota_path),
        reader.named(&of_claims, claims),
    );
    let classes = futures::future::join3(
        reader.list("/apis/storage.k8s.io/v1/storageclasses"),
        reader.named("/apis/node.k8s.io/v1/runtimeclasses", runtimes),
        reader.named("/apis/scheduling.k8s.io/v1/priorityclasses", priorities),
    );
    let machines = futures::future::join3(
        reader.list("/api/v1/nodes"),
        reader.list("/api/v1/services"),
        reader.get("/api/v1"),
    );
    let sandboxes = async {
        let sandboxes = inspect::list_sandboxes(connection, template, deadline).await;
        let dialled = dial::sandboxes(subject, &sandboxes, deadline).await;
        (sandboxes, dialled)
    };
    let (
        (ready, etcd),
        (namespace, quotas, claims),
        (storage_classes, runtime_classes, priority_classes),
        (nodes, services, resources),
        (sandboxes, dialled),
        rights,
        (pod_dry_runs, untried_profiles, service_dry_run),
        policies,
        metrics,
    ) = futures::join!(
        health,
        objects,
        classes,
        machines,
        sandboxes,
        reader.rights(),
        reader.dry_runs(),
        policies,
        metrics
    );
    let facts = ClusterFacts {
        version,
        latency,
        skew: None,
        ready,
        etcd,
        metrics,
        resources,
        rights,
        namespace,
        quotas,
        pod_dry_runs,
        untried_profiles,
        service_dry_run,
        claims,
        storage_classes,
        runtime_classes,
        priority_classes,
        nodes,
        services,
        sandboxes: Some(sandboxes),
        policies,
    };
    (facts, dialled)
}

/// Returns whether no other call can succeed after an error of this class.
fn is_hopeless(kind: lifecycle::error::ClusterErrorKind) -> bool {
    use lifecycle::error::ClusterErrorKind as Kind;
    matches!(kind, Kind::Unauthorized | Kind::Unreachable | Kind::TimedOut | Kind::ServerError)
}

struct Reader<'a> {
    subject: &'a Subject,
    connection: &'a Connection,
    deadline: Instant,
}

// === impl Reader ===

impl Reader<'_> {
    /// Returns the time that is left, at least a little, so that a call fails with its own error.
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    async fn get(&self, path: &str) -> Read<Value> {
        Ok(inspect::get(self.connection, path, self.left()).await?)
    }

    /// Reads a path that answers `ok`.
    async fn ok(&self, path: &str) -> Read<()> {
        inspect::text(self.connection, path, 64 << 10, self.left()).await?;
        Ok(())
    }

    async fn list(&self, path: &str) -> Read<Vec<Value>> {
        let list = self.get(path).await?;
        Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Reads the objects with these names.
    async fn named(&self, path: &str, names: BTreeSet<String>) -> BTreeMap<String, Read<Value>> {
        let read = names.into_iter().map(async |name| {
            let found = self.get(&format!("{path}/{name}")).await;
            (name, found)
        });
        join_all(read).await.into_iter().collect()
    }

    /// Asks for each right that the daemon uses with the settings.
    async fn rights(&self) -> BTreeMap<String, Read<bool>> {
        let used = RIGHTS.iter().filter(|right| right.is_used(&self.subject.settings));
        let asked = used.map(async |right| (right.name(), self.right(right).await));
        join_all(asked).await.into_iter().collect()
    }

    async fn right(&self, right: &Right) -> Read<bool> {
        let namespace = &self.subject.settings.template.namespace;
        let mut attributes = json!({
            "verb": right.verb, "group": right.group, "resource": right.resource, "subresource": right.subresource,
        });
        // A namespace is an object of the cluster; the daemon uses one of them.
        let place = if right.is_of_cluster() { "name" } else { "namespace" };
        attributes[place] = namespace.as_str().into();
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = inspect::create(self.connection, path, &review, self.left()).await?;
        Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false))
    }

    /// Tries to create the Pod of each profile, and a Service, without storing them. Also returns the number of profiles that
    /// were not tried.
    async fn dry_runs(&self) -> (Vec<(String, Read<()>)>, usize, Read<()>) {
        let Ok(id) = SandboxId::parse(DRY_RUN_ID) else { return (Vec::new(), 0, Err(Unread::NotAsked)) };
        let template = &self.subject.settings.template;
        let named = template.profiles.iter().map(|(name, _)| Some(name.clone()));
        // A request without a profile has the default one, if it exists.
        let has_default = template.profiles.get(&ProfileName::default_profile()).is_some();
        let unnamed: Option<Option<ProfileName>> = (!has_default).then_some(None);
        let profiles: Vec<_> = unnamed.into_iter().chain(named).collect();
        let count = profiles.len();
        let tried = profiles.into_iter().take(PROFILES_MAX);
        let pods: Vec<BoxFuture<'_, _>> =
            tried.map(|profile| self.dry_run_pod(id.clone(), profile).boxed()).collect();
        let service = async {
            let service = manifest::service(template, &CreateRequest::new(id.clone()));
            self.dry_run("services", &json!(service)).await
        };
        let (pods, service) = futures::join!(join_all(pods), service);
        let pods: Vec<_> = pods.into_iter().flatten().collect();
        let untried = count - pods.len();
        (pods, untried, service)
    }

    async fn dry_run_pod(&self, id: SandboxId, profile: Option<ProfileName>) -> Option<(String, Read<()>)> {
        let name = profile.as_ref().map(ToString::to_string).unwrap_or_default();
        let request = CreateRequest {
            profile,
            thread_id: ThreadId::parse(DRY_RUN_ID),
            user_id: UserId::parse(DRY_RUN_ID).unwrap_or_default(),
            ..CreateRequest::new(id)
        };
        // A request of its own kind may fit a profile that this one does not fit.
        let pod = manifest::pod(&self.subject.settings.template, &request).ok()?;
        Some((name, self.dry_run("pods", &json!(pod)).await))
    }

    async fn dry_run(&self, resource: &str, object: &Value) -> Read<()> {
        let namespace = &self.subject.settings.template.namespace;
        let path = format!("/api/v1/namespaces/{namespace}/{resource}?dryRun=All");
        inspect::create(self.connection, &path, object, self.left()).await?;
        Ok(())
    }
}
