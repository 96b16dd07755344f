//! What Pods and Services differ in, to the watch.

use std::fmt;

use kube::core::{NamespaceResourceScope, Resource};
use lifecycle::{
    ids::SandboxId,
    observed::{ObservedPod, ObservedService},
    traits::{Kind, WatchEvent, WatchSink},
};
use serde::de::DeserializeOwned;

use crate::{
    manifest::Template,
    observe,
    types::{Pod, Service},
};

/// A kind of object that is watched.
pub trait Watchable:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + DeserializeOwned
    + Clone
    + Default
    + fmt::Debug
    + Send
    + 'static
{
    /// What is kept of one.
    type Observed: Send;
    /// Which kind it is.
    const KIND: Kind;
    /// Its name in words.
    const NAME: &'static str;

    /// The sandbox that it is of.
    fn owner(&self) -> Option<SandboxId>;
    /// The sandbox that one of its name would be of.
    fn named(&self) -> Option<SandboxId>;
    /// What is kept of it.
    fn seen(&self, template: &Template, id: &SandboxId) -> Option<Self::Observed>;
    /// Tells the sink.
    fn tell(sink: &dyn WatchSink, event: WatchEvent<Self::Observed>);
}

impl Watchable for Pod {
    type Observed = ObservedPod;
    const KIND: Kind = Kind::Pod;
    const NAME: &'static str = "Pods";

    fn owner(&self) -> Option<SandboxId> {
        observe::pod_owner(self)
    }

    fn named(&self) -> Option<SandboxId> {
        observe::pod_named(self)
    }

    fn seen(&self, _: &Template, _: &SandboxId) -> Option<ObservedPod> {
        observe::pod(self)
    }

    fn tell(sink: &dyn WatchSink, event: WatchEvent<ObservedPod>) {
        sink.pods(event);
    }
}

impl Watchable for Service {
    type Observed = ObservedService;
    const KIND: Kind = Kind::Service;
    const NAME: &'static str = "Services";

    fn owner(&self) -> Option<SandboxId> {
        observe::service_owner(self)
    }

    fn named(&self) -> Option<SandboxId> {
        observe::service_named(self)
    }

    fn seen(&self, template: &Template, id: &SandboxId) -> Option<ObservedService> {
        observe::service(template, id, self)
    }

    fn tell(sink: &dyn WatchSink, event: WatchEvent<ObservedService>) {
        sink.services(event);
    }
}
