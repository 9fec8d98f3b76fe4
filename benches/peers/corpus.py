"""Makes the pages that the peers are compared on, once. Usage: corpus.py PAGEMILL FOLDER PAGES

Walks the simulator over HTTP, as any client would, and saves its members in pages of 1,000: FOLDER/fat with
`remote_data`, FOLDER/lean without. Each record keeps the bytes that were served. Members with a value that its column
cannot hold exactly are left out, because most peers fail on them: an identifier that is a number, a text where a list
should be, a time that is empty or too fine, a member that nobody declared. The same pages come out every time.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"
PAGE = 1_000
SCHEMA = pathlib.Path(__file__).parents[2] / "crates/core/catalog/members.json"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
TYPES = {"string": str, "boolean": bool, "object": dict, "array": list}


def fits(schema, value):
    """Whether the columns hold a value exactly."""
    if value is None:
        return True
    if not isinstance(value, TYPES[schema["type"]]):
        return False
    if schema.get("format") == "date-time":
        return TIME.fullmatch(value) is not None
    if isinstance(value, list):
        return all(fits(schema["items"], item) for item in value)
    members = schema.get("properties")
    return not members or all(name in members and fits(members[name], item) for name, item in value.items())


def served(base, lean):
    """The simulator's pages, by its cursors."""
    cursor = ""
    while cursor is not None:
        query = {"integrated_account_id": ACCOUNT, "limit": PAGE, "next_cursor": cursor}
        query |= {"truto_ignore_remote_data": "true"} if lean else {}
        url = f"{base}/unified/instant-messaging/members?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, headers={"Authorization": "Bearer any"})
        with urllib.request.urlopen(request) as answer:
            text = answer.read().decode("utf-8")
        yield text
        cursor = json.loads(text[text.rindex('"next_cursor"') - 1 :].replace(",", "{", 1))["next_cursor"]


def records(page):
    """Each record of a page: its value and its text."""
    decoder = json.JSONDecoder()
    at = page.index("[") + 1
    while page[at] != "]":
        value, end = decoder.raw_decode(page, at)
        yield value, page[at:end]
        at = end + (page[end] == ",")


def good(base, lean, schema):
    """The texts of the records that fit."""
    for page in served(base, lean):
        for value, text in records(page):
            if fits(schema, value):
                yield text


def envelope(texts, at, pages):
    """A page of the API, as the simulator frames it."""
    following = json.dumps(None if at + 1 == pages else f"page-{at + 1:05}")
    return f'{{"result":[{",".join(texts)}],"next_cursor":{following},"prev_cursor":null,"result_count":{len(texts)}}}'


def save(texts, folder, pages):
    folder.mkdir(parents=True)
    for at in range(pages):
        page = envelope([next(texts) for _ in range(PAGE)], at, pages)
        (folder / f"page-{at:05}.json").write_text(page, encoding="utf-8")


def make(pagemill, folder, pages):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    # Some three of a hundred are left out.
    command = [pagemill, "simulate", "--port", "0", "--members", str((pages + 1) * PAGE * 105 // 100)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        base = re.search(r"http://\S+", server.stdout.readline()).group()
        save(good(base, True, schema), unfinished / "lean", pages)
        save(good(base, False, schema), unfinished / "fat", pages)
        unfinished.rename(folder)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    make(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))
