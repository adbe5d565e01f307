"""The words of the next-token page: mathematics, code, sources."""

from __future__ import annotations

import inspect

from model_runtime.sampling import twin as sampling_twin

CLAIM = (
    "Scores (logits) become probabilities, and one token is drawn. "
    "Move a slider: watch what each step keeps and cuts."
)

COLUMNS = (
    "**left**: tokens that can still be drawn. **cut**: the probability that a step takes away. "
    "**nats**: the uncertainty (entropy), 0 where one token is certain. **choices**: how many equally likely "
    "tokens would be as uncertain."
)

QUESTION = (
    "set temperature to 10 with top-p off. How many tokens will share the probability? "
    "Then predict what top-p 0.9 still cuts there, and what min-p 0.1 does."
)

ANSWER = """
At temperature 10 all logits shrink to a tenth of their distance, so the distribution is nearly flat:
every token can be drawn, and the *choices* column comes close to the size of the vocabulary. Both filters
read what the step before them left. Top-p 0.9 needs most of the vocabulary to collect 90 % of a flat
distribution. Min-p 0.1 asks for a tenth of the *likeliest* token's probability, and most tokens have that
now. Measured on SmolLM2-135M-Instruct after "a fluffy blue creature roamed the verdant forest": about
40,000 of 49,152 tokens pass either test.

Now **put the temperature last** (under *More settings*). The filters judge the model's own probabilities,
and only what they keep is flattened: 13 tokens with top-p 0.9, 3 with min-p 0.1.
"""

MATHEMATICS = r"""
**Softmax.** The model ends in one number for each token $j$, its logit $z_j$:

$$p_j = \frac{e^{z_j}}{\sum_i e^{z_i}} = \frac{e^{z_j - z_{\max}}}{\sum_i e^{z_i - z_{\max}}}$$

Both are equal; the second cannot overflow. Only differences matter: adding 5 to every logit changes
nothing.

**Temperature** $T$ divides the logits, $z_j / T$. The ratio of two probabilities becomes
$\left(p_i / p_j\right)^{1/T}$: squared at $T = 0.5$, its square root at $T = 2$. At $T = 0$ the likeliest
token is taken.

**Top-k** keeps the $k$ likeliest tokens. **Top-p** (nucleus) keeps the smallest set of likeliest tokens
with
$\sum p_j \ge p$. **Min-p** keeps tokens with $p_j \ge m \cdot p_{\max}$. **Typical-p** keeps the tokens
whose surprise
$-\ln p_j$ is closest to the entropy, until they have probability $p$ together. What is kept is divided by
its sum.

**Penalties** change logits before that. Repetition: $z / r$ where $z > 0$, $z \cdot r$ where $z < 0$, for
every token
already in the text. Presence: $z - a$ for every token already generated. Frequency: $z - c \cdot a$ for one
generated $c$ times.

**Entropy** $H = -\sum p_j \ln p_j$, in nats. $e^H$ is the number of *effective choices*: a fair choice
among that many tokens
would be as open.

**Draws.** In $n$ draws a token with probability $p$ comes up $np$ times on average, with a standard
deviation of
$\sqrt{np(1-p)}$. The range in the picture is the central 95 % of that binomial distribution, summed
exactly.
"""

SOURCES = """
- Temperature: Ackley, Hinton and Sejnowski 1985, *A learning algorithm for Boltzmann machines*, Cognitive
  Science 9.
- Top-k: Fan, Lewis and Dauphin 2018, *Hierarchical neural story generation*, ACL, section 5.1.
- Top-p: Holtzman, Buys, Du, Forbes and Choi 2019, *The curious case of neural text degeneration*, arXiv
  1904.09751.
- Min-p: Nguyen et al. 2024, *Turning up the heat: min-p sampling for creative and coherent LLM outputs*,
  arXiv 2407.01082.
- Typical-p: Meister, Pimentel, Wiher and Cotterell 2022, *Locally typical sampling*, arXiv 2202.00666.
- Repetition penalty: Keskar, McCann, Varshney, Xiong and Socher 2019, *CTRL: a conditional transformer
  language model
  for controllable generation*, arXiv 1909.05858, section 4.1.
- Presence and frequency penalties: the formula of OpenAI's API documentation.
- Arithmetic and order of the steps: the logits processors of Hugging Face transformers.
"""


def code() -> str:
    """The pipeline in its readable form: real code, run by a test against the one that draws the
    picture."""
    return inspect.getsource(sampling_twin)
