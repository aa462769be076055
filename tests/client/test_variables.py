"""Empty environment variables of AWS count as unset."""

import os
from pathlib import Path

import botocore.session
import pytest

from swf_cli.client.session import Session
from swf_cli.client.variables import ignore_empty_variables
from swf_cli.errors import CredentialsError
from tests.client.conftest import SetEnv, configure, count
from tests.helpers.operations import COUNT
from tests.helpers.stub_service import StubService

OTHERS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCOUNT_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SWF",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""Variables that botocore reads where it needs them."""


def variables_of_settings() -> list[str]:
    """Return the variables of botocore's settings."""
    found = [names for _, names, *_ in botocore.session.Session().session_var_map.values() if names]
    return [name for names in found for name in ([names] if isinstance(names, str) else names)]


SETTINGS = [name for name in variables_of_settings() if name.startswith("AWS_")]


def test_all_of_them_together(set_env: SetEnv, stub: StubService, tmp_path: Path) -> None:
    """Everything is found in the files of settings instead; and the environment is as before."""
    stub.reply(COUNT, {"count": 3})
    configure(
        tmp_path,
        "[default]\nregion = eu-west-3\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"
        f"endpoint_url = {stub.url}\n",
    )
    set_env(**dict.fromkeys([*SETTINGS, *OTHERS], ""))
    before = dict(os.environ)
    session = Session()
    assert count(session) == 3
    assert session.client.meta.region_name == "eu-west-3"
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_that_of_the_profile_or_the_default(name: str, set_env: SetEnv, tmp_path: Path) -> None:
    """Each setting of botocore is as if the variable were not there."""
    configure(tmp_path, "[default]\nretry_mode = adaptive\nmetadata_service_timeout = 7\n")

    def settings() -> dict[str, object]:
        session = botocore.session.Session()
        ignore_empty_variables(session)
        return {setting: session.get_config_variable(setting) for setting in session.session_var_map}

    without = settings()
    assert (without["retry_mode"], without["metadata_service_timeout"]) == ("adaptive", 7)
    set_env(**{name: ""})
    assert settings() == without


def test_an_empty_variable_beside_one_that_is_set(set_env: SetEnv, tmp_path: Path) -> None:
    """Botocore knows two variables for the profile: an empty one does not hide the other."""
    configure(tmp_path, "[profile video]\n")
    session = botocore.session.Session()
    set_env(AWS_DEFAULT_PROFILE="", AWS_PROFILE="video")
    ignore_empty_variables(session)
    assert session.get_config_variable("profile") == "video"


@pytest.mark.parametrize("name", [name for name in OTHERS if name.startswith("AWS_CONTAINER_CREDENTIALS")])
def test_an_empty_endpoint_of_a_container(name: str, set_env: SetEnv, stub: StubService) -> None:
    """No endpoint is asked for credentials: there are none."""
    set_env(**{name: ""}, AWS_REGION="us-east-1")
    with pytest.raises(CredentialsError, match=r"^no AWS credentials were found$"):
        count(Session(endpoint_url=stub.url))


def test_an_empty_variable_does_not_hide_a_web_identity(set_env: SetEnv, stub: StubService, tmp_path: Path) -> None:
    """The file of the token that the profile names is read."""
    configure(
        tmp_path, "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nweb_identity_token_file = /no/token\n"
    )
    set_env(AWS_WEB_IDENTITY_TOKEN_FILE="", AWS_ROLE_ARN="", AWS_REGION="us-east-1")
    with pytest.raises(CredentialsError, match="web identity token file /no/token: No such file"):
        count(Session(endpoint_url=stub.url))
