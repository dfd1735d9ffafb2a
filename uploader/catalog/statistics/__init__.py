"""How often records are viewed, downloaded, shared and cited: totals, timelines, places, rankings.

| module | contents |
|---|---|
| `answers` | a source whose answers are kept while a command needs more than one run |
| `counting` | questions about one record or group, in as many requests as Figshare's limits need |
| `periods` | pure: days as periods, cut into adjoining slices that one request may ask for |

Requests are in `figshare.statistics_api`, to a separate host: the API's token is never sent there, and an
institution's name and password nowhere else.
"""
