"""Our own rules for manifests: each takes a rendered set and says what is wrong, object by object."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .rendering import Object
from .variables import literals, problems, service_of

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
PROBES = {"readinessProbe": "/ready", "livenessProbe": "/live"}


@dataclass(frozen=True)
class Workload:
    """One pod template of a rendered set. `config_maps` are those of its own namespace: data by name."""

    kind: str
    name: str
    manifest: Object
    config_maps: Mapping[str, Mapping[str, str]]

    @property
    def pod(self) -> Object:
        """The pod's spec."""
        found: Object = self.manifest["spec"]["template"].get("spec", {})
        return found

    @property
    def containers(self) -> list[Object]:
        """All of them, those of the start first."""
        return [*self.pod.get("initContainers", []), *self.pod.get("containers", [])]


Rule = Callable[[Workload], Iterator[str]]


def workloads(objects: Sequence[Object]) -> list[Workload]:
    """Everything in a rendered set that makes pods."""
    return [
        Workload(each["kind"], each["metadata"]["name"], each, _config_maps(objects, each["metadata"].get("namespace")))
        for each in objects
        if each["kind"] in WORKLOADS
    ]


def _config_maps(objects: Sequence[Object], namespace: str | None) -> dict[str, Mapping[str, str]]:
    maps = [each for each in objects if each["kind"] == "ConfigMap" and each["metadata"].get("namespace") == namespace]
    return {each["metadata"]["name"]: each.get("data", {}) for each in maps}


def broken(objects: Sequence[Object]) -> list[str]:
    """One line per broken rule: the object, the container and what to change."""
    return [
        f"{workload.kind}/{workload.name}: {problem}"
        for workload in workloads(objects)
        for rule in RULES
        for problem in rule(workload)
    ]


def probes(workload: Workload) -> Iterator[str]:
    """What runs on is asked whether it is ready and alive, ours at the paths that it serves. Jobs end by themselves."""
    if workload.kind == "Job":
        return
    for container in workload.pod.get("containers", []):
        for probe, path in PROBES.items():
            if probe not in container:
                yield f"container {container['name']} has no {probe}"
            elif service_of(container) and container[probe].get("httpGet") != {"path": path, "port": "http"}:
                yield f"container {container['name']}: {probe} must be httpGet of {path} at port http"


def ports(workload: Workload) -> Iterator[str]:
    """Ports have names, and a service's HOST and PORT are what its container declares as `http`."""
    for container in workload.pod.get("containers", []):
        declared = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
        if None in declared:
            yield f"container {container['name']}: port {declared[None]} has no name"
        service = service_of(container)
        if service is None:
            continue
        given = literals(container, workload.config_maps)
        wanted = {"HOST": "0.0.0.0", "PORT": str(declared.get("http"))}  # noqa: S104 - a pod's probes come from outside
        for suffix, value in wanted.items():
            name = f"{service.upper()}_{suffix}"
            if given.get(name) != value:
                yield f"container {container['name']}: {name} is {given.get(name)}, it must be {value}"


def pod_security(workload: Workload) -> Iterator[str]:
    """Pod Security `restricted`, a numeric user, and nothing of the API or of other Services in the pod."""
    context = workload.pod.get("securityContext", {})
    if (
        context.get("runAsNonRoot") is not True
        or not context.get("runAsUser")
        or not isinstance(context["runAsUser"], int)
    ):
        yield "the pod's securityContext needs runAsNonRoot: true and a number as runAsUser"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "the pod's securityContext needs seccompProfile RuntimeDefault"
    for field in ("automountServiceAccountToken", "enableServiceLinks"):
        if workload.pod.get(field) is not False:
            yield f"the pod needs {field}: false"
    if "terminationGracePeriodSeconds" not in workload.pod:
        yield "the pod needs terminationGracePeriodSeconds"


def container_security(workload: Workload) -> Iterator[str]:
    """No more rights than the pod's, no capability, no writing but into volumes, of which /tmp is bounded."""
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for container in workload.containers:
        context = container.get("securityContext", {})
        for field, value in wanted.items():
            if context.get(field) != value:
                yield f"container {container['name']}: securityContext needs {field}: {value}"
    for volume in workload.pod.get("volumes", []):
        if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
            yield f"volume {volume['name']}: emptyDir needs a sizeLimit"


def resources(workload: Workload) -> Iterator[str]:
    """CPU and memory are asked for, memory is bounded by what is asked for, CPU is not bounded."""
    for container in workload.containers:
        found = container.get("resources", {})
        requests, limits = found.get("requests", {}), found.get("limits", {})
        if "cpu" not in requests or "memory" not in requests:
            yield f"container {container['name']}: resources need requests of cpu and memory"
        if limits.get("memory") != requests.get("memory") or "cpu" in limits:
            yield f"container {container['name']}: the memory limit must be the request, and cpu must have no limit"


def images(workload: Workload) -> Iterator[str]:
    """An image has a tag other than latest, or a digest."""
    for container in workload.containers:
        image = str(container.get("image", ""))
        tag = image.rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            yield f"container {container['name']}: image {image} needs a tag that stays the same"


def variables(workload: Workload) -> Iterator[str]:
    """Every GRADCUBE_* variable is one that the program reads, with a value that it takes."""
    for container in workload.containers:
        for problem in problems(container, workload.config_maps):
            yield f"container {container['name']}: {problem}"


def config_references(workload: Workload) -> Iterator[str]:
    """The ConfigMaps that are named are in the set."""
    for container in workload.containers:
        for source in container.get("envFrom", []):
            name = source.get("configMapRef", {}).get("name")
            if name is not None and name not in workload.config_maps:
                yield f"container {container['name']}: there is no ConfigMap {name} in its namespace"


def selectors(workload: Workload) -> Iterator[str]:
    """Selectors are by name and instance alone, and find the pods; volume claims carry no version."""
    if workload.kind != "Job":
        labels = workload.manifest["spec"]["template"].get("metadata", {}).get("labels", {})
        wanted = {f"app.kubernetes.io/{key}": labels.get(f"app.kubernetes.io/{key}") for key in ("name", "instance")}
        if workload.manifest["spec"]["selector"] != {"matchLabels": wanted}:
            yield f"the selector must be {wanted}: it cannot be changed later"
    for claim in workload.manifest["spec"].get("volumeClaimTemplates", []):
        if "labels" in claim["metadata"]:
            yield f"volume claim {claim['metadata']['name']}: its labels could not be changed later, leave them out"


def sizes(workload: Workload) -> Iterator[str]:
    """Counts that are said twice are the same: shards and replicas, world size and completions."""
    spec = workload.manifest["spec"]
    said = {"GRADCUBE_PARAMSERVER_SHARDS": spec.get("replicas"), "GRADCUBE_TRAINER_WORLD_SIZE": spec.get("completions")}
    for container in workload.pod.get("containers", []):
        given = literals(container, workload.config_maps)
        for name, count in said.items():
            if name in given and given[name] != str(count):
                yield f"container {container['name']}: {name} is {given[name]}, but there are {count} pods"


def jobs(workload: Workload) -> Iterator[str]:
    """A Job cannot be changed: it removes itself, so that the next apply makes it anew."""
    if workload.kind == "Job" and "ttlSecondsAfterFinished" not in workload.manifest["spec"]:
        yield "a Job needs ttlSecondsAfterFinished"


RULES: tuple[Rule, ...] = (
    probes,
    ports,
    pod_security,
    container_security,
    resources,
    images,
    variables,
    config_references,
    selectors,
    sizes,
    jobs,
)
