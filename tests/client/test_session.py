"""Sessions: region, credentials, profile and endpoint, and the clients made from them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.credentials
import botocore.tokens
import pytest

from swf_cli.client.session import Session, default_session
from swf_cli.errors import (
    AccessError,
    ConfigurationError,
    CredentialsError,
    CredentialsUnavailable,
    ExitCode,
    SwfError,
)
from tests.client.conftest import SetEnv, complete, configure, count, poll
from tests.helpers.aws import CREDENTIALS, REGION, SETTINGS
from tests.helpers.cli import TASK
from tests.helpers.issuer import Issuer
from tests.helpers.local_service import Service
from tests.helpers.operations import COUNT, POLL
from tests.helpers.stub_service import StubService


def test_a_forked_process_does_not_share_connections(service: Service, service_env: dict[str, str]) -> None:
    """A child and its parent would get each other's responses."""
    code = """
import os
from swf_cli import get_number_of_pending_tasks
from swf_cli.client.session import default_session
get_number_of_pending_tasks("l", "fork")
shared = default_session()
child = os.fork()
if not child:
    os._exit(default_session() is shared or get_number_of_pending_tasks("l", "fork"))
assert default_session() is shared
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    service.schedule("fork", "another")
    env = {**service_env, "PYTHONWARNINGS": "ignore"}  # newer Pythons warn of forks beside threads
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "0\n"


USES: list[Callable[[Session], Any]] = [complete, poll]


# --- region, credentials, endpoint

PLACES: list[tuple[str | None, dict[str, str], str]] = [
    ("from-argument-1", {"AWS_REGION": "from-region-1", "AWS_DEFAULT_REGION": "from-default-1"}, "from-argument-1"),
    (None, {"AWS_REGION": "from-region-1", "AWS_DEFAULT_REGION": "from-default-1"}, "from-region-1"),
    (None, {"AWS_DEFAULT_REGION": "from-default-1"}, "from-default-1"),
    (None, {}, "from-profile-1"),
    ("", {"AWS_REGION": "from-region-1"}, "from-region-1"),
    (None, {"AWS_REGION": "", "AWS_DEFAULT_REGION": "from-default-1"}, "from-default-1"),
    (None, {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "from-profile-1"),
]


@pytest.mark.parametrize(("argument", "variables", "region"), PLACES)
def test_the_region_is_looked_up_in_order(
    argument: str | None, variables: dict[str, str], region: str, set_env: SetEnv, tmp_path: Path
) -> None:
    """The argument, AWS_REGION, AWS_DEFAULT_REGION, then the profile; an empty one counts as unset."""
    configure(tmp_path, "[default]\nregion = from-profile-1\n")
    set_env(**CREDENTIALS, **variables)
    session = Session(region=argument)
    assert session.client.meta.region_name == region
    assert session.poll_client.meta.region_name == region


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(CREDENTIALS, id="no region"),
        pytest.param({**CREDENTIALS, "AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, id="empty region"),
        pytest.param({"AWS_REGION": REGION}, id="no credentials"),
        pytest.param({**dict.fromkeys(CREDENTIALS, ""), "AWS_REGION": REGION}, id="empty credentials"),
        pytest.param({"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, id="half of the credentials"),
    ],
)
def test_without_region_or_credentials_nothing_is_sent(
    variables: dict[str, str], set_env: SetEnv, stub: StubService
) -> None:
    """Without a region or credentials nothing is sent: exit code 7, and a hint that says what to set."""
    set_env(**variables, AWS_ENDPOINT_URL_SWF=stub.url)
    for use in USES:
        with pytest.raises(AccessError) as caught:
            use(Session())
        assert caught.value.exit_code == ExitCode.NO_ACCESS
        assert "AWS_REGION" in str(caught.value.hint) or "AWS_ACCESS_KEY_ID" in str(caught.value.hint)
        assert not caught.value.possibly_executed
    assert stub.requests == []


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"AWS_ENDPOINT_URL_SWF": "nonsense"}, id="endpoint without a scheme"),
        pytest.param({"AWS_ENDPOINT_URL_SWF": "http://"}, id="endpoint without a host"),
        pytest.param({"AWS_ENDPOINT_URL": "http://a b"}, id="endpoint with a blank"),
        pytest.param({"AWS_ENDPOINT_URL_SWF": "ftp://127.0.0.1"}, id="endpoint of another scheme"),
        pytest.param({"AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:99999"}, id="endpoint port out of range"),
        pytest.param({"AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:0"}, id="endpoint port zero"),
        pytest.param({"AWS_REGION": "us east"}, id="region that can't be part of a host name"),
        pytest.param({"AWS_DEFAULTS_MODE": "nonsense"}, id="defaults mode"),
        pytest.param({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "nonsense"}, id="account ID endpoint mode"),
        pytest.param({"AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "nonsense"}, id="compression size"),
        pytest.param({"AWS_PROFILE": "elsewhere"}, id="services that the configuration does not have"),
    ],
)
def test_an_unusable_setting_is_a_usage_error(variables: dict[str, str], set_env: SetEnv, tmp_path: Path) -> None:
    """A setting that can't be used is exit code 2, named or with a hint, before anything is sent."""
    configure(tmp_path, "[profile elsewhere]\nservices = missing\n")
    set_env(**{**SETTINGS, **variables})
    for use in USES:
        with pytest.raises(SwfError) as caught:
            use(Session())
        assert caught.value.exit_code == ExitCode.USAGE
        assert caught.value.hint or [name for name in variables if name in caught.value.message]
        assert not caught.value.possibly_executed


