use super::*;

fn id() -> SandboxId {
    SandboxId::parse("abc").unwrap()
}

/// Guards that a log that was cut ends with a whole line, and that one that was not cut is unchanged.
#[test]
fn a_cut_log_ends_with_a_line() {
    let whole = LogText::new(b"one\ntwo".to_vec());
    assert_eq!((&*whole.bytes, whole.is_cut), (&b"one\ntwo"[..], false));

    let mut long = b"one\n".to_vec();
    long.resize(BYTES_MAX, b'x');
    let cut = LogText::new(long);
    assert_eq!((&*cut.bytes, cut.is_cut), (&b"one\n"[..], true));

    let line = LogText::new(vec![b'x'; BYTES_MAX]);
    assert_eq!((line.bytes.len(), line.is_cut), (BYTES_MAX, true), "a single line is kept");
}

/// Guards that the text of a log, which may contain a secret, is not in a debug text.
#[test]
fn a_debug_text_has_no_line() {
    assert_eq!(format!("{:?}", LogText::new(b"secret\n".to_vec())), "LogText { bytes: 7, is_cut: false }");
}

/// Guards that a Pod without a node has no log, and that each other one is asked for.
#[test]
fn a_pod_without_a_node_has_no_log() {
    let scheduled = PodTimes { scheduled: Some(jiff::Timestamp::UNIX_EPOCH), ..PodTimes::default() };
    let why = check_start(&id(), Phase::Pending, &PodTimes::default()).unwrap_err();
    assert_eq!(why.to_string(), "Sandbox 'abc' has no log yet: its Pod has no node");
    assert_eq!(check_start(&id(), Phase::Pending, &scheduled), Ok(()));
    for phase in [Phase::Running, Phase::Succeeded, Phase::Failed, Phase::Unknown, Phase::Terminating] {
        assert_eq!(check_start(&id(), phase, &PodTimes::default()), Ok(()), "{phase:?}");
    }
}

/// Guards that each answer of the cluster becomes a clear sentence, and that only a missing Pod is a missing sandbox.
#[test]
fn each_refusal_has_a_sentence() {
    use ClusterErrorKind as Kind;
    for (kind, message, sentence) in [
        (Kind::NotFound, "pods \"sandbox-abc\" not found", None),
        (
            Kind::ContainerWaiting,
            "container \"sandbox\" in pod \"sandbox-abc\" is waiting to start: ContainerCreating",
            Some(
                "Sandbox 'abc' has no log yet: container \"sandbox\" in pod \"sandbox-abc\" is waiting to start: \
                 ContainerCreating",
            ),
        ),
        (
            Kind::NoPreviousContainer,
            "previous terminated container \"sandbox\" in pod \"sandbox-abc\" not found",
            Some("Sandbox 'abc' has no previous log: no container of it has ended and was started again"),
        ),
        (
            Kind::Forbidden,
            "pods \"sandbox-abc\" is forbidden",
            Some(
                "logs cannot be read: the daemon's role lacks the right \"get\" on \"pods/log\", which config/rbac.yaml \
                 has as a comment (Forbidden (pods \"sandbox-abc\" is forbidden))",
            ),
        ),
        (
            Kind::Invalid,
            "container x is not valid for pod sandbox-abc",
            Some("container x is not valid for pod sandbox-abc"),
        ),
        (
            Kind::ServerError,
            "dial tcp 10.0.0.1:10250: connect: connection refused",
            Some(
                "Reading of the log failed for now: ServerError (dial tcp 10.0.0.1:10250: connect: connection refused); \
                 try again in 5 s",
            ),
        ),
        (Kind::Other, "teapot", Some("Reading of the log failed: Other (teapot)")),
    ] {
        let error = failure(&id(), ClusterError::new(kind, message));
        assert_eq!(error.map(|error| error.to_string()).as_deref(), sentence, "{kind:?}");
    }
}
