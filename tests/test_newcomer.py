"""The first quarter of an hour of somebody new: every step works the first time."""

import pytest

from tools.walk import walk


@pytest.mark.timeout(600)
def test_from_the_demonstration_to_a_receipt_in_a_real_browser() -> None:
    assert len(walk()) == 5
