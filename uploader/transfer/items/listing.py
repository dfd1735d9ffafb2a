"""What an item holds, asked for in bulk: its files by the path that each has there."""

from __future__ import annotations

from collections import defaultdict

from uploader.figshare.api import Figshare
from uploader.figshare.wire import File, Item
from uploader.transfer.selection.values import remote_path


async def files_by_path(api: Figshare, item: Item) -> dict[str, list[File]]:
    """The item's files, unfinished ones and links included, by folder and name. Raises ItemMissing.

    Folders are not among what the listing of files says, but in the item (official API description).
    """
    held: dict[str, list[File]] = defaultdict(list)
    async for file in api.files(item.id):
        held[remote_path(item.folders.get(file.id, ""), file.name)].append(file)
    return held
