"""GGUF blocks: against the gguf package's reader on the default model's own file, and by hand."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, quants

from model_runtime import load_model
from model_runtime.errors import SettingError
from model_runtime.numbers.gguf_blocks import (
    BLOCK,
    BLOCK_BYTES,
    block_error,
    decode_block,
    encode_block,
    file_block,
    file_tensors,
    gguf_file_of,
    tensors_of,
)

DEFAULT = "smollm2-135m-instruct"


def test_a_block_by_hand() -> None:
    nibbles = bytes(low | (15 - low) << 4 for low in range(16))
    block = decode_block("Q4_1", struct.pack("<ee", 0.5, -2.0) + nibbles)
    assert block.codes == (*range(16), *range(15, -1, -1))
    assert block.weights[:3] == (-2.0, -1.5, -1.0)
    assert block.weights[16] == -2.0 + 0.5 * 15
    q8 = decode_block("Q8_0", struct.pack("<e", 0.25) + bytes([255, 1]) + bytes(30))
    assert q8.weights[:3] == (-0.25, 0.25, 0.0)


@pytest.mark.parametrize("kind", BLOCK_BYTES)
def test_our_decoding_is_the_package_s(kind: str) -> None:
    weights = np.random.default_rng(3).normal(size=(1, BLOCK)).astype(np.float32)
    block = encode_block(kind, weights)
    data = np.frombuffer(block.data, np.uint8)[None]
    np.testing.assert_array_equal(block.weights, quants.dequantize(data, GGMLQuantizationType[kind])[0])
    step = abs(block.scale)
    off = np.array(block.weights) - weights[0]
    assert np.abs(off).max() <= 0.52 * step
    assert block_error(block, tuple(map(float, weights[0]))) == pytest.approx(
        np.linalg.norm(off) / np.linalg.norm(weights[0].astype(np.float64))
    )
    assert block_error(block, (0.0,) * BLOCK) == 0


def test_blocks_of_the_default_model_s_own_file() -> None:
    file = gguf_file_of(DEFAULT)
    assert file is not None
    tensors = {tensor.name: tensor for tensor in file_tensors(file)}
    assert {tensor.kind for tensor in tensors.values()} == {"Q4_1", "Q8_0"}
    reader = {tensor.name: tensor for tensor in GGUFReader(file).tensors}
    assert all(tensor.n_bytes == reader[name].n_bytes for name, tensor in tensors.items())
    assert tensors_of(file, 7)["ffn_down.weight"] == tensors["blk.7.ffn_down.weight"]
    assert {*tensors} - {*tensors_of(file, None)} == {"token_embd.weight"}
    assert len(tensors_of(file, 1)) * 30 == len(tensors_of(file, None))
    hf_model = load_model(DEFAULT).hf_model
    for name, weight in (
        ("blk.7.ffn_down.weight", hf_model.model.layers[7].mlp.down_proj.weight),
        ("token_embd.weight", hf_model.model.embed_tokens.weight),
    ):
        tensor = tensors[name]
        assert tuple(weight.shape) == (tensor.rows, tensor.width)
        block = file_block(file, tensor, row=17, block=3)
        packed = reader[name].data[17:18]
        whole = quants.dequantize(packed, reader[name].tensor_type)[0]
        np.testing.assert_array_equal(block.weights, whole[96:128])
        np.testing.assert_array_equal(
            np.float32(block.weights), weight[17, 96:128].numpy()
        )  # what the app runs


def test_what_is_not_there_is_refused() -> None:
    file = gguf_file_of(DEFAULT)
    assert file is not None
    tensor = file_tensors(file)[0]
    with pytest.raises(SettingError):
        file_block(file, tensor, tensor.rows, 0)
    with pytest.raises(SettingError):
        decode_block("Q2_K", bytes(84))
    assert gguf_file_of("gpt2") is None
    assert gguf_file_of("no such model") is None
