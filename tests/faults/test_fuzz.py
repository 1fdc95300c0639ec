"""Study files that are almost right: a sentence or what the text says, never a traceback."""

from __future__ import annotations

import contextlib
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emtkit.errors import EmtkitError, PluginError, StudyError
from emtkit.plugin.registry import Registry
from emtkit.study.document import parse_document
from emtkit.study.plan import plan_study

STUDIES = [
    path
    for path in sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
    if path.stem != "phase_diagram"  # 12,000 networks, which take seconds to plan each time
]
HANG_SECONDS = 5.0
SPICE = (
    "\t",
    "\x00",
    "&a ",
    "*a",
    "<<: {a: 1}",
    "!!python/object/apply:os.system ['true']",
    "[" * 60,
    "{a: " * 60,
    "1e999",
    ".nan",
    "-.inf",
    "yes",
    "0777",
    "1_000",
    "12:30:45",
    "2020-01-01",
    "9" * 400,
    "null",
    "~",
    "''",
    "- ",
    "? ",
    "---\n",
    "...\n",
    "\ufeff",
    "\u2028",
    "é" * 5,
    "../../etc/passwd",
    "%YAML 1.1\n",
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.installed()


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    def over(number: int, frame: object) -> None:
        raise AssertionError(f"planning took more than {HANG_SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def mutant(text: str, chance: random.Random) -> str:
    """One to three small mistakes: of letters, lines, words or numbers."""
    for _ in range(chance.randint(1, 3)):
        kind = chance.randrange(8)
        at = chance.randrange(len(text) or 1)
        lines = text.split("\n")
        line = chance.randrange(len(lines))
        if kind == 0:
            text = text[:at] + text[at + chance.randint(1, 4) :]
        elif kind == 1:
            text = text[:at] + chance.choice("abz019.,:-[]{}#'\"& \n") + text[at:]
        elif kind == 2:
            text = text[:at] + chance.choice(SPICE) + text[at:]
        elif kind == 3:
            lines[line] = chance.choice((" ", "  ", "\t")) + lines[line]
            text = "\n".join(lines)
        elif kind == 4:
            lines[line : line + 1] = chance.choice(([], [lines[line]] * 2))
            text = "\n".join(lines)
        elif kind == 5:
            other = chance.randrange(len(lines))
            lines[line], lines[other] = lines[other], lines[line]
            text = "\n".join(lines)
        elif kind == 6:
            words = [word for word in text.split() if word.strip(",:[]{}").isalnum()]
            one, two = (chance.choice(words).strip(",:[]{}") for _ in range(2))
            place = text.find(one, at)
            text = text if place < 0 else text[:place] + two + text[place + len(one) :]
        else:
            text = text[:at] + text[at:].replace(
                chance.choice("0123456789"), chance.choice(("-1", "0", "7", "1.5", "x")), 1
            )
    return text


def agrees(value: object, node: object) -> bool:
    """Whether every value is what the text says, judged by a loader that knows only text."""
    if isinstance(value, dict):
        return (
            isinstance(node, dict)
            and list(value) == list(node)
            and all(agrees(value[key], node[key]) for key in value)
        )
    if isinstance(value, list):
        return (
            isinstance(node, list)
            and len(value) == len(node)
            and all(agrees(one, other) for one, other in zip(value, node, strict=True))
        )
    if not isinstance(node, str):
        return False
    if isinstance(value, bool):
        return node == str(value).lower()
    if value is None:
        return node in ("", "~", "null")
    if isinstance(value, int):
        return value == int(node, 0 if node[:2] in ("0x", "0o") else 10)
    return value == float(node) if isinstance(value, float) else value == node


def look(text: str, folder: Path, registry: Registry) -> str:
    """What becomes of a mutant: 'refused' with a place, or 'planned' as its text says."""
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with no_hang():
        try:
            plan = plan_study(path, registry)
        except StudyError as error:
            places = [str(problem.place) for problem in error.problems]
        except PluginError:
            return "refused"
        else:
            places = []
    if places:
        assert all(place.startswith(f"{path}:") for place in places)
        return "refused"
    assert plan.rows
    value = parse_document(path.read_bytes(), "study").value
    assert agrees(value, yaml.load(text, Loader=yaml.BaseLoader))
    return "planned"


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_mutants_of_the_real_studies(study, tmp_path, registry):
    text = study.read_text(encoding="utf-8")
    assert look(text, tmp_path, registry) == "planned"
    chance = random.Random(1)
    for _ in range(max(4, 100 // len(STUDIES))):
        look(mutant(text, chance), tmp_path, registry)


@pytest.mark.slow
def test_five_thousand_mutants(tmp_path, registry):
    chance, found = random.Random(2), Counter()
    texts = [study.read_text(encoding="utf-8") for study in STUDIES]
    for number in range(5000):
        found[look(mutant(texts[number % len(texts)], chance), tmp_path, registry)] += 1
    print(dict(found))
    assert found["planned"] > 250
    assert found["refused"] > 2500


KEYS = st.sampled_from(
    [
        "tasks",
        "architectures",
        "analyses",
        "training",
        "seeds",
        "grid",
        "use",
        "zip",
        "label",
        "tables",
        "claims",
        "figures",
        "plugins",
        "exclude",
        "steps",
        "lr",
        "x",
        "name",
        "cell",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.sampled_from(["k_delay", "elman", "spectrum", "main", "../x", "", "spectrum.radius"])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(extra=st.dictionaries(KEYS, VALUES, max_size=3))
def test_any_value_at_any_key(extra, tmp_path, registry):
    whole = {"tasks": ["k_delay"], "architectures": ["elman"], "analyses": ["spectrum"], **extra}
    with no_hang(), contextlib.suppress(EmtkitError):
        plan_study(whole, registry)


@pytest.mark.parametrize("key", ["tables", "figures"])
def test_names_that_would_leave_the_results_folder(key, tmp_path, registry):
    """A view's name becomes a file name."""
    for name in ("../../escape", "/etc/passwd", "a/b", "..", "a\\b", ""):
        view = {"name": name, "rows": ["architecture"], "values": ["spectrum.radius"]}
        if key == "figures":
            view = {"name": name, "use": "line", "x": "seed", "y": "spectrum.radius"}
        study = {"tasks": ["k_delay"], "architectures": ["elman"], "analyses": ["spectrum"]}
        with pytest.raises(StudyError, match=rf"{key}\[0\]\.name"):
            plan_study({**study, key: [view]}, registry)
