"""Where a picture's numbers come from: the badge above it, the caption below it, the name of its file.

One record says it all, so that badge, caption and file name can never disagree and a reader of an exported
figure could make it again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from viz.text import prose, shorten

Kind = Literal["measured", "computed", "illustration"]

_SHORT_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp64"}
_LONGEST_PROMPT = 120  # characters of the prompt in a caption
_NAME_REVISION, _NAME_PROMPT = 7, 24  # characters of each in a file's name
_OPENINGS = {
    "measured": "Measured on",
    "computed": "Computed for",
    "illustration": "Illustration, not measured; drawn for",
}
_MEANINGS = {
    "measured": "Every number was read off this model while it ran.",
    "computed": "Calculated by the formula shown; no model was run for it.",
    "illustration": "A drawing of the idea; its numbers are not a model's.",
}


@dataclass(frozen=True)
class Provenance:
    """What a picture was made from. None where a thing does not apply; layers and heads count from 0.

    `extra` is for settings that change the picture and have no field: `{"temperature": 0.8}`. With a pinned
    run, `compared_with` holds that run's own record. `edits` says in words what was changed in the model.
    """

    kind: Kind
    model: str | None = None  # short name, for people
    revision: str | None = None  # commit, "sha256:..." or "local"
    dtype: str | None = None
    device: str | None = None
    prompt: str | None = None
    layer: int | None = None
    head: int | None = None
    seed: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    compared_with: Provenance | None = None
    edits: str = ""
    stored_bits: int = 0  # of the quantized weights that were read as `dtype`; 0: they were not quantized

    @property
    def meaning(self) -> str:
        """What the badge's first word promises, in one sentence."""
        return _MEANINGS[self.kind]


def badge_text(provenance: Provenance) -> str:
    """The badge: kind, whether the model was edited, model, dtype, layer and head, seed, in that order.

    >>> badge_text(Provenance("measured", model="SmolLM2-135M", dtype="float32", layer=14, head=3))
    'measured · SmolLM2-135M · fp32 · L14 H3'
    """
    place = " ".join(
        f"{letter}{number}"
        for letter, number in (("L", provenance.layer), ("H", provenance.head))
        if number is not None
    )
    parts = [
        provenance.kind,
        "edited" if provenance.edits else "",
        prose(provenance.model) if provenance.model else "",
        _weights(provenance, _SHORT_DTYPES.get(provenance.dtype or "", provenance.dtype or "")),
        place,
        f"seed {provenance.seed}" if provenance.seed is not None else "",
    ]
    return " · ".join(part for part in parts if part)


def caption(provenance: Provenance) -> str:
    """One line that would let a reader make the picture again. Plain text: nothing in it is markup.

    >>> caption(Provenance("measured", "SmolLM2-135M", "abc", "float32", "cpu", "Hi there", 14, 3, 7))
    'Measured on SmolLM2-135M (revision abc), float32 on cpu. Prompt: “Hi there”. Layer 14, head 3. Seed 7.'
    """
    sentences = [_origin(provenance)]
    if provenance.prompt is not None:
        sentences.append(f"Prompt: “{shorten(prose(provenance.prompt), _LONGEST_PROMPT)}”.")
    sentences.append(_place(provenance))
    if provenance.seed is not None:
        sentences.append(f"Seed {provenance.seed}.")
    if provenance.edits:
        sentences.append(f"Edited: {prose(provenance.edits)}.")
    if provenance.extra:
        settings = ", ".join(f"{prose(name)} {value}" for name, value in provenance.extra.items())
        sentences.append(f"{settings[:1].upper()}{settings[1:]}.")
    if provenance.compared_with is not None:
        sentences.append(f"Compared with: {caption(provenance.compared_with)}")
    return " ".join(sentence for sentence in sentences if sentence)


def file_name(stem: str, provenance: Provenance, extension: str) -> str:
    """`pattern_smollm2-135m_b179c95_fp32_l14_h3_the-quick-brown-fox.svg`: model, revision, place, and the
    prompt's first words. Safe on every system, never empty, never long.

    >>> file_name("pattern", Provenance("measured", "org/My Model", dtype="float32", layer=1), "svg")
    'pattern_org-my-model_fp32_l1.svg'
    """
    parts = [
        stem,
        provenance.model or "",
        (provenance.revision or "").rpartition(":")[2][:_NAME_REVISION],
        _SHORT_DTYPES.get(provenance.dtype or "", provenance.dtype or ""),
        f"l{provenance.layer}" if provenance.layer is not None else "",
        f"h{provenance.head}" if provenance.head is not None else "",
        f"seed{provenance.seed}" if provenance.seed is not None else "",
        "edited" if provenance.edits else "",
        f"vs-{provenance.compared_with.model or 'pinned'}" if provenance.compared_with else "",
        _slug(provenance.prompt or "")[:_NAME_PROMPT],
    ]
    slugs = [slug for part in parts if (slug := _slug(part))]
    return f"{'_'.join(slugs)[:120].rstrip('-._') or 'figure'}.{extension}"


def _origin(provenance: Provenance) -> str:
    if provenance.model is None:
        return "Computed." if provenance.kind == "computed" else provenance.meaning
    model = prose(provenance.model)
    revision = f" (revision {_short_revision(provenance.revision)})" if provenance.revision else ""
    dtype = _weights(provenance, provenance.dtype or "")
    where = " on ".join(part for part in (dtype, provenance.device) if part)
    return f"{_OPENINGS[provenance.kind]} {model}{revision}{', ' + where if where else ''}."


def _weights(provenance: Provenance, dtype: str) -> str:
    """The dtype, and what the weights were before: float32 adds nothing to the file they came from."""
    return f"{dtype} from {provenance.stored_bits}-bit weights" if dtype and provenance.stored_bits else dtype


def _short_revision(revision: str) -> str:
    """Twelve digits of a hash name it well enough; a kind in front ("sha256:") stays."""
    kind, colon, digits = prose(revision).rpartition(":")
    return f"{kind}{colon}{digits[:12]}"


def _place(provenance: Provenance) -> str:
    place = ", ".join(
        f"{word} {number}"
        for word, number in (("layer", provenance.layer), ("head", provenance.head))
        if number is not None
    )
    return f"{place.capitalize()}." if place else ""


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[-.]{2,}", "-", re.sub(r"[^a-z0-9.]+", "-", plain)).strip("-.")
