"""The article's claims as numbers: ``python -m tfnca.article.claims`` writes ``docs/claims.md``.

Every sentence of the article that can be checked is measured with our models and, where they are
present, with the published ones. Measures are kept in --cache, so that a run that was stopped
goes on; delete the folder to measure anew.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnca.article.evidence import gather
from tfnca.article.models import Ours, Published
from tfnca.commands import Parser, check_output, plain_errors
from tfnca.files import write_atomically
from tfnca.measures.lizard import RUNS


@dataclass(frozen=True)
class Claim:
    """A checkable sentence, in our own words."""

    section: str
    text: str
    measured: str
    evidence: str
    judge: Callable
    """From the evidence to (number, share of the claim that holds in [0, 1])."""


def _row(rows, step):
    return next(row for row in rows if row["step"] == step)


def _percent(row, name):
    return f"{100 * row[name]:.1f} ± {100 * row[name + '_sd']:.1f} %"


def _ratio(value, holds, fails):
    """1 from `holds` on, 0 from `fails` on, and between in proportion."""
    return float(np.clip((value - fails) / (holds - fails), 0.0, 1.0))


def _takeover(digits):
    row = _row(digits["attack"], 400)
    text = (
        f"{_percent(row, 'takeover')} say 8; of host cells alone {_percent(row, 'host_takeover')}"
    )
    return text, _ratio(row["host_takeover"], 0.95, 0.5)


def _speed(digits):
    steps = digits["steps_to_flip"]
    return f"half of the digits have flipped after {steps} steps", float(steps is not None)


def _recovery(digits):
    before, during, after = (_row(digits["attack"], step) for step in (200, 400, 600))
    text = (
        f"right before {_percent(before, 'digit_accuracy')}, during "
        f"{_percent(during, 'digit_accuracy')}, 200 steps after {_percent(after, 'digit_accuracy')}"
    )
    share = after["digit_accuracy"] / before["digit_accuracy"]
    return text, _ratio(share, 0.75, 0.25)


def _not_all(digits):
    row = _row(digits["attack"], 600)
    return f"{_percent(row, 'takeover')} still say 8", _ratio(row["takeover"], 0.02, 0.0)


def _thin(digits):
    row = digits["sparse"][0]
    return f"{_percent(row, 'takeover')} say 8", _ratio(row["takeover"], 0.4, 0.05)


def _persists(lizard):
    rows = lizard["from_seed"]
    early, late = _row(rows, 500), _row(rows, 5000)
    text = f"error {early['median']:.5f} at 500, {late['median']:.5f} at 5,000 steps"
    return text, float(late["median"] < 1.5 * early["median"])


def _repairs(lizard):
    found = lizard["damaged_at_200"]
    return f"{found['below']} of {found['runs']} wounds", found["below"] / found["runs"]


def _as_trained(found, judge):
    number, share = judge(found)
    where = " anywhere on the lizard" if found["among"] == "host" else ""
    return f"{found['density']:.0%}{where}: {number}", share


def _vary(tails):
    left, size = np.array(tails["left"]), np.array(tails["size"])
    unstable = int(((size > 1.5) | (size < 0.5)).sum())
    stable = (size <= 1.5) & (size >= 0.5)
    gone = int((stable & (left < 0.1)).sum())
    shrunk = int((stable & (left >= 0.1)).sum())
    text = f"of {len(left)} runs tail gone {gone}, shrunk or kept {shrunk}, unstable {unstable}"
    return text, float(sum(count > 0 for count in (gone, shrunk, unstable)) - 1) / 2


def _host_effect(found):
    """How much of the host cells' own error an attack removes, in [-inf, 1]."""
    alone = found["host"][0]["host_median"]
    attacked = _row(found["from_grown"], 500)["host_median"]
    return alone, attacked, 1.0 - attacked / alone


def _red_fails(found):
    alone, attacked, effect = _host_effect(found)
    text = f"host cells' error {alone:.4f} without, {attacked:.4f} with adversaries"
    return text, _ratio(effect, 0.1, 0.4)


def _red_reaches_hosts(found):
    return f"{found['share']:.1%} of the host's cells", _ratio(found["share"], 0.1, 0.0)


def _unstable_later(found):
    early, late = (_row(found["from_grown"], step) for step in (500, 5000))
    text = f"error {early['median']:.4f} at 500, {late['median']:.4f} at 5,000 steps"
    return text, _ratio(late["median"] / early["median"], 3.0, 1.5)


def _needs_majority(found):
    alone, attacked, effect = _host_effect(found)
    return f"host cells' error {alone:.4f} without, {attacked:.4f} with", _ratio(effect, 0.1, 0.5)


def _reached(perturbations):
    ratios = {
        (name, start): _row(found[start], 500)["median"] / found["host"][0]["median"]
        for name, found in perturbations.items()
        for start in ("from_seed", "from_grown")
    }
    reached = sum(ratio < 0.5 for ratio in ratios.values())
    text = f"{reached} of {len(ratios)} at less than half of the plain lizard's distance"
    return text, reached / len(ratios)


