"""The article's figures and claims: drawn and judged with any set of models."""

import json

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

import tfnca
from tfnca import cli
from tfnca.article import claims, evidence, figures
from tfnca.article.models import MissingModelError, Ours, Published


class Models:
    """A set of models that never change a state."""

    name = "still"

    def __init__(self, folder):
        self.folder = folder
        self.digits, self.digits_adversary = tfnca.MNISTCA(), tfnca.MNISTCA()
        self.lizard = tfnca.GrowingCA()

    def adversary(self, mutation):
        return tfnca.GrowingCA()

    def density(self, mutation):
        return 0.3

    def region(self, mutation):
        return "host"

    def perturbation(self, mutation):
        if mutation == "blue":
            raise MissingModelError("no blue one. Received: blue")
        return tfnca.MatrixPerturbation()

    def shift(self, mutation):
        return tfnca.ShiftPerturbation()

    def target(self, name):
        return tfnca.load_target(name, 12)


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "SIZE", (44, 44))
    monkeypatch.setattr(evidence, "SIZE", (44, 44))
    return Models(tmp_path)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio-ffmpeg's pipes
@pytest.mark.parametrize(
    ("number", "frames", "stills"),
    [
        pytest.param(4, 101, 3, marks=pytest.mark.slow),
        (5, 101, 4),
        (6, 0, 3),
        pytest.param(8, 151, 5, marks=pytest.mark.slow),
    ],
)
def test_a_figure_is_a_still_and_where_it_moves_a_video(models, tmp_path, number, frames, stills):
    drawn = figures.FIGURES[number](models)
    assert (len(drawn.frames), len(drawn.stills)) == (frames, stills)
    figures.write_figure(number, models, tmp_path)
    stem = tmp_path / f"figure_{number:02d}_still"
    with Image.open(stem.with_suffix(".png")) as still:
        assert np.asarray(still).std() > 1
    for suffix in (".mp4", ".webp"):
        assert stem.with_suffix(suffix).exists() == (frames > 0)
    if frames:
        with imageio.get_reader(stem.with_suffix(".mp4")) as video:
            assert video.count_frames() == frames
        with Image.open(stem.with_suffix(".webp")) as animation:
            # Equal frames become one; here a lizard that has not grown stays as it is.
            assert (animation.n_frames > 1) == (number != 5)


def test_a_figure_without_its_model_is_left_out(models, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "Ours", lambda: models)
    monkeypatch.setattr(figures, "Published", lambda: Models(tmp_path / "absent"))
    cli.run("figures", words=["--figure", "11", "--out", str(tmp_path / "out")])
    assert "Figure 11, still: left out. no blue one" in capsys.readouterr().out
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("models", [Ours, Published])
def test_what_a_set_does_not_have_is_missing(models, tmp_path):
    empty = models(tmp_path)
    for ask in (
        lambda: empty.digits,
        lambda: empty.digits_adversary,
        lambda: empty.lizard,
        lambda: empty.adversary("red"),
        lambda: empty.perturbation("red"),
    ):
        with pytest.raises(MissingModelError, match=r"No such file. Received: "):
            ask()
    if models is Published:
        with pytest.raises(MissingModelError):
            empty.target("red")


# Claims


def test_without_models_the_page_of_claims_stays(tmp_path, monkeypatch, capsys):
    page = tmp_path / "claims.md"
    page.write_text("numbers")
    monkeypatch.setenv("TFNCA_ORIGINALS", str(tmp_path / "absent"))
    with pytest.raises(SystemExit) as stop:
        cli.run("claims", words=["--models", "published", "--out", str(page)])
    assert stop.value.code == 2
    assert "Received: nothing in" in capsys.readouterr().err
    assert page.read_text() == "numbers"


def test_a_page_keeps_the_rows_of_models_that_are_not_there(tmp_path, monkeypatch, capsys):
    page = tmp_path / "claims.md"
    page.write_text("| claim | our models | the article's |\n| It persists. | holds | holds |\n")
    monkeypatch.setenv("TFNCA_ORIGINALS", str(tmp_path / "absent"))
    monkeypatch.setattr(claims, "gather", lambda *_: pytest.fail("measured what was to be lost"))
    with pytest.raises(SystemExit) as stop:
        cli.run("claims", words=["--out", str(page)])
    assert stop.value.code == 2
    assert "“the article's”, which would be lost" in capsys.readouterr().err
    assert page.read_text().count("holds") == 2


def rows(*errors, **more):
    keys = ("median", "shifted_median", "host_median")
    return [{"step": step} | dict.fromkeys(keys, error) | more for step, error in errors]


def perturbed(early, late, back=16):
    return {
        "host": rows((500, 0.01)),
        "from_seed": rows((500, early), (5000, late)),
        "from_grown": rows((500, early), (5000, late)),
        "lifted": {"runs": 16, "back": back},
    }


def attack(takeover=1.0, recovered=0.9):
    shares = {200: (0.95, 0.01), 400: (0.1, takeover), 600: (recovered, 0.05)}
    attacked = [
        {"step": step, "digit_accuracy": right, "takeover": eights, "host_takeover": eights}
        | {f"{name}_sd": 0.0 for name in ("digit_accuracy", "takeover", "host_takeover")}
        for step, (right, eights) in shares.items()
    ]
    thin = [{"takeover": takeover / 2, "takeover_sd": 0.0}]
    return {"attack": attacked, "sparse": thin, "steps_to_flip": 8}


