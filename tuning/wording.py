"""Steps and lead times as people read them."""


def lead_name(step: str, lead: int) -> str:
    """A lead time in steps of that name.

    >>> lead_name("1 h", 3), lead_name("15 min", 3)
    ('3 h', '3 steps of 15 min')
    """
    return f"{lead} h" if step == "1 h" else f"{lead} step{'s' if lead > 1 else ''} of {step}"
