"""The trainer stands alone: it loads no orchestrator and trains where neither it nor the platform is."""

import subprocess
import sys
from pathlib import Path

import synclr_train

MODULES = sorted(path.stem for path in Path(synclr_train.__file__).parent.glob("[a-z]*.py"))


def test_importing_the_trainer_loads_no_orchestrator():
    program = f"""
import importlib, sys
for name in {MODULES!r}:
    importlib.import_module("synclr_train." + name)
loaded = {{name.split(".")[0] for name in sys.modules}}
foreign = loaded & {{"dagster", "dagster_pipes", "synclr_assets", "deltalake"}}
sys.exit(f"loaded: {{sorted(foreign)}}" if foreign else 0)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_fit_works_where_dagster_and_the_platform_are_absent(tmp_path, shards, tiny_recipe):
    (tmp_path / "recipe.json").write_text(tiny_recipe(steps=4).model_dump_json())
    program = """
import sys
from pathlib import Path
for name in ("dagster", "dagster_pipes", "synclr_assets", "deltalake", "pyarrow"):
    sys.modules[name] = None
from synclr_train.config import Recipe
from synclr_train.training import fit
folder, shards = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
fit(Recipe.model_validate_json((folder / "recipe.json").read_text()), shards, folder / "run")
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path), *map(str, shards)], check=True)
    assert (tmp_path / "run" / "encoder.safetensors").is_file()
