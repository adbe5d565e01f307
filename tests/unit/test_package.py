"""What `import model_runtime` offers in a notebook."""

import subprocess
import sys

import model_runtime


def test_every_name_is_there_and_listed() -> None:
    for name in model_runtime.__all__:
        assert getattr(model_runtime, name) is not None
    assert set(model_runtime.__all__) <= set(dir(model_runtime))


def test_what_generating_and_sampling_need_is_offered() -> None:
    wanted = {"generate_many", "Generation", "GeneratedToken", "sampling_steps", "draws", "SamplingReport"}
    assert wanted <= set(model_runtime.__all__)


def test_functions_that_share_a_name_with_their_module_are_functions() -> None:
    for name in ("head_stages", "sdpa_check", "senses", "expert_effects", "catalogue"):
        assert callable(getattr(model_runtime, name)), name


def test_importing_it_imports_nothing_heavy() -> None:
    script = (
        "import sys, model_runtime, model_runtime.records, model_runtime.records.distributions\n"
        "print(sorted({'torch', 'transformers', 'scipy', 'tiktoken'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
