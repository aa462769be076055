"""Proxies: a setting that can't be used is named before anything is sent, and no message shows its password."""

from pathlib import Path

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import ProxySettingError
from tests.client.conftest import SetEnv, complete, configure, count, poll
from tests.helpers.aws import REGION, SETTINGS
from tests.helpers.cli import invoke
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


@pytest.mark.parametrize(("url", "why"), UNUSABLE.items(), ids=UNUSABLE)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"])
def test_an_unusable_setting_is_named(variable: str, url: str, why: str, set_env: SetEnv) -> None:
    """The error names the variable, not the password; nothing is sent and nothing retries it."""
    set_env(**SETTINGS, **{variable: url})
    session = Session(endpoint_url=f"{variable.lower().partition('_')[0]}://swf.test")
    for use in (count, complete, poll):
        with pytest.raises(ProxySettingError) as raised:
            use(session)
        assert raised.value.message == f"cannot use the proxy in {variable}: {why}"
        assert raised.value.hint == f"set {variable} to http://HOST:PORT, or add swf.test to NO_PROXY"
        assert not raised.value.possibly_executed


def test_the_lower_case_variable_wins(set_env: SetEnv) -> None:
    """As for everything else that is written in Python."""
    set_env(**SETTINGS, HTTP_PROXY="socks5://127.0.0.1:1", http_proxy="socks5://127.0.0.1:1")
    with pytest.raises(ProxySettingError, match="the proxy in http_proxy"):
        count(Session(endpoint_url="http://swf.test"))


@pytest.mark.parametrize(
    "command", [("poll", "-t", "l"), ("pending", "-t", "l"), ("complete", "--token", "T"), ("tasks",)]
)
@pytest.mark.parametrize("url", UNUSABLE)
def test_no_command_shows_the_password(url: str, command: tuple[str, ...], bare_env: dict[str, str]) -> None:
    """One line and a hint, exit code 1, no retry; neither with --debug, where exceptions below are shown too."""
    env = {**bare_env, **SETTINGS, "https_proxy": url, "SWF_LEDGER": "off"}
    done = invoke(*command, "-d", "d", "--debug", env=env)
    assert (done.code, done.stdout, done.stderr.count("\nswf: cannot use the proxy")) == (1, "", 1)
    assert "retrying in" not in done.stderr
    assert not [word for word in ("PASS", "WORD") if word in done.stderr]


def test_a_proxy_that_is_not_used_does_not_matter(set_env: SetEnv, shared_stub: StubService) -> None:
    """It is of another scheme, or NO_PROXY excepts the endpoint."""
    shared_stub.reply(COUNT, {"count": 3})
    set_env(**SETTINGS, https_proxy="socks5://127.0.0.1:1")
    assert count(Session(endpoint_url=shared_stub.url)) == 3
    set_env(http_proxy="socks5://127.0.0.1:1", NO_PROXY="127.0.0.1")
    assert count(Session(endpoint_url=shared_stub.url)) == 3


@pytest.mark.parametrize("url", ["{}", "//{}", "http://{}", "http://user:p%40ss@{}", "http://{}/"])
def test_forms_that_can_be_used(url: str, set_env: SetEnv, shared_stub: StubService) -> None:
    """A URL of a proxy needs no scheme."""
    shared_stub.reply(COUNT, {"count": 3})
    with ForwardProxy(shared_stub.url) as proxy:
        set_env(**SETTINGS, http_proxy=url.format(proxy.url.removeprefix("http://")))
        assert count(Session(endpoint_url="http://swf.test")) == 3
    assert proxy.operations == [COUNT]


ROLE_PROFILE = """
[profile role]
role_arn = arn:aws:iam::123456789012:role/worker
source_profile = base
[profile base]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = secret
"""


def test_it_is_named_for_a_call_that_gets_credentials(
    set_env: SetEnv, shared_stub: StubService, tmp_path: Path
) -> None:
    """STS may be called through a proxy though SWF is not, and so may the instance metadata service."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_REGION=REGION, AWS_PROFILE="role", https_proxy="socks5://user:PASSWORD@127.0.0.1:1")
    with pytest.raises(ProxySettingError, match="the proxy in https_proxy"):
        count(Session(endpoint_url=shared_stub.url))
    set_env(AWS_PROFILE="base", http_proxy="http://user:PASSWORD@127.0.0.1:x", AWS_EC2_METADATA_DISABLED="false")
    configure(tmp_path, "[profile base]\n")
    with pytest.raises(ProxySettingError, match="the proxy in http_proxy"):
        count(Session(endpoint_url=shared_stub.url.replace("http", "https")))
    assert shared_stub.requests == []
