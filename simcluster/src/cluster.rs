//! The handle on a cluster: how it is started, watched, tampered with and stopped.

use std::sync::Arc;
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
use crate::resource::{NAMESPACES, PODS, Resource};
use crate::shared::Shared;
use crate::store::text_at;
use crate::{controllers, node, sandbox};

mod faults;
mod node_switches;

/// An in-memory Kubernetes cluster. Clones are handles on the same one; its tasks end with the last of them (the
/// services it gave out count as handles).
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    /// The node, the controllers, the sandbox servers. Dropping the set aborts them.
    tasks: Mutex<JoinSet<()>>,
}

/// A change by hand that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// No such kind is served.
    #[error("no resource is called {0:?}")]
    UnknownResource(String),
    /// The object lacks its name, or its namespace.
    #[error("the object has no name or no namespace")]
    Unnamed,
    /// What was waited for did not come.
    #[error("nothing came of it within {0:?}")]
    Waited(Duration),
    /// There is no such object.
    #[error("there is no {resource} {namespace}/{name}")]
    Missing {
        /// The plural.
        resource: String,
        /// The namespace; empty for cluster-wide kinds.
        namespace: String,
        /// The name.
        name: String,
    },
}

// === impl Cluster: life ===

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
            // The table names only kinds that are served, and each object has its name.
            let _ = cluster.put(resource.plural, object);
        }
        let mut tasks = cluster.inner.tasks.lock();
        tasks.spawn(controllers::run(Arc::clone(shared)));
        if let Some(options) = &shared.options.node {
            tasks.spawn(node::run(Arc::clone(shared), options.clone()));
        }
        if shared.options.sandbox_servers.is_some() {
            tasks.spawn(sandbox::run(Arc::clone(shared)));
        }
        drop(tasks);
        cluster
    }

    /// Stops the node and all else that moves, and waits until it has stopped. Afterwards every call is refused.
    pub async fn shutdown(&self) {
        self.set_away(true);
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock());
        tasks.shutdown().await;
    }

    /// The cluster's wall clock.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        self.shared().clock.now()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Runs something beside the node, until it ends or the cluster does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.inner.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

// === impl Cluster: objects ===

impl Cluster {
    /// The objects of a kind (`"pods"`), whole, in one namespace or in all, in the order of a list. No call is
    /// recorded. A kind that is not served has no objects.
    #[must_use]
    pub fn objects(&self, resource: &str, namespace: Option<&str>) -> Vec<Value> {
        let Some(resource) = Resource::by_plural(resource) else { return Vec::new() };
        self.shared().state().store.list(resource, namespace).map(|object| object.full_value()).collect()
    }

