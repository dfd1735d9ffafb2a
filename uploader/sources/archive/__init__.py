"""Archives of many sources that are generated while they are sent, and never stored.

An archive is a zip or tar file whose every byte follows from the list of its members and their contents. So it can be
read like a file, at any offset and by several readers at once, without a byte of scratch space. No library does this:
those that make archives write them from beginning to end.

- `members`: the list of members, in columns, since there may be a million.
- `layout` (pure), with `zip_layout` and `tar_layout`: from the list to the extents of the archive: heads, bodies,
  tails, the directory at the end. Sizes alone decide where each of them is.
- `manifest` (pure): the content of MANIFEST.md5, the last member, whose size is known before the MD5s are.
- `plan`: a list of members with its format, as stored in the folder of a job, and how two of them differ.
- `sums`: CRC-32s and MD5s of members, in memory and in a file, for readers that continue.
- `open_members`: descriptors of the members that are read.
- `reader`: the bytes of any range. A zip file states each member's CRC-32 behind it and in the directory. The digest,
  which reads the archive in order, learns them; bytes that depend on one that it has not reached wait for it.
- `packing`: from a selection to the archives to send.

A member is identified by its size and mtime, and the archive as a whole by all sizes, times and inodes of its members.
The same members with the same times make the same archive, byte for byte: it has no owners, no time of packing, and of
the modes only whether a file is executable.
"""
