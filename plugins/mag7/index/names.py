"""Company names: comparing spellings."""

from __future__ import annotations

import re
from typing import Final

_SHARE_CLASS: Final = re.compile(r"\b(class|series) [a-z0-9]\b|\b(common|ordinary|capital) (stock|shares?)\b")
_LEGAL_FORMS: Final = frozenset(
    {"the", "and", "inc", "incorporated", "corp", "corporation", "co", "company", "companies", "plc", "ltd", "limited"}
    | {"holdings", "holding", "group", "sa", "nv", "ag", "llc", "lp", "trust", "new"}
)


def normalize_name(name: str | None) -> str:
    """Return a company's name without legal form, share class and punctuation, so that spellings can be compared."""
    plain = re.sub(r"[^a-z0-9 ]+", " ", (name or "").lower().replace("'", "").replace("&", " and "))
    words = _SHARE_CLASS.sub(" ", " ".join(plain.split())).split()
    return "".join(word for word in words if word not in _LEGAL_FORMS)
