//! The handle on a cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[cfg(feature = "rbac")]
use crate::access;
use crate::api;
use crate::calls::{Call, CallMark, Verb};
use crate::defaults;
use crate::options::Options;
use crate::ports::node_ports;
use crate::resource::{CLASSES, NAMESPACES, PODS, Resource};
use crate::shared::Shared;
use crate::store::text_at;
use crate::{controllers, node, sandbox, storage};

mod faults;
mod node_switches;

/// An in-memory Kubernetes cluster. Clones are handles on the same cluster. Its tasks stop when the last handle or
/// [`Service`](crate::Service) is dropped.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    /// The node, the controllers and the sandbox servers. Dropping the set aborts them.
    tasks: Mutex<JoinSet<()>>,
}

/// Why a manual change failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// This kind is not served.
    #[error("unknown resource {0:?}")]
    UnknownResource(String),
    /// The object has no name, or no namespace.
    #[error("object has no name or no namespace")]
    Unnamed,
    /// The expected state was not reached in time.
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
    /// The object does not exist.
    #[error("{resource} {namespace}/{name} not found")]
    Missing {
        /// The plural.
        resource: String,
        /// The namespace; empty for cluster-wide kinds.
        namespace: String,
        /// The name.
        name: String,
    },
}

// === impl Cluster: start and stop ===

impl Cluster {
    /// Starts a cluster; its tasks run on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let shared = Arc::new(Shared::new(options));
        let cluster = Self { inner: Arc::new(Inner { shared, tasks: Mutex::default() }) };
        let shared = cluster.shared();
        for name in
            ["default", "kube-system"].into_iter().chain(shared.options.namespaces.iter().map(String::as_str))
        {
            cluster.make_namespace(name);
        }
        #[cfg(feature = "rbac")]
        for (resource, object) in access::first_objects(&shared.options.access) {
            // The resources are known and all objects have names.
            let _ = cluster.put(resource.plural, object);
        }
        if shared.options.standard_class {
            // As above.
            let _ = cluster.put(CLASSES.plural, storage::standard_class());
        }
        let mut tasks = cluster.inner.tasks.lock();
        tasks.spawn(controllers::run(Arc::clone(shared)));
        tasks.spawn(storage::run(Arc::clone(shared)));
        if let Some(options) = &shared.options.node {
            tasks.spawn(node::run(Arc::clone(shared), options.clone()));
        }
        if shared.options.sandbox_servers.is_some() {
            tasks.spawn(sandbox::run(Arc::clone(shared)));
        }
        drop(tasks);
        cluster
    }

    /// Stops all tasks of the cluster and waits until they have ended. Later calls are refused.
    pub async fn shutdown(&self) {
        self.set_away(true);
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock());
        tasks.shutdown().await;
    }

    /// Returns the cluster's wall-clock time.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        self.shared().clock.now()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Spawns a task. It is aborted when the cluster stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.inner.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

// === impl Cluster: objects ===

impl Cluster {
    /// Returns the objects of a kind (`"pods"`) in one namespace or in all, in the order of a list. The call is not
    /// recorded. An unknown kind has no objects.
    #[must_use]
    pub fn objects(&self, resource: &str, namespace: Option<&str>) -> Vec<Value> {
        let Some(resource) = Resource::by_plural(resource) else { return Vec::new() };
        self.shared().state().store.list(resource, namespace).map(|object| object.full_value()).collect()
    }