NESTED = "has a value where a group of settings is expected, or a group for a value"


@pytest.mark.parametrize(
    ("config", "variables", "message"),
    [
        ("", {"AWS_METADATA_SERVICE_TIMEOUT": "x"}, "cannot use AWS_METADATA_SERVICE_TIMEOUT: invalid literal"),
        ("metadata_service_timeout = x\n", {}, "cannot use metadata_service_timeout of profile default: invalid"),
        ("", {"AWS_REGION": "us east"}, "'us east', from AWS_REGION, is not a region"),
        ("region = -us\n", {"AWS_REGION": ""}, "'-us', from profile default, is not a region"),
        ("region =\n  a = b\n", {"AWS_REGION": ""}, "{'a': 'b'}, from profile default, is not a region"),
        ("", {"AWS_ENDPOINT_URL_SWF": "nowhere", "AWS_ENDPOINT_URL": "x"}, "AWS_ENDPOINT_URL_SWF: 'nowhere' is not"),
        ("", {"AWS_ENDPOINT_URL_SWF": "", "AWS_ENDPOINT_URL": "nowhere"}, "AWS_ENDPOINT_URL: 'nowhere' is not"),
        ("endpoint_url = nowhere\n", {}, "'nowhere' is not a URL"),
        (
            "services = mine\n[services mine]\nswf = x\n",
            {},
            "profile default, or its section [services mine], " + NESTED,
        ),
    ],
)
def test_an_unusable_setting_is_named(
    config: str, variables: dict[str, str], message: str, set_env: SetEnv, tmp_path: Path
) -> None:
    """What Python says of a value that it can't use does not say which setting it is."""
    configure(tmp_path, f"[default]\n{config}")
    set_env(**{**SETTINGS, **variables})
    with pytest.raises(ConfigurationError) as caught:
        count(Session())
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("profile", [None, ""])
def test_an_empty_profile_counts_as_unset(profile: str | None, set_env: SetEnv, tmp_path: Path) -> None:
    """An empty AWS_PROFILE or argument means the default profile."""
    configure(tmp_path, "[default]\nregion = from-profile-1\n")
    set_env(**CREDENTIALS, AWS_PROFILE="")
    assert Session(profile=profile).client.meta.region_name == "from-profile-1"


@pytest.mark.parametrize(
    ("argument", "variables", "profile"),
    [
        pytest.param(None, CREDENTIALS, None, id="keys in the environment"),
        pytest.param(None, {**CREDENTIALS, "AWS_PROFILE": "video"}, None, id="keys and a profile in the environment"),
        pytest.param("video", CREDENTIALS, "video", id="an argument, and keys in the environment"),
        pytest.param(None, {"AWS_PROFILE": "video"}, "video", id="a profile in the environment"),
    ],
)
def test_the_profile_is_the_one_whose_credentials_are_used(
    argument: str | None, variables: dict[str, str], profile: str | None, set_env: SetEnv, tmp_path: Path
) -> None:
    """The profile that the ledger records is the one that leads to the same credentials again."""
    configure(tmp_path, "[profile video]\naws_access_key_id = AKIDVIDEO\naws_secret_access_key = secret\n")
    set_env(**variables, AWS_REGION=REGION)
    assert Session(profile=argument).profile == profile


