"""Made-up AWS settings, and botocore clients that use them."""

from functools import cache
from typing import Any, Final

import botocore.session
from botocore.config import Config

REGION: Final = "us-east-1"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
SETTINGS: Final = {**CREDENTIALS, "AWS_REGION": REGION}
"""Environment variables with a region and credentials."""

_session = cache(botocore.session.Session)


def create_client(endpoint_url: str | None = None, **config: Any) -> Any:
    """Return a botocore client such as a caller of the Python API makes: one attempt per call."""
    return _session().create_client(
        "swf",
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, **config),
    )
