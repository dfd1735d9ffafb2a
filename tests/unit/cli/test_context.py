"""What a command's context makes of its options."""

from __future__ import annotations

import pytest

from uploader.cli.context import Context
from uploader.cli.options import GlobalOptions
from uploader.transfer.options import RequestOptions

OPTIONS = GlobalOptions(json=False, quiet=False, verbose=0, log_file=None, no_progress=False, no_color=False)


@pytest.mark.parametrize(
    ("endpoint", "given", "rate"),
    [
        ("https://api.figshare.com/v2", None, 1.0),
        ("https://api.figshare.com/v2", 5.0, 5.0),
        ("http://127.0.0.1:8000/v2", None, None),
        ("http://[::1]:8000/v2", None, None),
        ("http://localhost:8000/v2", 2.0, 2.0),
        ("https://127.0.0.1.example.org/v2", None, 1.0),
    ],
)
def test_only_a_server_on_this_host_has_no_limit_of_requests(
    endpoint: str, given: float | None, rate: float | None
) -> None:
    context = Context(endpoint=endpoint, token="t0ken", common=OPTIONS)
    assert context.settings(RequestOptions(api_rate=given)).api_rate == rate
