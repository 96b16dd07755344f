//! What Pods and Services differ in, to the watch.

use kube::core::Resource;
use lifecycle::{
    ids::SandboxId,
    ports::{Kind, WatchEvent, Watched},
    seen::{SeenPod, SeenService},
};
use serde::de::DeserializeOwned;

use crate::{
    lean::{Pod, Service},
    manifest::Template,
    read,
};

/// A kind of object that is watched.
pub trait Watchable: Resource<DynamicType = ()> + DeserializeOwned + Send + 'static {
    /// What is kept of one.
    type Seen: Send;
    /// Which kind it is.
    const KIND: Kind;
    /// Its name in words.
    const NAME: &'static str;

    /// The sandbox that it is of.
    fn owner(&self) -> Option<SandboxId>;
    /// The sandbox that one of its name would be of.
    fn named(&self) -> Option<SandboxId>;
    /// What is kept of it.
    fn seen(&self, template: &Template, id: &SandboxId) -> Option<Self::Seen>;
    /// Tells the sink.
    fn tell(sink: &dyn Watched, event: WatchEvent<Self::Seen>);
}

impl Watchable for Pod {
    type Seen = SeenPod;
    const KIND: Kind = Kind::Pod;
    const NAME: &'static str = "Pods";

    fn owner(&self) -> Option<SandboxId> {
        read::pod_owner(self)
    }

    fn named(&self) -> Option<SandboxId> {
        read::pod_named(self)
    }

    fn seen(&self, _: &Template, _: &SandboxId) -> Option<SeenPod> {
        read::pod(self)
    }

    fn tell(sink: &dyn Watched, event: WatchEvent<SeenPod>) {
        sink.pods(event);
    }
}

impl Watchable for Service {
    type Seen = SeenService;
    const KIND: Kind = Kind::Service;
    const NAME: &'static str = "Services";

    fn owner(&self) -> Option<SandboxId> {
        read::service_owner(self)
    }

    fn named(&self) -> Option<SandboxId> {
        read::service_named(self)
    }

    fn seen(&self, template: &Template, id: &SandboxId) -> Option<SeenService> {
        read::service(template, id, self)
    }

    fn tell(sink: &dyn Watched, event: WatchEvent<SeenService>) {
        sink.services(event);
    }
}
