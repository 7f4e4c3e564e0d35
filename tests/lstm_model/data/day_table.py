"""Ten days of a CSV, and the settings that read it."""

from typing import Any

from lstm_model.configuration import DataSettings

# Ten days of pm and wind: five for training, three for validation, two for the test.
DAYS = [
    "date,pm,wind",
    "2013-01-01,10,NW",
    "2013-01-02,12,NW",
    "2013-01-03,NA,SE",
    "2013-01-04,13.5,",
    "2013-01-05,11,SE",
    "2013-01-06,9,cv",
    "2013-01-07,8,NW",
    "2013-01-08,7,NW",
    "2013-01-09,6,NW",
    "2013-01-10,5,NW",
]


def settings(source: str = "days.csv", **changes: Any) -> DataSettings:
    return DataSettings(
        **{
            "source": source,
            "time": "date",
            "target": "pm",
            "features": ["pm", "wind"],
            "validation_from": "2013-01-06",
            "test_from": "2013-01-09",
            **changes,
        }
    )


def days(**lines: str) -> str:
    """DAYS with some lines of the file replaced: days(line_3='...')."""
    text = list(DAYS)
    for key, line in lines.items():
        text[int(key.removeprefix("line_")) - 1] = line
    return "\n".join(text) + "\n"
