"""`lorabert serve` as a user runs it: a process of its own, a real socket, a real signal."""

import contextlib
import http.client
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import serving
from lorabert.shipping.store import Store

RAY = importlib.util.find_spec("ray") is not None
WITH_RAY = pytest.mark.skipif(not RAY, reason="Ray is not installed")
WITHOUT_RAY = pytest.mark.skipif(RAY, reason="Ray is installed")
JSON = {"content-type": "application/json"}


class Server:
    """A running server; its lines of stderr come after it has ended."""

    def __init__(self, process):
        self.process = process
        ready, _, _ = select.select([process.stdout], [], [], 120)
        line = process.stdout.readline() if ready else ""
        if not line:
            process.kill()
            raise AssertionError(process.communicate()[1])
        self.started = json.loads(line)
        self.url = self.started["address"]

    def classify(self, model, given, **options):
        return httpx.post(f"{self.url}/classify", json={"model": model, "input": given}, timeout=60, **options)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.ended()

    def ended(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def kinds(shell):
    import tiny

    return serving.save_kinds(shell.folder / "kinds", tiny.build_base(shell.folder / "served-base"))


@pytest.fixture
def start(shell):
    running = []

    def begin(*words, **env):
        command = [sys.executable, "-m", "lorabert.cli", "serve", *map(str, words), "--port", "0", "--json"]
        process = subprocess.Popen(command, cwd=shell.folder, env=shell.env | env, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        running.append(process)
        return Server(process)

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_store_is_served_and_sigterm_ends_it_with_exit_0(start, kinds, shell):
    store = Store(shell.folder / "served-store")
    for name, folder in kinds.items():
        store.add(folder, name)
    server = start("served-store")
    assert server.started["models"] == ["mood@1", "tone@1", "topic@1"]
    answer = server.classify("mood", ["a film", "my secret"])
    assert answer.status_code == 200
    assert answer.json()["model"] == "mood@1"
    assert server.classify("nobody", "a").status_code == 404
    assert httpx.get(f"{server.url}/ready").status_code == 200
    code, out, err = server.stop()
    assert (code, out) == (0, "")
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [line["status"] for line in lines] == [200, 404, 200]
    assert "secret" not in err
    assert "Traceback" not in err


def test_sigterm_finishes_what_was_accepted_and_refuses_the_rest(start, kinds):
    server = start(kinds["mood"], "--batch_tokens", "64", "--max_texts", "1000", "--max_queue", "4000")
    texts = ["a wonderful film about " + "many words " * 20] * 1000
    answers = []
    asking = threading.Thread(target=lambda: answers.append(server.classify("mood", texts)))
    with httpx.Client(base_url=server.url) as kept:
        assert kept.get("/health").status_code == 200
        asking.start()
        _until(lambda: "lorabert_queue_texts 1000.0" in kept.get("/metrics").text)
        server.process.send_signal(signal.SIGTERM)
        refused = _until(lambda: _refused(server.url))
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["connection"] == "close"
    asking.join(60)
    code, _, err = server.ended()
    assert code == 0, err
    assert answers[0].status_code == 200
    assert len(answers[0].json()["data"]) == 1000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(start, kinds, number):
    server = start(kinds["mood"], "--batch_tokens", "64", "--max_texts", "2000", "--max_queue", "4000", "--drain_seconds", "300")
    texts = ["a wonderful film about " + "many words " * 20] * 2000
    ends = []

    def ask():
        try:
            ends.append(server.classify("mood", texts).status_code)
        except httpx.TransportError as error:
            ends.append(type(error))

    asking = threading.Thread(target=ask)
    with httpx.Client(base_url=server.url) as kept:
        asking.start()
        _until(lambda: "lorabert_queue_texts 2000.0" in kept.get("/metrics").text)
        server.process.send_signal(number)
        _until(lambda: kept.get("/ready").status_code == 503)
    server.process.send_signal(number)
    server.process.wait(5)
    asking.join(60)
    assert server.process.returncode == -number
    assert ends != [200]


def test_what_drain_seconds_do_not_suffice_for_is_told_503(start, kinds):
    server = start(kinds["mood"], "--batch_tokens", "64", "--max_texts", "8000", "--max_queue", "16000", "--drain_seconds", "0.2",
                   "--max_body_bytes", "10000000")  # fmt: skip
    answers = []
    texts = ["a wonderful film about " + "many words " * 20] * 8000
    asking = threading.Thread(target=lambda: answers.append(server.classify("mood", texts)))
    with httpx.Client(base_url=server.url) as kept:
        asking.start()
        _until(lambda: "lorabert_queue_texts 8000.0" in kept.get("/metrics").text)
    server.process.send_signal(signal.SIGTERM)
    asking.join(60)
    code, _, err = server.ended()
    assert code == 0
    assert "Traceback" not in err
    assert answers[0].status_code == 503
    assert "stopped" in answers[0].json()["detail"]


def _refused(url):
    answer = httpx.get(f"{url}/v1/models")
    return answer if answer.status_code == 503 else None


def _until(condition):
    for _ in range(2000):
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen")


@pytest.mark.slow
def test_an_idle_connection_is_kept_longer_than_others_count_on(start, kinds):
    server = start(kinds["mood"])
    address = urlsplit(server.url)
    with contextlib.closing(http.client.HTTPConnection(address.hostname, address.port)) as connection:
        sockets = []
        for _ in range(2):
            connection.request("GET", "/health")
            assert connection.getresponse().read()
            sockets.append(connection.sock)
            time.sleep(6)  # uvicorn would close it after five seconds
        assert sockets[0] is sockets[1] is not None
        assert select.select(sockets[:1], [], [], 0)[0] == []  # nothing to read: not even its end


@pytest.mark.slow
def test_ctrl_c_ends_it_too(start, kinds):
    code, _, err = start(kinds["mood"]).stop(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ray_serves_the_same_answers_and_finishes_what_was_accepted(start, kinds, number):
    pytest.importorskip("ray")
    words = (kinds["mood"], kinds["topic"], "--batch_tokens", "64", "--max_texts", "1000", "--max_queue", "4000")
    alone, server = start(*words), start(*words, "--launcher", "ray")
    assert server.started["models"] == alone.started["models"] == ["mood", "topic"]
    for model in ("mood", "topic"):
        assert server.classify(model, ["a film", "b"]).json()["data"] == alone.classify(model, ["a film", "b"]).json()["data"]
    assert server.classify("nobody", "a").status_code == 404
    texts = ["a wonderful film about " + "many words " * 20] * 1000
    answers = []
    asking = threading.Thread(target=lambda: answers.append(server.classify("mood", texts)))
    with httpx.Client(base_url=server.url) as kept:
        assert [kept.get(path).status_code for path in ("/health", "/ready", "/")] == [200] * 3
        assert [model["id"] for model in kept.get("/v1/models").json()["data"]] == ["mood", "topic"]
        asking.start()
        _until(lambda: "lorabert_queue_texts 1000.0" in kept.get("/metrics").text)
        server.process.send_signal(number)
    asking.join(60)
    code, out, err = server.ended()
    assert (code, out) == (0, ""), err
    assert "Traceback" not in err
    assert answers[0].status_code == 200
    assert len(answers[0].json()["data"]) == 1000


def test_a_large_body_is_413_whichever_way_it_is_sent(start, kinds):
    server = start(kinds["mood"])
    url, body = f"{server.url}/classify", b"x" * 25_000_000
    chunks = [body[:100_000]] * 250
    for _ in range(3):
        for content in (body, iter(chunks)):  # with a length, and chunked
            refused = httpx.post(url, content=content, headers=JSON, timeout=60)
            assert refused.status_code == 413
            assert refused.headers["content-type"] == "application/problem+json"
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)  # reads nothing before it has sent everything
        connection.request("POST", "/classify", body, JSON)
        assert json.loads(connection.getresponse().read())["status"] == 413
    for headers, status in (
        ({"content-encoding": "gzip"}, 415),
        ({"host": "evil.example"}, 421),
        ({"origin": "http://a.b"}, 403),
    ):
        assert httpx.post(url, content=body, headers=JSON | headers, timeout=60).status_code == status
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=20) as raw:  # a length that is not true
        raw.sendall(b"POST /classify HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n{}")
        assert b" 413 " in raw.recv(1000)
    assert server.classify("mood", "a").status_code == 200


def test_curl_sees_the_413_too(start, kinds, shell):
    if not (curl := shutil.which("curl")):
        pytest.skip("no curl here")
    server, large = start(kinds["mood"]), shell.folder / "large.bin"
    large.write_bytes(b"x" * 25_000_000)
    for header in ("Expect:", "Expect: 100-continue", "Transfer-Encoding: chunked"):
        command = [curl, "-sS", "-w", "%{http_code}", "-H", header, "--data-binary", f"@{large}", f"{server.url}/classify"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout[-3:]) == (0, "413"), done.stderr
        assert json.loads(done.stdout[:-3])["status"] == 413
    heads = subprocess.run([curl, "-sSI", f"{server.url}/health"], capture_output=True, text=True, timeout=60)
    assert heads.stdout.startswith("HTTP/1.1 200 OK"), heads


def test_a_broken_request_over_a_real_socket(start, kinds):
    server = start(kinds["mood"])
    host, port = server.url.removeprefix("http://").split(":")
    start_of = b"POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: "
    for sent in (b"nonsense\r\n\r\n", start_of + b"-5\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", start_of + b"50\r\n\r\n{"):
        with socket.create_connection((host, int(port)), timeout=20) as raw:
            raw.sendall(sent)
            if not sent.endswith(b"{"):
                assert b"400" in raw.recv(1000)
    assert server.classify("mood", "a").status_code == 200
    code, _, err = server.stop()
    assert code == 0
    assert "Traceback" not in err


def test_the_token_comes_from_the_environment_and_the_example_client_sends_it(start, kinds, shell):
    server = start(kinds["mood"], LORABERT_TOKEN="open-sesame")
    assert server.classify("mood", "a").status_code == 401
    answer = server.classify("mood", ["one", "two"], headers={"authorization": "Bearer open-sesame"}).json()

    def client(*words, token):
        command = [sys.executable, Path(__file__).parents[2] / "examples" / "client.py", server.url, *words]
        return subprocess.run(command, env=shell.env | {"LORABERT_TOKEN": token}, text=True, capture_output=True, timeout=60)

    lines = [json.loads(line) for line in client("mood", "one", "two", token="open-sesame").stdout.splitlines()]
    assert [line["label"] for line in lines] == [row["label"] for row in answer["data"]]
    assert [list(line["scores"].values()) for line in lines] == [row["probs"] for row in answer["data"]]
    refused = client("mood", "one", token="wrong-token")
    assert refused.returncode == 1
    assert "Authorization" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Nothing to serve"),
        (["nowhere"], "nowhere cannot be served"),
        (["."], "Got a folder"),
        (["kinds/mood", "--port", "99999"], "port 99999 must be from 0 to 65535"),
        (["kinds/mood", "--token", "short"], "at least 8"),
        (["kinds/mood", "--max_text", "3"], "max_texts"),
        (["../mood=kinds/mood"], "cannot be served by this name"),
        (["mood@1=kinds/mood"], "cannot be served by this name"),
        (["x" * 5000], "File name too long"),
        (["kinds/mood", "--drain_seconds", "-1"], "drain_seconds"),
        (["kinds/mood", "--allowed_hosts", "http://a.example"], "allowed_hosts"),
        (["kinds/mood", "--host", "no.such.host.invalid"], "cannot listen"),
        (["kinds/mood", "--host", "./base"], "cannot listen"),
        (["kinds/mood", "other-adapter"], "belongs to 'other-base'"),
        (["kinds/mood", "mood=kinds/topic"], "Two adapters are called 'mood'"),
        (["empty-store"], "nothing to serve yet"),
        pytest.param(["kinds/mood", "--launcher", "ray"], 'pip install "lorabert[serve,ray]"', marks=WITHOUT_RAY),
        pytest.param(["nowhere", "--launcher", "ray"], "nowhere cannot be served", marks=WITH_RAY),
    ],
)
def test_wrong_input_is_one_paragraph_and_exit_2(shell, here, kinds, words, said):
    import tiny

    if not Path(shell.folder / "other-adapter").exists():
        tiny.build_base(shell.folder / "other-base", seed=7)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(shell.folder)
            serving.save_adapter(Path("other-adapter"), Path("other-base"), ["no", "yes"])
        empty = Store(shell.folder / "empty-store")
        empty.remove(empty.add(kinds["mood"], "mood").reference)
    done = here("serve", *words)
    assert done.code == 2, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(here, kinds):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = here("serve", "kinds/mood", "--port", taken.getsockname()[1])
    assert done.code == 2
    assert "in use" in done.err
    assert os.environ.get("LORABERT_TOKEN") is None
