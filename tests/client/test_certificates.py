"""The configured file of CA certificates: one that can't be used is named, and no call is retried for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from swf_cli.api import count_pending_tasks
from swf_cli.client.session import Session
from swf_cli.errors import ConnectionSettingError, NetworkError, SwfError
from tests.client.conftest import ROLE_PROFILE, SetEnv, complete, configure, count, poll
from tests.helpers.aws import SETTINGS
from tests.helpers.fault_matrix import PHASES, FaultServer, authority
from tests.helpers.forward_proxy import ForwardProxy
from tests.helpers.issuer import Issuer
from tests.helpers.operations import COMPLETE, COUNT
from tests.helpers.stub_service import StubService

BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
NO_CERTIFICATES = "it holds no certificates, or damaged ones"

UNUSABLE: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "No such file or directory"),
    "empty": (b"", NO_CERTIFICATES),
    "no certificates": (b"garbage", NO_CERTIFICATES),
    "a damaged certificate": (BROKEN, NO_CERTIFICATES),
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A file of CA certificates that can be used, until a test changes it."""
    path = tmp_path / "ca.pem"
    authority("trusted").cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(params=["direct", "tunnel"])
def secure(request: pytest.FixtureRequest, stub: StubService, set_env: SetEnv) -> Iterator[None]:
    """Settings with which SWF is called with TLS, over a tunnel or without one."""
    set_env(**SETTINGS)
    if request.param == "direct":
        set_env(AWS_ENDPOINT_URL_SWF=stub.url.replace("http:", "https:"))
        yield
        return
    with ForwardProxy(stub.url) as proxy:
        set_env(AWS_ENDPOINT_URL_SWF="https://swf.test", HTTPS_PROXY=proxy.url)
        yield


@pytest.mark.usefixtures("secure")
class TestUnusable:
    """The error says which file, where it is configured, and why it can't be used."""

    @pytest.mark.parametrize(("content", "why"), UNUSABLE.values(), ids=UNUSABLE)
    @pytest.mark.parametrize("place", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "ca_bundle of profile video"])
    def test_it_is_named(
        self, place: str, content: bytes | None, why: str, bundle: Path, set_env: SetEnv, tmp_path: Path
    ) -> None:
        """It is not a network error, so that nothing retries it."""
        if content is None:
            bundle.unlink()
        else:
            bundle.write_bytes(content)
        if place.isupper():
            set_env(**{place: str(bundle)})
        else:
            configure(tmp_path, f"[profile video]\nca_bundle = {bundle}\n")
            set_env(AWS_PROFILE="video")
        for use in (count, complete, poll):
            with pytest.raises(ConnectionSettingError) as raised:
                use(Session())
            assert raised.value.message == f"cannot use the CA certificates in {bundle} (from {place}): {why}"
            assert not raised.value.possibly_executed
            assert raised.value.hint

    def test_a_folder(self, set_env: SetEnv, tmp_path: Path) -> None:
        """Certificates are read from a file only, as `aws` does."""
        set_env(AWS_CA_BUNDLE=str(tmp_path))
        with pytest.raises(ConnectionSettingError, match=rf"{tmp_path} \(from AWS_CA_BUNDLE\): Is a directory$"):
            count(Session())

    def test_other_failures_are_none_of_its_own(self, set_env: SetEnv, tmp_path: Path) -> None:
        """A certificate that the file does not vouch for may be replaced: that remains a network error."""
        authority("other").cert_pem.write_to_path(str(tmp_path / "other.pem"))
        set_env(AWS_CA_BUNDLE=str(tmp_path / "other.pem"))
        with pytest.raises(NetworkError):
            complete(Session())


