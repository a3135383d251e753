"""compose.yaml, deploy/kubernetes and the Dockerfile: valid, and true to each other, the settings and the document."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

from chatkit_server import Settings
from chatkit_server.startup.exposure import refuse_open_address, refuse_unsafe_production
from tests.deploy.document import DOCUMENT, block, blocks
from tests.routes.asgi import call
from tests.serving import SECRET, serve
from tests.workers.processes import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OLDEST, NEWEST = "1.31", "1.37"
Manifest = dict[str, Any]


def manifests(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8")))


def of_kind(kind: str, name: str = "server.yaml") -> Manifest:
    (manifest,) = [manifest for manifest in manifests(name) if manifest["kind"] == kind]
    return manifest


def pods() -> list[Manifest]:
    return [of_kind(*place)["spec"]["template"]["spec"] for place in (("Deployment",), ("Job", "migration.yaml"))]


def uv(*arguments: str) -> str:
    """Run a tool of the package index; return its output. Fails with it."""
    command = [str(Path(sys.executable).with_name("uv")), "tool", "run", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_kubernetes_manifests_are_valid(version: str) -> None:
    files = sorted(str(path) for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml")
    validate = ["--from", "kubernetes-validate==1.37.0", "kubernetes-validate", "--strict", "-k", version]
    output = uv(*validate, *files)
    kinds = re.findall(r"passed for resource (\w+)/", output)
    assert sorted(kinds) == sorted([
        *("configmap", "service", "deployment", "job", "poddisruptionbudget", "horizontalpodautoscaler", "ingress")
    ])  # fmt: skip


def test_compose_yaml_is_valid() -> None:
    """That of this repository, and the one that `chatkit-server new` writes."""
    files = ("compose.yaml", "chatkit_server/startup/new_project/compose.yaml")
    uv("check-jsonschema==0.39.0", "--builtin-schema", "vendor.compose-spec", *files)


def test_the_kustomization_lists_every_manifest_but_the_ones_it_explains() -> None:
    (kustomization,) = manifests("kustomization.yaml")
    others = {"kustomization.yaml", "migration.yaml", "scaling-by-turns.yaml"}
    assert set(kustomization["resources"]) == {path.name for path in KUBERNETES.glob("*.yaml")} - others


def test_all_manifests_mean_the_same_pods() -> None:
    deployment = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert of_kind("Service")["spec"]["selector"] == labels == deployment["spec"]["selector"]["matchLabels"]
    assert of_kind("PodDisruptionBudget", "disruption.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("Job", "migration.yaml")["spec"]["template"]["metadata"]["labels"] != labels
    name = deployment["metadata"]["name"]
    assert of_kind("HorizontalPodAutoscaler", "scaling.yaml")["spec"]["scaleTargetRef"]["name"] == name
    assert of_kind("ScaledObject", "scaling-by-turns.yaml")["spec"]["scaleTargetRef"]["name"] == name
    (path,) = of_kind("Ingress", "ingress.yaml")["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == of_kind("Service")["metadata"]["name"]


def seconds(grace: str) -> float:
    return float(grace.removesuffix("s"))


def test_every_supervisor_waits_longer_than_the_drain() -> None:
    pod, settings = pods()[0], of_kind("ConfigMap", "settings.yaml")["data"]
    pause = float(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    drained = pause + float(settings["CHATKIT_DRAIN_SECONDS"]) + Settings(_env_file=None).stop_seconds
    assert pod["terminationGracePeriodSeconds"] > drained
    default = Settings(_env_file=None).drain_seconds + Settings(_env_file=None).stop_seconds
    assert seconds(COMPOSE["services"]["chat"]["stop_grace_period"]) > default
    (timeout,) = re.findall(r"^TimeoutStopSec=(\d+)$", block("ini", "ExecStart"), re.MULTILINE)
    assert float(timeout) > default


def test_pods_may_write_where_the_image_does_and_nowhere_else() -> None:
    for pod in pods():
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/tmp"}
        assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in DOCKERFILE
    chat = COMPOSE["services"]["chat"]
    assert (chat["read_only"], chat["tmpfs"], chat["volumes"]) == (True, ["/tmp"], ["data:/data"])


def image_settings() -> dict[str, str]:
    """Return the settings of the image itself."""
    return dict(re.findall(r"(CHATKIT_\w+)=(\S+)", DOCKERFILE.rpartition("FROM ")[2]))


def settings_of(values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    with monkeypatch.context() as environment:
        for name, value in (image_settings() | values).items():
            environment.setenv(name, str(value))
        settings = Settings(_env_file=None)
    refuse_unsafe_production(settings)
    refuse_open_address(settings)
    return settings


async def test_the_cluster_s_settings_serve_browsers_probes_and_the_autoscaler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets = {"CHATKIT_SECRETS": SECRET, "CHATKIT_DATABASE_URL": "postgresql://chat:secret@database/chat"}
    settings = settings_of(of_kind("ConfigMap", "settings.yaml")["data"] | secrets, monkeypatch)
    (trigger,) = of_kind("ScaledObject", "scaling-by-turns.yaml")["spec"]["triggers"]
    address, path = re.fullmatch(r"http://([^/]+)(/.*)", trigger["metadata"]["url"]).groups()  # type: ignore[union-attr]
    (container,) = pods()[0]["containers"]
    probes = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]
    values = settings.model_dump(include={"environment", "public_url", "allowed_hosts", "auth", "trusted_proxies"})
    async with serve(tmp_path, **values) as served:
        for host, url in [(address, path), *(("10.1.2.3:8000", probe) for probe in probes)]:
            answer = await call(served.app, "GET", url, headers={"host": host})
            assert answer.status == 200, (host, url, answer.body)
            if url == path:
                assert yaml.safe_load(answer.body)[trigger["metadata"]["valueLocation"]] == 0


def test_compose_yaml_has_settings_with_which_the_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = COMPOSE["services"]["chat"]["environment"]
    variables = {"POSTGRES_PASSWORD": "0123abc", "CHAT_DOMAIN": "chat.example.com"}
    filled = {name: re.sub(r"\$\{(\w+).*?\}", lambda match: variables[match[1]], text) for name, text in values.items()}
    settings = settings_of(filled | {"CHATKIT_SECRETS": SECRET, "CHATKIT_ALLOW_ANONYMOUS": "true"}, monkeypatch)
    assert settings.public_url == "https://chat.example.com"
    assert settings.database_url == "postgresql://chat:0123abc@database/chat"
    address = COMPOSE["services"]["caddy"]["networks"]["inside"]["ipv4_address"]
    assert [str(network) for network in settings.trusted_proxies] == [address]
    described = block("sh", "POSTGRES_PASSWORD=")
    assert set(variables) == set(re.findall(r"^([A-Z_]+)=", described, re.MULTILINE))
    assert COMPOSE["services"]["chat"]["command"][-2:] == ["--workers", "2"]


RUN_ELSEWHERE = {
    "make wheel": "tests/repository/test_distributions.py",
    "pip install": "tests/repository/test_install_walk.py",
    "uvicorn --factory": "tests/test_cli.py",
    "chatkit-server doctor": "tests/deploy/test_backups.py",
    "chatkit-server migrate": "tests/workers/test_half_a_cpu.py",
    "chatkit-server serve": "tests/workers/test_half_a_cpu.py",
    "kill -HUP": "tests/workers/test_half_a_cpu.py",
    "pg_dump": "tests/deploy/test_backups.py",
    "pg_restore": "tests/deploy/test_backups.py",
    "sqlite3": "tests/deploy/test_backups.py",
    "tar": "tests/deploy/test_backups.py",
}
"""Which test runs a command of the document, or the like."""


def test_every_command_of_the_document_has_a_test() -> None:
    commands = [line for text in blocks("sh") if not text.startswith("# .env") for line in text.splitlines()]
    unknown = [
        line
        for line in commands
        if not line.startswith((" ", "docker ", "kubectl ", *RUN_ELSEWHERE))  # a line with a space goes on
    ]
    assert unknown == []
    assert {path for path in RUN_ELSEWHERE.values() if not (ROOT / path).exists()} == set()


FILE_OPTIONS = ("--filename", "--kustomize")


def commands_not_run() -> Iterator[list[str]]:
    """Return the words of the document's commands for Docker and Kubernetes, which no test can run."""
    for text in blocks("sh"):
        for line in text.splitlines():
            if line.startswith(("docker ", "kubectl ")):
                yield shlex.split(line)


def test_commands_of_docker_and_kubectl_name_what_exists() -> None:
    names = set()
    for words in commands_not_run():
        for option, value in zip(words, words[1:], strict=False):
            if option in FILE_OPTIONS:
                names.add(value)
                assert (ROOT / value).exists(), value
        if words[1:3] == ["compose", "exec"]:
            assert words[3] in COMPOSE["services"]
    assert names == {"deploy/kubernetes", "deploy/kubernetes/settings.yaml", "deploy/kubernetes/migration.yaml"}
    job = of_kind("Job", "migration.yaml")["metadata"]
    assert f"job/{job['name']} --namespace {job['namespace']}" in DOCUMENT
    for service in re.findall(r"docker compose (?:run --rm|kill --signal HUP) (\w+)", DOCUMENT):
        assert service in COMPOSE["services"]


def test_yaml_in_the_document_is_yaml() -> None:
    for text in blocks("yaml"):
        assert all(isinstance(part, dict) for part in yaml.safe_load_all(text))
