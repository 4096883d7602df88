"""Training on several machines: a Kubernetes indexed job of torchrun nodes, one pod each, beside the step's own pod.

The pods are copies of the step's pod with GPUs; its step waits for them. They share its scratch folder (TMPDIR on a
ReadWriteMany volume), and find the first of them by the headless service of deploy/kubernetes/training-service.yaml.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synclr_assets.compute import ComputeSection, StepCompute
from synclr_assets.launch.node_session import node_session
from synclr_assets.launch.tasks import FitTask
from synclr_assets.launch.torchrun import Nodes, NodesFailedError, torchrun_command

SERVICE = "synclr-training"
NODE_RANK = "$(JOB_COMPLETION_INDEX)"
"""Kubernetes puts the pod's number of an indexed job here."""
POLL_SECONDS = 10
Manifest = dict[str, Any]


def run_on_nodes(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    task: FitTask,
    module: str,
    step: StepCompute,
    section: ComputeSection,
    batch: Any,
    own_pod: Manifest,
) -> None:
    """Run the task on `task.nodes` pods to its end. `batch` is a kubernetes BatchV1Api. Raises NodesFailedError."""
    namespace = own_pod["metadata"]["namespace"]
    with node_session(context, task) as (name, variables):
        job = training_job(name, task, module, step, section, own_pod, variables)
        batch.create_namespaced_job(namespace, job)
        try:
            _wait(batch, namespace, name, task.nodes)
        finally:
            batch.delete_namespaced_job(name, namespace, propagation_policy="Background")


def training_job(
    name: str,
    task: FitTask,
    module: str,
    step: StepCompute,
    section: ComputeSection,
    own_pod: Manifest,
    variables: Mapping[str, str],
) -> Manifest:
    """The job: image, environment, secrets and volumes of the step's own pod, the resources that the step asks for."""
    (own,) = own_pod["spec"]["containers"]
    memory = {"memory": f"{step.memory_gib:g}Gi"}
    container = {
        "name": "torchrun",
        "image": own["image"],
        "command": torchrun_command(
            task.devices, module, name, Nodes(task.nodes, NODE_RANK, f"{name}-0.{SERVICE}")
        ),
        "env": [*own.get("env", []), *({"name": k, "value": v} for k, v in variables.items())],
        "envFrom": own.get("envFrom", []),
        "volumeMounts": [*own.get("volumeMounts", []), {"name": "nodes-shm", "mountPath": "/dev/shm"}],
        "resources": {
            "requests": {"cpu": f"{step.cpus:g}", **memory},
            "limits": {**memory, "nvidia.com/gpu": str(task.devices)},
        },
    }
    shm = {"medium": "Memory", "sizeLimit": f"{section.shared_memory_gib:g}Gi"}
    pod = {
        "restartPolicy": "Never",
        "subdomain": SERVICE,
        "serviceAccountName": own_pod["spec"].get("serviceAccountName", "default"),
        "nodeSelector": step.node_selector,
        "tolerations": [*section.tolerations, *(section.spot_tolerations if step.spot else ())],
        "volumes": [*own_pod["spec"].get("volumes", []), {"name": "nodes-shm", "emptyDir": shm}],
        "containers": [container],
    }
    labels = {"synclr/training": name, "app.kubernetes.io/name": SERVICE}
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": own_pod["metadata"]["name"],
        "uid": own_pod["metadata"]["uid"],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "completionMode": "Indexed",
            "completions": task.nodes,
            "parallelism": task.nodes,
            "backoffLimit": 0,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def this_pod() -> tuple[Any, Manifest]:
    """A BatchV1Api of the cluster, and the pod that this process runs in."""
    from kubernetes import client, config

    config.load_incluster_config()
    namespace = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text().strip()
    pod = client.CoreV1Api().read_namespaced_pod(os.environ["HOSTNAME"], namespace)
    return client.BatchV1Api(), client.ApiClient().sanitize_for_serialization(pod)


def _wait(batch: Any, namespace: str, name: str, nodes: int) -> None:
    while True:
        status = batch.read_namespaced_job_status(name, namespace).status
        if status.failed:
            raise NodesFailedError(f"A node of training {name} failed: read the logs of its pods.")
        if (status.succeeded or 0) >= nodes:
            return
        time.sleep(POLL_SECONDS)
