"""The environment variables of the platform, each read in one place. Reads nothing when imported."""

from collections.abc import Mapping
from pathlib import Path

from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import DEFAULT_ROOT

STORE = "SYNCLR_STORE"
PROFILE = "SYNCLR_PROFILE"
DAGSTER_HOME = "DAGSTER_HOME"
SETTINGS = "SYNCLR_SETTINGS"
PROFILES = ("rehearsal", "gpu", "cluster")
ENGINE = "SYNCLR_ENGINE"
ENGINES = ("local", "k8s", "ecs", "ray")
DAGSTER_URL = "SYNCLR_DAGSTER_URL"
"""Address of the Dagster UI, whose server reloads code locations; `synclr dev` sets it."""
ALERT_WEBHOOK = "SYNCLR_ALERT_WEBHOOK"
"""Where alerts are posted. A secret: it is read where a message is sent and nowhere shown."""
DEFAULT_DAGSTER_HOME = ".synclr/dagster"


def store_root(environment: Mapping[str, str]) -> str:
    """SYNCLR_STORE, else `.synclr/store` in the working folder."""
    return environment.get(STORE) or str(Path(DEFAULT_ROOT).absolute())


def profile_of(environment: Mapping[str, str]) -> str:
    """SYNCLR_PROFILE, else `rehearsal`. Raises StoreError for an unknown one."""
    profile = environment.get(PROFILE) or PROFILES[0]
    if profile not in PROFILES:
        raise StoreError(f"{PROFILE}={profile!r} is no profile: choose one of {', '.join(PROFILES)}.")
    return profile


def engine_of(environment: Mapping[str, str]) -> str:
    """SYNCLR_ENGINE, else `local`, which is this machine. Raises StoreError where profile cluster has no engine."""
    engine = environment.get(ENGINE) or ENGINES[0]
    if engine not in ENGINES:
        raise StoreError(f"{ENGINE}={engine!r} is no engine: choose one of {', '.join(ENGINES)}.")
    if engine == "local" and profile_of(environment) == "cluster":
        raise StoreError(
            f"{PROFILE}=cluster needs an engine: set {ENGINE} to one of {', '.join(ENGINES[1:])}."
        )
    return engine


def dagster_home(environment: Mapping[str, str]) -> Path:
    """DAGSTER_HOME, else `.synclr/dagster` in the working folder."""
    return Path(environment.get(DAGSTER_HOME) or DEFAULT_DAGSTER_HOME).absolute()


def settings_file(environment: Mapping[str, str]) -> str | None:
    """SYNCLR_SETTINGS: a YAML file whose sections replace the profile's, or None."""
    return environment.get(SETTINGS) or None
