"""The rotation: numbers by hand, lengths and relative distances kept, rebuilt modules bounded and shared."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from model_runtime.capture.rotary import (
    RopeEdit,
    RopeEditor,
    changes_itself,
    rope_angles,
    rotate,
    stateless,
)
from tests.tiny_models import build_model


def editor_of(case: str) -> tuple[RopeEditor, Any]:
    hf_model = build_model(case)
    return RopeEditor(hf_model.model.rotary_emb, hf_model.config), hf_model.model.rotary_emb


def positions(*values: int) -> torch.Tensor:
    return torch.tensor([values])


def test_a_quarter_turn_by_hand() -> None:
    # d_head 4: pairs are entries (0, 2) and (1, 3); a quarter turn sends (x, y) to (-y, x).
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    cos, sin = torch.tensor([[0.0, 1.0, 0.0, 1.0]]), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    assert rotate(x, cos, sin).tolist() == [[[-3.0, 2.0, 1.0, 4.0]]]


def test_what_lies_beyond_d_rotary_passes() -> None:
    x = torch.arange(6.0).reshape(1, 1, 6)
    turned = rotate(x, torch.zeros(1, 4), torch.ones(1, 4))
    assert turned.tolist() == [[[-2.0, -3.0, 0.0, 1.0, 4.0, 5.0]]]


def test_rotation_keeps_lengths_and_depends_on_distance_only() -> None:
    editor, _ = editor_of("llama")
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 8, generator=generator)
    scores = []
    for offset in (0, 5, 50):
        cos, sin = editor.cos_sin(RopeEdit(offset=offset), q, positions(9, 4))
        turned_q, turned_k = rotate(q, cos[0, :1], sin[0, :1]), rotate(k, cos[0, 1:], sin[0, 1:])
        torch.testing.assert_close(turned_q.norm(), q.norm())
        scores.append((turned_q * turned_k).sum())
    torch.testing.assert_close(torch.stack(scores), scores[0].expand(3), atol=1e-5, rtol=1e-5)


def test_edits_do_not_touch_the_module_and_rebuilt_modules_are_shared_and_bounded() -> None:
    editor, rotary = editor_of("llama")
    before = rotary.inv_freq.clone()
    x = torch.zeros(1)
    for base in range(2, 60):
        editor.cos_sin(RopeEdit(base=float(base), linear_factor=3.0), x, positions(0, 1))
    assert torch.equal(rotary.inv_freq, before)
    assert len(editor._built) == 16
    built = editor._built[59.0, 1.0]
    frequencies = built.inv_freq.clone()
    editor.cos_sin(RopeEdit(base=59.0, linear_factor=3.0), x, positions(0, 1))
    assert editor._built[59.0, 1.0] is built
    assert torch.equal(built.inv_freq, frequencies)


@pytest.mark.parametrize(
    "edit",
    [
        RopeEdit(),
        RopeEdit(base=500.0, offset=7),
        RopeEdit(ntk_factor=2.0),
        RopeEdit(base=300.0, ntk_factor=4.0, linear_factor=2.0),
        RopeEdit(off=True, offset=3),
    ],
)
def test_the_angles_that_the_page_prints_are_those_that_the_editor_turns_by(edit: RopeEdit) -> None:
    editor, rotary = editor_of("llama")
    base = rotary.config.rope_parameters["rope_theta"]
    cos, sin = editor.cos_sin(edit, torch.zeros(1), torch.arange(12)[None])
    angles = rope_angles(edit, 12, cos.shape[-1], base)
    torch.testing.assert_close(cos[0], torch.cat((angles.cos(),) * 2, dim=-1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sin[0], torch.cat((angles.sin(),) * 2, dim=-1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", ["llama", "gemma3", "llama-dynamic", "phi3-longrope"])
@pytest.mark.parametrize("length", [8, 40])
def test_linear_scaling_divides_the_frequencies_of_this_length(case: str, length: int) -> None:
    editor, rotary = editor_of(case)
    layer_type = ("full_attention",) if case == "gemma3" else ()
    x, where = torch.zeros(1), torch.arange(length)[None]
    found = editor.cos_sin(RopeEdit(linear_factor=4.0), x, where, *layer_type)
    rotary(x, where, *layer_type)  # leaves the frequencies for this length behind, if they depend on it
    name = "full_attention_inv_freq" if case == "gemma3" else "inv_freq"
    angles = torch.arange(length)[:, None] * getattr(rotary, name) / 4.0
    scaling = 1.0 if case == "gemma3" else rotary.attention_scaling
    for part, function in zip(found, (torch.cos, torch.sin), strict=True):
        expected = torch.cat((function(angles),) * 2, dim=-1) * scaling
        torch.testing.assert_close(part[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", ["llama-dynamic", "phi3-longrope"])
def test_a_long_text_leaves_no_trace_in_a_module_that_changes_itself(case: str) -> None:
    _, rotary = editor_of(case)
    assert changes_itself(rotary)
    x, short = torch.zeros(1), positions(0, 1, 2)
    expected = stateless(rotary, x, short)
    before = dict(rotary.__dict__), rotary.inv_freq.clone()
    long = stateless(rotary, x, torch.arange(40)[None])
    assert not torch.equal(long[0][:, :3], expected[0])
    assert torch.equal(rotary.inv_freq, before[1])
    assert rotary.__dict__.keys() == before[0].keys()
    assert all(
        torch.equal(one, other) for one, other in zip(stateless(rotary, x, short), expected, strict=True)
    )
    assert not changes_itself(editor_of("llama")[1])
