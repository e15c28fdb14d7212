"""What is refused before the body is read: names the server does not go by, pages of other sites; and HEAD, which is GET."""

import pytest

from lorabert.errors import InputError
from lorabert.shipping.serving.settings import Settings
from serving import serve

pytestmark = pytest.mark.anyio
PATHS = ["/health", "/ready", "/metrics", "/v1/models", "/v1/models/mood", "/", "/page/page.css", "/page/page.js",
         "/page/icon.svg", "/openapi.json"]  # fmt: skip
HERE = ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8000", "localhost.:80"]
STRANGERS = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example@localhost",
             "localhost@evil.example", "notlocalhost", "127.0.0.2", "0.0.0.0", "[::1", "::1", "", "localhost:80:80", "localhost/",
             "localhost, evil.example", "xn--lcalhost-x4a", "192.168.0.2", "[::]"]  # fmt: skip


async def test_head_is_get_without_the_body_on_every_path(kinds):
    async with serve(kinds["mood"]) as client:
        for path in PATHS:
            given, head = await client.get(path), await client.head(path)
            assert (given.status_code, head.status_code) == (200, 200), path
            assert head.content == b""
            assert given.headers.keys() == head.headers.keys()
            if path != "/metrics":
                assert head.headers["content-length"] == str(len(given.content))
        for path in ("/nope", "/v1/models/nobody", "/page/app.py", "/docs"):
            assert ((await client.head(path)).status_code, (await client.head(path)).content) == (404, b"")


async def test_methods_that_a_path_does_not_take_are_405_with_those_it_takes(kinds):
    async with serve(kinds["mood"]) as client:
        asked = [("HEAD", "/classify", "POST"), ("POST", "/health", "GET, HEAD"), ("OPTIONS", "/ready", "GET, HEAD"),
                 ("OPTIONS", "/classify", "POST"), ("PUT", "/v1/models", "GET, HEAD")]  # fmt: skip
        for method, path, allowed in asked:
            answer = await client.request(method, path)
            assert answer.status_code == 405
            assert answer.headers["allow"].startswith(allowed)
            assert not any(name.startswith("access-control") for name in answer.headers)


async def statuses(client, host):
    asked = [await client.get(path, headers={"host": host}) for path in PATHS]
    asked.append(await client.classify("mood", "a", headers={"host": host}))
    return {answer.status_code for answer in asked}


async def test_on_loopback_the_server_answers_to_its_own_names_alone(kinds):
    async with serve(kinds["mood"]) as client:
        for host in HERE:
            assert await statuses(client, host) == {200}, host
        for host in STRANGERS:
            assert await statuses(client, host) == {421}, host
        refused = await client.get("/v1/models", headers={"host": "evil.example"})
        assert refused.headers["content-type"] == "application/problem+json"
        assert "--allowed_hosts" in refused.json()["detail"]
        twice = await client.get("/v1/models", headers=[("host", "localhost"), ("host", "evil.example")])
        assert twice.status_code == 421


async def test_a_token_does_not_open_a_loopback_server_to_other_names(kinds):
    async with serve(kinds["mood"], token="open-sesame") as client:
        headers = {"authorization": "Bearer open-sesame", "host": "evil.example"}
        assert (await client.classify("mood", "a", headers=headers)).status_code == 421


@pytest.mark.parametrize("named", ["api.example.com,*.example.org", ["API.example.com", " *.example.org "]])
async def test_further_names_are_allowed_beside_the_server_s_own(kinds, named):
    async with serve(kinds["mood"], allowed_hosts=named) as client:
        for host in ("api.example.com", "API.EXAMPLE.com:443", "a.example.org", "a.b.example.org:1", "localhost"):
            assert await statuses(client, host) == {200}, host
        for host in ("example.com", "x.api.example.com", "example.org", "evilexample.org", "example.org.evil.example"):
            assert await statuses(client, host) == {421}, host
    async with serve(kinds["mood"], allowed_hosts="*") as client:
        assert await statuses(client, "anything.example") == {200}


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7", "box.example.net"])
async def test_elsewhere_addresses_and_names_that_nobody_can_register_go_on_working(kinds, address):
    own = f"[{address}]:8000" if ":" in address else f"{address}:8000"
    async with serve(kinds["mood"], host=address) as client:
        for host in (own, "10.0.0.7:8000", "203.0.113.4", "[2001:db8::7]:8000", "localhost:8000", "lorabert", "lorabert:8000",
                     "lorabert.default.svc", "lorabert.default.svc.cluster.local:80", "box.local", "vm.internal"):  # fmt: skip
            assert await statuses(client, host) == {200}, host
        for host in ("evil.example", "10.0.0.7.evil.example", "127.0.0.1.nip.io", "local.evil.example", ""):
            assert await statuses(client, host) == {421}, host
    async with serve(kinds["mood"], host=address, token="open-sesame") as client:
        headers = {"authorization": "Bearer open-sesame", "host": "api.example.com"}
        assert (await client.classify("mood", "a", headers=headers)).status_code == 200


@pytest.mark.parametrize("name", ["http://a.example", "a.example:80", "a b", "*.", "a.*", "*a", "é.example", "a/b"])
def test_a_name_that_no_host_has_is_refused(name):
    with pytest.raises(InputError, match="allowed_hosts"):
        Settings(allowed_hosts=name).resolved()


FOREIGN = [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:9999"}, {"origin": "http://[bad"},
           {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": ""},
           {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}]  # fmt: skip
FRIENDS = [{}, {"origin": "http://localhost:8000"}, {"origin": "http://LOCALHOST:8000"}, {"sec-fetch-site": "same-origin"},
           {"sec-fetch-site": "none"}, {"origin": "https://app.example.com"},
           {"origin": "https://app.example.com", "sec-fetch-site": "cross-site"}]  # fmt: skip


async def test_a_page_of_another_site_can_have_nothing_done(kinds):
    async with serve(kinds["mood"], allowed_hosts="app.example.com", allow_folders=True) as client:
        for headers in ({"host": "localhost:8000", **each} for each in FOREIGN):
            refused = await client.classify("mood", "a", headers=headers)
            assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json"), headers
            assert "--allowed_hosts" in refused.json()["detail"]
            assert (await client.delete("/v1/models/mood", headers=headers)).status_code == 403
            load = {"model": "extra", "folder": str(kinds["topic"])}
            assert (await client.post("/v1/models", json=load, headers=headers)).status_code == 403
            assert (await client.get("/v1/models", headers=headers)).status_code == 200  # the browser keeps it from the page
        for headers in ({"host": "localhost:8000", **each} for each in FRIENDS):
            assert (await client.classify("mood", "a", headers=headers)).status_code == 200, headers


async def test_with_a_token_whoever_has_it_may_come_from_any_page(kinds):
    async with serve(kinds["mood"], token="open-sesame") as client:
        headers = {"authorization": "Bearer open-sesame", "origin": "https://app.example.com", "sec-fetch-site": "cross-site"}
        assert (await client.classify("mood", "a", headers=headers)).status_code == 200
