//! The common interface of a sandbox's Pod and Service, and their differences.

use std::fmt;

use kube::core::{NamespaceResourceScope, Resource};
use lifecycle::{
    ids::SandboxId,
    observed::{ObservedPod, ObservedService},
    traits::{Kind, WatchEvent, WatchSink},
};
use serde::de::DeserializeOwned;

use crate::{
    lenient::Scalar,
    manifest::Template,
    names, observe,
    types::{Pod, Service, ServicePort},
};

/// A kind of object that is watched in the namespace of the sandboxes.
pub trait WatchedObject:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + DeserializeOwned
    + Clone
    + Default
    + fmt::Debug
    + Send
    + 'static
{
}

impl<K> WatchedObject for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Default
        + fmt::Debug
        + Send
        + 'static
{
}

/// A kind of object of which each sandbox has one.
pub trait SandboxObject: WatchedObject {
    /// The fields that are kept.
    type Observed: Send;
    /// The kind, for the sink of the watch.
    const KIND: Kind;
    /// The grace period of a delete, in seconds; `None` for the default of the cluster.
    const GRACE_SECONDS: Option<u32>;

    /// Returns the object's name.
    fn name(id: &SandboxId) -> String;
    /// Returns the sandbox whose object has this name.
    fn parse_name(name: &str) -> Option<SandboxId>;
    /// Returns the fields that are kept, or `None` if the object has no uid.
    fn observed(&self, template: &Template, id: &SandboxId) -> Option<Self::Observed>;
    /// Returns whether the object looks like the sandbox's, whatever its labels.
    fn looks_like(&self, id: &SandboxId) -> bool;
    /// Compares the spec of an answer to a create with that of the request. Returns the fields that a mutating admission has
    /// changed so that the object cannot be used.
    fn altered_spec(&self, sent: impl FnOnce() -> Option<Self>) -> Option<String>;
    /// Passes an event of the watch to the sink.
    fn emit(sink: &dyn WatchSink, event: WatchEvent<Self::Observed>);

    /// Returns the sandbox that the object belongs to. The object must have both labels and the matching name.
    fn sandbox_id(&self) -> Option<SandboxId> {
        let id = names::sandbox_id_of(self.meta().labels.as_ref()?)?;
        (self.meta().name.as_deref() == Some(Self::name(&id).as_str())).then_some(id)
    }
}

impl SandboxObject for Pod {
    type Observed = ObservedPod;
    const KIND: Kind = Kind::Pod;
    /// A sandbox has no state to save at its end. A POST of the same id waits for the Pod to terminate and must finish
    /// within the client's timeout of 30 s.
    const GRACE_SECONDS: Option<u32> = Some(10);

    fn name(id: &SandboxId) -> String {
        names::pod(id)
    }

    fn parse_name(name: &str) -> Option<SandboxId> {
        SandboxId::parse(name.strip_prefix("sandbox-")?).ok()
    }

    fn observed(&self, _: &Template, _: &SandboxId) -> Option<ObservedPod> {
        observe::pod(self)
    }

    fn looks_like(&self, _: &SandboxId) -> bool {
        self.has_sandbox_container
    }

    fn altered_spec(&self, sent: impl FnOnce() -> Option<Self>) -> Option<String> {
        (!self.has_sandbox_container && sent()?.has_sandbox_container)
            .then(|| format!("spec.containers (none is called {:?})", names::SANDBOX_CONTAINER))
    }

    fn emit(sink: &dyn WatchSink, event: WatchEvent<ObservedPod>) {
        sink.pods(event);
    }
}

impl SandboxObject for Service {
    type Observed = ObservedService;
    const KIND: Kind = Kind::Service;
    const GRACE_SECONDS: Option<u32> = None;

    fn name(id: &SandboxId) -> String {
        names::service(id)
    }

    fn parse_name(name: &str) -> Option<SandboxId> {
        SandboxId::parse(name.strip_prefix("sandbox-")?.strip_suffix("-svc")?).ok()
    }

    fn observed(&self, template: &Template, id: &SandboxId) -> Option<ObservedService> {
        observe::service(template, id, self)
    }

    fn looks_like(&self, id: &SandboxId) -> bool {
        self.selector == names::pod_selector(id)
    }

    fn altered_spec(&self, sent: impl FnOnce() -> Option<Self>) -> Option<String> {
        let ports = |service: &Self| -> Vec<_> {
            let without_node_port =
                |port: &ServicePort| ServicePort { node_port: Scalar::default(), ..port.clone() };
            service.ports.iter().map(without_node_port).collect()
        };
        let sent = sent()?;
        // A load balancer has node ports as well.
        let keeps_its_type = self.kind == sent.kind || self.kind.as_deref() == Some("LoadBalancer");
        if self.selector != sent.selector {
            Some(format!("spec.selector (now {:?})", self.selector))
        } else if ports(self) != ports(&sent) {
            Some("spec.ports".to_owned())
        } else if !keeps_its_type {
            Some(format!("spec.type (now {:?})", self.kind.as_deref().unwrap_or_default()))
        } else {
            None
        }
    }

    fn emit(sink: &dyn WatchSink, event: WatchEvent<ObservedService>) {
        sink.services(event);
    }
}
