import pytest

from tests.app import helpers


@pytest.fixture(autouse=True)
def quiet():
    """No test leaves a job or a model to the next."""
    yield
    helpers.clean()