@pytest.mark.parametrize(
    ("judge", "evidence", "expected"),
    [
        (claims._takeover, attack(), "holds"),
        (claims._takeover, attack(takeover=0.4), "does not hold"),
        (claims._recovery, attack(), "holds"),
        (claims._recovery, attack(recovered=0.5), "holds in part"),
        (claims._thin, attack(), "holds"),
        (claims._thin, attack(takeover=0.05), "does not hold"),
        (claims._stable, {"red": perturbed(0.001, 0.0015)}, "holds"),
        (claims._stable, {"red": perturbed(0.001, 0.05)}, "does not hold"),
        (
            claims._reached,
            {"red": perturbed(0.004, 1), "blue": perturbed(0.006, 1)},
            "holds in part",
        ),
        (claims._lifted, {"red": perturbed(0, 0, 16), "blue": perturbed(0, 0, 12)}, "holds"),
        (claims._lifted, {"red": perturbed(0, 0, 2)}, "does not hold"),
        (claims._headless, {"no_head": perturbed(0.004, 1), "red": perturbed(0.002, 1)}, "holds"),
        (
            claims._headless,
            {"no_head": perturbed(0.001, 1), "red": perturbed(0.002, 1)},
            "does not hold",
        ),
        (claims._unstable_later, perturbed(0.004, 0.04), "holds"),
        (claims._unstable_later, perturbed(0.004, 0.004), "does not hold"),
        (claims._needs_majority, perturbed(0.02, 0), "holds"),
        (claims._needs_majority, perturbed(0.001, 0), "does not hold"),
        (claims._falls_short, perturbed(0.001, 1), "does not hold"),
        (claims._falls_short, perturbed(0.009, 1), "holds"),
        (claims._interpolates, [{"k": 1, "alpha": 0.1}, {"k": 0, "alpha": 0.9}], "holds"),
        (claims._interpolates, [{"k": 1, "alpha": 0.9}, {"k": 0, "alpha": 0.1}], "does not hold"),
        (claims._negative, [{"k": 0, "cells": 100}, {"k": -1, "cells": 400}], "holds"),
        (claims._negative, [{"k": 0, "cells": 100}, {"k": -1, "cells": 90}], "does not hold"),
        (claims._vary, {"left": [0.0, 0.8, 0.9], "size": [1.0, 1.1, 3.0]}, "holds"),
        (claims._vary, {"left": [0.8, 0.8, 0.9], "size": [1.0, 1.1, 1.0]}, "does not hold"),
    ],
)
def test_verdicts_follow_the_numbers(judge, evidence, expected):
    number, share = judge(evidence)
    assert number
    assert claims.verdict(share) == expected


def test_a_number_says_how_its_adversaries_were_trained():
    tails = {"left": [0.0], "size": [1.0], "density": 0.3}
    for region, said in (("host", "30 % anywhere on the lizard: "), ("target", "30 %: ")):
        number, share = claims._as_trained(tails | {"region": region}, claims._vary)
        assert (number.removeprefix(said), share) == claims._vary(tails)
        assert number.startswith(said)


def test_every_claim_has_evidence_and_is_listed_once():
    assert len(claims.CLAIMS) >= 15
    assert {claim.evidence for claim in claims.CLAIMS} == set(evidence.EVIDENCE)
    page = claims.table({"ours": {"digits": attack()}, "published": {"digits": attack(0.2)}})
    for claim in claims.CLAIMS:
        assert page.count(claim.text) == (claim.evidence == "digits")
    assert "| claim | our models | the article's |" in page
    assert "host cells alone 100.0 ± 0.0 % | **does not hold**: 20.0 ± 0.0 %" in page
    thin = claims.table({"ours": {"digits": attack()}, "published": {}})
    assert "100.0 ± 0.0 % | not measured |" in thin


def test_evidence_is_measured_once_and_what_is_missing_left_out(models, tmp_path, monkeypatch):
    calls = []

    def measure(models):
        calls.append(models.name)
        return {"share": 0.5}

    found = {"red_hosts": measure, "perturbations": lambda m: m.perturbation("blue")}
    monkeypatch.setattr(evidence, "EVIDENCE", found)
    first = evidence.gather(models, tmp_path / "cache")
    assert first == evidence.gather(models, tmp_path / "cache") == {"red_hosts": {"share": 0.5}}
    assert calls == ["still"]
    (kept,) = (tmp_path / "cache").glob("still_red_hosts_*.json")
    assert json.loads(kept.read_text()) == {"share": 0.5}
    (models.folder / "mnist").mkdir()
    (models.folder / "mnist" / "model.keras").write_bytes(b"another")
    evidence.gather(models, tmp_path / "cache")
    assert calls == ["still", "still"]


def test_tails_and_red_hosts_of_a_lizard_that_stays_a_seed(models):
    tails = evidence._tails(models)
    assert len(tails["left"]) == len(tails["size"]) == 16
    assert max(tails["size"]) < 0.2
    assert evidence._red_hosts(models) == {"share": 0.0}
