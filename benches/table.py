"""Keeps the lines of results, and makes the tables of docs/performance.md of them.

table.py record FILE ROUND WORKLOAD VARIANT SERVER JSON STATUS
table.py write FILE DOCUMENT COMMAND MCRSRV REGISTRY
"""

import datetime
import json
import os
import re
import statistics
import subprocess
import sys

BEGIN, END = "<!-- begin: benches/run -->", "<!-- end -->"
NAMES = {
    "mcr": "MCR", "mcr-tls": "MCR", "debian": "docker-registry 2", "debian-tls": "docker-registry 2",
    "v3": "Distribution 3", "v3-tls": "Distribution 3", "nginx": "nginx", "nginx-tls": "nginx",
    "nginx-sendfile": "nginx, sendfile", "constant": "bare actix-web", "limit": "limit of the machine",
    "few": "MCR", "many": "MCR", "garbage": "MCR",
}
ORDER = list(dict.fromkeys(NAMES.values()))
PEERS = {"docker-registry 2", "Distribution 3"}
TITLES = {
    "machine": "The machine", "a": "(a) A manifest, connections kept", "b": "(b) HEAD of a blob",
    "c": "(c) Pulls", "d": "(d) Pushes of large blobs", "e": "(e) Pushes of small images, all blobs new",
    "f": "(f) Pushes of small images, all blobs there", "g": "(g) A new connection and TLS handshake for each request",
    "h": "(h) Who one is: by token, by Basic, and the exchange", "i": "(i) Pages",
    "j": "(j) Beside a sweep", "sweep": "A sweep by itself", "k": "(k) Start-up", "l": "(l) Memory, and waiting for the disk",
}
# Of each workload: what is measured, in which unit, with how many digits.
RATE = {
    "machine": ("per_s", "1/s", 0), "a": ("per_s", "requests/s", 0), "b": ("per_s", "requests/s", 0),
    "c": ("mib_per_s", "MiB/s", 0), "d": ("mib_per_s", "MiB/s", 0), "e": ("per_s", "images/s", 0),
    "f": ("per_s", "images/s", 0), "g": ("per_s", "requests/s", 0), "h": ("per_s", "requests/s", 0),
    "i": ("p50_us", "µs, p50", 0), "j": ("per_s", "1/s", 0),
}


def record(path, round_number, workload, variant, server, text, status):
    try:
        line = json.loads(text)
    except ValueError:
        line = {"errors": 1, "error": "no result"}
    line |= {"round": int(round_number), "workload": workload, "variant": variant, "server": server}
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    shown = [f"{line[key]:.{digits}f} {unit}" for key, unit, digits in (RATE.get(workload, ("", "", 0)),) if line.get(key)]
    if line.get("p99_us"):
        shown.append(f"p99 {line['p99_us'] / 1000:.1f} ms")
    if workload == "k" and "seconds" in line:
        shown.append(f"{line['seconds'] * 1000:.0f} ms")
    if "syncs" in line:
        shown.append(f"{line['syncs']} syncs")
    if workload == "sweep" and "seconds" in line:
        shown.append(f"{line['operations']} blobs in {line['seconds']:.0f} s, "
                     f"the longest write {line['longest_write_us'] / 1000:.1f} ms")
    if line.get("rss_after") and workload in ("k", "l", "sweep"):
        shown.append(f"{line['rss_after'] >> 20} MiB")
    if int(status):
        shown.append(f"FAILED: {line.get('errors')} errors, the first: {line.get('error')}")
    print(f"{workload} | {round_number} | {variant} | {NAMES[server]}: {', '.join(shown)}", flush=True)


class Results:
    """Lines by workload, variant and server."""

    def __init__(self, path):
        self.cells = {}
        with open(path, encoding="utf-8") as file:
            for text in file:
                line = json.loads(text)
                variants = self.cells.setdefault(line["workload"], {})
                variants.setdefault(line["variant"], {}).setdefault(NAMES[line["server"]], []).append(line)

    def median(self, workload, variant, server, key):
        values = value_list(self.cells.get(workload, {}).get(variant, {}).get(server, []), key)
        return statistics.median(values) if values else None

    def servers(self, workload):
        found = {server for servers in self.cells[workload].values() for server in servers}
        return [server for server in ORDER if server in found]


