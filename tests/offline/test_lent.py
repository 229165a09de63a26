"""A model that was lent to a trainer of TRL comes back as it was."""

from typing import Any

from rltk.offline.steps import lent
from tests import tiny


def test_a_forward_pass_of_the_trainers_goes_and_one_of_the_models_own_stays() -> None:
    model = tiny.model()
    own = model.model.layers[0].mlp.forward

    def before(*args: Any, **kwargs: Any) -> Any:
        return own(*args, **kwargs)

    model.model.layers[0].mlp.forward = before
    with lent(model):
        model.forward = model.model.layers[0].mlp.forward = lambda *_, **__: None
        model.config.use_cache = False
        model.add_model_tags(["trl"])
    assert "forward" not in vars(model)
    assert vars(model.model.layers[0].mlp)["forward"] is before
    assert model.config.use_cache
    assert model.model_tags is None
