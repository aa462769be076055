"""Environment variables of AWS that are empty: they count as unset."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import botocore.session


def ignore_empty_variables(session: "botocore.session.Session") -> None:
    """Have a new botocore session treat empty variables as unset; the environment itself is not changed.

    botocore would parse an empty value as a number, a mode or a file name.
    """
    variables = {name: value for name, value in os.environ.items() if value}
    if not any(name.startswith("AWS_") for name in os.environ.keys() - variables):
        return
    for setting, (key, names, default, convert) in list(session.session_var_map.items()):
        kept = [name for name in ([names] if isinstance(names, str) else names or []) if name in variables]
        session.session_var_map[setting] = (key, kept, default, convert)
    # Some providers of credentials read variables themselves; what they are called with is not public.
    provider: Any
    for provider in session.get_component("credential_provider").providers:
        for attribute in ("environ", "_environ"):
            if getattr(provider, attribute, None) is os.environ:
                setattr(provider, attribute, variables)
        if hasattr(provider, "_CONFIG_TO_ENV_VAR"):
            names = provider._CONFIG_TO_ENV_VAR
            provider._CONFIG_TO_ENV_VAR = {key: name for key, name in names.items() if name in variables}
