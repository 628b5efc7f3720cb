import copy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from k8s.checking import rendering, rules, variables

from gradcube.settings import KafkaSettings
from gradcube_cube.settings import CubeSettings

ROOT = Path(__file__).resolve().parents[3]

needs_kustomize = pytest.mark.skipif(
    rendering.renderer() is None, reason="neither kubectl nor kustomize is installed: nothing can be rendered"
)


def installed() -> list[dict]:
    return rendering.objects(rendering.INSTALL.read_text())


@pytest.fixture
def cube() -> list[dict]:
    """The gateway's StatefulSet as it is installed, and the ConfigMap that it reads; keeps all rules."""
    found = [
        each
        for each in installed()
        if each["kind"] == "ConfigMap" or (each["kind"], each["metadata"]["name"]) == ("StatefulSet", "cube")
    ]
    assert rules.broken(found) == []
    return copy.deepcopy(found)


def template(objects: list[dict]) -> dict:
    return next(each for each in objects if each["kind"] == "StatefulSet")["spec"]["template"]


def container(objects: list[dict]) -> dict:
    return template(objects)["spec"]["containers"][0]


def only_problem(objects: list[dict]) -> str:
    problems = rules.broken(objects)
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_missing_probe_is_refused(cube, probe):
    del container(cube)[probe]
    assert only_problem(cube) == f"StatefulSet/cube: container cube has no {probe}"


def test_probe_of_a_path_that_is_not_served_is_refused(cube):
    container(cube)["livenessProbe"]["httpGet"]["path"] = "/healthz"
    assert "livenessProbe must be httpGet of /live" in only_problem(cube)


def test_liveness_that_asks_for_readiness_is_refused(cube):
    container(cube)["livenessProbe"]["httpGet"]["path"] = "/ready"
    assert "livenessProbe must be httpGet of /live" in only_problem(cube)


def test_unknown_variable_is_refused_and_the_known_ones_are_named(cube):
    container(cube)["env"].append({"name": "GRADCUBE_CUBE_MEMORY", "value": "1GB"})
    problem = only_problem(cube)
    assert "GRADCUBE_CUBE_MEMORY is read by nobody" in problem
    assert "GRADCUBE_CUBE_MEMORY_LIMIT" in problem


def test_variable_of_another_service_is_refused(cube):
    container(cube)["env"].append({"name": "GRADCUBE_METRICS_GRACE_SECONDS", "value": "5"})
    assert "GRADCUBE_METRICS_GRACE_SECONDS is read by nobody" in only_problem(cube)


def test_unknown_variable_in_a_config_map_is_refused(cube):
    next(each for each in cube if each["kind"] == "ConfigMap")["data"]["GRADCUBE_KAFKA_BROKERS"] = "kafka:9092"
    assert "GRADCUBE_KAFKA_BROKERS is read by nobody" in only_problem(cube)


def test_value_that_the_service_refuses_is_refused(cube):
    container(cube)["env"].append({"name": "GRADCUBE_CUBE_THREADS", "value": "0"})
    assert "GRADCUBE_CUBE_THREADS: Input should be greater than or equal to 1" in only_problem(cube)


def test_variables_of_others_are_not_our_business(cube):
    container(cube)["env"].append({"name": "OMP_NUM_THREADS", "value": "1"})
    assert rules.broken(cube) == []


def test_config_map_that_is_missing_is_refused(cube):
    problem = only_problem([each for each in cube if each["kind"] != "ConfigMap"])
    assert "there is no ConfigMap gradcube-kafka-" in problem


@pytest.mark.parametrize("image", ["gradcube/services", "gradcube/services:latest", "registry:5000/gradcube/services"])
def test_image_without_a_lasting_tag_is_refused(cube, image):
    container(cube)["image"] = image
    assert f"image {image} needs a tag" in only_problem(cube)


@pytest.mark.parametrize("image", ["registry:5000/gradcube/services:0.1.0", "gradcube/services@sha256:" + "0" * 64])
def test_image_of_a_registry_or_digest_is_accepted(cube, image):
    container(cube)["image"] = image
    assert rules.broken(cube) == []


@pytest.mark.parametrize("field", ["allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"])
def test_container_with_more_rights_is_refused(cube, field):
    del container(cube)["securityContext"][field]
    assert f"securityContext needs {field}" in only_problem(cube)


