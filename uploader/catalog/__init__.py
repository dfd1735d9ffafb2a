"""Figshare's records: lists and searches of any length, complete or with a report of what is missing.

| module | contents |
|---|---|
| `search` | a search from its filters to its rows, and its conclusion: found, complete, what was checked |
| `checks` | pure: whether rows fit the filters that show in them; a filter without effect is an error |
| `names` | names of institutions, groups, authors, categories, licences and types, with near misses |
| `reading` | a list read to its end with the pager, page by page, possibly from a stored position |
| `rows` | rows in a file, CSV or JSON Lines, which is complete or not there |
| `report` | a package: tables of records from a catalog on disk, continued after any interruption |
| `batch` | a package: the metadata report of the administration pages, as such tables and as a summary |
| `kept` | a cache of responses until the command succeeds |
| `lookup` | one item, collection or project by number, DOI or address: the account's own copy, or the public one |
| `accounts` | accounts of an institution: a list is checked whole, and none is created twice |
| `statistics` | views, downloads, shares and citations, from a separate service |
| `query` | pure: what is searched for, in Figshare's search language, quoted once |
| `pager` | pure: which page to ask for next, so that each row comes once whatever Figshare's page limit; `Gap`s |

`search` uses `checks`, `names`, `reading` and `query`; `reading` and `names` use `pager`; the others use none of these.
Called by `uploader.cli` and `uploader.client`. A report on disk uses `reading.Reading`, whose `position` and ids it
stores with each page, and the lists of `figshare.records`: `search_of`, `own_list`, `items_of`, `INSTITUTION_ITEMS`.

Requests are in `figshare.records_api` (`Figshare.records`) and `figshare.accounts_api` (`Figshare.accounts`), and share
the budget, the retries and the token of all other requests. Records are `figshare.records.Record`: typed where known,
with the JSON as received in `raw`.
"""
