"""One call, one resolve and one followed event each cross few files of the package."""

from __future__ import annotations

import pytest

from tests.paths.crossing import PATHS


@pytest.mark.parametrize("name", PATHS)
async def test_a_path_crosses_few_files(real_url: str, name: str) -> None:
    path, bound = PATHS[name]

    crossing = await path(real_url)

    assert 0 < len(crossing.files) <= bound, " ".join(crossing.files)
