"""Who asks: the tokens that the stand-in `az` hands out, which are unsigned and name the resource they are for."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode

from azure_loopback.server import Request


def has_token_for(request: Request, *audiences: str) -> bool:
    """Whether the call carries a token for one of these resources."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    claims = token.split(".")[1] if scheme == "Bearer" and token.count(".") == 2 else ""
    try:
        found = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["aud"]
    except (ValueError, KeyError):
        return False
    return found.rstrip("/") in audiences
