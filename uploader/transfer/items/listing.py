"""What an item holds, asked for in bulk: its files by the path that each has there."""

from __future__ import annotations

from collections import defaultdict

from uploader.figshare.api import Figshare
from uploader.figshare.wire import File
from uploader.transfer.selection.values import remote_path


async def files_by_path(api: Figshare, item_id: int) -> dict[str, list[File]]:
    """The item's files, unfinished ones and links included, by folder and name. Raises ItemMissing.

    Folders are not among what the listing of files says, but in the item (official API description).
    """
    folders = (await api.item(item_id)).folders
    held: dict[str, list[File]] = defaultdict(list)
    async for file in api.files(item_id):
        held[remote_path(folders.get(file.id, ""), file.name)].append(file)
    return held
