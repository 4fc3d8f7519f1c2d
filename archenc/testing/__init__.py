"""Contract checks for those who write an encoder, head, loss, space, data set or search strategy, here or in
a package of their own.

Each check raises :class:`AssertionError` with a sentence that says what is broken::

    from archenc.testing import check_encoder, example_spaces

    @pytest.mark.parametrize("space", example_spaces().values(), ids=str)
    def test_my_encoder(space):
        check_encoder(MyEncoder, space)
"""

from archenc.testing.datasets import check_dataset
from archenc.testing.encoders import check_encoder
from archenc.testing.heads import check_head
from archenc.testing.losses import check_loss
from archenc.testing.spaces import check_space, example_spaces, registered_spaces
from archenc.testing.strategies import check_strategy

__all__ = [
    "check_dataset",
    "check_encoder",
    "check_head",
    "check_loss",
    "check_space",
    "check_strategy",
    "example_spaces",
    "registered_spaces",
]