def value_list(lines, key):
    """The values of one key, of lines without errors; some keys are made of others."""
    values = []
    for line in lines:
        if line.get("errors"):
            continue
        if key == "cpu_per_gib":
            gib = line.get("bytes", 0) / 2**30
            value = line["server_cpu_s"] / gib if gib else None
        elif key == "cpu_per_thousand":
            value = line["server_cpu_s"] * 1000 / line["requests"] if line.get("requests") else None
        elif key == "own_share":
            both = line.get("client_cpu_s", 0) + line.get("server_cpu_s", 0)
            value = line["client_cpu_s"] / both if both else None
        elif key == "syncs_each":
            value = line["syncs"] / line["operations"] if "syncs" in line else None
        else:
            value = line.get(key)
        if value is not None:
            values.append(value)
    return values


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def ratio(value, base):
    return "–" if not value or not base else f"{value / base:.2f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def best_peer(results, workload, variant, key, least=False):
    values = [results.median(workload, variant, server, key) for server in PEERS]
    values = [value for value in values if value is not None]
    return (min if least else max)(values) if values else None


def rates(results, workload):
    """The main table of most workloads: medians of each server, and MCR's ratios."""
    key, unit, digits = RATE[workload]
    servers = results.servers(workload)
    others = [server for server in servers if server not in PEERS and server != "MCR"]
    with_peers = any(server in PEERS for server in servers)
    head = [unit] + servers
    if "MCR" in servers:
        head += (["MCR / best peer"] if with_peers else []) + [f"MCR / {server}" for server in others]
    rows = []
    for variant in results.cells[workload]:
        values = [results.median(workload, variant, server, key) for server in servers]
        row = [variant] + [number(value, digits) for value in values]
        mine = results.median(workload, variant, "MCR", key)
        if "MCR" in servers:
            row += [ratio(mine, best_peer(results, workload, variant, key))] if with_peers else []
            row += [ratio(mine, results.median(workload, variant, server, key)) for server in others]
        rows.append(row)
    return table(head, rows)


def limits(results):
    """What the machine does at most, in operations and in bytes."""
    name = NAMES["limit"]
    rows = [[variant, number(results.median("machine", variant, name, "per_s")),
             number(results.median("machine", variant, name, "mib_per_s"))] for variant in results.cells["machine"]]
    return table(["at once", "1/s", "MiB/s"], rows)


def costs(results, workload, key, title, digits, least=True):
    """One figure of all servers, and MCR's ratio to the best peer's."""
    servers = [server for server in results.servers(workload) if server not in ("limit of the machine", "bare actix-web")]
    with_peers = any(server in PEERS for server in servers)
    rows = []
    for variant in results.cells[workload]:
        row = [variant] + [number(results.median(workload, variant, server, key), digits) for server in servers]
        if with_peers:
            row.append(ratio(results.median(workload, variant, "MCR", key),
                             best_peer(results, workload, variant, key, least)))
        rows.append(row)
    return table([title] + servers + (["MCR / best peer"] if with_peers else []), rows)


def latency(results, workload):
    milliseconds = lambda value: None if value is None else value / 1000
    servers = results.servers(workload)
    rows = [[variant] + [number(milliseconds(results.median(workload, variant, server, "p99_us")), 2) for server in servers]
            for variant in results.cells[workload]]
    return table(["p99, ms"] + servers, rows)


def own(results, workload):
    """What part of the processor time was the load program's own."""
    shares = [share for variants in results.cells[workload].values() for lines in variants.values()
              for share in value_list(lines, "own_share") if 0 < share < 1]
    if not shares:
        return ""
    return f"The load program took {min(shares):.0%} to {max(shares):.0%} of the processor time of a measurement.\n"


def memory(results):
    rows = []
    for variant, servers in results.cells["l"].items():
        for server in ORDER:
            if server not in servers:
                continue
            get = lambda key: results.median("l", variant, server, key)
            mib = lambda key: None if get(key) is None else get(key) / 2**20
            rows.append([variant, server, number(mib("rss_before"), 1), number(mib("rss_peak"), 1),
                         number(mib("rss_after"), 1), number(get("syncs_each"), 2)])
    return table(["", "", "MiB before", "most", "after", "syncs for each"], rows)


def startup(results):
    rows = [[variant, number(results.median("k", variant, "MCR", "seconds") * 1000),
             number(results.median("k", variant, "MCR", "rss_after") / 2**20, 1)]
            for variant in results.cells["k"] if results.median("k", variant, "MCR", "seconds")]
    return table(["", "ms until it listens", "MiB resident"], rows)


