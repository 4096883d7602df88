"""What an evaluation tells on its way, in words."""

from collections.abc import Mapping
from typing import Any


def said(event: Mapping[str, Any]) -> str:
    """One line for an event of an evaluation."""
    match event["event"]:
        case "feature_cache_damaged":
            return f"{event['file']} is damaged and is made again"
        case "epoch":
            return f"epoch {event['epoch']}: loss {event['lowest_loss']:.3f}"
        case "trained":
            return f"step {event['step']} of {event['steps']}, loss {event['loss']:.3f}"
    where = f" on {event['dataset']}" if "dataset" in event else ""
    subject, metric = event["subject"].replace("_", " "), event["metric"].replace("_", " ")
    return f"{subject}{where}: {metric} {event['value']:.1%}"