def _stable(perturbations):
    worst = {
        name: _row(found["from_seed"], 5000)["median"] / _row(found["from_seed"], 500)["median"]
        for name, found in perturbations.items()
    }
    text = ", ".join(f"{name} {ratio:.1f}" for name, ratio in worst.items())
    return text, np.mean([ratio <= 2 for ratio in worst.values()])


def _lifted(perturbations):
    back = {name: found["lifted"]["back"] for name, found in perturbations.items()}
    runs = next(iter(perturbations.values()))["lifted"]["runs"]
    text = f"of {runs} runs: " + ", ".join(f"{name} {count}" for name, count in back.items())
    return text, _ratio(np.mean(list(back.values())) / runs, 0.75, 0.25)


def _headless(perturbations):
    relative = {
        name: _row(found["from_seed"], 500)["median"] / found["host"][0]["median"]
        for name, found in perturbations.items()
    }
    order = sorted(relative, key=relative.get, reverse=True)
    text = "error over the plain lizard's: " + ", ".join(f"{n} {relative[n]:.2f}" for n in order)
    return text, 1.0 - order.index("no_head") / (len(order) - 1)


def _falls_short(found):
    alone = found["host"][0]["median"]
    seed, grown = (_row(found[start], 500)["median"] for start in ("from_seed", "from_grown"))
    text = f"error {seed:.4f} from the seed, {grown:.4f} from the grown lizard, {alone:.4f} without"
    return text, _ratio(min(seed, grown) / alone, 0.5, 0.2)


def _interpolates(rows):
    alphas = [row["alpha"] for row in rows if row["k"] >= 0]
    text = ", ".join(f"k={row['k']:g}: {row['alpha']:.2f}" for row in rows if row["k"] >= 0)
    return f"mean alpha of the tail {text}", float(np.all(np.diff(alphas) > 0))


def _negative(rows):
    plain = next(row for row in rows if row["k"] == 0)
    text = ", ".join(f"k={row['k']:g}: {row['cells']:.0f}" for row in rows if row["k"] <= 0)
    last = rows[-1]["cells"] / plain["cells"]
    return f"living cells at step 500: {text}", _ratio(last, 2.0, 1.0)


def _composes(found, name):
    errors, drift = found[name]["errors"], found[name]["drift"]
    row = _row(errors, 500)
    pace = np.mean([row["drift"] for row in drift[3:]])
    text = (
        f"error {row['median']:.4f}, after the best shift {row['shifted_median']:.4f} (plain "
        f"lizard {found[name]['plain']:.4f}); drifts {pace:.2f} cells in 100 steps"
    )
    return text, _ratio(row["shifted_median"] / found[name]["plain"], 0.5, 1.0)


def _drifts(found, name):
    pace = np.mean([row["drift"] for row in found[name]["drift"][3:]])
    return f"{pace:.2f} cells in 100 steps", _ratio(pace, 1.0, 0.1)