@pytest.mark.parametrize(
    ("argument", "variables", "url"),
    [
        (None, {"AWS_ENDPOINT_URL_SWF": "http://swf.test", "AWS_ENDPOINT_URL": "http://all.test"}, "http://swf.test"),
        (None, {"AWS_ENDPOINT_URL": "http://all.test"}, "http://all.test"),
        ("http://me.test", {"AWS_ENDPOINT_URL_SWF": "http://swf.test"}, "http://me.test"),
        (None, {"AWS_PROFILE": "local"}, "http://profile.test"),
        (None, {"AWS_ENDPOINT_URL_SWF": ""}, "https://swf.us-east-1.amazonaws.com"),
        (None, {}, "https://swf.us-east-1.amazonaws.com"),
    ],
)
def test_the_endpoint_is_looked_up_as_aws_does(
    argument: str | None, variables: dict[str, str], url: str, set_env: SetEnv, tmp_path: Path
) -> None:
    """The argument, SWF's own variable, the variable of all services, the profile; else SWF's in the region."""
    configure(tmp_path, "[profile local]\nendpoint_url = http://profile.test\n")
    set_env(**CREDENTIALS, AWS_REGION=REGION, **variables)
    session = Session(endpoint_url=argument)
    assert [session.client.meta.endpoint_url, session.poll_client.meta.endpoint_url] == [url, url]


def test_calls_go_to_the_endpoint_of_the_environment(set_env: SetEnv, stub: StubService) -> None:
    """AWS_ENDPOINT_URL_SWF is what the clients call, with the credentials of the environment."""
    set_env(**SETTINGS, AWS_ENDPOINT_URL_SWF=stub.url)
    stub.reply(COUNT, {"count": 3})
    stub.reply(POLL, TASK)
    session = Session()
    assert count(session) == 3
    task = poll(session)
    assert task is not None
    assert task.token == "TOKEN"
    assert stub.operations() == [COUNT, POLL]
    assert stub.access_keys == [CREDENTIALS["AWS_ACCESS_KEY_ID"]] * 2


def test_the_process_has_one_default_session() -> None:
    """Without a client, the public functions share one session: credentials are looked up once."""
    assert default_session() is default_session()


# --- the clients


def test_the_client_for_polls_outlasts_swf(session: Session) -> None:
    """The client for polls reads for 70 s at least, over connections that are kept alive."""
    config: Any = session.poll_client.meta.config
    assert config.read_timeout >= 70
    assert config.connect_timeout <= 10
    assert config.tcp_keepalive is True
    assert "swf-cli/" in config.user_agent_extra


def test_the_client_for_calls_does_not_hang(session: Session) -> None:
    """The clients for other calls connect and read within seconds."""
    for client in (session.client, session.single_attempt_client):
        config: Any = client.meta.config
        assert config.connect_timeout <= 10
        assert config.read_timeout < 60


@pytest.mark.parametrize(("seconds", "timeout"), [(0.2, 1), (5.9, 5), (1e9, 20)])
def test_a_client_can_be_given_less_time(seconds: float, timeout: int, session: Session) -> None:
    """A call can be given less time than others: whole seconds, at least one, never more than others have."""
    config: Any = session.with_timeout(seconds).meta.config
    assert (config.read_timeout, config.connect_timeout) == (timeout, min(timeout, 5))


def test_clients_keep_as_many_connections_as_asked(set_env: SetEnv) -> None:
    """A worker has a connection for each slot."""
    set_env(**SETTINGS)
    config: Any = Session(connections=42).client.meta.config
    assert config.max_pool_connections == 42


def test_botocore_clients_are_created_once(session: Session) -> None:
    """Clients with the same settings are one, also for several threads."""
    assert session.client.botocore is session.client.botocore
    assert session.with_timeout(5).botocore is session.with_timeout(5.5).botocore
    assert session.client.botocore is not session.single_attempt_client.botocore


def test_clients_go_on_with_other_credentials(set_env: SetEnv, stub: StubService) -> None:
    """Once credentials are rejected, clients that are in use go on with those that are configured then."""
    set_env(**SETTINGS | {"AWS_ENDPOINT_URL_SWF": stub.url, "AWS_ACCESS_KEY_ID": "AKIDOLD"})
    stub.reply(COUNT, {"count": 3})
    session = Session()
    client = session.client
    count(session)
    set_env(AWS_ACCESS_KEY_ID="AKIDNEW")
    count(session)
    stub.reset()
    stub.fault(COUNT, "ExpiredTokenException", "expired")
    stub.reply(COUNT, {"count": 3})
    count(session)
    assert stub.access_keys == ["AKIDOLD", "AKIDNEW"]
    assert session.client is client


# --- roles and SSO


