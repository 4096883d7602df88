"""Neither package can run data as code: a search of the syntax trees for calls that would."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from synclr_assets.cli import cli
from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.transformers_settings import TransformersCaptionerSettings

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads",
    "shelve.open", "yaml.unsafe_load", "yaml.full_load", "joblib.load", "tar.extractall", "tar.extract",
    "archive.extractall", "dill.load",
}  # fmt: skip


def calls_of(source: str) -> Iterator[tuple[int, str, dict[str, ast.expr]]]:
    """Line, dotted name and keywords of every call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            keywords = {word.arg: word.value for word in node.keywords if word.arg}
            yield node.lineno, ast.unparse(node.func), keywords


def dangers_in(source: str) -> list[str]:
    """What could run data as code, one line each."""
    found = []
    for line, name, keywords in calls_of(source):
        shell, weights_only = keywords.get("shell"), keywords.get("weights_only")
        if name in FORBIDDEN or name.endswith(".extractall"):
            found.append(f"{line}: {name}")
        elif name == "yaml.load" and "Safe" not in ast.unparse(keywords.get("Loader", ast.Constant(""))):
            found.append(f"{line}: {name} without a safe loader")
        elif name == "torch.load" and ast.unparse(weights_only or ast.Constant(None)) != "True":
            found.append(f"{line}: {name} without weights_only=True")
        elif isinstance(shell, ast.Constant) and shell.value is True:
            found.append(f"{line}: {name} through a shell")
        elif ast.unparse(keywords.get("allow_pickle", ast.Constant(False))) == "True":
            found.append(f"{line}: {name} with pickles")
    return found


@pytest.mark.parametrize("package", ["synclr_assets", "synclr_train"])
def test_no_call_could_run_data_as_code(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 20
    dangers = {str(file.relative_to(ROOT)): dangers_in(file.read_text(encoding="utf-8")) for file in files}
    assert {name: found for name, found in dangers.items() if found} == {}


@pytest.mark.parametrize(
    "line",
    [
        "pickle.loads(data)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text)",
        "tarfile.open(path).extractall(folder)",
        "subprocess.run(command, shell=True)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert dangers_in(line)


def test_remote_code_is_off_unless_a_user_says_so() -> None:
    assert DiffusersSettings().remote_code is False
    assert TransformersCaptionerSettings().trust_remote_code is False


def test_the_ui_binds_to_this_machine_alone() -> None:
    command = cli.get_command(None, "dev")  # type: ignore[arg-type]
    assert command is not None
    (host,) = (option for option in command.params if option.name == "host")
    assert host.default == "127.0.0.1"
