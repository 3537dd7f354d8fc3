"""The article's claims, each with the measure that decides on it."""

if __name__ == "__main__":  # before TensorFlow loads, so that --help answers at once
    from tfnca.cli import run

    run("claims", "python -m tfnca.article.claims")
    raise SystemExit(0)

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfnca.article.evidence import gather
from tfnca.article.models import Ours, Published
from tfnca.commands import check_output
from tfnca.files import write_atomically
from tfnca.measures.lizard import RUNS


@dataclass(frozen=True)
class Claim:
    """A sentence of the article that can be checked, in our own words."""

    section: str
    text: str
    measured: str
    evidence: str
    judge: Callable
    """Function from the evidence to (number, degree in [0, 1] to which the claim holds)."""


def _row(rows, step):
    return next(row for row in rows if row["step"] == step)


def _percent(row, name):
    return f"{100 * row[name]:.1f} ± {100 * row[name + '_sd']:.1f} %"


def _listed(numbers):
    """Each target with its number."""
    return ", ".join(f"{NAMES.get(name, name)} {number}" for name, number in numbers.items())


def _ratio(value, holds, fails):
    """1 beyond `holds`, 0 beyond `fails`, and linear between the two."""
    return float(np.clip((value - fails) / (holds - fails), 0.0, 1.0))


def _takeover(digits):
    row = _row(digits["attack"], 400)
    text = f"{_percent(row, 'takeover')}; host cells alone {_percent(row, 'host_takeover')}"
    return text, _ratio(row["host_takeover"], 0.95, 0.5)


def _speed(digits):
    steps = digits["steps_to_flip"]
    return f"{steps} steps", float(steps is not None)


def _recovery(digits):
    before, during, after = (_row(digits["attack"], step) for step in (200, 400, 600))
    text = (
        f"before {_percent(before, 'digit_accuracy')}, during "
        f"{_percent(during, 'digit_accuracy')}, after {_percent(after, 'digit_accuracy')}"
    )
    share = after["digit_accuracy"] / before["digit_accuracy"]
    return text, _ratio(share, 0.75, 0.25)


def _not_all(digits):
    row = _row(digits["attack"], 600)
    return _percent(row, "takeover"), _ratio(row["takeover"], 0.02, 0.0)


def _thin(digits):
    row = digits["sparse"][0]
    return _percent(row, "takeover"), _ratio(row["takeover"], 0.4, 0.05)


def _persists(lizard):
    rows = lizard["from_seed"]
    early, late = _row(rows, 500), _row(rows, 5000)
    text = f"MSE {early['median']:.5f} at 500, {late['median']:.5f} at 5,000 steps"
    return text, float(late["median"] < 1.5 * early["median"])


def _repairs(lizard):
    found = lizard["damaged_at_200"]
    return f"{found['below']} of {found['runs']} wounds", found["below"] / found["runs"]


def _as_trained(found, judge):
    number, share = judge(found)
    where = " anywhere on the lizard" if found["region"] == "host" else ""
    return f"{100 * found['density']:.0f} %{where}: {number}", share


def _vary(tails):
    left, size = np.array(tails["left"]), np.array(tails["size"])
    unstable = int(((size > 1.5) | (size < 0.5)).sum())
    stable = (size <= 1.5) & (size >= 0.5)
    gone = int((stable & (left < 0.1)).sum())
    shrunk = int((stable & (left >= 0.1)).sum())
    text = f"gone {gone}, shrunk or kept {shrunk}, unstable {unstable} of {len(left)} runs"
    return text, float(sum(count > 0 for count in (gone, shrunk, unstable)) - 1) / 2


def _host_effect(found):
    """The fraction of the host cells' error that an attack removes, in [-inf, 1]."""
    alone = found["host"][0]["host_median"]
    attacked = _row(found["from_grown"], 500)["host_median"]
    return alone, attacked, 1.0 - attacked / alone


def _red_fails(found):
    alone, attacked, effect = _host_effect(found)
    text = f"MSE {alone:.4f} without, {attacked:.4f} with adversaries"
    return text, _ratio(effect, 0.1, 0.4)


def _red_reaches_hosts(found):
    return f"{100 * found['share']:.1f} %", _ratio(found["share"], 0.1, 0.0)


def _unstable_later(found):
    early, late = (_row(found["from_grown"], step) for step in (500, 5000))
    text = f"MSE {early['median']:.4f} at 500, {late['median']:.4f} at 5,000 steps"
    return text, _ratio(late["median"] / early["median"], 3.0, 1.5)


def _needs_majority(found):
    alone, attacked, effect = _host_effect(found)
    return f"MSE {alone:.4f} without, {attacked:.4f} with adversaries", _ratio(effect, 0.1, 0.5)


def _reached(perturbations):
    ratios = {
        (name, start): _row(found[start], 500)["median"] / found["host"][0]["median"]
        for name, found in perturbations.items()
        for start in ("from_seed", "from_grown")
    }
    reached = sum(ratio < 0.5 for ratio in ratios.values())
    return f"{reached} of {len(ratios)}", reached / len(ratios)


