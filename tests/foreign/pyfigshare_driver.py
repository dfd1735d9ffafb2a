"""Runs pyfigshare, unchanged, against another address: pyfigshare_driver.py ORIGIN FOLDER DOWNLOADS.

The token is in FIGSHARE_TOKEN. Uploads FOLDER to a new item, publishes it and downloads it; prints the results as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import requests
from pyfigshare import figshare  # type: ignore[import-untyped]

REAL = "https://api.figshare.com"


def main(origin: str, folder: str, downloads: str) -> None:
    send = requests.Session.request

    def redirected(self: requests.Session, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        return send(self, method, url.replace(REAL, origin), *args, **kwargs)

    requests.Session.request = redirected  # type: ignore[assignment, method-assign]
    client = figshare.Figshare(upload_workers=4, max_retries=0)
    item = client.create_article(title="Sent by pyfigshare")
    client.check_files(item)
    client.upload(item, folder, file_workers=2)
    client.upload(item, folder)
    deadline = time.monotonic() + 30
    while any(file["status"] != "available" for file in client.list_files(item, show=False)):
        # As on the real service, a file is checked before it can be published; pyfigshare does not wait for that.
        if time.monotonic() > deadline:
            raise TimeoutError("a file does not become available")
        time.sleep(0.05)
    client.publish(item)
    sent = {file["name"]: file["computed_md5"] for file in client.list_files(item, show=False)}
    client.download_article(item, outdir=downloads, cpu=2)
    version = client.get_article(item, version=1)
    found = client.search_articles(title="Sent by pyfigshare")
    client.update_article(item, title="Renamed by pyfigshare")
    public = figshare.Figshare(private=False)
    seen = {
        "sent": sent,
        "version": version["version"],
        "found": [row["id"] for row in found],
        "renamed": client.get_article(item)["title"],
        "public": public.get_article(item)["title"],
        "versions": [row["version"] for row in public.list_article_versions(item)],
        "author": client.author(client.get_author_id(item))["full_name"],
        "used": client.get_account_info()["used_quota_public"],
        "categories": [one["source_id"] for one in version["categories"]],
        "item": item,
    }
    draft = client.create_article(title="To be deleted")
    client.delete_articles_with_title("To be deleted")
    seen["left"] = [row["id"] for row in client.list_articles() if row["id"] == draft]
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
