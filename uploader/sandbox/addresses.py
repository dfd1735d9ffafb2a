"""Absolute URLs in responses. They follow the request's Host header unless a public URL is set."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """`origin` is the root of the pages, `api` ends in /v2, `upload` in /upload; none ends in a slash.

    `key` opens the pages of private items; "" if the request may not know it.
    """

    origin: str
    api: str
    upload: str
    key: str = ""

    def item(self, item_id: int) -> str:
        """Return the API URL of an item."""
        return f"{self.api}/account/articles/{item_id}"

    def file(self, item_id: int, file_id: int) -> str:
        """Return the API URL of a file: the location returned by an initiate."""
        return f"{self.item(item_id)}/files/{file_id}"

    def page(self, item_id: int) -> str:
        """Return the URL of an item's web page, which everyone may read once the item is public."""
        return f"{self.origin}/account/articles/{item_id}"

    def own_page(self, item_id: int) -> str:
        """Return the URL of an item's web page as its owner sees it."""
        return self.page(item_id) + (f"?key={self.key}" if self.key else "")

    def download(self, file_id: int) -> str:
        """Return the download URL of a file."""
        return f"{self.origin}/files/{file_id}"

    def thumb(self, file_id: int) -> str:
        """Return the thumbnail URL of a file."""
        return f"{self.download(file_id)}/preview/{file_id}/thumb.png"

    def project(self, project_id: int) -> str:
        """Return the API URL of a project."""
        return f"{self.api}/account/projects/{project_id}"

    def project_item(self, project_id: int, item_id: int) -> str:
        """Return the API URL of an item within its project."""
        return f"{self.project(project_id)}/articles/{item_id}"

    def collection(self, collection_id: int) -> str:
        """Return the API URL of a collection."""
        return f"{self.api}/account/collections/{collection_id}"

    def private(self, token: str) -> str:
        """Return the URL of a private link."""
        return f"{self.origin}/s/{token}"

    def public_item(self, item_id: int, version: int | None = None) -> str:
        """Return a published item in the API, or one version of it."""
        return f"{self.api}/articles/{item_id}" + ("" if version is None else f"/versions/{version}")

    def upload_of(self, token: str) -> str:
        """Return the URL of an upload."""
        return f"{self.upload}/{token}"


def addresses(
    host: str, upload_port: int, public_url: str | None, public_upload_url: str | None, key: str = ""
) -> Addresses:
    """Build the addresses for a request with this Host header; the public ones take precedence if set."""
    api = (public_url or f"http://{host}/v2").rstrip("/")
    upload = (public_upload_url or f"http://{_bracketed(host)}:{upload_port}/upload").rstrip("/")
    return Addresses(origin=api.removesuffix("/v2"), api=api, upload=upload, key=key)


def _bracketed(host: str) -> str:
    """Return the host without its port, an IPv6 address still in brackets."""
    try:
        name = urlsplit(f"//{host}").hostname or host
    except ValueError:
        return host
    return f"[{name}]" if ":" in name else name