def _stable(perturbations):
    worst = {
        name: _row(found["from_seed"], 5000)["median"] / _row(found["from_seed"], 500)["median"]
        for name, found in perturbations.items()
    }
    text = _listed({name: f"{ratio:.1f}" for name, ratio in worst.items()})
    return text, np.mean([ratio <= 2 for ratio in worst.values()])


def _lifted(perturbations):
    back = {name: found["lifted"]["back"] for name, found in perturbations.items()}
    runs = next(iter(perturbations.values()))["lifted"]["runs"]
    share = np.mean(list(back.values())) / runs
    return f"of {runs} runs: {_listed(back)}", _ratio(share, 0.75, 0.25)


def _headless(perturbations):
    relative = {
        name: _row(found["from_seed"], 500)["median"] / found["host"][0]["median"]
        for name, found in perturbations.items()
    }
    order = sorted(relative, key=relative.get, reverse=True)
    text = _listed({name: f"{relative[name]:.2f}" for name in order})
    return text, 1.0 - order.index("no_head") / (len(order) - 1)


def _falls_short(found):
    alone = found["host"][0]["median"]
    seed, grown = (_row(found[start], 500)["median"] for start in ("from_seed", "from_grown"))
    text = f"MSE {seed:.4f} from the seed, {grown:.4f} from grown, baseline {alone:.4f}"
    return text, _ratio(min(seed, grown) / alone, 0.5, 0.2)


def _interpolates(rows):
    alphas = [row["alpha"] for row in rows if row["k"] >= 0]
    text = ", ".join(f"k={row['k']:g}: {row['alpha']:.2f}" for row in rows if row["k"] >= 0)
    return text, float(np.all(np.diff(alphas) > 0))


def _negative(rows):
    plain = next(row for row in rows if row["k"] == 0)
    text = ", ".join(f"k={row['k']:g}: {row['cells']:.0f}" for row in rows if row["k"] <= 0)
    last = rows[-1]["cells"] / plain["cells"]
    return text, _ratio(last, 2.0, 1.0)


def _composes(found, name):
    row, plain = _row(found[name]["errors"], 500), found[name]["plain"]
    text = (
        f"MSE {row['median']:.4f}, after the best shift {row['shifted_median']:.4f}, "
        f"baseline {plain:.4f}"
    )
    return text, _ratio(row["shifted_median"] / plain, 0.5, 1.0)


def _drifts(found, name):
    pace = np.mean([row["drift"] for row in found[name]["drift"][3:]])
    return f"{pace:.2f} cells", _ratio(pace, 1.0, 0.1)


CLAIMS = [
    Claim("Digits", "10 % adversaries convince all digits that they are eights.",
          "takeover rate after 200 steps", "digits", _takeover),
    Claim("Digits", "It takes few steps.",
          "steps until half of the digits are misclassified as 8", "digits", _speed),
    Claim("Digits", "Most digits correct themselves once the adversaries are removed, which must "
          "therefore communicate continuously.", "digit accuracy before, during and 200 steps "
          "after the attack", "digits", _recovery),
    Claim("Digits", "Some digits do not recover.",
          "takeover rate 200 steps after the removal", "digits", _not_all),
    Claim("Digits", "Significantly fewer adversaries often suffice: 1 %.",
          "takeover rate, with at least one in each digit", "digits", _thin),
    Claim("The lizard and adversaries", "The pattern persists.", "from the seed", "lizard",
          _persists),
    Claim("The lizard and adversaries", "It is robust to damage.", "wounds (circles of radius 0.4) "
          "with an MSE below 0.0005 within 300 steps", "lizard", _repairs),
    Claim("The lizard and adversaries", "Tailless at 10 %: results vary. Some tails disappear, "
          "some shrink, some patterns become unstable.", "the tail's mean alpha and the number of "
          "living cells at step 1,500", "tails",
          lambda found: _as_trained(found, _vary)),
    Claim("The lizard and adversaries", "The attack is less effective than on digits and does not "
          "last beyond the steps seen in training.", "the same tailless adversaries", "tailless",
          lambda found: _as_trained(found, _unstable_later)),
    Claim("The lizard and adversaries", "Red with 10 % adversaries fails completely: the host's "
          "cells are unaffected.", "host cells at step 500", "red_10", _red_fails),
    Claim("The lizard and adversaries", "Red with 60 % turns some of the host's own cells red.",
          "fraction of host cells with more red than green at step 500", "red_hosts",
          _red_reaches_hosts),
    Claim("The lizard and adversaries", "Red with 60 % is very unstable beyond the steps seen in "
          "training.", "all cells", "red_60", _unstable_later),
    Claim("The lizard and adversaries", "Red depends on a majority: it is unstable with 20 to 30 "
          "%.", "host cells at step 500, 30 %", "red_60_at_30", _needs_majority),
    Claim("Perturbations", "A matrix on every living cell brings about the six changes, from the "
          "seed and from the grown lizard.", "how many bring the MSE at step 500 below half of the "
          "baseline", "perturbations", _reached),
    Claim("Perturbations", "The new pattern is stable.",
          "MSE at 5,000 steps divided by that at 500", "perturbations", _stable),
    Claim("Perturbations", "Adding a vector to every cell would not suffice.",
          "a trained vector, tailless, at step 500", "shift", _falls_short),
    Claim("Perturbations", "The lizard recovers easily once the perturbation is removed.", "runs "
          "within 0.0005 of the plain lizard after the best shift, 500 steps after the removal",
          "perturbations", _lifted),
    Claim("Perturbations", "Headless is the least successful.",
          "MSE at step 500 divided by the baseline", "perturbations", _headless),
    Claim("Strengths and combinations", "From k = 1 to k = 0 the tail becomes more complete.",
          "the tail's mean alpha at step 500", "strengths", _interpolates),
    Claim("Strengths and combinations", "With negative k the pattern grows, in the end without "
          "limit.", "living cells at step 500", "strengths", _negative),
    Claim("Strengths and combinations", "Tailless and legless can be combined with strengths that "
          "add up to one.", "step 500, against a lizard without both", "compositions",
          lambda found: _composes(found, "half of each")),
    Claim("Strengths and combinations", "But the pattern then drifts.",
          "drift of the centre in 100 steps, from step 400 to 1,000", "compositions",
          lambda found: _drifts(found, "half of each")),
    Claim("Strengths and combinations", "Both at full strength are almost as desired.",
          "step 500, against a lizard without both", "compositions",
          lambda found: _composes(found, "both in full")),
    Claim("Strengths and combinations", "They drift as well.",
          "drift of the centre in 100 steps, from step 400 to 1,000", "compositions",
          lambda found: _drifts(found, "both in full")),
]  # fmt: skip