def test_container_of_the_start_keeps_the_same_rules(cube):
    template(cube)["spec"]["initContainers"] = [{"name": "first", "image": "busybox:latest"}]
    problems = rules.broken(cube)
    assert all("container first" in problem for problem in problems)
    assert len(problems) == 5  # three rights, requests, image


@pytest.mark.parametrize("field", ["automountServiceAccountToken", "enableServiceLinks"])
def test_pod_that_gets_more_than_it_needs_is_refused(cube, field):
    template(cube)["spec"][field] = True
    assert f"the pod needs {field}: false" in only_problem(cube)


@pytest.mark.parametrize("user", [None, "gradcube", 0])
def test_pod_whose_user_is_not_a_number_is_refused(cube, user):
    template(cube)["spec"]["securityContext"]["runAsUser"] = user
    assert "a number as runAsUser" in only_problem(cube)


def test_unbounded_folder_is_refused(cube):
    template(cube)["spec"]["volumes"][0]["emptyDir"] = {}
    assert "emptyDir needs a sizeLimit" in only_problem(cube)


@pytest.mark.parametrize("limits", [{}, {"memory": "9Gi"}, {"memory": "2Gi", "cpu": "1"}])
def test_memory_beyond_the_request_and_bounded_cpu_are_refused(cube, limits):
    container(cube)["resources"]["limits"] = limits
    assert "the memory limit must be the request" in only_problem(cube)


def test_port_that_the_service_does_not_listen_on_is_refused(cube):
    container(cube)["ports"][0]["containerPort"] = 7071
    assert "GRADCUBE_CUBE_PORT is 7070, it must be 7071" in only_problem(cube)


def test_service_that_listens_inside_the_pod_alone_is_refused(cube):
    container(cube)["env"] = [each for each in container(cube)["env"] if each["name"] != "GRADCUBE_CUBE_HOST"]
    assert "GRADCUBE_CUBE_HOST is None, it must be 0.0.0.0" in only_problem(cube)


def test_version_in_a_selector_is_refused(cube):
    stateful_set = next(each for each in cube if each["kind"] == "StatefulSet")
    stateful_set["spec"]["selector"]["matchLabels"]["app.kubernetes.io/version"] = "0.1.0"
    assert "the selector must be" in only_problem(cube)


def test_labels_of_a_volume_claim_are_refused(cube):
    stateful_set = next(each for each in cube if each["kind"] == "StatefulSet")
    stateful_set["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"] = {"app.kubernetes.io/version": "0.1.0"}
    assert "volume claim cubes" in only_problem(cube)


def test_more_shards_than_pods_are_refused():
    objects = copy.deepcopy(installed())
    server = next(
        each for each in objects if (each["kind"], each["metadata"]["name"]) == ("StatefulSet", "paramserver")
    )
    server["spec"]["replicas"] = 2
    assert "GRADCUBE_PARAMSERVER_SHARDS is 1, but there are 2 pods" in only_problem(objects)


def test_job_that_stays_is_refused():
    objects = copy.deepcopy(installed())
    del next(each for each in objects if each["kind"] == "Job")["spec"]["ttlSecondsAfterFinished"]
    assert "a Job needs ttlSecondsAfterFinished" in only_problem(objects)


def test_names_are_those_that_the_settings_read(monkeypatch):
    monkeypatch.setenv("GRADCUBE_CUBE_ROW_LIMIT", "7")
    assert variables.names(CubeSettings)["GRADCUBE_CUBE_ROW_LIMIT"] == "row_limit"
    assert CubeSettings.load().row_limit == 7
    assert "GRADCUBE_KAFKA_SASL_PASSWORD_FILE" in variables.names(KafkaSettings)


def test_container_variable_wins_over_the_config_map():
    given = {"envFrom": [{"configMapRef": {"name": "a"}}], "env": [{"name": "X", "value": "own"}]}
    assert variables.literals(given, {"a": {"X": "shared", "Y": "shared"}}) == {"X": "own", "Y": "shared"}


def test_install_keeps_the_rules_and_needs_no_custom_resources():
    assert rules.broken(installed()) == []
    groups = {each["apiVersion"].rpartition("/")[0] for each in installed()}
    assert groups <= {"", "apps", "batch", "policy", "networking.k8s.io"}


def test_images_versions_and_job_names_are_of_this_release():
    version = next(
        line.split('"')[1]
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if line.startswith("version =")
    )
    assert {each["metadata"]["labels"]["app.kubernetes.io/version"] for each in installed()} == {version}
    for workload in rules.workloads(installed()):
        assert {each["image"].rpartition(":")[2] for each in workload.containers} == {version}
        assert workload.kind != "Job" or workload.name.endswith("-" + version.replace(".", "-"))


