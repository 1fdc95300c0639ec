"""Analysis `memory_map`: what is held of what must be remembered, where, how it moves, its use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from emtkit import Analysis, Control, Findings, Scalar, ScalarInfo, Subject, hookimpl
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY, UNTRAINED
from emtkit_std._findings import Measured, undefined
from emtkit_std._parameters import Sequences
from emtkit_std._theory.emt.angles import compare_spectra
from emtkit_std._theory.memory_map import drawings
from emtkit_std._theory.memory_map.codes import Coded, encode, within
from emtkit_std._theory.memory_map.held import held, held_nonlinearly, whitened
from emtkit_std._theory.memory_map.moving import Moving, moving
from emtkit_std._theory.memory_map.observable import observable
from emtkit_std._theory.memory_map.observed import Observed, observe
from emtkit_std._theory.memory_map.used import Used, used
from emtkit_std._theory.memory_map.variables import held_variables
from emtkit_std._theory.observe import linear_law_of
from emtkit_std._theory.standard_error import of_mean

NONLINEAR_TIMES = 3
USED_REQUIRED = 1 / 3
"""Share of the answers that follows an exchange, for a code to be called a mechanism."""
MOST_INTERFERENCE = 0.5
"""Above this the exchange of one item moves all answers."""
HELD_REQUIRED = 0.5
"""The same of what can be held, where nothing can be exchanged."""
OF_EXCHANGE = ("used", "used_error", "used_null", "used_null_error")
OF_OTHERS = ("interference", "interference_error")


class MemoryMap(Analysis):
    """What a network holds of what its task needs, where, how that moves, and whether it is used.

    Items are input entries x_m, m = (tau, i), needed at step t with the weight that the task gives
    (`RequiredMemory`) or that is estimated from its `targets(inputs)`; states are whitened, so that
    h -> A h changes no scalar. Means over needed items and times weigh by need.

        held       R^2 of x_m read linearly off h_t, cross-validated
        overlap    mean squared cosine between codes b_m(t), b_m'(t)
        slot       b_m(t+1) along b_m(t): place by identity
        wave       b_m(t+1) along b(t) of the item a step earlier: by age
        rotation   b_m(t+1) = R b_m(t), one R, on steps it was not fitted to
        used       answers that follow when x_m alone is exchanged in h_t

    with u_t = sum_m b_m(t) x_m + rest, u_t the whitened state; of overlap, slot, wave and rotation
    that part of it that later outputs depend on (`observable` directions, from the observability
    Gramian): what no output reads is not looked at. All but the overlap (by chance 1/H) run from
    the null (0) to exact (1); `held_null` reads the items of other sequences, `used_null`
    moves the state as far towards others. `held_nonlinear` adds Gaussians of the coordinates that
    items and states share, at three times; what it has beyond `held` there (`held_curved`) is held
    in magnitudes; `variables_held` is the R^2 of what the task names itself (`variables`: the bits
    of a flip-flop, a running sum). No linear code of H units holds more than `held_bound` of equal
    items.
    `angle_error` compares the eigenvalues of R with those of Phi, where the task has one: nothing
    is linearised.

    `moving` names the mechanism: slot, wave, rotation, shared (slot and wave at once: items of all
    ages in one place), or none (no index is above 1/2, or what is exchanged does not change the
    answers as it should: `used` below 1/3, which 2 to 6 % of random readouts reach by chance, or
    `interference` above 1/2; where nothing can be exchanged, less than half of `held_bound` is
    held). With inputs at every step all networks that do not know the time code by age, trained or
    not.

    The states are those of the trace: of attention the residual stream at the step, whose context
    is not in it. What is exchanged there is the context: the item in all tokens that the step looks
    at (`ContextModel`), so that `used` says whether it is found. Up to 12 times within the trained
    steps; a state that is set from all inputs is looked at from their end on.

    References: Karuvally, Sejnowski and Siegelmann (ICML 2024), waves; Episodic Memory Theory,
    arXiv:2310.02430; Geiger et al. (NeurIPS 2021), arXiv:2106.02997, interchange interventions;
    Moore (1981), doi:10.1109/TAC.1981.1102568, observability Gramians of whitened states; Csordas
    et al. (2024), arXiv:2408.10920, codes of magnitude.
    """

    name = "memory_map"
    version = 3  # places in the part of the state that outputs depend on; `shared`; variables
    scalars = {
        "needed": ScalarInfo("mean number of items that a state must hold", unit="items"),
        "held": ScalarInfo("R² of needed items, read linearly off the state", better="higher"),
        "held_error": ScalarInfo("standard error of `held`, over the sequences"),
        "held_null": ScalarInfo("the same R² for the items of other sequences"),
        "held_bound": ScalarInfo("most that a linear code of as many units holds of equal items"),
        "held_nonlinear": ScalarInfo(
            "R² of needed items, read by a curved map as well, at three times", better="higher"
        ),
        "held_nonlinear_error": ScalarInfo("standard error of `held_nonlinear`"),
        "held_curved": ScalarInfo("what the curved map reads beyond the linear one there"),
        "held_curved_error": ScalarInfo("standard error of `held_curved`"),
        "variables_held": ScalarInfo(
            "R² of the variables that the task names, read linearly off the state",
            better="higher",
            undefined="where the task names no variables, or none varies",
        ),
        "variables_held_error": ScalarInfo("standard error of `variables_held`"),
        "observable": ScalarInfo("directions of the state that later outputs depend on"),
        "overlap": ScalarInfo(
            "mean squared cosine between the codes of two items",
            undefined="with fewer than two items in what outputs depend on",
        ),
        "slot": ScalarInfo(
            "whether codes stay, from null (0) to exact (1)",
            undefined="where no item is needed twice, or outputs depend on one direction",
        ),
        "wave": ScalarInfo(
            "whether codes lie by age, from null (0) to exact (1)",
            undefined="where no item follows another, or outputs depend on one direction",
        ),
        "rotation": ScalarInfo(
            "whether one operator moves all codes, from null (0) to exact (1)",
            undefined="with fewer than two items or five steps",
        ),
        "angle_error": ScalarInfo(
            "mean angle between the operator's eigenvalues and those of the rule",
            unit="radians",
            better="lower",
            undefined="without a linear rule, or where modes are not as many as its",
        ),
        "used": ScalarInfo(
            "share of the answers that follows when an item is exchanged: 1 all, 0 none",
            better="higher",
            undefined="where nothing can be exchanged",
        ),
        "used_error": ScalarInfo("standard error of `used`, over the sequences"),
        "used_null": ScalarInfo("the same for random exchanges of equal size"),
        "used_null_error": ScalarInfo("standard error of `used_null`, over the sequences"),
        "interference": ScalarInfo(
            "mean squared change of the other answers, over that of those that should change",
            better="lower",
            undefined="where the exchange changes no answer, or should change all",
        ),
        "interference_error": ScalarInfo("standard error of `interference`, over the sequences"),
        "moving": ScalarInfo("slot, wave, rotation, shared or none"),
    }
    drawings = {
        "needs": drawings.draw_needs,
        "held": drawings.draw_held,
        "overlap": drawings.draw_overlap,
        "indices": drawings.draw_indices,
    }
    controls = (
        Control(REPEAT_COPY, EXACT_CIRCUIT, "held", least=1 - 1e-6),
        Control(REPEAT_COPY, EXACT_CIRCUIT, "used", least=1 - 1e-6),
        Control(REPEAT_COPY, EXACT_CIRCUIT, "moving", equals="wave"),
        Control(REPEAT_COPY, UNTRAINED, "moving", equals="none"),
    )

    def __init__(self, *, sequences: Annotated[Sequences, Field(ge=64)] = 512) -> None:
        self.sequences = sequences

    def measure(self, subject: Subject) -> Findings:
        """Scalars; tables `held`, `overlap` and `variables`; the array `needs`."""
        seen = observe(subject, self.sequences)
        everything = encode(seen)
        read = _read(seen)
        basis = observable(subject, seen, everything, subject.stream.fork("observable"))
        coded = within(seen, everything, basis)
        moved = moving(seen, coded, subject.stream.fork("null"))
        exchanged = used(subject, seen, everything)
        between = _overlap(seen, coded)
        whole = between["weight"].sum()
        overlap = float(between["square"].sum() / whole) if whole > 0 else float("nan")
        use = _use(exchanged)
        named = moved.mechanism if _is_kept(read.scalars | use.scalars) else "none"
        angles, further = _angles(subject, moved), held_variables(subject, seen)
        scalars: dict[str, Scalar] = {
            "needed": float(np.mean([len(items) for items in seen.needed])),
            **read.scalars,
            **further.measured.scalars,
            "observable": coded.directions,
            "overlap": overlap,
            "slot": moved.slot,
            "wave": moved.wave,
            "rotation": moved.rotation,
            **angles.scalars,
            **use.scalars,
            "moving": named,
        }
        directions = f"outputs depend on {coded.directions} directions of the state"
        reasons = {
            "overlap": "fewer than two items are in what outputs depend on",
            "slot": f"no item is needed at two steps in turn, or {directions}",
            "wave": f"no item follows another in its channel, or {directions}",
            "rotation": f"fewer than two items, or five steps in turn, are needed, or {directions}",
            **further.measured.reasons,
            **angles.reasons,
            **use.reasons,
        }
        by_age = between.groupby(["age_a", "age_b"], as_index=False).sum()
        by_age["overlap"] = by_age["square"] / by_age["weight"].where(by_age["weight"] > 0)
        overlaps = by_age[["age_a", "age_b", "overlap"]]
        tables = {"held": read.table, "overlap": overlaps, "variables": further.table}
        return Findings(scalars, tables, {"needs": seen.memory.weight}, reasons)


@dataclass(frozen=True, eq=False)
class _Read:
    """What is held, and its `table` by time and item."""

    scalars: Mapping[str, Scalar]
    table: pd.DataFrame


def _read(seen: Observed) -> _Read:
    """Of all times linearly, and of a few nonlinearly, too."""
    times, count = len(seen.times), len(seen.states)
    curved = {int(k) for k in np.linspace(0, times - 1, NONLINEAR_TIMES).round()}
    rows, apart, both = [], np.zeros((3, count)), []
    for k in range(times):
        white, values = whitened(seen.states[:, k]), seen.values[:, seen.needed[k]]
        others = np.roll(values, count // 3, axis=0)
        found = held(white, np.hstack([values, others]), seen.folds)
        size, weight = values.shape[1], seen.weight(k)
        apart[0] += found.apart[:, :size] @ weight
        items = [seen.memory.items[m] for m in seen.needed[k]]
        columns = {
            "step": seen.times[k],
            "item_step": [item.step for item in items],
            "channel": [item.channel for item in items],
            "age": seen.ages(k),
            "weight": weight,
            "r2": found.r2[:size],
            "null": found.r2[size:],
        }
        rows.append(pd.DataFrame(columns))
        if k in curved:
            more = held_nonlinearly(white, values, seen.folds)
            both.append(np.stack([weight, found.r2[:size], more.r2]))
            apart[1] += more.apart @ weight
            apart[2] += (more.apart - found.apart[:, :size]) @ weight
    table = pd.concat(rows, ignore_index=True)
    whole = float(table["weight"].sum())
    weight, linear, nonlinear = np.hstack(both)
    there = float(weight.sum())
    needed = np.array([len(items) for items in seen.needed])
    scalars: dict[str, Scalar] = {
        "held": float(table["r2"] @ table["weight"]) / whole,
        "held_error": of_mean(apart[0] / whole),
        "held_null": float(table["null"] @ table["weight"]) / whole,
        "held_bound": float(np.minimum(needed, seen.states.shape[2]).sum() / needed.sum()),
        "held_nonlinear": float(nonlinear @ weight) / there,
        "held_nonlinear_error": of_mean(apart[1] / there),
        "held_curved": float((nonlinear - linear) @ weight) / there,
        "held_curved_error": of_mean(apart[2] / there),
    }
    return _Read(scalars, table.drop(columns="null"))


def _overlap(seen: Observed, coded: Coded) -> pd.DataFrame:
    """Squared products of codes, and of their lengths, of all pairs of needed items, with ages."""
    parts = []
    for k, needed in enumerate(seen.needed):
        codes = [coded.codes[k][m] for m in needed]
        directions = np.array([code.direction for code in codes])
        powers, ages = np.array([code.power for code in codes]), seen.ages(k)
        weight = np.outer(powers, powers)
        products = np.where(weight > 0, directions @ directions.T, 0.0)
        apart = ~np.eye(len(needed), dtype=bool)
        first, second = np.meshgrid(ages, ages, indexing="ij")
        columns = {"age_a": first, "age_b": second, "square": products**2, "weight": weight}
        parts.append(pd.DataFrame({name: value[apart] for name, value in columns.items()}))
    return pd.concat(parts, ignore_index=True)


def _angles(subject: Subject, moved: Moving) -> Measured:
    law = linear_law_of(subject)
    if law is None or law.spectrum is None or not law.core_rank:
        return undefined(["angle_error"], "the task has no linear rule that keeps going by itself")
    if moved.operator is None:
        return undefined(["angle_error"], "no item is needed at two steps in turn")
    found = compare_spectra(np.linalg.eigvals(moved.operator), law.spectrum)
    why = f"the operator has {found.found} persistent modes, the rule {found.expected}"
    return Measured({"angle_error": found.error}, {"angle_error": why})


def _is_kept(scalars: Mapping[str, Scalar]) -> bool:
    """Whether what is held is used, or where that cannot be asked, most of what can be held is."""
    names = ("used", "interference", "held", "held_bound")
    used, interference, held, bound = (float(scalars[name]) for name in names)
    if np.isnan(used):
        return held >= HELD_REQUIRED * bound
    return used >= USED_REQUIRED and not interference > MOST_INTERFERENCE


def _use(found: Used | str) -> Measured:
    if isinstance(found, str):
        return undefined(OF_EXCHANGE + OF_OTHERS, found)
    scalars = {
        "used": 1 - found.missed.value,
        "used_error": found.missed.error,
        "used_null": 1 - found.null.value,
        "used_null_error": found.null.error,
        "interference": found.interference.value,
        "interference_error": found.interference.error,
    }
    reasons = dict.fromkeys(OF_EXCHANGE, "the exchange of an item asks for no other scored answer")
    why = "the exchange changes no answer, or every answer should change"
    return Measured(scalars, reasons | dict.fromkeys(OF_OTHERS, why))


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `memory_map`."""
    return [MemoryMap]
