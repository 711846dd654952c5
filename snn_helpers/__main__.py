"""The command line, ``snn`` or ``python -m snn_helpers``: {download,train,evaluate,convert}; ``--help`` explains."""

import sys

from snn_helpers.runs import options


def main(arguments=None):
    given = vars(options.parser().parse_args(arguments))
    command = given.pop("command")
    try:
        # here, so that --help and a mistyped option do not wait for torch
        from snn_helpers.runs import commands, distributed

        if command != "train" and distributed.processes() > 1:
            raise ValueError(
                f"runs in one process, got {distributed.processes()}. Only train shares its work; call this one "
                "without torchrun."
            )
        getattr(commands, command)(**given)
    except (ValueError, TypeError, OSError, RuntimeError, MemoryError) as error:
        sys.exit(f"{command}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted. What was saved before is unharmed; --resume goes on from it.")


if __name__ == "__main__":
    main()
