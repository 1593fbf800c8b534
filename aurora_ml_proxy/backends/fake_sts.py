"""A fake of STS's AssumeRole: it hands out keys, and knows them again.

A form of the Query protocol comes in, XML goes out. For the fake Comprehend only.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True, slots=True)
class RoleCall:
    """One AssumeRole."""

    role_arn: str
    session_name: str
    access_key_id: str
    """Whose key signed the call."""
    issued_key_id: str
    """The key that was handed out for it."""


@dataclass(slots=True)
class FakeSts:
    """The keys that were handed out, and what they are good for."""

    calls: list[RoleCall] = field(default_factory=list)

    def assume_role(
        self, form: Mapping[str, str], access_key_id: str, lifetime_s: float
    ) -> str:
        """Hand out a key of the role, as the XML of a reply."""
        number = len(self.calls) + 1
        role_arn, name = form.get("RoleArn", ""), form.get("RoleSessionName", "")
        key = f"ASIAFAKE{number:012d}"
        self.calls.append(RoleCall(role_arn, name, access_key_id, key))
        lifetime = dt.timedelta(seconds=lifetime_s)
        expiration = dt.datetime.now(dt.UTC) + lifetime
        account = (role_arn.split(":") + [""] * 5)[4]
        role = role_arn.rpartition("/")[2]
        user = f"arn:aws:sts::{account}:assumed-role/{role}/{name}"
        return (
            f'<AssumeRoleResponse xmlns="{_NAMESPACE}"><AssumeRoleResult>'
            f"<Credentials><AccessKeyId>{key}</AccessKeyId>"
            f"<SecretAccessKey>fake</SecretAccessKey>"
            f"<SessionToken>{_token(key)}</SessionToken>"
            f"<Expiration>{expiration:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
            f"<AssumedRoleUser><AssumedRoleId>AROAFAKE:{escape(name)}</AssumedRoleId>"
            f"<Arn>{escape(user)}</Arn></AssumedRoleUser></AssumeRoleResult>"
            f"<ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata>"
            f"</AssumeRoleResponse>"
        )

    def knows(self, access_key_id: str, token: str | None) -> bool:
        """Whether a key of a role was handed out here, and comes with its token.

        Keys that are not of a role (ASIA…) belong to somebody with a password.
        """
        if not access_key_id.startswith("ASIA"):
            return True
        issued = any(call.issued_key_id == access_key_id for call in self.calls)
        return issued and token == _token(access_key_id)


def error_xml(code: str, message: str) -> str:
    """A refusal, in the Query protocol's form."""
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type>'
        f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        f"<RequestId>fake</RequestId></ErrorResponse>"
    )


def _token(access_key_id: str) -> str:
    return f"token-of-{access_key_id}"