def test_kafka_image_has_the_version_that_is_fetched_locally():
    from gradcube.bus.broker_files import KAFKA_VERSION

    component = (rendering.K8S / "components/kafka-single/statefulset.yaml").read_text()
    assert f"image: gradcube/kafka:{KAFKA_VERSION}" in component


def test_difference_shows_both_lines_and_is_cut():
    assert rendering.install_difference("a\n", "a\n") == ""
    difference = rendering.install_difference("replicas: 1\n", "replicas: 2\n")
    assert "-replicas: 1" in difference
    assert "+replicas: 2" in difference
    long = rendering.install_difference("", "\n".join(str(line) for line in range(500)))
    assert long.splitlines()[-1].endswith("more lines")
    assert len(long.splitlines()) == rendering.SHOWN_LINES + 1


@needs_kustomize
def test_install_is_current():
    assert rendering.install_difference(rendering.INSTALL.read_text(), rendering.install_text()) == ""


@needs_kustomize
def test_kylins_nodes_are_closed_to_all_but_those_who_ask_them_and_passwords_are_files():
    found = rendering.objects(rendering.render(rendering.K8S / "overlays" / "kylin"))
    assert {name: opened(found, name) for name in ("kylin-server", "kylin-receiver", "kylin-zookeeper")} == {
        "kylin-server": {"cube", "kylin-deploy", "kylin-receiver"},
        "kylin-receiver": {"cube", "kylin-server"},
        "kylin-zookeeper": {"kylin-receiver", "kylin-server"},
    }
    kylin = [one for one in rules.workloads(found) if one.name.startswith("kylin")]
    assert len(kylin) == 4
    for workload in kylin:
        for each in workload.containers:
            assert not any("secretKeyRef" in one.get("valueFrom", {}) for one in each.get("env", []))
            # The base opens ports of this name to monitoring, and Kylin's nodes answer whoever reaches them.
            assert not any(port["name"] == "http" for port in each.get("ports", []))


def opened(found: list[dict], name: str) -> set[str]:
    policy = next(one for one in found if (one["kind"], one["metadata"]["name"]) == ("NetworkPolicy", name))
    peers = [peer for rule in policy["spec"]["ingress"] for peer in rule["from"]]
    return {peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in peers}


@needs_kustomize
def test_kylins_receivers_read_its_metadata_and_the_job_waits_for_all_of_them():
    found = rendering.objects(rendering.render(rendering.K8S / "overlays" / "kylin"))
    kylin = {one.name: one for one in rules.workloads(found)}
    receiver, job = kylin["kylin-receiver"], kylin["kylin-deploy-0-1-0"]
    mounts = {each["name"]: each for each in receiver.containers[0]["volumeMounts"]}
    assert mounts["shared"]["readOnly"] is True
    told = variables.literals(job.pod["containers"][0], job.config_maps)
    assert told["GRADCUBE_KYLIN_RECEIVERS"] == str(receiver.manifest["spec"]["replicas"])


@needs_kustomize
def test_misspelt_variable_of_kylins_nodes_and_of_the_command_is_refused():
    found = rendering.objects(rendering.render(rendering.K8S / "overlays" / "kylin"))
    for one in rules.workloads(found):
        if one.name in ("kylin-server", "kylin-deploy-0-1-0"):
            one.pod["containers"][0]["env"].append({"name": "GRADCUBE_KYLIN_ULR", "value": "x"})
    assert [line.split(" is read")[0][-18:] for line in rules.broken(found)] == ["GRADCUBE_KYLIN_ULR"] * 2


@needs_kustomize
def test_folder_that_does_not_build_is_named():
    with pytest.raises(rendering.RenderError, match="images does not build"):
        rendering.render(rendering.K8S / "images")


@needs_kustomize
def test_check_tells_stale_install_and_misspelt_field(tmp_path):
    shutil.copytree(rendering.K8S, tmp_path / "k8s")
    deployment = tmp_path / "k8s/base/coordinator/deployment.yaml"
    deployment.write_text(deployment.read_text().replace("replicas: 1", "replica: 1"))
    command = [sys.executable, str(tmp_path / "k8s/check.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        "Deployment/coordinator: spec: Additional properties are not allowed ('replica' was unexpected)" in done.stdout
    )
    assert "FAILED install.yaml is current" in done.stdout
    assert "+  replica: 1" in done.stdout
