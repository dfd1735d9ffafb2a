"""Figshare's records: lists and searches of any length, complete or with a report of what is missing.

| module | contents |
|---|---|
| `pager` | pure: which page to ask for next, so that each row comes once whatever Figshare's page limit; `Gap`s |
| `reading` | a list read to its end with the pager, page by page, from a stored position if need be |

A report on disk uses `reading.Reading`, whose `position` and ids it stores with each page, and the lists of
`figshare.records`.

Requests are in `figshare.records_api` (`Figshare.records`): they share the budget, the retries and the token of all
other requests. Records are `figshare.records.Record`: typed where known, with the JSON as received in `raw`.
"""