CLAIMS = [
    Claim("MNIST", "Adversaries (10 %) convince the digits that all of them are eights.",
          "takeover of digits that are not 8, 200 steps after they appear", "digits", _takeover),
    Claim("MNIST", "It takes few steps.",
          "CA steps until half of the other digits have flipped", "digits", _speed),
    Claim("MNIST", "When they are removed, most digits correct themselves: the adversaries had to "
          "go on talking.", "digit accuracy", "digits", _recovery),
    Claim("MNIST", "Some digits do not recover.",
          "takeover 200 steps after the removal", "digits", _not_all),
    Claim("MNIST", "Often far fewer adversaries are enough: one percent.",
          "takeover with 1 % from the start, at least one in the digit", "digits", _thin),
    Claim("Growing CA", "The pattern persists.", "median error from the seed", "lizard", _persists),
    Claim("Growing CA", "It is robust to damage.", "wounds, circles of radius 0.4, after which "
          "the error is below 0.0005 again within 300 steps", "lizard", _repairs),
    Claim("Growing CA", "Tailless at 10 %: results vary; some tails go, some shrink, some patterns "
          "become unstable.", "tail's mean alpha and the number of living cells at step 1,500; "
          "each set with the share and the places that it was trained with", "tails",
          lambda found: _as_trained(found, _vary)),
    Claim("Growing CA", "The attack works less well than on MNIST and does not last beyond the "
          "training horizon.", "median error, the same tailless adversaries", "tailless",
          lambda found: _as_trained(found, _unstable_later)),
    Claim("Growing CA", "Red with 10 % adversaries fails completely: the host's cells are "
          "unaffected.", "error of the host's cells at step 500", "red_10", _red_fails),
    Claim("Growing CA", "Red with 60 % turns some of the host's own cells red.",
          "share of living host cells with more red than green at step 500", "red_hosts",
          _red_reaches_hosts),
    Claim("Growing CA", "Red with 60 % is very unstable beyond the training horizon.",
          "median error", "red_60", _unstable_later),
    Claim("Growing CA", "It depends on a majority: at 20 to 30 % it does not work.",
          "error of the host's cells at step 500, 30 %", "red_60_at_30", _needs_majority),
    Claim("Perturbation", "A matrix on every living cell brings about the six mutations, from the "
          "seed and from the grown lizard.", "median error at step 500", "perturbations", _reached),
    Claim("Perturbation", "The new pattern is stable.",
          "median error at 5,000 over that at 500 steps", "perturbations", _stable),
    Claim("Perturbation", "Adding a vector to every cell would not be enough.",
          "median error at step 500 of a trained vector, tailless", "shift", _falls_short),
    Claim("Perturbation", "Once lifted, the lizard recovers easily.", "runs within 0.0005 of the "
          "plain lizard after the best shift, 500 steps on and 500 off", "perturbations", _lifted),
    Claim("Perturbation", "Headless is the least successful.",
          "median error at step 500", "perturbations", _headless),
    Claim("Directions", "From k = 1 to k = 0 the tail becomes more complete.",
          "mean alpha of the tail's cells at step 500", "strengths", _interpolates),
    Claim("Directions", "With negative k the pattern grows, in the end without bound.",
          "median number of living cells", "strengths", _negative),
    Claim("Directions", "Tailless and legless composed with strengths that sum to one work.",
          "median error at 500 steps against a lizard without both", "compositions",
          lambda found: _composes(found, "half of each")),
    Claim("Directions", "But the pattern starts to wander.",
          "mean drift of the centre of mass, steps 400 to 1,000", "compositions",
          lambda found: _drifts(found, "half of each")),
    Claim("Directions", "Both in full are almost as desired.",
          "median error at 500 steps against a lizard without both", "compositions",
          lambda found: _composes(found, "both in full")),
    Claim("Directions", "They wander as well.",
          "mean drift of the centre of mass, steps 400 to 1,000", "compositions",
          lambda found: _drifts(found, "both in full")),
]  # fmt: skip


def verdict(share):
    """In words, from the share of a claim that holds."""
    return "holds" if share >= 0.8 else "holds in part" if share >= 0.25 else "does not hold"


def table(evidence):
    """The claims as Markdown.

    Args:
        evidence: Dictionary from a set's name to what `gather` found.
    """
    lines = [
        "# The article's claims as numbers",
        "",
        "Made by `python -m tfnca.article.claims`; do not edit. Digits: the first 500 test "
        "digits, mask and noise seeds 0, 1, 2, mean ± standard deviation over the seeds. Lizards: "
        f"{RUNS} runs (seed 1) on a 72x72 grid, mean squared RGBA error, medians over the runs. "
        "The sentences are in our words; the verdict is a threshold on the number beside it, "
        "written out in `tfnca/article/claims.py`.",
    ]
    for section in dict.fromkeys(claim.section for claim in CLAIMS):
        lines += [
            "",
            f"## {section}",
            "",
            "| claim | models | verdict | number | what was measured |",
            "|---|---|---|---|---|",
        ]
        for claim in (claim for claim in CLAIMS if claim.section == section):
            shown = claim.text
            for name, found in evidence.items():
                if claim.evidence not in found:
                    continue
                number, share = claim.judge(found[claim.evidence])
                measured = claim.measured if shown else ""
                cells = shown, name, f"**{verdict(share)}**", number, measured
                lines.append("| " + " | ".join(cells) + " |")
                shown = ""
    return "\n".join(lines) + "\n"


def check_kept(path, sets):
    """Raises ValueError if a page has rows of models that are not there to be measured."""
    page = Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
    present = {models.name for models in sets if models.folder.is_dir()}
    for name in ("ours", "published"):
        if f"| {name} |" in page and name not in present:
            raise ValueError(
                f"{path} has rows of the models “{name}”, which would be lost; give another --out, "
                "or the models (the published ones in the folder TFNCA_ORIGINALS). Received: "
                f"{' and '.join(sorted(present)) or 'no models'}"
            )


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="docs/claims.md", help="default: %(default)s")
    parser.add_argument("--cache", default="out/claims", help="default: %(default)s")
    parser.add_argument("--models", choices=["ours", "published"], help="only this set")
    arguments = parser.parse_args()
    tf.get_logger().setLevel("ERROR")  # each step has a graph of its own, that is no mistake
    sets = [models for models in (Ours(), Published()) if arguments.models in (None, models.name)]
    with plain_errors():
        check_output(arguments.out)
        check_kept(arguments.out, sets)
        evidence = {m.name: gather(m, arguments.cache) for m in sets if m.folder.is_dir()}
        if not any(evidence.values()):
            folders = " or ".join(str(models.folder) for models in sets)
            raise ValueError(f"There must be models to measure. Received: none in {folders}")
        write_atomically(arguments.out, table(evidence))
    print(f"Wrote {arguments.out}")


if __name__ == "__main__":
    main()
