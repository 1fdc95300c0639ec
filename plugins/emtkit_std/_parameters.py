"""Parameters that several plugins mean alike; each is described here once."""

from typing import Annotated, Literal

from pydantic import Field

from emtkit import Since

# Architectures
Hidden = Annotated[int, Field(ge=1, description="Number of units H.")]
Activation = Field(description="Nonlinearity sigma of the units.")
Readout = Annotated[Literal["linear", "relu"], Field(description="Nonlinearity of the outputs.")]
UnitBias = Annotated[
    bool, Field(description="Whether the units have biases; without, the origin is a fixed point.")
]
ReadoutBias = Annotated[bool, Field(description="Whether the outputs have a bias b_r.")]
LaterReadoutBias = Annotated[ReadoutBias, Since.LATER]
Tied = Annotated[
    bool,
    Field(
        description="Whether W_r is set to the direction w_k that the outputs should repeat, "
        "instead of trained."
    ),
]
Init = Annotated[
    Literal["spiral", "gaussian", "uniform"],
    Field(
        description="Initial weights: W_hh of decaying rotations in blocks of two (`spiral`) or "
        "N(0, 1/H) (`gaussian`), the others N(0, 1/4), of more than n = 5 inputs or units "
        "N(0, 1/(4 n - 16)); or all U(-1, 1) / sqrt(H) (`uniform`)."
    ),
]
StateNoise = Annotated[
    float,
    Since.LATER,
    Field(
        ge=0,
        description="Standard deviation of the independent normal noise that is added to the state "
        "after every step, in training and evaluation; analyses look at the map without it.",
    ),
]
HeadCount = Annotated[int, Field(ge=1, description="Number of attention heads.")]
InputMode = Annotated[
    Literal["clamp", "add"],
    Field(
        description="Whether the columns are set to the inputs (`clamp`, right for every rule) or "
        "the inputs are added to what the boundary writes (`add`, the literal recurrence)."
    ),
]
Amplitude = Annotated[
    float, Field(gt=0, description="Size eps of the state that holds one unit of input.")
]

Correction = Annotated[
    float,
    Field(gt=0, le=1, description="Strength a by which digits are corrected: 1 - a is left over."),
]

# Embeddings of a known memory
Condition = Annotated[
    float | None,
    Field(
        ge=1,
        le=1e6,
        description="Condition number of the random basis A of the state (1 is a rotation); null "
        "takes the units of the memory.",
    ),
]
Curvature = Annotated[
    float,
    Field(
        ge=0,
        description="Strength c of the change of coordinates asinh(c Q m) / c of the memory m, Q a "
        "random rotation; 0 is none.",
    ),
]
Distractors = Annotated[
    int,
    Field(
        ge=0,
        description="Number of units of a random network beside the memory, which hears the "
        "inputs and is read by no output.",
    ),
]
Scale = Annotated[float, Field(gt=0, description="Factor of the whole state.")]

# Analyses
Sequences = Annotated[int, Field(ge=1, description="Number of fresh sequences that are measured.")]
Steps = Annotated[
    int | None,
    Field(
        description="Number of scored steps that are measured, on tasks with horizons; null takes "
        "the horizon of the task's training, at most 64 (and no fewer "
        "than are needed)."
    ),
]
Lags = Annotated[
    int | None,
    Field(
        description="Number of lags from 0 on; null takes the history s of the task, one more than "
        "its longest delay, or, without a law, the ages at which inputs are needed."
    ),
]
Threshold = Annotated[
    float, Field(gt=0, description="Modulus above which an eigenvalue counts as a persistent mode.")
]
Method = Annotated[
    Literal["dual", "primal"],
    Field(description="Form of Algorithm 1: exact (`dual`), or as the papers print it (`primal`)."),
]