NAMES = {"no_tail": "tailless", "no_leg": "legless", "no_head": "headless", "no_arm": "armless"}
"""What the page calls a target."""

WHOSE = {"ours": "our models", "published": "the article's"}
"""What the page calls a set of models."""


def verdict(share):
    """The verdict in words, from the degree to which a claim holds."""
    return "holds" if share >= 0.8 else "holds in part" if share >= 0.25 else "does not hold"


def table(evidence):
    """The claims as Markdown, with the result of `gather` for each set of models."""
    lines = [
        "# The article's claims as numbers",
        "",
        "We measured every sentence of the article that can be checked, in our words, with our "
        "models and with the article's. Most hold for both, at least in part. `python -m "
        "tfnca.article.claims` writes this page; `tfnca/article/claims.py` contains the threshold "
        "of each verdict.",
        "",
        "Digits: the first 500 test digits, three seeds, mean ± standard deviation. Lizards: "
        f"{RUNS} runs on a 72x72 grid, medians of the MSE against the attack's target. The "
        "baseline is that MSE without an attack.",
    ]
    for section in dict.fromkeys(claim.section for claim in CLAIMS):
        lines += [
            "",
            f"## {section}",
            "",
            " | ".join(["| claim", *(WHOSE[name] for name in evidence)]) + " |",
            "|---" * (1 + len(evidence)) + "|",
        ]
        for claim in (claim for claim in CLAIMS if claim.section == section):
            if any(claim.evidence in found for found in evidence.values()):
                shown = f"| {claim.text} *Measured: {claim.measured}.*"
                judged = [_judged(claim, found) for found in evidence.values()]
                lines.append(" | ".join([shown, *judged]) + " |")
    return "\n".join(lines) + "\n"


def _judged(claim, found):
    if claim.evidence not in found:
        return "not measured"
    number, share = claim.judge(found[claim.evidence])
    return f"**{verdict(share)}**: {number}"


def check_kept(path, sets):
    """Raises ValueError if a page has numbers of models that are missing now."""
    page = Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
    present = {models.name for models in sets if models.folder.is_dir()}
    for name, whose in WHOSE.items():
        if f"| {whose} |" in page and name not in present:
            raise ValueError(
                f"{path} has numbers of “{whose}”, which would be lost. Give another --out, or "
                "provide the models (the article's in the folder TFNCA_ORIGINALS). Received: "
                f"{' and '.join(sorted(present)) or 'no models'}"
            )


def main(options):
    """Measures the claims and writes the page, as ``python -m tfnca.article.claims`` does."""
    sets = [models for models in (Ours(), Published()) if options.models in (None, models.name)]
    check_output(options.out)
    check_kept(options.out, sets)
    evidence = {m.name: gather(m, options.cache) for m in sets if m.folder.is_dir()}
    if not any(evidence.values()):
        folders = " or ".join(str(models.folder) for models in sets)
        raise ValueError(f"There are no models to measure. Received: nothing in {folders}")
    write_atomically(options.out, table(evidence))
    print(f"Wrote {options.out}")
