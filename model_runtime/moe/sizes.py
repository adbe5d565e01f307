"""Total against active parameters: of a loaded model counted part by part, of published ones by formula.

Every expert lies in memory, but a token uses k of N: memory follows the total, work per token the active
parameters. Counted as the models' authors do: embedding table and head are active in full, biases and norms
count as parameters. Multiplications leave out the look-up in the embedding table, biases, norms, and what
attention does with other tokens, which grows with the text and is the same with experts or without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from model_runtime.model import Model

PARTS = (
    "token embedding",
    "positions",
    "attention",
    "dense MLP",
    "router",
    "shared expert",
    "experts",
    "norms",
    "head",
)
BF16_BYTES = 2


@dataclass(frozen=True)
class PartSize:
    """Parameters of one part of all layers."""

    name: str  # of PARTS
    total: int
    active: int  # used for one token
    multiplications: int  # for one token: active weights of matrices


@dataclass(frozen=True)
class ExpertSizes:
    """A model's parameters by part. With a dense model active = total."""

    name: str
    n_experts: int  # 0: dense
    k: int
    parts: tuple[PartSize, ...]

    @property
    def total(self) -> int:
        return sum(part.total for part in self.parts)

    @property
    def active(self) -> int:
        return sum(part.active for part in self.parts)

    @property
    def multiplications(self) -> int:
        return sum(part.multiplications for part in self.parts)

    def part(self, name: str) -> PartSize:
        return next((part for part in self.parts if part.name == name), PartSize(name, 0, 0, 0))


def model_sizes(model: Model) -> ExpertSizes:
    """The parameters of a loaded model, read off its modules; shared weights count once."""
    spec = model.spec
    found = {name: [0, 0, 0] for name in PARTS}  # total, active, multiplications
    for name, parameter in _parts(model):
        n, part = int(parameter.numel()), found[name]
        active = n * spec.experts_per_token // spec.n_experts if name == "experts" else n
        matrix = parameter.dim() == (3 if name == "experts" else 2)
        part[0] += n
        part[1] += active
        part[2] += active * (matrix and name not in ("token embedding", "positions"))  # those are looked up
    if spec.tied_embeddings:  # a head without parameters of its own, and all of the work
        found["head"][2] += spec.d_vocab * spec.d_model
    parts = (PartSize(name, *numbers) for name, numbers in found.items() if any(numbers))
    return ExpertSizes(spec.name, spec.n_experts, spec.experts_per_token, tuple(parts))


def _parts(model: Model) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter, once, with the part that it belongs to."""
    adapter, seen = model.adapter, set()
    blocks = [("", block) for block in adapter.blocks]
    roles = {"embed": "token embedding", "pos_embed": "positions", "ln_final": "norms", "head": "head"}
    modules = [(part, adapter.model_roles[role]) for role, part in roles.items()]
    for part, module in [*modules, *blocks]:
        if not isinstance(module, nn.Module):
            continue
        for name, parameter in module.named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield part or _part_of(name, model), parameter


def _part_of(name: str, model: Model) -> str:
    """The part that a block's parameter belongs to."""
    family = model.family
    mlp = (family.mlp,) if family.mlp else (family.gate, family.down)
    if name.startswith(f"{family.attention}."):
        return "attention"
    if family.router and name.startswith(f"{family.router}."):
        return "router"
    if not any(name.startswith(f"{path}.") for path in mlp):
        return "norms"
    inside = name.split(".")[1] if "." in name else ""
    if inside == "experts":
        return "experts"
    return "shared expert" if inside.startswith("shared_expert") else "dense MLP"


# By formula


@dataclass(frozen=True)
class MoeShape:
    """The numbers of a config that decide how many parameters a decoder with experts has.

    Every MLP is gated: three matrices of d_model x width. `d_ff` is the width of one expert, `d_shared` that
    of an expert for every token, `d_dense` that of the MLP in `dense_layers` layers without experts.
    """

    name: str
    d_vocab: int
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_head: int
    n_experts: int
    k: int
    d_ff: int
    d_shared: int = 0
    dense_layers: int = 0
    d_dense: int = 0
    tied: bool = False
    qk_norm: int = 0  # weights of the norms of q and k in a layer
    qkv_bias: bool = False
    o_bias: bool = False
    moe_bias: bool = False  # on router and experts
    sinks: bool = False  # a learned number for every head