    /// One object, whole; `namespace` is empty for cluster-wide kinds.
    #[must_use]
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = Resource::by_plural(resource)?;
        self.shared().state().store.get(resource, namespace, name).map(|object| object.full_value())
    }

    /// How many objects of a kind there are.
    #[must_use]
    pub fn count(&self, resource: &str, namespace: Option<&str>) -> usize {
        let Some(resource) = Resource::by_plural(resource) else { return 0 };
        let state = self.shared().state();
        namespace.map_or_else(
            || state.store.list(resource, None).count(),
            |namespace| state.store.count(resource, namespace),
        )
    }

    /// Waits until the objects of a kind, in one namespace or in all, are as wanted: a level, not an edge. Works under
    /// the paused clock, which goes on while everything waits.
    ///
    /// # Errors
    ///
    /// [`HandError::UnknownResource`], and [`HandError::Waited`] once `within` has gone by.
    pub async fn wait_for(
        &self,
        resource: &str,
        namespace: Option<&str>,
        within: Duration,
        mut wanted: impl FnMut(&[Value]) -> bool,
    ) -> Result<Vec<Value>, HandError> {
        let mut changed = self.shared().state().store.subscribe(known(resource)?);
        let level = async {
            loop {
                changed.borrow_and_update();
                let objects = self.objects(resource, namespace);
                if wanted(&objects) {
                    return objects;
                }
                // The sender lives in the store, and so as long as this handle.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(within, level).await.map_err(|_| HandError::Waited(within))
    }

    /// The version of the last change anywhere.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared().state().store.version()
    }

    /// Makes a namespace, if there is none of that name.
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

    /// Puts an object as it is, without checks or defaults, in place of one of the same name if there is one. Watchers
    /// see it; no call is recorded.
    ///
    /// # Errors
    ///
    /// [`HandError::UnknownResource`] and [`HandError::Unnamed`].
    pub fn put(&self, resource: &str, mut object: Value) -> Result<Value, HandError> {
        let resource = known(resource)?;
        let named = |key| !text_at(&object, &["metadata", key]).is_empty();
        if !named("name") || (resource.namespaced && !named("namespace")) {
            return Err(HandError::Unnamed);
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
        // What a Service put here says it has, nobody else gets; if it is taken already, that is as was wished.
        for port in node_ports(&object) {
            let _ = state.ports.take(port);
        }
        Ok(state.store.put(resource, object).full_value())
    }

    /// Changes an object in place, without checks; what the change makes of it is stored. Watchers see it; no call is
    /// recorded.
    ///
    /// # Errors
    ///
    /// [`HandError::UnknownResource`] and [`HandError::Missing`].
    pub fn change(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, HandError> {
        let resource = known(resource)?;
        let mut state = self.shared().state();
        let old = state.store.get(resource, namespace, name);
        let old = old.ok_or_else(|| missing(resource, namespace, name))?;
        let mut value = old.value().clone();
        change(&mut value);
        Ok(api::commit_change(&mut state, &old, value).full_value())
    }

    /// Removes an object at once, whatever its finalizers or grace: as if it had never been.
    ///
    /// # Errors
    ///
    /// [`HandError::UnknownResource`] and [`HandError::Missing`].
    pub fn remove(&self, resource: &str, namespace: &str, name: &str) -> Result<Value, HandError> {
        let resource = known(resource)?;
        let gone = self.shared().state().remove(resource, namespace, name);
        gone.map(|object| object.full_value()).ok_or_else(|| missing(resource, namespace, name))
    }

    /// Writes a Pod's whole status by hand. The node leaves the Pod alone from then on, except for its deletion.
    ///
    /// # Errors
    ///
    /// [`HandError::Missing`].
    pub fn set_status(&self, namespace: &str, pod: &str, status: Value) -> Result<Value, HandError> {
        self.let_go(namespace, pod);
        self.change(PODS.plural, namespace, pod, |value| value["status"] = status)
    }

    /// Writes a Pod's phase by hand, and nothing else of its status. The node leaves the Pod alone from then on,
    /// except for its deletion.
    ///
    /// # Errors
    ///
    /// [`HandError::Missing`].
    pub fn set_phase(&self, namespace: &str, pod: &str, phase: &str) -> Result<Value, HandError> {
        self.let_go(namespace, pod);
        self.change(PODS.plural, namespace, pod, |value| value["status"]["phase"] = phase.into())
    }

    /// Makes the node leave a Pod alone, except for its deletion.
    fn let_go(&self, namespace: &str, pod: &str) {
        let mut state = self.shared().state();
        if let Some(uid) = state.store.get(PODS, namespace, pod).map(|object| object.uid().to_owned()) {
            state.let_go.insert(uid);
        }
    }
}

// === impl Cluster: the record ===

impl Cluster {
    /// The recorded calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(CallMark(0))
    }

    /// The present end of the record.
    #[must_use]
    pub fn mark(&self) -> CallMark {
        self.shared().calls().mark()
    }

    /// The calls that came after a mark.
    #[must_use]
    pub fn calls_since(&self, mark: CallMark) -> Vec<Call> {
        self.shared().calls().since(mark)
    }

    /// How many recorded calls have this verb and resource.
    #[must_use]
    pub fn count_calls(&self, verb: Verb, resource: &str) -> usize {
        self.calls().iter().filter(|call| call.verb == verb && call.resource == resource).count()
    }

    /// Forgets the calls so far.
    pub fn reset_calls(&self) {
        self.shared().calls().reset();
    }

    /// How many calls found the server away. They are in no record: they never reached it.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared().refused()
    }
}

fn known(plural: &str) -> Result<&'static Resource, HandError> {
    Resource::by_plural(plural).ok_or_else(|| HandError::UnknownResource(plural.to_owned()))
}

fn missing(resource: &Resource, namespace: &str, name: &str) -> HandError {
    HandError::Missing {
        resource: resource.plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
