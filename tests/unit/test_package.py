"""What `import model_runtime` offers in a notebook."""

import model_runtime


def test_every_name_is_there_and_listed() -> None:
    for name in model_runtime.__all__:
        assert getattr(model_runtime, name) is not None
    assert set(model_runtime.__all__) <= set(dir(model_runtime))
    assert set(model_runtime._LATE) <= set(model_runtime.__all__)


def test_what_generating_and_sampling_need_is_offered() -> None:
    wanted = {"generate_many", "Generation", "GeneratedToken", "sampling_steps", "draws", "SamplingReport"}
    assert wanted <= set(model_runtime.__all__)
