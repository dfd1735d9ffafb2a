"""An upload with pyfigshare: `pyfigshare_upload.py ENDPOINT PATH WORKERS FILE_WORKERS`, with FIGSHARE_TOKEN.

Its command publishes, and supports only Figshare's address, so its library is called with another base address.
`PATH` may be a folder, whose files go up FILE_WORKERS at a time, each with WORKERS parts at a time.
"""

from __future__ import annotations

import sys

from pyfigshare.figshare import Figshare  # type: ignore[import-untyped]


def main(endpoint: str, path: str, workers: int, file_workers: int) -> None:
    client = Figshare(upload_workers=workers)
    client.baseurl = endpoint + "/{endpoint}"
    item = client.create_article(title="pyfigshare", categories_by_source_id=[])
    client.check_files(item)
    client.upload(item, path, file_workers=file_workers)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
