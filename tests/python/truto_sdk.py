"""Pages every member out of a server with the vendor's own Python SDK.

    python truto_sdk.py BASE_URL EXPECTED_COUNT

Exits with 0 if as many members arrived as expected, each identifier once; with 1 if not; with 2 if called wrongly.
Needs the packages truto-python-sdk and aiohttp.
"""

import asyncio
import sys

from truto_python_sdk import TrutoApi

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"


async def members(base_url):
    """All members, by the SDK's own walk over the pages, and one of them once more by its identifier."""
    api = TrutoApi(token="any", base_url=base_url)
    query = {"integrated_account_id": ACCOUNT, "limit": 500}
    listed = await api.unified_api.list("instant-messaging", "members", query).to_array()
    if listed:
        again = await api.unified_api.get(
            "instant-messaging", "members", str(listed[-1]["id"]), {"integrated_account_id": ACCOUNT}
        )
        if again != listed[-1]:
            sys.exit(f"{listed[-1]['id']}: listed as one thing, got as another")
    return listed


def main(arguments):
    if len(arguments) != 2 or not arguments[1].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    base_url, expected = arguments[0].rstrip("/"), int(arguments[1])
    listed = asyncio.run(members(base_url))
    distinct = len({str(member["id"]) for member in listed})
    print(f"{len(listed)} members, {distinct} identifiers, {expected} expected")
    return 0 if len(listed) == distinct == expected else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
