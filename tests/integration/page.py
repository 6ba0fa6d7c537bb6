"""What the live page of a run says, asked over http.client. Each command is one check, for page.sh."""
import http.client
import json
import socket
import sys
import time
import urllib.parse


def address_of(run):
    with open(f"{run}/page") as file:
        return urllib.parse.urlsplit(file.read().strip())


def ask(run, path="/state.json", method="GET", headers=None):
    """(code, headers, body)"""
    connection = http.client.HTTPConnection(address_of(run).netloc, timeout=30)
    connection.request(method, path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, body


def state_of(run):
    while True:
        code, _, body = ask(run)
        if code == 200:
            return json.loads(body)
        assert code == 503, body


def wait(run, what, test, seconds=30):
    """Until the state passes the test; the state, and how long that took."""
    begun = time.monotonic()
    while True:
        state = state_of(run)
        took = time.monotonic() - begun
        if test(state):
            return state, took
        assert took < seconds, f"not within the deadline: {what}: {json.dumps(state)[:2000]}"
        time.sleep(0.01)


def frames(run):
    """Events of the stream, as they come, until the run closes it."""
    connection = http.client.HTTPConnection(address_of(run).netloc, timeout=60)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    for line in answer:
        if line.startswith(b"data: "):
            yield json.loads(line[len("data: "):])


def follow(run):
    """Put together what the stream brings, as the page does; print the last frame."""
    curves, number, steps, frame = {}, 0, [], None
    for frame in frames(run):
        assert frame["since"] in (0, number), frame["since"]
        assert (frame["since"] == 0) == ("run" in frame)
        number = frame["number"]
        for curve in frame["curves"]:
            points = curves.setdefault(curve["key"], [])
            assert curve["from"] <= len(points)
            points[curve["from"]:] = curve["points"]
            assert len(points) <= 1001
        for share in frame["shares"].values():
            assert share is None or 0 <= share <= 1, frame["shares"]
        steps.append(frame["step"])
        if len(steps) == 3:
            print("following", flush=True)
    assert steps == sorted(steps) and steps[-1] > steps[0], steps
    for points in curves.values():
        xs = [point[0] for point in points]
        assert xs == sorted(xs), xs
    print(json.dumps({key: frame[key] for key in ("phase", "over", "why", "step")}))
    print("test", [row["key"] for row in frame["test"]])


def whole(run):
    state = state_of(run)
    assert state["run"]["steps"] > 0 and state["phase"] == "training" and not state["over"]
    assert "tasks:" in state["run"]["experiment"] and state["lines"]
    assert [worker["peer"] for worker in state["pool"]][:1] == [0]
    code, headers, body = ask(run, "/")
    assert code == 200 and "<main" in body and "default-src 'self'" in headers["Content-Security-Policy"]
    for path in ("/page.css", "/page.js", "/chart.js", "/icon.svg", "/experiment.yaml", "/metrics"):
        assert ask(run, path)[0] == 200, path
    # our files name no other place; Chart.js has addresses of its authors in a comment
    for path in ("/", "/page.css", "/page.js"):
        body = ask(run, path)[2]
        assert "http://" not in body and "https://" not in body and "//cdn" not in body, path


def bad(run):
    before = state_of(run)["step"]
    port = address_of(run).port
    for path in ("/..%2f..%2fetc%2fpasswd", "/../../../../etc/passwd", "/checkpoints/", "/%00", "//etc/passwd", "/lock"):
        code, _, body = ask(run, path)
        assert code in (400, 404) and "root:" not in body, (path, code)
    assert ask(run, "/state.json", headers={"Host": "rebound.example"})[0] == 421
    assert ask(run, method="POST")[0] == 405
    with socket.create_connection(("127.0.0.1", port)) as large: # 10 MB, as far as they are taken
        large.settimeout(30)
        try:
            large.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n")
            for _ in range(100):
                large.sendall(b"x" * 100000)
        except OSError:
            pass
        try:
            assert b"405" in large.recv(4096)
        except ConnectionResetError:
            pass # it was closed before all was said
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for one in idle:
        one.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n") # and never reads
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    for one in slow:
        one.sendall(b"GET / HT") # nor ends what it says
    wait(run, "the run goes on", lambda state: state["step"] > before + 20)
    for one in idle + slow:
        one.close()


def joined(run, name):
    _, took = wait(run, f"{name} is there", lambda state: any(w["name"].endswith(":" + name) for w in state["pool"]))
    print(f"after {took:.2f} s")
    wait(run, f"{name} has done something", lambda state: any(w["name"].endswith(":" + name) and w["tasks"] > 0 for w in state["pool"]))


def gone(run, name, how):
    state, _ = wait(run, f"{name} went", lambda state: any(g["name"].endswith(name) and g["how"] == how for g in state["gone"]))
    assert all(g["why"] for g in state["gone"])


def token(run):
    url = address_of(run)
    secret = urllib.parse.parse_qs(url.query)["token"][0]
    assert ask(run)[0] == 401 and ask(run, "/metrics", headers={"Authorization": "Bearer x" + secret})[0] == 401
    assert ask(run, headers={"Authorization": "Bearer " + secret})[0] in (200, 503)
    code, headers, _ = ask(run, "/?" + url.query)
    assert code == 303 and headers["Location"] == "/" and "HttpOnly" in headers["Set-Cookie"]
    assert ask(run, "/", headers={"Cookie": headers["Set-Cookie"].split(";")[0]})[0] == 200


def curve_from(run, step):
    """A run that goes on shows the time before."""
    state = state_of(run)
    loss = next(curve for curve in state["curves"] if curve["key"] == "loss")
    assert loss["points"][0][0] < step and state["run"]["begun_at"] >= step, (loss["points"][:2], state["run"]["begun_at"])


def task(run, picture, *words):
    """A task of the newest checkpoint: drawn, or why not; and told in words."""
    begun = time.monotonic()
    while True:
        code, _, body = ask(run, "/task.json?index=1")
        assert code == 200, body
        told = json.loads(body)
        if told["state"] != "waiting" and told["step"] is not None:
            break
        assert time.monotonic() - begun < 60, told
        time.sleep(0.05)
    assert told["picture"] == (picture == "drawn") and (told["why"] == "") == told["picture"], told
    for word in words:
        assert word in told["text"], (word, told["text"])
    connection = http.client.HTTPConnection(address_of(run).netloc, timeout=30)
    connection.request("GET", "/task.png?index=1")
    answer = connection.getresponse()
    body = answer.read()
    assert (answer.status, body[:4] == b"\x89PNG") == ((200, True) if told["picture"] else (404, False)), answer.status
    assert ask(run, "/task.json?index=-1")[0] == 400
    print(f"{len(body)} bytes, step {told['step']}" if told["picture"] else told["why"].strip())


def written(run):
    """Of a run that waits for workers, all that is done is in metrics.jsonl, though nothing happens any more."""
    begun = time.monotonic()
    while True:
        step = state_of(run)["step"]
        with open(f"{run}/metrics.jsonl") as file:
            last = json.loads(file.readlines()[-1])["step"]
        if last == step and state_of(run)["step"] == step:
            break
        assert time.monotonic() - begun < 10, (last, step)
        time.sleep(0.05)
    print(f"meta-step {step}, {time.monotonic() - begun:.2f} s later")


def pester(run):
    """Ask for tasks as often as it goes, until the run ends."""
    steps = set()
    try:
        for index in range(1000000):
            told = json.loads(ask(run, f"/task.json?index={index % 3}")[2])
            steps.add(told["step"])
            if len(steps) == 2:
                print("pestering", flush=True)
            time.sleep(0.002)
    except (OSError, http.client.HTTPException, IndexError):
        assert len(steps) > 1, steps


def shares(run):
    with open(f"{run}/metrics.jsonl") as file:
        for record in map(json.loads, file):
            for key, value in record.items():
                assert not key.startswith("share_") or value is None or 0 <= value <= 1.001, record


if __name__ == "__main__":
    command, run, *rest = sys.argv[1:]
    globals()[command](run, *[int(word) if command == "curve_from" else word for word in rest])
