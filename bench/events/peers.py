#!/usr/bin/env python3
"""The events benchmark beside DuckDB and chdb: the same 10 M generated events, the same five
questions, answers compared, times and memory told.

    cargo build --release -p andon-store --example events
    cargo build --release -p andon-bench
    python3 -m venv /tmp/events/venv && /tmp/events/venv/bin/pip install duckdb chdb
    /tmp/events/venv/bin/python bench/events/peers.py --rows 10000000 --folder /tmp/events

Each engine runs in a process of its own, so that memory is its own. Counts must be equal,
exemplars the same events, quantiles within 1 % of the exact ones. Each question is asked six
times; of the last five the best and the median are told, and the processor time of the best.
A machine that does other work tells too long times: look at the load that is printed with each
engine, and at processor time. What was loaded before is used again with --keep.
"""
import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time

BEGIN_MS = 1_795_132_800_000
EVENTS = "target/release/examples/events"
BENCH = "target/release/andon-bench"
QUESTIONS = ["q1", "q2", "q3", "q4", "q5"]

DUCKDB = {
    "q1": "select region, count(*), avg(case when status >= 500 then 1.0 else 0 end), approx_quantile(duration_ms, 0.5), approx_quantile(duration_ms, 0.99) from events group by region order by region",
    "q2": "select host, approx_quantile(duration_ms, 0.99) p from events where zone = 'region-2-b' group by host order by p desc limit 20",
    "q3": "select (ts - {b}) // 60000 t, floor(log2(duration_ms) * 4) v, count(*) from events group by t, v order by t, v",
    "q4": "select kernel_version, approx_quantile(duration_ms, 0.99) from events join hosts using (host) group by kernel_version order by kernel_version",
    "q5": "select trace_id, duration_ms from events where duration_ms >= (select approx_quantile(duration_ms, 0.999) from events) order by duration_ms desc limit 10",
    "exact1": "select region, quantile_cont(duration_ms, 0.5), quantile_cont(duration_ms, 0.99) from events group by region order by region",
    "exact2": "select host, quantile_cont(duration_ms, 0.99) p from events where zone = 'region-2-b' group by host order by p desc",
    "exact4": "select kernel_version, quantile_cont(duration_ms, 0.99) from events join hosts using (host) group by kernel_version order by kernel_version",
}
CHDB = {
    "q1": "select region, count(*), avg(status >= 500), quantileTDigest(0.5)(duration_ms), quantileTDigest(0.99)(duration_ms) from events group by region order by region",
    "q2": "select host, quantileTDigest(0.99)(duration_ms) p from events where zone = 'region-2-b' group by host order by p desc limit 20",
    "q3": "select intDiv(ts - {b}, 60000) t, floor(log2(duration_ms) * 4) v, count(*) from events group by t, v order by t, v",
    "q4": "select kernel_version, quantileTDigest(0.99)(duration_ms) from events join hosts using (host) group by kernel_version order by kernel_version",
    "q5": "select trace_id, duration_ms from events where duration_ms >= (select quantileTDigest(0.999)(duration_ms) from events) order by duration_ms desc limit 10",
}
COLUMNS = "ts bigint, region varchar, zone varchar, \"host.name\" varchar, \"service.name\" varchar, endpoint varchar, status smallint, duration_ms double, kernel varchar, trace_id varchar"


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def timed(ask, times=6):
    walls, cpus, rows = [], [], None
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        rows = ask()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    first, walls = walls[0], sorted(walls[1:] or walls)
    median = walls[len(walls) // 2]
    return {"first_ms": first, "best_ms": walls[0], "median_ms": median, "cpu_ms": min(cpus), "rows": rows}


def duckdb_connect(folder):
    import duckdb

    connection = duckdb.connect(f"{folder}/peer.duckdb")
    connection.execute("set threads = 2")
    return connection


def duckdb_load(folder, lines):
    connection = duckdb_connect(folder)
    started = time.perf_counter()
    spec = "{" + ", ".join(
        f"'{name.strip(chr(34))}': '{kind}'" for name, kind in (column.strip().split(" ") for column in COLUMNS.split(","))
    ) + "}"
    connection.execute(
        f"""create table events as select ts, region, zone, "host.name" host, "service.name" service, endpoint, status,
        duration_ms, kernel, ('0x' || trace_id)::ubigint trace_id from read_json('{lines}', format='newline_delimited', columns={spec})"""
    )
    connection.execute(f"create table hosts as select * from read_csv('{lines[:-6]}hosts.csv', types={{'kernel_version': 'varchar'}})")
    connection.execute("checkpoint")
    seconds = time.perf_counter() - started
    rows = connection.execute("select count(*) from events").fetchone()[0]
    connection.close()
    size = os.path.getsize(f"{folder}/peer.duckdb")
    return {"ndjson_rows_per_s": rows / seconds, "bytes_per_row": size / rows, "memory_peak_mb": peak_mb()}


def duckdb_ask(folder):
    connection = duckdb_connect(folder)
    result = {}
    for name, text in DUCKDB.items():
        text = text.format(b=BEGIN_MS)
        times = 1 if name.startswith("exact") else 6
        result[name] = timed(lambda: connection.execute(text).fetchall(), times)
        if name == QUESTIONS[-1]:
            result["memory_peak_mb"] = peak_mb()
    return result


def chdb_session(folder):
    from chdb import session

    connection = session.Session(f"{folder}/peer.chdb")
    connection.query("set max_threads = 2")
    return connection


def chdb_load(folder, lines):
    connection = chdb_session(folder)
    kinds = {"bigint": "Int64", "varchar": "LowCardinality(String)", "smallint": "Int16", "double": "Float64"}
    columns = []
    for column in COLUMNS.split(","):
        name, kind = column.strip().split(" ")
        name = name.strip('"')
        columns.append(f"`{name}` {'String' if name == 'trace_id' else kinds[kind]}")
    structure = ", ".join(columns)
    connection.query("create database if not exists bench engine = Atomic")
    connection.query(
        """create table bench.events (ts Int64, region LowCardinality(String), zone LowCardinality(String), host LowCardinality(String),
        service LowCardinality(String), endpoint LowCardinality(String), status Int16, duration_ms Float64, kernel LowCardinality(String),
        trace_id UInt64) engine = MergeTree order by (service, host, ts)"""
    )
    started = time.perf_counter()
    connection.query(
        f"""insert into bench.events select ts, region, zone, `host.name`, `service.name`, endpoint, status, duration_ms, kernel,
        reinterpretAsUInt64(reverse(unhex(trace_id))) from file('{lines}', JSONEachRow, '{structure}')"""
    )
    seconds = time.perf_counter() - started
    connection.query("create table bench.hosts (host String, kernel_version String) engine = MergeTree order by host")
    connection.query(f"insert into bench.hosts select * from file('{lines[:-6]}hosts.csv', CSVWithNames, 'host String, kernel_version String')")
    connection.query("optimize table bench.events final")
    rows, size = json.loads(
        connection.query("select (select count() from bench.events), (select sum(bytes_on_disk) from system.parts where active and database = 'bench' and table = 'events')", "JSONCompactEachRow").bytes()
    )
    return {"ndjson_rows_per_s": int(rows) / seconds, "bytes_per_row": int(size) / int(rows), "memory_peak_mb": peak_mb()}


def chdb_ask(folder):
    connection = chdb_session(folder)
    connection.query("use bench")
    result = {}
    for name, text in CHDB.items():
        text = text.format(b=BEGIN_MS).replace("from events", "from bench.events").replace("join hosts", "join bench.hosts")

        def ask():
            lines = connection.query(text, "JSONCompactEachRow").bytes().decode().splitlines()
            return [json.loads(line) for line in lines]

        result[name] = timed(ask)
    result["memory_peak_mb"] = peak_mb()
    return result


def andon_rows(answers):
    """Andon's answers in the shape of the peers' rows."""
    rows = {name: answers[name]["answer"]["rows"] for name in QUESTIONS}
    rows["q1"] = sorted(rows["q1"])
    rows["q4"] = sorted(rows["q4"])
    heatmap = {}
    for minute, (_, bins) in enumerate(rows["q3"]):
        for low, count in bins:
            heatmap[(minute, low)] = count
    rows["q3"] = heatmap
    slowest = [one for one in answers["q5"]["answer"]["exemplars"] if one["why"] == "slowest"]
    rows["q5"] = [(int(one["attributes"]["trace_id"], 16), one["attributes"]["duration_ms"]) for one in slowest]
    return rows


def compare(andon, duckdb, chdb, connection):
    """Raises where answers differ; returns the largest error of a p99."""
    exact1, exact2, exact4 = (duckdb[name]["rows"] for name in ("exact1", "exact2", "exact4"))
    errors = {"andon": [], "duckdb": [], "chdb": []}
    for engine, rows in (("andon", andon), ("duckdb", {n: duckdb[n]["rows"] for n in QUESTIONS}), ("chdb", {n: chdb[n]["rows"] for n in QUESTIONS})):
        for row, exact, count in zip(rows["q1"], exact1, duckdb["q1"]["rows"]):
            assert row[0] == exact[0] and int(row[1]) == count[1], f"{engine} q1 counts {row} {count}"
            assert math.isclose(row[2], count[2], rel_tol=1e-9), f"{engine} q1 error share {row} {count}"
            errors[engine] += [abs(row[3] / exact[1] - 1), abs(row[4] / exact[2] - 1)]
        hosts = dict(exact2)
        for host, p99 in rows["q2"]:
            errors[engine].append(abs(p99 / hosts[host] - 1))
        for row, exact in zip(rows["q4"], exact4):
            assert row[0] == exact[0], f"{engine} q4 groups"
            errors[engine].append(abs(row[1] / exact[1] - 1))
    assert max(errors["andon"]) <= 0.01, f"andon's quantiles are off by {max(errors['andon']):.4f}"
    ours = [trace for trace, _ in andon["q5"]]
    for engine, answers in (("duckdb", duckdb), ("chdb", chdb)):
        theirs = [int(row[0]) for row in answers["q5"]["rows"]]
        assert ours == theirs, f"{engine} q5 {theirs} and {ours}"
    # The same bins as Andon's own: so many linear steps in each doubling.
    lows = sorted({low for _, low in andon["q3"]})
    cases = " ".join(f"when duration_ms >= {low} then {low}" for low in reversed(lows))
    theirs = connection.execute(f"select (ts - {BEGIN_MS}) // 60000 t, case {cases} end v, count(*) from events group by t, v").fetchall()
    assert {(t, float(v)): count for t, v, count in theirs} == andon["q3"], "q3 heatmap"
    return {engine: max(found) for engine, found in errors.items()}, len(lows)


def child(engine, step, folder, lines):
    command = [sys.executable, __file__, "--engine", engine, "--step", step, "--folder", folder, "--lines", lines]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def own(command):
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def load_all(folder, lines, rows, keep):
    """What loading took, engine by engine; what is there already is kept where asked."""
    told, loads = f"{folder}/loads.json", {}
    if keep and os.path.exists(told):
        with open(told) as file:
            loads = json.load(file)
    for engine in ("andon", "duckdb", "chdb"):
        if engine in loads:
            continue
        if engine == "andon":
            shutil.rmtree(f"{folder}/andon", ignore_errors=True)
            loads[engine] = own([EVENTS, "ingest", f"{folder}/andon", str(rows)])
        else:
            for old in (f"{folder}/peer.{engine}", f"{folder}/peer.{engine}.wal"):
                shutil.rmtree(old, ignore_errors=True)
                if os.path.exists(old):
                    os.remove(old)
            loads[engine] = child(engine, "load", folder, lines)
        loads[engine]["load"] = os.getloadavg()[0]
        with open(told, "w") as file:
            json.dump(loads, file)
    if "lines" not in loads["andon"] and os.path.exists(BENCH):
        shutil.rmtree(f"{folder}/andon-lines", ignore_errors=True)
        loads["andon"]["lines"] = own([BENCH, "lines", lines, f"{folder}/andon-lines"])
        shutil.rmtree(f"{folder}/andon-lines")
        with open(told, "w") as file:
            json.dump(loads, file)
    return loads


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", default="/tmp/events")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--engine")
    parser.add_argument("--step")
    parser.add_argument("--lines")
    options = parser.parse_args()
    folder = options.folder
    if options.engine:
        step = globals()[f"{options.engine}_{options.step}"]
        print(json.dumps(step(folder, options.lines) if options.step == "load" else step(folder), default=float))
        return
    os.makedirs(folder, exist_ok=True)
    lines = f"{folder}/events.ndjson"
    if not os.path.exists(lines):
        subprocess.run([EVENTS, "write", lines, str(options.rows)], check=True)
    loads = load_all(folder, lines, options.rows, options.keep)
    answers, busy = {}, {}
    for engine in loads:
        answers[engine] = own([EVENTS, "ask", f"{folder}/andon"]) if engine == "andon" else child(engine, "ask", folder, lines)
        busy[engine] = os.getloadavg()[0]
    connection = duckdb_connect(folder)
    errors, bins = compare(andon_rows(answers["andon"]), answers["duckdb"], answers["chdb"], connection)
    print("Milliseconds: best, median (processor time of both cores).\n")
    print("| question | Andon | DuckDB | chdb |\n| --- | --- | --- | --- |")
    for name in QUESTIONS:
        told = [answers[engine][name] for engine in answers]
        cells = [f"{one['best_ms']:.0f}, {one['median_ms']:.0f} ({one['cpu_ms']:.0f})" for one in told]
        print(f"| {answers['andon'][name]['name']} | " + " | ".join(cells) + " |")
        print("| the first time, nothing in memory | " + " | ".join(f"{one['first_ms']:.0f}" for one in told) + " |")
    print("| load average meanwhile | " + " | ".join(f"{busy[engine]:.1f}" for engine in answers) + " |")
    print("| largest error of p50, p99, % | " + " | ".join(f"{errors[engine] * 100:.1f}" for engine in answers) + " |")
    print("| taken in, structured and durable, thousand rows/s | " + f"{loads['andon']['durable_rows_per_s'] / 1e3:.0f} | | |")
    ndjson = [loads["andon"].get("lines", {}).get("thousand_lines_per_s", math.nan)] + [loads[engine]["ndjson_rows_per_s"] / 1e3 for engine in ("duckdb", "chdb")]
    print("| taken in from NDJSON, thousand rows/s | " + " | ".join(f"{rate:.0f}" for rate in ndjson) + " |")
    print("| load average meanwhile | " + " | ".join(f"{loads[engine]['load']:.1f}" for engine in answers) + " |")
    print("| bytes a row on disk | " + " | ".join(f"{loads[engine]['bytes_per_row']:.1f}" for engine in answers) + " |")
    print("| memory while loading, MB | " + " | ".join(f"{loads[engine]['memory_peak_mb']}" for engine in answers) + " |")
    print("| memory while asking, MB | " + " | ".join(f"{answers[engine]['memory_peak_mb']}" for engine in answers) + " |")
    print(f"\nAnswers are the same: counts, heatmap ({bins} bins by 60 minutes) and exemplars equal, Andon's quantiles within 1 % of exact ones.")


if __name__ == "__main__":
    main()
