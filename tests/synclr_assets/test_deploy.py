"""What deploy/ ships agrees with the code: entry points, variables, ports, pools, versions, instance files."""

import json
import re
import shlex
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._cli.api import api_cli
from dagster._core.instance.config import dagster_instance_config

from synclr_assets import environment
from synclr_assets.definitions import build_definitions
from synclr_assets.environment import engine_of, profile_of

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "docker-compose.yaml").read_text())
VALUES = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())
TASK = json.loads((DEPLOY / "ecs" / "task-definition.json").read_text())
INSTANCES = {name: DEPLOY / name / "dagster.yaml" for name in ("compose", "ecs")}
SYNCLR_VARIABLES = {value for value in vars(environment).values() if str(value).startswith("SYNCLR_")} | {
    "SYNCLR_CONCEPTS",
    "SYNCLR_BUDGETS",
}


def deployment() -> dict[str, Any]:
    (found,) = VALUES["dagster-user-deployments"]["deployments"]
    return found


def image_command() -> list[str]:
    (line,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    return json.loads(line)


def variables_of(settings: list[dict[str, str]]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in settings}


def env_references(content: Any) -> set[str]:
    """Names of all `{env: NAME}` in an instance file."""
    if isinstance(content, dict):
        own = {content["env"]} if set(content) == {"env"} else set()
        return own.union(*(env_references(value) for value in content.values()))
    return set()


def test_the_image_copies_what_there_is_and_installs_extras_that_exist() -> None:
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert source == "${INSTANCE}" or (ROOT / source).exists(), source
    (default,) = re.findall(r"^ARG INSTANCE=(.+)$", DOCKERFILE, re.MULTILINE)
    assert (ROOT / default).exists()
    (extras,) = re.findall(r"pip install .*'\.\[(.+)\]'", DOCKERFILE)
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    (python,) = re.findall(r"^FROM python:(\S+)-slim$", DOCKERFILE, re.MULTILINE)
    assert PROJECT["requires-python"] == f">={python}"


def test_the_images_command_is_one_that_dagster_has() -> None:
    program, group, command, *arguments = image_command()
    assert (program, group) == ("dagster", "api")
    parsed = api_cli.commands[command].make_context(command, list(arguments))
    assert parsed.params["module_name"] in ("synclr_assets.definitions", ("synclr_assets.definitions",))
    assert parsed.params["port"] == 4000
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert int(exposed) == 4000


def test_the_module_that_all_of_them_serve_has_the_definitions(tmp_path: Path) -> None:
    assert isinstance(build_definitions({"SYNCLR_CONCEPTS": str(tmp_path)}), dg.Definitions)
    assert deployment()["dagsterApiGrpcArgs"] == image_command()[3:5]
    (container,) = TASK["containerDefinitions"]
    assert container["command"] == image_command()


def test_ports_agree() -> None:
    (container,) = TASK["containerDefinitions"]
    (workspace,) = yaml.safe_load((DEPLOY / "compose" / "workspace.yaml").read_text())["load_from"]
    ports = {
        deployment()["port"],
        workspace["grpc_server"]["port"],
        *(mapping["containerPort"] for mapping in container["portMappings"]),
    }
    assert ports == {4000}
    assert workspace["grpc_server"]["host"] in COMPOSE["services"]


@pytest.mark.parametrize(
    ("engine", "variables"),
    [
        ("k8s", variables_of(deployment()["env"])),
        ("ecs", variables_of(TASK["containerDefinitions"][0]["environment"])),
        ("local", {"SYNCLR_PROFILE": "gpu"}),
    ],
)
def test_profile_and_engine_are_those_of_the_code(engine: str, variables: dict[str, str]) -> None:
    assert engine_of(variables) == engine
    assert profile_of(variables) in ("cluster", "gpu")


def test_every_variable_is_one_that_something_reads() -> None:
    read_by_instances = set().union(
        *(env_references(yaml.safe_load(path.read_text())) for path in INSTANCES.values())
    )
    settings = [
        variables_of(deployment()["env"]),
        variables_of(TASK["containerDefinitions"][0]["environment"]),
        COMPOSE["x-synclr"]["environment"],
    ]
    used = {name for each in settings for name in each if name.startswith("SYNCLR_")}
    assert used <= SYNCLR_VARIABLES | read_by_instances


@pytest.mark.parametrize("name", INSTANCES)
def test_an_instance_file_is_valid_and_its_variables_are_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load(INSTANCES[name].read_text())
    needed = env_references(content)
    if name == "ecs":
        (container,) = TASK["containerDefinitions"]
        given = {entry["name"] for entry in container["environment"] + container["secrets"]}
    else:
        given = set(COMPOSE["x-synclr"]["environment"])
    assert needed <= given
    config, _ = dagster_instance_config(str(INSTANCES[name].parent))
    assert config["concurrency"]["pools"]["granularity"] == "op"
    assert config["run_monitoring"]["free_slots_after_run_end_seconds"] > 0


def test_postgres_is_named_in_the_form_that_dagster_takes() -> None:
    assert COMPOSE["x-synclr"]["environment"]["DAGSTER_POSTGRES_URL"].startswith("postgresql+psycopg2://")


def test_the_pool_is_that_of_the_code_and_unlimited_on_a_cluster() -> None:
    from synclr_assets.compute import GPU_POOL

    for text in (INSTANCES["ecs"].read_text(), (DEPLOY / "kubernetes" / "values.yaml").read_text()):
        assert f"dagster instance concurrency set {GPU_POOL} " in text
    assert "default_limit" not in yaml.safe_load(INSTANCES["ecs"].read_text())["concurrency"]["pools"]
    assert "defaultLimit" not in VALUES["concurrency"]["pools"]


def test_the_chart_is_of_the_dagster_that_is_required() -> None:
    (chart,) = re.findall(r"--version (\S+)", (DEPLOY / "kubernetes" / "values.yaml").read_text())
    (required,) = (r for r in PROJECT["optional-dependencies"]["platform"] if r.startswith("dagster=="))
    assert required == f"dagster=={chart}"
    assert version("dagster") == chart


def test_every_ecs_container_name_is_that_of_the_launcher() -> None:
    launcher = yaml.safe_load(INSTANCES["ecs"].read_text())["run_launcher"]["config"]
    assert launcher["container_name"] in {container["name"] for container in TASK["containerDefinitions"]}
    assert (
        variables_of(TASK["containerDefinitions"][0]["environment"])["SYNCLR_TASK_DEFINITION"]
        == TASK["family"]
    )


def test_compose_mounts_files_that_exist() -> None:
    for mount in COMPOSE["x-synclr"]["volumes"]:
        source, _, mode = mount.split(":")
        assert (DEPLOY / "compose" / source).exists(), source
        assert mode == "ro"
    build = COMPOSE["x-synclr"]["build"]
    assert (DEPLOY / "compose" / build["context"] / build["dockerfile"]).exists()
    for service in ("webserver", "daemon"):
        program = COMPOSE["services"][service]["command"][0]
        assert shlex.split(program)[0] in ("dagster-webserver", "dagster-daemon")
