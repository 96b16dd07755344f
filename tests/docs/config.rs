//! Checks of the manifests in `config/`.

use std::fs;

use k8s_openapi::api::apps::v1::DaemonSet;
use kubernetes::{
    manifest::Template,
    names,
    network::{self, Network},
};
use serde_json::Value;

use super::root;

/// Guards that the `DaemonSet` pulls the default sandbox image without running it, that its Pods have the label by which
/// profiles prefer their nodes, and that it has no unknown fields.
#[test]
fn the_daemon_set_pulls_the_sandbox_image() {
    let text = fs::read_to_string(root().join("config/prepull.yaml")).unwrap();
    let written: Value = serde_saphyr::from_str(&text).unwrap();
    let parsed: DaemonSet = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&parsed).unwrap(), written, "a field that Kubernetes does not know");
    let template = parsed.spec.template;
    assert_eq!(template.metadata.unwrap().labels, Some(names::prepull_label()));
    let spec = template.spec.unwrap();
    let init_containers = spec.init_containers.unwrap();
    let [tool, sandbox] = &init_containers[..] else { panic!("{init_containers:?}") };
    assert_eq!(sandbox.image, Some(Template::default().image));
    let program = &sandbox.command.as_ref().unwrap()[0];
    assert_eq!(
        tool.command.as_ref().unwrap().last(),
        Some(program),
        "it runs the program of the other image"
    );
    assert_ne!(spec.containers[0].image, sandbox.image);
}

/// Guards that the policies for administrators are those that the daemon writes.
#[test]
fn the_network_policies_are_those_of_the_daemon() {
    let written = fs::read_to_string(root().join("config/networkpolicies.yaml")).unwrap();
    let sources = ["10.0.0.0/24", "gateways/app=gateway"].map(|source| source.parse().unwrap());
    let network = Network { sources: sources.into(), ..Network::default() };
    let template = Template::default();
    let policies = network::policies(&network, &template.namespace, template.container_port);
    let text: String = written.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
    assert_eq!(text, network::to_yaml(&policies, None).unwrap(), "print it with render --network-policies");
}