    /// Returns an object. `namespace` is empty for cluster-wide kinds.
    #[must_use]
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = Resource::by_plural(resource)?;
        self.shared().state().store.get(resource, namespace, name).map(|object| object.full_value())
    }

    /// Returns the number of objects of a kind.
    #[must_use]
    pub fn count(&self, resource: &str, namespace: Option<&str>) -> usize {
        let Some(resource) = Resource::by_plural(resource) else { return 0 };
        let state = self.shared().state();
        namespace.map_or_else(
            || state.store.list(resource, None).count(),
            |namespace| state.store.count(resource, namespace),
        )
    }

    /// Waits until the objects of a kind, in one namespace or in all, match a predicate. Works with tokio's paused
    /// clock, which advances while all tasks wait.
    ///
    /// # Errors
    ///
    /// [`ChangeError::UnknownResource`], and [`ChangeError::TimedOut`] after `within`.
    pub async fn wait_for(
        &self,
        resource: &str,
        namespace: Option<&str>,
        within: Duration,
        mut wanted: impl FnMut(&[Value]) -> bool,
    ) -> Result<Vec<Value>, ChangeError> {
        let mut changed = self.shared().state().store.subscribe(known(resource)?);
        let level = async {
            loop {
                changed.borrow_and_update();
                let objects = self.objects(resource, namespace);
                if wanted(&objects) {
                    return objects;
                }
                // The sender is in the store, so it lives as long as this handle.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(within, level).await.map_err(|_| ChangeError::TimedOut(within))
    }

    /// Returns the resource version of the last change of any object.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared().state().store.version()
    }

    /// Creates a namespace, unless it exists.
    pub fn make_namespace(&self, name: &str) {
        let stamp = self.shared().clock.stamp();
        let mut state = self.shared().state();
        let state = &mut *state;
        if state.store.get(NAMESPACES, "", name).is_none() {
            let uid = state.random.uid();
            let mut value = json!({"metadata": {"name": name, "uid": uid, "creationTimestamp": stamp}});
            defaults::new_object(NAMESPACES, &mut value, &mut state.random);
            state.store.put(NAMESPACES, value);
        }
    }

    /// Stores an object without validation or defaults, and replaces an existing one. Watchers get the event; the call
    /// is not recorded.
    ///
    /// # Errors
    ///
    /// [`ChangeError::UnknownResource`] and [`ChangeError::Unnamed`].
    pub fn put(&self, resource: &str, mut object: Value) -> Result<Value, ChangeError> {
        let resource = known(resource)?;
        let named = |key| !text_at(&object, &["metadata", key]).is_empty();
        if !named("name") || (resource.namespaced && !named("namespace")) {
            return Err(ChangeError::Unnamed);
        }
        if let Some(fields) = object.as_object_mut() {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        let stamp = self.shared().clock.stamp();
        let mut state = self.shared().state();
        for (key, value) in [("uid", state.random.uid()), ("creationTimestamp", stamp)] {
            if text_at(&object, &["metadata", key]).is_empty() {
                object["metadata"][key] = value.into();
            }
        }
        // Reserves the node ports and the address of a Service. A conflict is what the caller asked for.
        for port in node_ports(&object) {
            let _ = state.ports.allocate(port);
        }
        Ok(state.store.put(resource, object).full_value())
    }

    /// Changes an object without validation. Watchers get the event; the call is not recorded.
    ///
    /// # Errors
    ///
    /// [`ChangeError::UnknownResource`] and [`ChangeError::Missing`].
    pub fn change(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, ChangeError> {
        let resource = known(resource)?;
        let mut state = self.shared().state();
        let old = state.store.get(resource, namespace, name);
        let old = old.ok_or_else(|| missing(resource, namespace, name))?;
        let mut value = old.value().clone();
        change(&mut value);
        Ok(api::commit_change(&mut state, &old, value).full_value())
    }

    /// Removes an object immediately, without regard to finalizers and grace periods.
    ///
    /// # Errors
    ///
    /// [`ChangeError::UnknownResource`] and [`ChangeError::Missing`].
    pub fn remove(&self, resource: &str, namespace: &str, name: &str) -> Result<Value, ChangeError> {
        let resource = known(resource)?;
        let gone = self.shared().state().remove(resource, namespace, name);
        gone.map(|object| object.full_value()).ok_or_else(|| missing(resource, namespace, name))
    }

    /// Replaces a Pod's status. From then on the node does not update the Pod, except to delete it.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Missing`].
    pub fn set_status(&self, namespace: &str, pod: &str, status: Value) -> Result<Value, ChangeError> {
        self.stop_updates(namespace, pod);
        self.change(PODS.plural, namespace, pod, |value| value["status"] = status)
    }

    /// Sets a Pod's phase and leaves the rest of its status. From then on the node does not update the Pod, except to
    /// delete it.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Missing`].
    pub fn set_phase(&self, namespace: &str, pod: &str, phase: &str) -> Result<Value, ChangeError> {
        self.stop_updates(namespace, pod);
        self.change(PODS.plural, namespace, pod, |value| value["status"]["phase"] = phase.into())
    }

    /// Stops the node from updating a Pod, except to delete it.
    fn stop_updates(&self, namespace: &str, pod: &str) {
        let mut state = self.shared().state();
        if let Some(uid) = state.store.get(PODS, namespace, pod).map(|object| object.uid().to_owned()) {
            state.manual_pods.insert(uid);
        }
    }
}

// === impl Cluster: call record ===

impl Cluster {
    /// Returns the recorded calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(CallMark(0))
    }

    /// Returns the current end of the record.
    #[must_use]
    pub fn mark(&self) -> CallMark {
        self.shared().calls.lock().mark()
    }

    /// Returns the calls after a mark.
    #[must_use]
    pub fn calls_since(&self, mark: CallMark) -> Vec<Call> {
        self.shared().calls.lock().since(mark)
    }

    /// Returns the number of recorded calls with a verb and a resource.
    #[must_use]
    pub fn count_calls(&self, verb: Verb, resource: &str) -> usize {
        self.calls().iter().filter(|call| call.verb == verb && call.resource == resource).count()
    }

    /// Clears the record.
    pub fn reset_calls(&self) {
        self.shared().calls.lock().reset();
    }

    /// Returns the number of calls that were refused because the server was unavailable. They are not recorded.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared().refused.load(Ordering::Relaxed)
    }
}

fn known(plural: &str) -> Result<&'static Resource, ChangeError> {
    Resource::by_plural(plural).ok_or_else(|| ChangeError::UnknownResource(plural.to_owned()))
}

fn missing(resource: &Resource, namespace: &str, name: &str) -> ChangeError {
    ChangeError::Missing {
        resource: resource.plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
