"""pyfigshare from the package index, as it is: it uploads a folder, publishes it and downloads it again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.environment import clean_environment
from tests.support.served import served
from uploader.sandbox.parts import Uniform

DRIVER = Path(__file__).with_name("pyfigshare_driver.py")


def test_a_folder_is_sent_published_and_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    contents = {"data/a.bin": os.urandom(5000), "data/deep/b.bin": os.urandom(10)}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    with served(tmp_path / "s", part_plan=Uniform(1000)) as sandbox:
        done = subprocess.run(
            [sys.executable, DRIVER, sandbox.url.removesuffix("/v2"), folder, tmp_path / "downloads"],
            env=clean_environment(tmp_path) | {"FIGSHARE_TOKEN": sandbox.token},
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        kinds = sandbox.kinds()
    sums = {name: hashlib.md5(data, usedforsecurity=False).hexdigest() for name, data in contents.items()}
    assert seen["sent"] == sums
    assert {name: (tmp_path / "downloads" / name).read_bytes() for name in contents} == contents
    assert kinds.count("initiate") == 2, "what is there is not sent again"
    assert kinds.count("put-part") == 6
    assert (seen["version"], seen["versions"], seen["found"]) == (1, [1], [seen["item"]])
    assert (seen["renamed"], seen["public"]) == ("Renamed by pyfigshare", "Sent by pyfigshare")
    assert (seen["author"], seen["used"], seen["left"]) == ("Sandbox Owner", 5010, [])
    assert seen["categories"] == ["310204"], "what pyfigshare sends where its user names none"
