"""Tasks and networks of which the answers are known, for the controls of analyses."""

REPEAT_COPY = {"use": "hds", "rule": "repeat", "history": 4, "dimension": 2, "horizon": 12}
EXACT_CIRCUIT = {"use": "emt_circuit", "hidden": 16}
SATURATED_CIRCUIT = {
    "use": "emt_circuit",
    "hidden": 16,
    "basis": "units",
    "activation": "tanh",
    "gain": 2.0,
}
UNTRAINED = {"use": "elman", "hidden": 16}

LAST_DELAY = {"use": "k_delay", "delay": 3, "scored": "last"}
REGISTER = {"use": "shift_register"}