LATER = datetime.now(UTC) + timedelta(hours=1)
ROLE_REPLY = f"""
<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/worker/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{LATER:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>""".encode()
ROLE_PROFILE = """
[profile base]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = secret
[profile worker]
role_arn = arn:aws:iam::123456789012:role/worker
source_profile = base
region = eu-west-3
"""


@pytest.fixture
def issuer(request: pytest.FixtureRequest) -> Iterator[Issuer]:
    """A service that issues credentials; the test says what it replies."""
    service = Issuer(*request.param)
    yield service
    service.close()


@pytest.mark.parametrize("issuer", [(ROLE_REPLY,)], indirect=True, ids=["sts"])
@pytest.mark.parametrize(("argument", "region"), [(None, "eu-west-3"), ("ap-south-1", "ap-south-1")])
def test_a_role_is_assumed_once(
    argument: str | None, region: str, issuer: Issuer, stub: StubService, set_env: SetEnv, tmp_path: Path
) -> None:
    """A profile with a role calls STS in SWF's region; the next process finds the role in the cache of `aws`."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_ENDPOINT_URL_STS=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url)
    stub.reply(COUNT, {"count": 3})
    for _ in range(2):
        session = Session(profile="worker", region=argument)
        assert count(session) == 3
        assert session.client.meta.region_name == region
    assert stub.access_keys == ["AKIDROLE"] * 2
    [(_, headers, body)] = issuer.requests
    asked = parse_qs(body.decode())
    assert asked["Action"] == ["AssumeRole"]
    assert asked["RoleArn"] == ["arn:aws:iam::123456789012:role/worker"]
    assert f"/{region}/sts/aws4_request" in headers["authorization"]
    assert len(list((tmp_path / ".aws/cli/cache").iterdir())) == 1


@pytest.mark.parametrize("issuer", [(ROLE_REPLY,)], indirect=True, ids=["sts"])
def test_a_role_is_assumed_again_if_its_key_is_rejected(
    issuer: Issuer, stub: StubService, set_env: SetEnv, tmp_path: Path
) -> None:
    """The cache of `aws` still has the rejected key: it is not used again, and the new one takes its place."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_ENDPOINT_URL_STS=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url)
    session = Session(profile="worker")
    stub.fault(COUNT, "ExpiredTokenException", "expired")
    stub.reply(COUNT, {"count": 3})
    assert session.client.meta
    issuer.reply = ROLE_REPLY.replace(b"AKIDROLE", b"AKIDAGAIN")
    assert count(session) == 3
    assert count(Session(profile="worker")) == 3
    assert stub.access_keys == ["AKIDROLE", "AKIDAGAIN", "AKIDAGAIN"]
    assert len(issuer.requests) == 2


@pytest.mark.parametrize("issuer", [(ROLE_REPLY,)], indirect=True, ids=["sts"])
def test_an_mfa_code_is_prompted_for_once(issuer: Issuer, set_env: SetEnv, tmp_path: Path) -> None:
    """A role that needs an MFA code prompts for it in the first process, and not in the next."""
    configure(tmp_path, f"{ROLE_PROFILE}mfa_serial = arn:aws:iam::123456789012:mfa/me\n")
    set_env(AWS_ENDPOINT_URL_STS=issuer.url, AWS_PROFILE="worker")
    code = "from swf_cli.client.session import Session; print(Session().client.meta.region_name)"
    for typed in ("123456\n", ""):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=typed,
            capture_output=True,
            text=True,
            start_new_session=True,  # without a terminal, the code is read from stdin
            check=False,
        )
        assert (done.stdout, done.returncode) == ("eu-west-3\n", 0)
    [(_, _, body)] = issuer.requests
    assert parse_qs(body.decode())["TokenCode"] == ["123456"]