def shape_sizes(shape: MoeShape) -> ExpertSizes:
    """The parameters of a shape by formula, no weights needed.

    A token uses k of N experts and all of the rest (Jiang et al. 2024, arXiv:2401.04088, 2.1). Biases and
    norms count as parameters; multiplied with are matrices only, the embedding table being looked up.

    >>> sizes = shape_sizes(PUBLISHED[0].shape)
    >>> sizes.name, sizes.total, sizes.active
    ('Mixtral 8x7B', 46702792704, 12879925248)
    """
    d, n, k = shape.d_model, shape.n_experts, shape.k
    layers, sparse = shape.n_layers, shape.n_layers - shape.dense_layers
    queries, keys = shape.n_heads * shape.d_head, shape.n_kv_heads * shape.d_head
    embedding = shape.d_vocab * d
    attention = layers * d * 2 * (queries + keys)  # W_q and W_o, W_k and W_v
    biases = (queries + 2 * keys) * shape.qkv_bias + d * shape.o_bias
    beside = layers * (biases + shape.qk_norm + shape.n_heads * shape.sinks)
    dense = shape.dense_layers * 3 * d * shape.d_dense  # gate, up and down
    router, router_bias = sparse * d * n, sparse * n * shape.moe_bias
    shared = sparse * (3 * d * shape.d_shared + d) if shape.d_shared else 0  # and the gate that weighs it
    expert, expert_bias = 3 * d * shape.d_ff, (2 * shape.d_ff + d) * shape.moe_bias
    parts = (  # total, active, multiplications
        PartSize("token embedding", embedding, embedding, 0),
        PartSize("attention", attention + beside, attention + beside, attention),
        PartSize("dense MLP", dense, dense, dense),
        PartSize("router", router + router_bias, router + router_bias, router),
        PartSize("shared expert", shared, shared, shared),
        PartSize(
            "experts",
            sparse * n * (expert + expert_bias),
            sparse * k * (expert + expert_bias),
            sparse * k * expert,
        ),
        PartSize("norms", (2 * layers + 1) * d, (2 * layers + 1) * d, 0),
        PartSize("head", embedding * (not shape.tied), embedding * (not shape.tied), embedding),
    )
    return ExpertSizes(shape.name, n, k, tuple(part for part in parts if part.total or part.multiplications))


