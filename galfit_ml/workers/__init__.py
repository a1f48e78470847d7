"""Tasks in parallel processes: one that is killed costs its own task a second try, and no other task anything.

The processes are started afresh ("spawn": torch does not survive a fork), each with one thread for linear algebra. They
end with the call, with Ctrl-C, and with the process that started them however that ends. The module `__main__` is
loaded in them only where something sent to them is defined there: a script needs no `if __name__ == "__main__":` as
long as its functions and classes come from files it imports, and a notebook or standard input will do as well.

Example:
    >>> from functools import partial
    >>> from operator import mul
    >>> from galfit_ml.workers import run_tasks
    >>> def doubled(task, news):
    ...     news(0.5)
    ...     return mul(2, task)
    >>> [outcome.unwrap() for outcome in run_tasks(doubled, [1, 2, 3])]
    [2, 4, 6]
"""

from __future__ import annotations

from galfit_ml.workers.outcome import News, Outcome
from galfit_ml.workers.run import check_workers, run_tasks

__all__ = ["News", "Outcome", "check_workers", "run_tasks"]
