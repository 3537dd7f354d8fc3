"""Checks that a resumed run has the settings of the original run."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from tfnca.deprecated import current_settings, flag
from tfnca.jobs.options import Common, defaults


def check_same_run(config: Common, facts: dict[str, Any]) -> None:
    """Raises ValueError unless a configuration is that of the run in its folder.

    Options that `may_change` are not compared. An option that names a file is compared by the
    file's contents: by the fact ``<option>_identity``, or else ``<option>_sha256``, if both runs
    have it. ``--steps`` may increase. The remaining steps then follow the schedule of the longer
    run, because drops are fractions of all steps.
    """
    path = Path(config.out) / "config.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(before, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--resume compares the settings with those of the run, but {path} cannot be read. "
            f"Received: {error}"
        ) from None
    # A file of an earlier version lacks newer options. They had their defaults.
    before = defaults(type(config), before.get("recipe")) | current_settings(before)
    changed = []
    for field in dataclasses.fields(config):
        name = field.name
        old, new = before[name], getattr(config, name)
        both = [f"{name}_{kind}" for kind in ("identity", "sha256")]
        if both := [fact for fact in both if fact in facts and fact in before]:
            same = facts[both[0]] == before[both[0]]
        else:
            same = old == new or (name == "steps" and old < new)
        if not same and not field.metadata["may_change"]:
            other_content = " (its content changed)" if old == new else ""
            changed.append(f"{flag(name)} was {old}, is now {new}{other_content}")
    if changed:
        free = [flag(f.name) for f in dataclasses.fields(config) if f.metadata["may_change"]]
        free = [name for name in free if name not in ("--out", "--resume")]
        raise ValueError(
            "--resume continues the same run, but these settings would change it: "
            f"{'; '.join(changed)}. You may change {', '.join(free)}, and increase --steps. To "
            "start a new run with these weights, use --resume weights. "
            f"Received: a run in {config.out}"
        )
    if getattr(config, "steps", None) != before.get("steps"):
        print(
            f"--steps was {before['steps']}, is now {config.steps}: options that are fractions of "  # type: ignore[attr-defined]
            "the run, for example --drops, now follow the longer run."
        )
