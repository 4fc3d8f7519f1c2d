"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from archenc.spaces.base import Space
from archenc.testing import example_spaces

torch.set_num_threads(1)
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy one fails no test
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real tables; tests that ask for it are skipped where there is none."""
    folder = os.environ.get("ARCHENC_DATA")
    if not folder:
        pytest.skip("needs the real tables: ARCHENC_DATA is not set")
    if not Path(folder).is_dir():
        pytest.skip(f"needs the real tables: ARCHENC_DATA is {folder}, which is not a folder")
    return Path(folder)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of the raw public files (OWNER/REPO/COMMIT/PATH); tests that ask for it are skipped where
    there is none.
    """
    folder = os.environ.get("ARCHENC_TEST_MIRROR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the raw public files: ARCHENC_TEST_MIRROR is not a folder")
    return Path(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished pretraining; it is not to be changed."""
    from archenc.pretraining import PretrainableEncoder
    from tests.shared import run

    folder = tmp_path_factory.mktemp("pretrained") / "done"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainableEncoder, "draws", 50)
        run(folder)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture(params=sorted(example_spaces()))
def space(request: pytest.FixtureRequest) -> Space:
    """Each of a few spaces that have between them what the others have."""
    return example_spaces()[request.param]


@pytest.fixture
def spaces() -> dict[str, Space]:
    """These spaces by name."""
    return example_spaces()
