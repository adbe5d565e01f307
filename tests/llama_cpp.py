"""llama.cpp as a reference: a small server of its own, in a process that may end without ours.

with LlamaCpp(file) as reference:
    reference.tokens(" hello"), reference.log_probabilities(ids)
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

SERVER = """
import sys
import xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_ctx, parameters.n_parallel, parameters.port = int(sys.argv[2]), 1, 0
parameters.warmup, parameters.fit_params, parameters.n_gpu_layers = False, False, 0
parameters.verbosity, parameters.cpuparams.n_threads = -1, 1
parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


class LlamaCpp:
    """A GGUF file open in llama.cpp, in float32 throughout."""

    def __init__(self, file: Path, n_ctx: int = 256) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(file), str(n_ctx)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._address = ""
        for line in self._process.stdout:
            if line.startswith("http"):
                self._address = line.strip()
                break

    def __enter__(self) -> LlamaCpp:
        if not self._address:
            _, said = self._process.communicate()
            raise AssertionError(f"llama.cpp does not read the file: {said[-600:]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def tokens(self, text: str, *, special: bool = True) -> list[int]:
        """Ids of a text; with `special`, what is put around it too."""
        body = {"content": text, "add_special": special, "parse_special": True}
        found: list[int] = self._ask("/tokenize", body)["tokens"]
        return found

    def log_probabilities(self, ids: list[int], size: int) -> list[float]:
        """Of each of `size` tokens after these."""
        body = {"prompt": ids, "n_predict": 1, "n_probs": size, "temperature": 0, "cache_prompt": False}
        answer = self._ask("/completion", body)["completion_probabilities"][0]
        found = {one["id"]: one["logprob"] for one in answer["top_logprobs"]}
        return [float(found.get(token_id, -math.inf)) for token_id in range(size)]

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self._address + path, data, headers)) as answer:
            return json.loads(answer.read())
