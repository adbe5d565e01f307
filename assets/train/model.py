"""The two architectures, as Hugging Face's own classes, small and from a seed.

Mixtral (Jiang et al. 2024, section 2): RMSNorm, RoPE, grouped queries, SwiGLU experts, top-2 of 8, no biases.
GPT-2 (Radford et al. 2019): LayerNorm, learned positions, GELU, biases everywhere. Both tie the output head to
the embedding. Only the experts' loop is ours (`by_expert`): the same arithmetic as Hugging Face's, which
`tests/unit/assets/test_mini_training.py` checks, without building a gradient of all experts for each expert.
"""

from __future__ import annotations

from types import MethodType

import torch
import torch.nn.functional as F
from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, MixtralForCausalLM, PreTrainedModel
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

N_CTX = 512
MIXTRAL = {
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}
GPT2 = {"n_embd": 256, "n_layer": 4, "n_head": 8}


def by_expert(self, x: torch.Tensor, index: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x [token, d_model], index and weight [token, k] -> [token, d_model]: tokens sorted by their expert, each
    expert's matrices applied to its slice once, the results weighted and added back where they came from."""
    k = index.shape[1]
    order = index.flatten().argsort(stable=True)  # [token * k] slots, expert by expert
    sizes = torch.bincount(index.flatten(), minlength=self.num_experts).tolist()
    token = order // k
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    up, down = self.gate_up_proj.to(dtype).unbind(0), self.down_proj.to(dtype).unbind(0)
    parts = []
    for expert, part in enumerate(x.to(dtype)[token].split(sizes)):
        gate, linear = F.linear(part, up[expert]).chunk(2, dim=-1)
        parts.append(F.linear(F.silu(gate) * linear, down[expert]))
    weighted = torch.cat(parts) * weight.flatten()[order, None].to(dtype)
    return torch.zeros_like(x).index_add_(0, token, weighted.to(x.dtype))


ALL_EXPERTS_FUNCTIONS.register("by_expert", by_expert)


class NextTokenLoss(torch.autograd.Function):
    """Mean nats a token of a tied output head, 1,024 positions at a time, so that the [token, d_vocab] logits
    never leave the processor's cache. The gradient of the logits is softmax minus one-hot (as in nanoGPT's
    cross-entropy, written out)."""

    @staticmethod
    def forward(ctx, hidden: torch.Tensor, head: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """hidden [token, d_model] and head [d_vocab, d_model], both bfloat16; target [token]."""
        total, d_hidden, d_head = 0.0, torch.empty_like(hidden), torch.zeros(head.shape)
        for at in range(0, len(hidden), 1024):
            part, wanted = hidden[at : at + 1024], target[at : at + 1024, None]
            logits = (part @ head.T).float()
            logits -= logits.logsumexp(-1, keepdim=True)  # now log-probabilities
            total -= logits.gather(1, wanted).sum()
            grad = logits.exp_().scatter_add_(1, wanted, -torch.ones(wanted.shape)).div_(len(hidden)).bfloat16()
            d_hidden[at : at + 1024] = grad @ head
            d_head += grad.T @ part
        ctx.save_for_backward(d_hidden, d_head)
        return total / len(hidden)

    @staticmethod
    def backward(ctx, d_loss: torch.Tensor):
        d_hidden, d_head = ctx.saved_tensors
        return d_hidden * d_loss, d_head.bfloat16() * d_loss, None


def switch_route(router, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Switch's router in place of Mixtral's: an expert's output counts as much as its probability (Fedus et al.
    2021, equation 2). Mixtral divides by the sum of the chosen; with one expert a token that is always 1, and the
    prediction's loss would teach the router nothing."""
    logits = F.linear(hidden.reshape(-1, router.hidden_dim), router.weight)
    weight, index = logits.float().softmax(-1).topk(router.top_k)
    return logits, weight, index


def build(
    kind: str, n_vocab: int, seed: int, aux_coef: float = 0.0, switch: bool = False, **sizes: int
) -> PreTrainedModel:
    """A new model ("mixtral" or "gpt2") with weights drawn from `seed`; `sizes` override the table above.
    `aux_coef` is only written into the configuration: the loss itself is train.py's. With `switch` a token goes to
    one expert, by `switch_route`."""
    torch.manual_seed(seed)
    common = {"vocab_size": n_vocab, "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": True}
    if kind == "gpt2":
        config = GPT2Config(
            **common | {"n_positions": N_CTX} | GPT2 | sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0
        )
        config._attn_implementation = "eager"
        return GPT2LMHeadModel(config)
    config = MixtralConfig(
        **common | MIXTRAL | sizes,
        max_position_embeddings=N_CTX,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        router_aux_loss_coef=aux_coef,
    )
    config._experts_implementation, config._attn_implementation = "by_expert", "eager"  # eager: the faster at 256
    net = MixtralForCausalLM(config)
    for layer in net.model.layers if switch else ():
        layer.mlp.gate.top_k = 1
        layer.mlp.gate.forward = MethodType(switch_route, layer.mlp.gate)
    return net
