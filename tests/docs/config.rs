//! Checks of the manifests in `config/`.

use std::fs;

use k8s_openapi::api::apps::v1::DaemonSet;
use kubernetes::manifest::Template;
use serde_json::Value;

use super::root;

/// Guards that the `DaemonSet` pulls the default sandbox image without running it, and that it has no unknown
/// fields.
#[test]
fn the_daemon_set_pulls_the_sandbox_image() {
    let text = fs::read_to_string(root().join("config/prepull.yaml")).unwrap();
    let written: Value = serde_saphyr::from_str(&text).unwrap();
    let parsed: DaemonSet = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&parsed).unwrap(), written, "a field that Kubernetes does not know");
    let spec = parsed.spec.template.spec.unwrap();
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
