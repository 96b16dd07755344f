//! The sandbox's Service and its URL.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use lifecycle::{ids::SandboxId, request::CreateRequest};

use super::{ServiceType, Template, metadata};
use crate::names;

/// Builds the Service. It sets no node port, so the cluster chooses one.
pub(super) fn build(template: &Template, request: &CreateRequest) -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some(names::service(&request.sandbox_id)),
            ..metadata(template, request)
        },
        spec: Some(ServiceSpec {
            type_: Some(template.service_type.to_string()),
            ports: Some(vec![ServicePort {
                name: Some(names::HTTP_PORT.to_owned()),
                port: template.container_port.into(),
                target_port: Some(IntOrString::Int(template.container_port.into())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            selector: Some(names::pod_selector(&request.sandbox_id)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Returns the URL at which callers reach the sandbox.
pub(super) fn url(template: &Template, id: &SandboxId, node_port: Option<u16>) -> Option<String> {
    match template.service_type {
        ServiceType::NodePort => {
            let port = node_port.filter(|port| *port != 0)?;
            Some(format!("http://{}:{port}", template.url_host()))
        }
        ServiceType::ClusterIP => Some(internal_url(template, id)),
    }
}

/// Returns the URL in the cluster: the DNS name of the Service.
pub(super) fn internal_url(template: &Template, id: &SandboxId) -> String {
    let (service, namespace, port) = (names::service(id), &template.namespace, template.container_port);
    format!("http://{service}.{namespace}.svc.cluster.local:{port}")
}