def sweeps(results):
    rows = []
    for variant in results.cells["sweep"]:
        get = lambda key: results.median("sweep", variant, "MCR", key)
        if get("seconds"):
            rows.append([variant, number(get("operations")), number(get("seconds"), 1),
                         number(get("operations") / get("seconds")), number(get("longest_write_us") / 1000, 1),
                         number(get("server_cpu_s"), 1), number(get("rss_before") / 2**20), number(get("rss_peak") / 2**20)])
    return table(["", "blobs removed", "s", "blobs/s", "longest write, ms", "CPU, s", "MiB before", "most"], rows)


def section(results, workload):
    if workload == "sweep":
        return sweeps(results)
    if workload == "k":
        return startup(results)
    if workload == "l":
        return memory(results)
    parts = [limits(results) if workload == "machine" else rates(results, workload)]
    if workload in "abefghj":
        parts += [latency(results, workload)]
        parts += [costs(results, workload, "cpu_per_thousand", "server CPU, s per 1000 requests", 3)]
    if workload in "cd":
        parts += [costs(results, workload, "cpu_per_gib", "server CPU, s per GiB", 2)]
        parts += [costs(results, workload, "rss_peak", "most resident bytes", 0)]
    if workload not in ("machine",):
        parts += [own(results, workload)]
    return "\n".join(parts)


def goal(results, workload, variant, key, against, bound, above=True):
    """Whether MCR's median stands in this ratio to another one."""
    mine = results.median(workload, variant, "MCR", key)
    if not mine or not against:
        return None
    value = mine / against
    return value, value >= bound if above else value <= bound


def goals(results):
    """The goals that can be told from these results: name, bound, the worst ratio, whether it holds."""
    rows = []

    def judge(name, bound, found, above=True):
        found = [one for one in found if one]
        if found:
            worst = (min if above else max)(value for value, _ in found)
            rows.append([name, ("≥ " if above else "≤ ") + str(bound), f"{worst:.2f}",
                         "met" if all(good for _, good in found) else "**missed**"])

    def each(workload, key, against, bound, above=True, only=""):
        return [goal(results, workload, variant, key, against(variant), bound, above)
                for variant in results.cells.get(workload, {}) if only in variant]

    for workload in "ab":
        peer = lambda variant: best_peer(results, workload, variant, "per_s")
        judge(f"({workload}) requests/s, best peer", 2, each(workload, "per_s", peer, 2))
        peer = lambda variant: best_peer(results, workload, variant, "p99_us", True)
        judge(f"({workload}) p99 at 64, best peer", 1, each(workload, "p99_us", peer, 1, False, ", 64"), False)
        bare = lambda variant: results.median(workload, variant, "bare actix-web", "per_s")
        judge(f"({workload}) requests/s, bare actix-web", 0.5, each(workload, "per_s", bare, 0.5))
    for face in ("plain", "tls"):
        server = lambda variant: results.median("c", variant, "nginx", "mib_per_s")
        judge(f"(c) MiB/s, nginx without sendfile, {face}", 0.9, each("c", "mib_per_s", server, 0.9, True, face))
        server = lambda variant: results.median("d", variant, "limit of the machine", "mib_per_s")
        judge(f"(d) MiB/s, limit of the machine, {face}", 0.9, each("d", "mib_per_s", server, 0.9, True, face))
    peer = lambda variant: best_peer(results, "d", variant, "mib_per_s")
    judge("(d) MiB/s, best peer", 1, each("d", "mib_per_s", peer, 1))
    peer = lambda variant: best_peer(results, "e", variant, "per_s")
    judge("(e) images/s at 16 clients, best peer", 3, each("e", "per_s", peer, 3, True, "16 "))
    fewer = {"16 clients": "1 clients", "64 clients": "16 clients"}
    less = lambda variant: results.median("e", fewer.get(variant, ""), "MCR", "per_s")
    judge("(e) images/s, fewer clients", 1, each("e", "per_s", less, 1))
    peer = lambda variant: best_peer(results, "g", variant, "per_s")
    judge("(g) requests/s, best peer", 1.5, each("g", "per_s", peer, 1.5))
    token = results.median("h", "token", "MCR", "cpu_per_thousand")
    judge("(h) CPU of Basic, of a token", 1.2, [goal(results, "h", "Basic", "cpu_per_thousand", token, 1.2, False)], False)
    pages = {}
    for variant in results.cells.get("i", {}):
        pages.setdefault(variant.split(" of ")[0], []).append(results.median("i", variant, "MCR", "p50_us"))
    judge("(i) the same page, largest and smallest", 1.5,
          [(max(some) / min(some), max(some) / min(some) <= 1.5) for some in pages.values() if len(some) > 1 and all(some)],
          False)
    calm = lambda variant: results.median("j", variant.replace(", sweep", ", no sweep"), "MCR", "p99_us")
    judge("(j) p99 with a sweep, without", 1.5, each("j", "p99_us", calm, 1.5, False, ", sweep"), False)
    judge("(k) seconds until it listens", 1,
          [(value, value < 1) for variant in results.cells.get("k", {})
           if (value := results.median("k", variant, "MCR", "seconds"))], False)
    idle = best_peer(results, "l", "idle", "rss_after", True)
    judge("(l) idle memory, best peer", 0.5, [goal(results, "l", "idle", "rss_after", idle, 0.5, False)], False)
    for workload, key in (("a", "cpu_per_thousand"), ("e", "cpu_per_thousand"), ("c", "cpu_per_gib"), ("d", "cpu_per_gib")):
        peer = lambda variant: best_peer(results, workload, variant, key, True)
        judge(f"(l) CPU of ({workload}), best peer", 0.7, each(workload, key, peer, 0.7, False), False)
    return table(["goal: MCR's ratio", "bound", "worst found", ""], rows) if rows else ""