@pytest.mark.parametrize(("phase", "has_hint"), [("handshake: untrusted", True), ("handshake: other name", False)])
def test_a_certificate_of_a_private_authority(phase: str, has_hint: bool, set_env: SetEnv, bundle: Path) -> None:
    """The hint says how to trust one; it would not help with a certificate that is for another host."""
    server = FaultServer("tls", next(it for it in PHASES if it.name == phase))
    set_env(**SETTINGS, AWS_CA_BUNDLE=str(bundle))
    try:
        with pytest.raises(NetworkError, match="SSL validation failed") as raised:
            poll(Session(endpoint_url=f"https://localhost:{server.port}"))
    finally:
        server.close()
    assert ("set AWS_CA_BUNDLE to a PEM file" in str(raised.value.hint)) == has_hint


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_setting_counts_as_unset(value: str, set_env: SetEnv, bundle: Path, tmp_path: Path) -> None:
    """The next place counts; without any, botocore's own certificates do."""
    set_env(**SETTINGS, AWS_CA_BUNDLE=value, REQUESTS_CA_BUNDLE=value)
    assert Session(endpoint_url="https://swf.test").client.meta
    configure(tmp_path, f"[default]\nca_bundle = {bundle}\n")
    bundle.unlink()
    with ForwardProxy("http://127.0.0.1:9") as proxy:
        set_env(HTTPS_PROXY=proxy.url)
        with pytest.raises(ConnectionSettingError, match="ca_bundle of profile default"):
            complete(Session(endpoint_url="https://swf.test"))


def test_a_file_that_is_replaced_is_waited_for(stub: StubService, set_env: SetEnv, bundle: Path) -> None:
    """Once it has worked, a file that can't be used is a transient error, which names it too."""
    stub.reply(COUNT, {"count": 3})
    whole = bundle.read_bytes()
    with ForwardProxy(stub.url) as proxy:
        set_env(**SETTINGS, AWS_CA_BUNDLE=str(bundle), HTTPS_PROXY=proxy.url)
        session = Session(endpoint_url="https://swf.test")
        assert count(session) == 3
        bundle.write_bytes(whole[:100])
        client = session.with_timeout(3)  # a new one, which connects anew
        with pytest.raises(NetworkError, match=str(bundle)) as raised:
            count_pending_tasks("l", "d", client)
        assert not raised.value.possibly_executed
        bundle.write_bytes(whole)
        assert count_pending_tasks("l", "d", client).count == 3


@pytest.mark.usefixtures("instant_retries")
def test_an_attempt_before_may_have_been_executed(
    stub: StubService, set_env: SetEnv, bundle: Path, tmp_path: Path
) -> None:
    """If a response was lost, and then the file can't be used, the call may have been executed."""

    def lose(operation: str) -> bool:
        bundle.unlink(missing_ok=True)
        return True

    stub.reply(COMPLETE, {})
    with ForwardProxy(stub.url, lose) as proxy:
        set_env(**SETTINGS, AWS_CA_BUNDLE=str(bundle), HTTPS_PROXY=proxy.url)
        with pytest.raises(SwfError) as raised:
            complete(Session(endpoint_url="https://swf.test"))
    assert raised.value.possibly_executed


@pytest.mark.usefixtures("instant_retries")
def test_it_is_named_for_a_call_that_gets_credentials(stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """STS is called before SWF is, with the same certificates."""
    configure(tmp_path, ROLE_PROFILE)
    missing = tmp_path / "missing.pem"
    issuer = Issuer(b"")
    sts = issuer.url.replace("http:", "https:")
    set_env(AWS_PROFILE="role", AWS_REGION="us-east-1", AWS_ENDPOINT_URL_STS=sts, AWS_CA_BUNDLE=str(missing))
    try:
        with pytest.raises(ConnectionSettingError, match=str(missing)):
            count(Session(endpoint_url=stub.url))
    finally:
        issuer.close()
    assert stub.requests == []


def test_without_tls_it_does_not_matter(stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """An endpoint that is called without TLS, such as the local SWF, needs no certificates."""
    stub.reply(COUNT, {"count": 3})
    set_env(**SETTINGS, AWS_CA_BUNDLE=str(tmp_path / "missing.pem"))
    assert count(Session(endpoint_url=stub.url)) == 3
