"""Proxies: a setting that can't be used is named before anything is sent, and no message shows its password."""

import socket
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import ConnectionSettingError, NetworkError, SwfError
from tests.client.conftest import ROLE_PROFILE, SetEnv, complete, configure, count, poll
from tests.helpers.aws import REGION, SETTINGS
from tests.helpers.cli import invoke
from tests.helpers.fault_matrix import PHASES, FaultServer, Transport
from tests.helpers.forward_proxy import ForwardProxy
from tests.helpers.operations import COUNT
from tests.helpers.stub_service import StubService

ESCAPES = r"in a user name and a password, / must be written as %2F, ? as %3F, # as %23, and \ as %5C"
NOT_VALID = "its host or port is not valid"
UNUSABLE = {
    "socks5://user:PASSWORD@127.0.0.1:1": "it is socks5, and only HTTP proxies are supported",
    "ftp://user:PASSWORD@127.0.0.1:1": "it is ftp, and only HTTP proxies are supported",
    "HTTP://user:PASSWORD@127.0.0.1:1": "its scheme is not in lower case",
    "http:user:PASSWORD@127.0.0.1:1": "its scheme is not followed by //",
    "http://user:PASSWORD@127.0.0.1:99999": "its port is over 65535",
    "http://user:PASSWORD@127.0.0.1:x": NOT_VALID,
    "user:PASSWORD@[::1": NOT_VALID,
    "http://user:PASS/WORD@127.0.0.1:1": ESCAPES,
    "http://user:PASS#WORD@127.0.0.1:1": ESCAPES,
    "http://user:PASS?WORD@127.0.0.1:1": ESCAPES,
    "http://user:PASS\\WORD@127.0.0.1:1": ESCAPES,
    "http://user:12/WORD@127.0.0.1:1": ESCAPES,
    "http://user:PASS WORD@127.0.0.1:1": "it contains a blank or a control character",
    "http://user:PASSWORD\N{WHITE SMILING FACE}@127.0.0.1:1": "its user name or password is not ASCII",
    "http://user:PASSWORD@": "it has no host",
    "http://user:PASSWORD@:3128": "it has no host",
    "http://user:PASSWORD@a..b:3128": "its host is not valid",
    f"http://user:PASSWORD@{'a' * 64}:3128": "its host is not valid",
}


def in_turn(values: list[Any]) -> list[Any]:
    """Return each unusable URL with one of the values, and the first URL with all of them."""
    urls = list(UNUSABLE)
    return [*zip(urls[1:], cycle(values)), *((urls[0], value) for value in values)]


@pytest.mark.parametrize(("url", "variable"), in_turn(["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"]))
def test_an_unusable_setting_is_named(url: str, variable: str, set_env: SetEnv) -> None:
    """The error names the variable, not the password; nothing is sent and nothing retries it."""
    set_env(**SETTINGS, **{variable: url})
    session = Session(endpoint_url=f"{variable.lower().partition('_')[0]}://swf.test")
    for use in (count, complete, poll):
        with pytest.raises(ConnectionSettingError) as raised:
            use(session)
        assert raised.value.message == f"cannot use the proxy in {variable}: {UNUSABLE[url]}"
        assert raised.value.hint == f"set {variable} to http://HOST:PORT, or add swf.test to NO_PROXY"
        assert not raised.value.possibly_executed


def test_the_lower_case_variable_wins(set_env: SetEnv) -> None:
    """As for everything else that is written in Python."""
    set_env(**SETTINGS, HTTP_PROXY="socks5://127.0.0.1:1", http_proxy="socks5://127.0.0.1:1")
    with pytest.raises(ConnectionSettingError, match="the proxy in http_proxy"):
        count(Session(endpoint_url="http://swf.test"))


@pytest.mark.parametrize(
    ("url", "command"),
    in_turn([("poll", "-t", "l"), ("pending", "-t", "l"), ("complete", "--token", "T"), ("tasks",)]),
)
def test_no_command_shows_the_password(url: str, command: tuple[str, ...], bare_env: dict[str, str]) -> None:
    """One line and a hint, exit code 1, no retry; neither with --debug, where exceptions below are shown too."""
    env = {**bare_env, **SETTINGS, "https_proxy": url, "SWF_LEDGER": "off"}
    done = invoke(*command, "-d", "d", "--debug", env=env)
    assert (done.code, done.stdout, done.stderr.count("\nswf: cannot use the proxy")) == (1, "", 1)
    assert "retrying in" not in done.stderr
    assert not [word for word in ("PASS", "WORD") if word in done.stderr]


def test_a_proxy_that_is_not_used_does_not_matter(set_env: SetEnv, stub: StubService) -> None:
    """It is of another scheme, or NO_PROXY excepts the endpoint."""
    stub.reply(COUNT, {"count": 3})
    set_env(**SETTINGS, https_proxy="socks5://127.0.0.1:1")
    assert count(Session(endpoint_url=stub.url)) == 3
    set_env(http_proxy="socks5://127.0.0.1:1", NO_PROXY="127.0.0.1")
    assert count(Session(endpoint_url=stub.url)) == 3


@pytest.mark.parametrize("url", ["{}", "//{}", "http://{}", "http://user:p%40ss@{}", "http://{}/"])
def test_forms_that_can_be_used(url: str, set_env: SetEnv, stub: StubService) -> None:
    """A URL of a proxy needs no scheme."""
    stub.reply(COUNT, {"count": 3})
    with ForwardProxy(stub.url) as proxy:
        set_env(**SETTINGS, http_proxy=url.format(proxy.url.removeprefix("http://")))
        assert count(Session(endpoint_url="http://swf.test")) == 3
    assert proxy.operations == [COUNT]


