"""What a config.json says of the rotation, in the spelling that is read today.

Older files say `rope_scaling` with a "type", Phi-3's first ones call longrope "su", and some say at the top
what belongs into the parameters. What the library would read past, or read in place of another statement, is
respelled or refused by name.

Source: transformers, modeling_rope_utils.py and the families' configuration files.
"""

from __future__ import annotations

from typing import Any

from model_runtime.errors import UnsupportedModel

OLD_NAMES = {"su": "longrope"}
NEEDED = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "longrope": ("short_factor", "long_factor"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}
TURN_IN_PART = ("phi3", "gpt_neox")  # families whose heads may turn in part
# GPT-NeoX has names of its own for these, and reads past the usual ones.
NEOX_NAMES = {"partial_rotary_factor": "rotary_pct", "rope_theta": "rotary_emb_base"}


def read_today(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A copy of a config with its rotation spelled as the library reads it.

    Args:
        name: what the model is called in messages.

    Raises:
        UnsupportedModel: a rule of scaling that is not known, that lacks its numbers, or that is stated
            twice and differently; a partial rotation in a family that has none.
    """
    config = dict(config)
    for key in ("rope_scaling", "rope_parameters"):
        stated = config.get(key)
        if not isinstance(stated, dict):
            continue
        nested = stated and all(isinstance(one, dict) for one in stated.values())
        config[key] = (
            {kind: _set(one, name) for kind, one in stated.items()} if nested else _set(stated, name)
        )
    _refuse_two(config, name)
    if config.get("model_type") == "gpt_neox":
        for usual, own in NEOX_NAMES.items():
            if usual in config and config.setdefault(own, config[usual]) != config[usual]:
                raise _refused(name, f"{usual} = {config[usual]!r} and {own} = {config[own]!r}")
    _refuse_part(config, name)
    return config


def _set(stated: dict[str, Any], name: str) -> dict[str, Any]:
    """One set of parameters; "type" stands beside "rope_type" in older files."""
    kinds = {
        OLD_NAMES.get(str(stated[key]), str(stated[key])) for key in ("rope_type", "type") if stated.get(key)
    }
    if not kinds:
        return stated
    if len(kinds) > 1:
        raise _refused(name, f"two rules for its rotation, {' and '.join(sorted(map(repr, kinds)))}")
    (kind,) = kinds
    if kind not in NEEDED:
        raise _refused(name, f"the rule {kind[:40]!r} for its rotation, which is not known here")
    missing = [key for key in NEEDED[kind] if stated.get(key) is None]
    if missing:
        raise _refused(name, f"the rule {kind!r} for its rotation without {' and '.join(missing)}")
    return {**{key: value for key, value in stated.items() if key != "type"}, "rope_type": kind}


def _refuse_two(config: dict[str, Any], name: str) -> None:
    """The library would let `rope_scaling` win over `rope_parameters` without a word."""
    old, new = config.get("rope_scaling"), config.get("rope_parameters")
    if not isinstance(old, dict) or not isinstance(new, dict):
        return
    differing = [key for key, value in old.items() if new.get(key, value) != value]
    if differing or not set(old) <= set(new):
        key = (differing or sorted(set(old) - set(new)))[0]
        raise _refused(name, f"its rotation twice, in rope_scaling and rope_parameters, with another {key}")


def _refuse_part(config: dict[str, Any], name: str) -> None:
    """Most families turn whole heads, whatever their config says of a part."""
    parameters = config.get("rope_parameters")
    inner = parameters if isinstance(parameters, dict) else {}
    for where in (config, inner, *(one for one in inner.values() if isinstance(one, dict))):
        part = where.get("partial_rotary_factor")
        if part not in (None, 1, 1.0) and config.get("model_type") not in TURN_IN_PART:
            raise _refused(
                name, f"partial_rotary_factor = {part!r}, while models of its type turn whole heads"
            )


def _refused(name: str, what: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"The config of {name} states {what}.",
        "Fetch the model again, with the config that belongs to it.",
    )
