"""Ask a Prometheus server all that the dashboard asks: PORT DASHBOARD. For page_prometheus.sh."""
import http.client
import json
import os
import re
import sys
import time
import urllib.parse

port, dashboard = int(sys.argv[1]), json.load(open(sys.argv[2]))
deadline = time.monotonic() + 40 * int(os.environ.get("MNEMO_TEST_PATIENCE", "1"))


def ask(path, **arguments):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path + "?" + urllib.parse.urlencode(arguments))
    answer = json.load(connection.getresponse())
    connection.close()
    assert answer["status"] == "success", answer
    return answer["data"]


def until(what, test):
    while True:
        try:
            found = test()
        except (ConnectionError, json.JSONDecodeError): # it is only starting
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, f"not within the deadline: {what}"
        time.sleep(0.1)


target = until("a scrape", lambda: [t for t in ask("/api/v1/targets")["activeTargets"] if t["health"] != "unknown"])[0]
assert target["health"] == "up" and target["lastError"] == "", target
meta = ask("/api/v1/metadata")
ours = {name: told[0] for name, told in meta.items() if name.startswith("mnemo_")}
# Only OpenMetrics tells units, and families without _total.
assert ours["mnemo_thread_seconds"]["type"] == "counter" and ours["mnemo_thread_seconds"]["unit"] == "seconds", ours
print(f"ok: scraped as OpenMetrics, {len(ours)} families, no error")

# Those whose numbers come only when a run is tested, or goes wrong, may be empty.
later = re.compile("mnemo_test_score")
queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
assert len(queries) >= 8
for query in queries:
    query = query.replace("$run", ".*").replace("$__rate_interval", "10s")
    if not later.search(query):
        until(query, lambda: ask("/api/v1/query", query=query)["result"])
print(f"ok: all {len(queries)} questions of the dashboard have an answer")
