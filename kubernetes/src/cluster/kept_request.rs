//! Reads the request that a Pod keeps.

use kube::core::params::GetParams;
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    observed::Uid,
    request::CreateRequest,
};

use super::{KubeCluster, Operation};
use crate::{fault::Verb, kept_request, names, observe, types::PodRequest};

impl KubeCluster {
    /// Reads the request of the Pod with this uid; `None` if the Pod does not keep one that can be read.
    pub(super) async fn read_kept_request(
        &self,
        id: &SandboxId,
        uid: &Uid,
    ) -> Result<Option<CreateRequest>, ClusterError> {
        let name = names::pod(id);
        let operation = Operation::<PodRequest>::new(&self.connection, Verb::Get, &name);
        let build = || operation.path().get(&name, &GetParams::default());
        let pod = operation.run(build, None, None).await.map_err(|error| error.fault)?;
        if observe::uid(&pod.metadata).as_ref() != Some(uid) {
            let why = "another Pod has its name";
            return Err(ClusterError::new(ClusterErrorKind::NotFound, why));
        }
        Ok(kept_request::read(id, &pod))
    }
}