def test_it_is_named_for_a_call_that_gets_credentials(set_env: SetEnv, stub: StubService, tmp_path: Path) -> None:
    """STS may be called through a proxy though SWF is not, and so may the instance metadata service."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_REGION=REGION, AWS_PROFILE="role", https_proxy="socks5://user:PASSWORD@127.0.0.1:1")
    with pytest.raises(ConnectionSettingError, match="the proxy in https_proxy"):
        count(Session(endpoint_url=stub.url))
    set_env(AWS_PROFILE="base", http_proxy="http://user:PASSWORD@127.0.0.1:x", AWS_EC2_METADATA_DISABLED="false")
    configure(tmp_path, "[profile base]\n")
    with pytest.raises(ConnectionSettingError, match="the proxy in http_proxy"):
        count(Session(endpoint_url=stub.url.replace("http", "https")))
    assert stub.requests == []


def fail_with(
    phase: str, transport: Transport, set_env: SetEnv, settings: Mapping[str, str] = SETTINGS
) -> tuple[SwfError, str]:
    """Call SWF through a proxy that fails in a phase; return the error, and the address of the proxy."""
    server = FaultServer(transport, next(it for it in PHASES if it.name == phase))
    address = f"127.0.0.1:{server.port}"
    scheme = "https" if transport == "tunnel" else "http"
    set_env(**settings, **{f"{scheme}_proxy": f"http://user:PASSWORD@{address}"})
    try:
        with pytest.raises(SwfError) as raised:
            poll(Session(endpoint_url=f"{scheme}://swf.test"))
    finally:
        server.close()
    return raised.value, address


LOGIN_REJECTED = "the proxy rejected the user name and password in {}: correct them"


@pytest.mark.parametrize(
    ("scheme", "transport", "phase"), [("http", "proxy", "page: 407"), ("https", "tunnel", "tunnel refused: 407")]
)
@pytest.mark.parametrize("login", ["", "user:PASSWORD@"])
def test_a_proxy_that_asks_for_a_login(
    login: str, scheme: str, transport: Transport, phase: str, bare_env: dict[str, str]
) -> None:
    """The hint is printed as it is meant, and depends on whether there is a login already."""
    server = FaultServer(transport, next(it for it in PHASES if it.name == phase))
    env = {**bare_env, **SETTINGS, f"{scheme.upper()}_PROXY": f"http://{login}127.0.0.1:{server.port}"}
    try:
        done = invoke("pending", "-d", "d", "-t", "l", "--endpoint-url", f"{scheme}://swf.test", env=env)
    finally:
        server.close()
    name = f"{scheme.upper()}_PROXY"
    advice = f"put user name and password into the proxy's URL: {name}=http://<user>:<password>@HOST:PORT"
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == f"hint: {LOGIN_REJECTED.format(name) if login else advice}"


@pytest.mark.parametrize("status", [407, 502, 503])
def test_a_tunnel_that_is_refused(status: int, set_env: SetEnv) -> None:
    """The proxy was reached: its status is shown, and for 407 what to do."""
    error, address = fail_with(f"tunnel refused: {status}", "tunnel", set_env)
    assert error.message == f"the proxy at {address} refused to connect to swf.test: {status} X"
    assert (error.hint == LOGIN_REJECTED.format("https_proxy")) == (status == 407)
    assert not error.possibly_executed


@pytest.mark.parametrize("transport", ["proxy", "tunnel"])
def test_a_proxy_that_is_not_there(transport: Transport, set_env: SetEnv) -> None:
    """Its address is shown, without user name and password."""
    error, address = fail_with("connection refused", transport, set_env)
    assert error.message == f"cannot connect to the proxy at {address}: Connection refused"
    assert not error.possibly_executed


@pytest.mark.parametrize("start", ["http://", "//", ""])
def test_a_proxy_that_does_not_open_a_tunnel(start: str, set_env: SetEnv) -> None:
    """The proxy accepts the connection, and is silent: it is named, and nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        set_env(**SETTINGS, https_proxy=f"{start}user:PASSWORD@{address}")
        with pytest.raises(NetworkError) as raised:
            poll(Session(endpoint_url="https://swf.test", poll_read_timeout=0.1))
    assert raised.value.message == f"the proxy at {address} did not connect to swf.test in time"
    assert not raised.value.possibly_executed


@pytest.mark.parametrize("phase", ["request read, then FIN", "request read, then RST"])
def test_a_proxy_that_sends_no_response(phase: str, set_env: SetEnv) -> None:
    """The request was sent: the message does not say that the proxy could not be reached."""
    error, address = fail_with(phase, "proxy", set_env)
    assert error.message == f"the connection through the proxy at {address} was closed without a response"
    assert error.possibly_executed


@pytest.mark.usefixtures("instant_retries")
def test_the_credentials_of_a_role_through_a_proxy_that_refuses(set_env: SetEnv, tmp_path: Path) -> None:
    """The host is the one of STS."""
    configure(tmp_path, ROLE_PROFILE)
    settings = {"AWS_REGION": REGION, "AWS_PROFILE": "role", "AWS_ENDPOINT_URL_STS": "https://sts.test"}
    error, address = fail_with("tunnel refused: 407", "tunnel", set_env, settings)
    assert f"profile role: the proxy at {address} refused to connect to sts.test: 407" in error.message
    assert error.hint == LOGIN_REJECTED.format("https_proxy")
