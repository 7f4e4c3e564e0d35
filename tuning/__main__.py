"""`lstm-tuning run | compare | new-space | forecast`: the commands under one name."""

import sys
from importlib import import_module

from lstm_model.command import DONE, USER_ERROR, exit_without_teardown, print_stderr, run_app
from tuning.wording import suggestion

COMMANDS = {
    "run": "tuning.run",
    "compare": "tuning.compare",
    "new-space": "tuning.new_space",
    "forecast": "lstm_model.forecast",
}
USAGE = f"Usage: lstm-tuning [{' | '.join(COMMANDS)}] [OPTIONS]"
HELP = f"""{USAGE}

  run        search a space for the LSTM that forecasts best
  compare    settle which of two models is better
  new-space  propose a search space for a table
  forecast   forecast with a model that was kept

lstm-tuning COMMAND --help says more of each."""


def main() -> None:
    """Run the command that the first argument names, with the others."""
    program, *arguments = sys.argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP)
        exit_without_teardown(DONE)
    name, *rest = arguments
    if name not in COMMANDS:
        also = suggestion(name, COMMANDS, "the commands are")
        print_stderr(f"{USAGE}\nlstm-tuning has no command {name!r}{also}")
        exit_without_teardown(USER_ERROR)
    sys.argv = [f"{program} {name}", *rest]
    exit_without_teardown(run_app(import_module(COMMANDS[name]).app))


if __name__ == "__main__":
    main()
