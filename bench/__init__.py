"""What flockd can do on this machine, as ratios to a ceiling measured in the same run: `make bench`.

A number without its ceiling says more about the machine than about the program. So every measure runs twice,
interleaved: once on `flockd serve`, once on the least program that keeps the same promise (`ceiling.py`). One
separate client process (`load.py`) drives both with requests that are made beforehand.

    throughput.py    publishes, chains, beside a CPU-bound agent
    latency.py       ack to agent start, the time of one hop
    pages.py         list pages at 1 k, 100 k and 1 M artifacts
    startup.py       start to ready, idle memory
    fanout.py        one event to many subscribers, replay, a reader that stalls
    match.py         the agents that an artifact wakes, the next run of many lanes

    flock.py         the agents that are measured
    ceiling.py       the bare server
    servers.py       starts and stops both
    rounds.py        both under the same load, in turn
    load.py          the client process, and client.py steers it
    watchers.py      the process of the subscribers, and audience.py steers it
    bare_streams.py  the bare server of streams
    boards.py        filled databases, kept in bench/.cache
    report.py        the table, RESULTS.md, JSON
"""
