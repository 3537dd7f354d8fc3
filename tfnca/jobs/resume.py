"""Whether a run that is resumed is the run that was begun."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from tfnca.deprecated import current_settings, flag
from tfnca.jobs.options import Common, defaults


def check_same_run(config: Common, facts: dict[str, Any]) -> None:
    """Compares a configuration with the one that the run in its folder was begun with.

    An option is left out where it `may_change`. One that names a file is compared by what the file
    held: by the fact ``<option>_identity`` or else ``<option>_sha256``, where both runs have it.
    ``--steps`` may grow: what is done stays, and what is left follows the longer run's schedule,
    since drops are fractions of it.

    Args:
        config: The configuration to go on with.
        facts: What `train` gets beside it.

    Raises:
        ValueError: If it would not be the same run, or its settings cannot be read.
    """
    path = Path(config.out) / "config.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(before, dict):
            raise ValueError("no settings")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--resume compares the settings with those of the run so far: {path} cannot be read. "
            f"Received: {error}"
        ) from None
    # An option that came later had its default then.
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
            other_content = " (the content changed)" if old == new else ""
            changed.append(f"{flag(name)} was {old}, is {new}{other_content}")
    if changed:
        free = [flag(f.name) for f in dataclasses.fields(config) if f.metadata["may_change"]]
        free = [name for name in free if name not in ("--out", "--resume")]
        raise ValueError(
            "--resume goes on with the same run, and these settings would make it another: "
            f"{'; '.join(changed)}. What may change: --steps, if larger, {', '.join(free)}. "
            "--resume weights takes the weights into a run of its own. "
            f"Received: a run in {config.out}"
        )
    if getattr(config, "steps", None) != before.get("steps"):
        print(
            f"--steps was {before['steps']}, is {config.steps}: from here on all that is a "  # type: ignore[attr-defined]
            "fraction of them, such as --drops, follows the longer run."
        )
