"""What one check of `gradcube doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """`ok` None: could not be judged. `mend` says what to do when it is not well."""

    name: str
    ok: bool | None
    found: str
    mend: str = ""
