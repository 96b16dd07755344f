use super::*;

/// Guards that an unknown phase is never parsed as one of the others.
#[test]
fn phases_are_read_exactly() {
    for (text, phase) in [
        (Some("Pending"), Phase::Pending),
        (Some("Running"), Phase::Running),
        (Some("Succeeded"), Phase::Succeeded),
        (Some("Failed"), Phase::Failed),
        (Some("Unknown"), Phase::Unknown),
        (Some("running"), Phase::Unknown),
        (None, Phase::Unknown),
    ] {
        assert_eq!(Phase::of_pod(text), phase, "{text:?}");
    }
}

/// Guards that long messages and names are truncated at a character boundary, because both are kept for each
/// sandbox.
#[test]
fn words_are_cut_on_a_character() {
    let long = "é".repeat(400);
    let reason = Reason::new(&long, Some(&long));
    assert_eq!(reason.message, Some(format!("{}…", "é".repeat(126)).into()));
    assert_eq!(Reason::new("X", Some(&"e".repeat(256))).message, Some("e".repeat(256).into()));
    assert_eq!(&*reason.name, "é".repeat(64));
    assert_eq!(Reason::new("X", Some("")).message, None);
}

/// Guards that an eviction for the sandbox's own limit differs from one by a node that is short of a resource.
#[test]
fn an_eviction_names_whose_limit_it_is() {
    let hint = |message| Reason::new("Evicted", Some(message)).hint().unwrap();
    for message in [
        "Pod ephemeral local storage usage exceeds the total limit of containers 500Mi. ",
        "Container sandbox exceeded its local ephemeral storage limit \"500Mi\". ",
        "Usage of EmptyDir volume \"tmp\" exceeds the limit \"100Mi\". ",
    ] {
        assert_eq!(hint(message), "the sandbox used more disk than its limit", "{message}");
    }
    for message in [
        "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 512Mi. Container \
         sandbox was using 2Gi, request is 500Mi, has larger consumption of ephemeral-storage. ",
        "The node was low on resource: memory. Container sandbox was using 2Gi, request is 256Mi, which exceeds the request",
        "",
    ] {
        assert_eq!(hint(message), "the node ran short of a resource and evicted the Pod", "{message}");
    }
}

/// Guards that the advice names the setting of the container that fails.
#[test]
fn the_advice_is_about_the_container_that_fails() {
    for (container, setting) in [
        (Container::Sandbox, "SANDBOX_IMAGE"),
        (Container::LarkInit, "LARK_CLI_INIT_IMAGE"),
        (Container::LarkBroker, "LARK_CLI_BROKER_IMAGE"),
        (Container::Other, "named container"),
    ] {
        for name in ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"] {
            let reason = Reason { container, ..Reason::new(name, None) };
            assert!(reason.hint().unwrap().contains(setting), "{name} {container:?}");
        }
        let is_sandbox = container == Container::Sandbox;
        for name in ["CrashLoopBackOff", "Error", "OOMKilled"] {
            let reason = Reason { container, ..Reason::new(name, None) };
            assert_eq!(reason.hint().unwrap().contains("the sandbox"), is_sandbox, "{name} {container:?}");
        }
    }
}