def shape_of_config(config: Any, name: str = "") -> MoeShape:
    """The shape in a Hugging Face config of a family with experts."""
    kind = config.model_type
    n_heads, d_model = int(config.num_attention_heads), int(config.hidden_size)
    n_kv_heads = int(config.num_key_value_heads or n_heads)
    d_head = int(getattr(config, "head_dim", None) or d_model // n_heads)
    dense = len(getattr(config, "mlp_only_layers", None) or ())
    own_width = kind in ("qwen2_moe", "qwen3_moe")  # the config's intermediate_size is that of dense layers
    norms = {"qwen3_moe": 2 * d_head, "olmoe": (n_heads + n_kv_heads) * d_head}
    bias = bool(getattr(config, "attention_bias", False))
    return MoeShape(
        name=name or kind,
        d_vocab=int(config.vocab_size),
        d_model=d_model,
        n_layers=int(config.num_hidden_layers),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_head=d_head,
        n_experts=int(config.num_experts if kind in ("qwen2_moe", "olmoe") else config.num_local_experts),
        k=int(config.num_experts_per_tok),
        d_ff=int(config.moe_intermediate_size if own_width else config.intermediate_size),
        d_shared=int(config.shared_expert_intermediate_size) if kind == "qwen2_moe" else 0,
        dense_layers=dense,
        d_dense=int(config.intermediate_size) if dense else 0,
        tied=bool(config.tie_word_embeddings),
        qk_norm=norms.get(kind, 0),
        qkv_bias=bias or (kind == "qwen2_moe" and bool(config.qkv_bias)),
        o_bias=bias,
        moe_bias=kind == "gpt_oss",
        sinks=kind == "gpt_oss",
    )


@dataclass(frozen=True)
class SwitchShape:
    """An encoder-decoder of Switch Transformers: T5 with experts in some MLPs, one expert a token."""

    name: str
    d_vocab: int
    d_model: int
    n_layers: int  # of the encoder, and as many of the decoder
    n_heads: int
    d_head: int
    n_experts: int
    d_ff: int
    sparse_layers: int  # of the encoder, and as many of the decoder
    k: int = 1


def switch_sizes(shape: SwitchShape) -> ExpertSizes:
    """The parameters of a Switch Transformer by formula (Fedus et al. 2021, table 9; MLPs of two matrices).

    A token is counted as passing encoder and decoder, as its authors count.

    >>> sizes = switch_sizes(PUBLISHED[1].shape)
    >>> sizes.name, round(sizes.total / 1e9, 2), round(sizes.active / 1e9, 2)
    ('Switch-Base-128', 7.42, 0.22)
    """
    d, width, experts = shape.d_model, shape.n_heads * shape.d_head, shape.n_experts
    sparse, dense = 2 * shape.sparse_layers, 2 * (shape.n_layers - shape.sparse_layers)
    embedding, one = shape.d_vocab * d, 2 * d * shape.d_ff
    positions = 2 * 32 * shape.n_heads  # relative, 32 buckets
    attention = 3 * shape.n_layers * 4 * d * width  # the decoder's reads twice
    router, norms = sparse * d * experts, (5 * shape.n_layers + 2) * d
    parts = (
        PartSize("token embedding", embedding, embedding, 0),
        PartSize("positions", positions, positions, 0),
        PartSize("attention", attention, attention, attention),
        PartSize("dense MLP", dense * one, dense * one, dense * one),
        PartSize("router", router, router, router),
        PartSize("experts", sparse * experts * one, sparse * shape.k * one, sparse * shape.k * one),
        PartSize("norms", norms, norms, 0),
        PartSize("head", 0, 0, embedding),  # tied
    )
    return ExpertSizes(shape.name, experts, shape.k, parts)


@dataclass(frozen=True)
class Published:
    """A published model: its shape, and what its authors say of its size."""

    shape: MoeShape | SwitchShape
    says: str  # total and active, as published
    source: str  # markdown
    model_type: str  # Hugging Face's

    def sizes(self) -> ExpertSizes:
        return switch_sizes(self.shape) if isinstance(self.shape, SwitchShape) else shape_sizes(self.shape)


# fmt: off
PUBLISHED: tuple[Published, ...] = (
    Published(
        MoeShape("Mixtral 8x7B", 32_000, 4_096, 32, 32, 8, 128, n_experts=8, k=2, d_ff=14_336),
        "46.7 B, 12.9 B active", "[Jiang et al. 2024](https://arxiv.org/abs/2401.04088)", "mixtral",
    ),
    Published(
        SwitchShape(
            "Switch-Base-128", 32_128, 768, 12, 12, 64, n_experts=128, d_ff=3_072, sparse_layers=6
        ),
        "7.4 B, work of T5-Base (0.22 B)", "[Fedus et al. 2021](https://arxiv.org/abs/2101.03961)",
        "switch_transformers",
    ),
    Published(
        SwitchShape("Switch-C", 32_128, 2_080, 15, 32, 64, n_experts=2_048, d_ff=6_144, sparse_layers=15),
        "1,571 B", "[Fedus et al. 2021](https://arxiv.org/abs/2101.03961), table 9", "switch_transformers",
    ),
    Published(
        MoeShape("OLMoE 1B-7B", 50_304, 2_048, 16, 16, 16, 128, n_experts=64, k=8, d_ff=1_024, qk_norm=4_096),
        "6.9 B, 1.3 B active", "[Muennighoff et al. 2024](https://arxiv.org/abs/2409.02060)", "olmoe",
    ),
    Published(
        MoeShape(
            "Qwen1.5-MoE-A2.7B", 151_936, 2_048, 24, 16, 16, 128, n_experts=60, k=4, d_ff=1_408,
            d_shared=5_632, qkv_bias=True,
        ),
        "14.3 B, 2.7 B active", "[its model card](https://huggingface.co/Qwen/Qwen1.5-MoE-A2.7B)",
        "qwen2_moe",
    ),
    Published(
        MoeShape("Qwen3-30B-A3B", 151_936, 2_048, 48, 32, 4, 128, n_experts=128, k=8, d_ff=768, qk_norm=256),
        "30.5 B, 3.3 B active", "[Yang et al. 2025](https://arxiv.org/abs/2505.09388)", "qwen3_moe",
    ),
    Published(
        MoeShape(
            "GPT-OSS-20B", 201_088, 2_880, 24, 64, 8, 64, n_experts=32, k=4, d_ff=2_880,
            qkv_bias=True, o_bias=True, moe_bias=True, sinks=True,
        ),
        "20.9 B, 3.6 B active (its card leaves the embedding table out)",
        "[OpenAI 2025](https://arxiv.org/abs/2508.10925)", "gpt_oss",
    ),
)
# fmt: on


# The calculator


@dataclass(frozen=True)
class Calculator:
    """What stays as it is in a model while its experts change: everything but routers and routed experts."""

    base: int  # parameters
    base_multiplications: int  # for one token
    n_layers: int  # layers that would have experts
    d_model: int
    matrices: int  # of an MLP: 3 gated, 2 not

    def total(self, n_experts: int, d_ff: int) -> int:
        return self.base + self.n_layers * n_experts * self._expert(d_ff) + self._router(n_experts)

    def active(self, n_experts: int, k: int, d_ff: int) -> int:
        return self.base + self.n_layers * k * self._expert(d_ff) + self._router(n_experts)

    def multiplications(self, n_experts: int, k: int, d_ff: int) -> int:
        return self.base_multiplications + self.active(n_experts, k, d_ff) - self.base

    def _expert(self, d_ff: int) -> int:
        return self.matrices * self.d_model * d_ff

    def _router(self, n_experts: int) -> int:
        """One expert alone needs no router."""
        return self.n_layers * self.d_model * n_experts if n_experts > 1 else 0


def calculator_of(model: Model) -> Calculator:
    """The loaded model without its MLPs' weights, so that others can be put in (biases of experts left out).

    In a model with experts the layers that have them change; in a dense one all layers.
    """
    spec, sizes = model.spec, model_sizes(model)
    changed = [sizes.part(name) for name in (("experts", "router") if spec.n_experts else ("dense MLP",))]
    return Calculator(
        base=sizes.total - sum(part.total for part in changed),
        base_multiplications=sizes.multiplications - sum(part.multiplications for part in changed),
        n_layers=sum(layer.sparse for layer in spec.layers) or spec.n_layers,
        d_model=spec.d_model,
        matrices=3 if spec.gated_mlp else 2,
    )
