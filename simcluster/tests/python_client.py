"""What DeerFlow's provisioner asks of a cluster, through the library that it asks with.

Run by python_client.rs, with the server's address as the only argument. It ends with 0 and the word "done" if every
answer is as a Kubernetes server gives it.
"""

import sys
import threading

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

NAMESPACE = "deer-flow"
LABELS = {"app": "deer-flow-sandbox", "sandbox-id": "abc"}
POD = "sandbox-abc"
SERVICE = "sandbox-abc-svc"
# Longer than anything here takes on a busy machine, in seconds.
PATIENCE = 30


def refused(status, reason, call, *arguments):
    """The call must fail with this status, and with the Status object that says so."""
    try:
        call(*arguments)
    except ApiException as error:
        assert (error.status, f'"reason":"{reason}"' in error.body.replace(" ", "")) == (status, True), error
        assert error.headers["content-type"] == "application/json", error
        return error
    raise AssertionError(f"{call.__name__}{arguments} was not refused")


def pod():
    container = client.V1Container(
        name="sandbox",
        image="img:1",
        image_pull_policy="IfNotPresent",
        ports=[client.V1ContainerPort(name="http", container_port=8080, protocol="TCP")],
        readiness_probe=client.V1Probe(
            http_get=client.V1HTTPGetAction(path="/v1/sandbox", port=8080), period_seconds=5
        ),
        resources=client.V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "256Mi"}, limits={"cpu": "1000m", "memory": "1Gi"}
        ),
        volume_mounts=[client.V1VolumeMount(name="skills", mount_path="/mnt/skills", read_only=True)],
        security_context=client.V1SecurityContext(privileged=False, allow_privilege_escalation=True),
    )
    skills = client.V1HostPathVolumeSource(path="/skills", type="DirectoryOrCreate")
    return client.V1Pod(
        metadata=client.V1ObjectMeta(name=POD, namespace=NAMESPACE, labels=LABELS),
        spec=client.V1PodSpec(
            containers=[container],
            volumes=[client.V1Volume(name="skills", host_path=skills)],
            restart_policy="Always",
        ),
    )


def service():
    return client.V1Service(
        metadata=client.V1ObjectMeta(name=SERVICE, namespace=NAMESPACE, labels=LABELS),
        spec=client.V1ServiceSpec(
            type="NodePort",
            selector=LABELS,
            ports=[client.V1ServicePort(name="http", port=8080, target_port=8080, protocol="TCP")],
        ),
    )


class Follower(threading.Thread):
    """A watch on Pods from a version on, until the Pod is gone."""

    def __init__(self, core, version):
        super().__init__(daemon=True)
        self.core, self.version, self.events = core, version, []

    def run(self):
        stream = watch.Watch().stream(
            self.core.list_namespaced_pod,
            NAMESPACE,
            label_selector="app=deer-flow-sandbox",
            resource_version=self.version,
            timeout_seconds=PATIENCE,
        )
        for event in stream:
            self.events.append((event["type"], event["object"].metadata.name, event["object"].status.phase))
            if event["type"] == "DELETED":
                return


def make_namespace(core):
    refused(404, "NotFound", core.read_namespace, NAMESPACE)
    wanted = client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE, labels={"app": "deer-flow"}))
    core.create_namespace(wanted)
    refused(409, "AlreadyExists", core.create_namespace, wanted)
    assert core.read_namespace(NAMESPACE).status.phase == "Active"


def make_sandbox(core):
    refused(404, "NotFound", core.read_namespaced_pod, POD, NAMESPACE)
    made = core.create_namespaced_pod(NAMESPACE, pod())
    assert (made.status.phase, made.metadata.labels) == ("Pending", LABELS), made
    error = refused(409, "AlreadyExists", core.create_namespaced_pod, NAMESPACE, pod())
    assert error.reason == "Conflict", error
    refused(404, "NotFound", core.read_namespaced_service, SERVICE, NAMESPACE)
    made = core.create_namespaced_service(NAMESPACE, service())
    refused(409, "AlreadyExists", core.create_namespaced_service, NAMESPACE, service())
    port = core.read_namespaced_service(SERVICE, NAMESPACE).spec.ports[0]
    assert 30000 <= port.node_port <= 32767 and port.node_port == made.spec.ports[0].node_port, port
    return port.node_port


def look(core, node_port):
    listed = core.list_namespaced_service(NAMESPACE, label_selector="app=deer-flow-sandbox").items
    assert [(s.metadata.labels["sandbox-id"], s.spec.ports[0].node_port) for s in listed] == [("abc", node_port)]
    assert core.list_namespaced_service(NAMESPACE, label_selector="app=other").items == []
    assert [p.metadata.name for p in core.list_namespaced_pod(NAMESPACE).items] == [POD]


def wait_until_running(core):
    """As `kubectl wait` does: a watch from the start, which begins with what is there."""
    stream = watch.Watch().stream(
        core.list_namespaced_pod, NAMESPACE, field_selector=f"metadata.name={POD}", timeout_seconds=PATIENCE
    )
    assert any(event["object"].status.phase == "Running" for event in stream)
    assert core.read_namespaced_pod(POD, NAMESPACE).status.phase == "Running"


def remove_sandbox(core):
    core.delete_namespaced_service(SERVICE, NAMESPACE)
    core.delete_namespaced_pod(POD, NAMESPACE, grace_period_seconds=1)
    refused(404, "NotFound", core.delete_namespaced_service, SERVICE, NAMESPACE)


def main(server):
    configuration = client.Configuration()
    configuration.host = server
    core = client.CoreV1Api(client.ApiClient(configuration))
    make_namespace(core)
    follower = Follower(core, core.list_namespaced_pod(NAMESPACE).metadata.resource_version)
    follower.start()
    node_port = make_sandbox(core)
    look(core, node_port)
    wait_until_running(core)
    remove_sandbox(core)
    follower.join(PATIENCE)
    kinds = [kind for kind, _, _ in follower.events]
    assert kinds[0] == "ADDED" and kinds[-1] == "DELETED" and set(kinds[1:-1]) == {"MODIFIED"}, follower.events
    assert {name for _, name, _ in follower.events} == {POD}, follower.events
    phases = [phase for _, _, phase in follower.events]
    assert phases[0] == "Pending" and "Running" in phases, follower.events
    refused(404, "NotFound", core.read_namespaced_pod, POD, NAMESPACE)
    refused(404, "NotFound", core.delete_namespaced_pod, POD, NAMESPACE)
    print("done")


main(sys.argv[1])