def test_without_an_mfa_code_there_is_no_access(tmp_path: Path) -> None:
    """If no MFA code can be entered, that is an AccessError, exit code 7, and STS is not called."""
    configure(tmp_path, f"{ROLE_PROFILE}mfa_serial = arn:aws:iam::123456789012:mfa/me\n")
    code = (
        "from swf_cli.client.session import Session\nfrom swf_cli.errors import AccessError\n"
        "try: Session(profile='worker').client.meta\nexcept AccessError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("no MFA code was entered\n", 0), done.stderr[-500:]
    assert done.stderr == ""  # nor does Python warn of an echo


ECHO = (
    b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>sup3r-53cr3t-t0k3n!</Message></Error></ErrorResponse>"
)
DENIED = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"
BROKEN_STS = b"<ErrorResponse><Error><Code>InternalFailure</Code><Message>oops</Message></Error></ErrorResponse>"


@pytest.mark.usefixtures("instant_retries")
@pytest.mark.parametrize(
    ("issuer", "kind"),
    [((DENIED, 403), CredentialsError), ((BROKEN_STS, 500), CredentialsUnavailable)],
    indirect=["issuer"],
    ids=["denied", "failing"],
)
def test_a_role_that_is_denied_is_not_a_call_to_swf(
    issuer: Issuer, kind: type[SwfError], stub: StubService, set_env: SetEnv, tmp_path: Path
) -> None:
    """If STS does not issue the role's credentials, SWF was certainly not called; if STS fails, that may pass."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_ENDPOINT_URL_STS=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url)
    for use in (complete, poll):
        with pytest.raises(kind, match="of profile worker: AssumeRole") as caught:
            use(Session(profile="worker"))
        assert caught.value.exit_code == ExitCode.NO_ACCESS
        assert not caught.value.possibly_executed
    assert stub.requests == []


@pytest.mark.parametrize("issuer", [(ECHO, 403)], indirect=True)
def test_what_sts_says_is_masked(issuer: Issuer, set_env: SetEnv, tmp_path: Path) -> None:
    """It may repeat what it got."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_ENDPOINT_URL_STS=issuer.url)
    with pytest.raises(CredentialsError, match="AssumeRole: SECRET!"):
        count(Session(profile="worker"))


SSO_REPLY = json.dumps(
    {
        "roleCredentials": {
            "accessKeyId": "AKIDSSO",
            "secretAccessKey": "s",
            "sessionToken": "t",
            "expiration": int(LATER.timestamp() * 1000),
        }
    }
).encode()
SSO_PROFILE = """
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-central-1
sso_registration_scopes = sso:account:access
[profile worker]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Worker
region = eu-west-3
"""


def sign_in(home: Path, until: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the token that `aws sso login` caches."""
    folder = home / ".aws/sso/cache"
    folder.mkdir(parents=True)
    token = {"accessToken": "SSOTOKEN", "expiresAt": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    (folder / f"{sha1(b'corp').hexdigest()}.json").write_text(json.dumps(token))
    # botocore looks the home directory up when it is imported, before the test has one of its own.
    for provider in (botocore.credentials.SSOProvider, botocore.tokens.SSOTokenProvider):
        monkeypatch.setattr(provider, "_SSO_TOKEN_CACHE_DIR", str(folder))


@pytest.mark.parametrize("issuer", [(SSO_REPLY,)], indirect=True, ids=["sso"])
def test_an_sso_profile_gets_its_credentials(
    issuer: Issuer, stub: StubService, set_env: SetEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `aws sso login`, a profile gets its role's credentials from SSO with the cached token."""
    configure(tmp_path, SSO_PROFILE)
    sign_in(tmp_path, LATER, monkeypatch)
    set_env(AWS_ENDPOINT_URL_SSO=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url, AWS_PROFILE="worker")
    stub.reply(COUNT, {"count": 3})
    assert count(Session()) == 3
    assert stub.access_keys == ["AKIDSSO"]
    [(path, headers, _)] = issuer.requests
    assert urlsplit(path).path == "/federation/credentials"
    assert parse_qs(urlsplit(path).query) == {"role_name": ["Worker"], "account_id": ["123456789012"]}
    assert headers["x-amz-sso_bearer_token"] == "SSOTOKEN"


@pytest.mark.parametrize("issuer", [(b'{"__type": "UnauthorizedException"}', 401)], indirect=True, ids=["sso"])
@pytest.mark.parametrize("signed_in", ["refused", "expired", "never"])
def test_an_sso_session_that_is_over_is_no_access(
    signed_in: str,
    issuer: Issuer,
    stub: StubService,
    set_env: SetEnv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An SSO session that is over, or never was, is exit code 7 with a hint to sign in; SWF is not called."""
    configure(tmp_path, SSO_PROFILE)
    sign_in(tmp_path, LATER if signed_in == "refused" else LATER - timedelta(days=1), monkeypatch)
    if signed_in == "never":
        for file in (tmp_path / ".aws/sso/cache").iterdir():
            file.unlink()
    set_env(AWS_ENDPOINT_URL_SSO=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url)
    with pytest.raises(AccessError) as caught:
        count(Session(profile="worker"))
    assert "aws sso login" in str(caught.value.hint)
    assert len(issuer.requests) == (signed_in == "refused")
    assert stub.requests == []
