import pytest

from archenc.testing import example_spaces

SPACES = example_spaces()


@pytest.fixture(params=sorted(SPACES))
def space(request):
    return SPACES[request.param]


@pytest.fixture
def spaces():
    return SPACES
