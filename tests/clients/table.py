"""Writes the table of clients from the logs of a run: `table.py DIRECTORY`, where each step has left NAME.log."""

import pathlib
import re
import sys

HEAD = """# Clients

What each client did with the registry, and how it went: written by `tests/run --table` from what the tests themselves said. A
client is one of `tests/clients`, and speaks TLS with an authority of the registry's own, plain HTTP on a loopback address, or both,
with a password that it changes for a token.

| client | version | over | what was done | result |
|---|---|---|---|---|
"""


def row(log, verdict):
    """The row of one client; nothing for a step that is none, and what is known of one that did not run."""
    said = re.search(r"^client: (.*)\|(.*)$", log, re.MULTILINE)
    name, version = said.groups() if said else (None, "")
    over, done = [], []
    for mode, what in re.findall(r"^== (?:(tls|http): )?(.*)$", log, re.MULTILINE):
        if mode and mode not in over:
            over.append(mode)
        if what not in done and not what.startswith("the registry listens"):
            done.append(what)
    return name, version, ", ".join(over), "; ".join(done), verdict.split(" (")[0]


def main():
    directory = pathlib.Path(sys.argv[1])
    rows = []
    for line in (directory / "verdicts").read_text().splitlines():
        step, verdict = line.split("\t")
        name, *rest = row((directory / f"{step}.log").read_text(errors="replace"), verdict)
        if name or pathlib.Path(__file__).with_name(step).exists():
            rows.append([name or step, *rest])
    cells = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    print(HEAD + "".join(f"| {row} |\n" for row in cells), end="")


main()