def said(command):
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (ran.stdout + ran.stderr).strip().splitlines()[0] if ran.stdout + ran.stderr else None


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    kind = said(["findmnt", "-no", "FSTYPE", "-T", "."]) or "unknown"
    return (f"{os.cpu_count()} processors ({model}), {memory_gib:.0f} GiB of memory, the data on {kind}, "
            f"Linux {os.uname().release.split('-')[0]}; client and servers share it and speak over the loopback interface")


def write(path, document, command, mcrsrv, registry):
    results = Results(path)
    versions = [said([mcrsrv, "--version"]), said(["docker-registry", "--version"]), said([registry, "--version"]),
                said(["nginx", "-v"])]
    versions = [re.sub(r"^\S*/", "", version) if "/" in version.split()[0] else version for version in versions if version]
    stamp = (f"- date: {datetime.date.today().isoformat()}\n- machine: {machine()}\n- versions: {'; '.join(versions)}\n"
             f"- command: `{command.strip()}`\n")
    parts = {"head": stamp, "goals": goals(results)}
    parts |= {workload: section(results, workload) for workload in TITLES if workload in results.cells}
    try:
        with open(document, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        text = f"# Performance\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    old, after = rest.split(END, 1)
    kept = dict(re.findall(r"<!-- part: (\w+) -->\n(.*?)(?=<!-- part: |\Z)", old, re.S))
    parts["goals"] = merged_goals(parts["goals"], kept.get("goals", ""))
    # Tables of workloads that were not run stay, with the date of their own run.
    merged = "".join(f"<!-- part: {name} -->\n{piece(name, parts, kept, stamp)}\n"
                     for name in ["head", "goals", *TITLES] if name in parts or name in kept)
    with open(document, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{merged.rstrip()}\n{END}{after}")
    print(f"wrote {document}")


def merged_goals(new, old):
    """The goals judged now, then those that an earlier run judged and this one did not."""
    rows = lambda text: [line for line in text.splitlines() if line.startswith("| (")]
    judged = {row.split(" | ")[0] for row in rows(new)}
    kept = [row for row in rows(old) if row.split(" | ")[0] not in judged]
    all_rows = sorted(rows(new) + kept, key=lambda row: row[:5])
    return table(["goal: MCR's ratio", "bound", "worst found", ""], []) + "".join(row + "\n" for row in all_rows)


def piece(name, parts, kept, stamp):
    if name not in parts:
        return kept[name].strip() + "\n"
    if name == "head":
        return parts[name]
    if name == "goals":
        return f"## Goals\n\n{parts[name]}"
    return f"## {TITLES[name]}\n\n{parts[name]}\nMeasured by {stamp.splitlines()[-1].removeprefix('- command: ')} on " \
           f"{datetime.date.today().isoformat()}.\n"


if __name__ == "__main__":
    {"record": record, "write": write}[sys.argv[1]](*sys.argv[2:])
