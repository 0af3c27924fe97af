"""Supervisor: a process that ended is started again at once.

It looks for ended processes once a second, and starts them when it looks the next time: a second later. Run as a
program, `python -m compat.supervisor -c FILE`, this module is supervisord without that pause.
"""

from __future__ import annotations

from supervisor import supervisord

TESTED = {"supervisor": "4.3.0"}


class Supervisor(supervisord.Supervisor):  # type: ignore[misc]
    """A supervisor that starts processes again in the same round of its loop in which it learns that they ended."""

    def reap(self, once: bool = False, recursionguard: int = 0) -> None:
        """Learn of all processes that ended, then start those again that are to be."""
        super().reap(once, recursionguard)
        if not recursionguard:
            for group in self.process_groups.values():
                group.transition()


def main() -> None:
    """Supervise until stopped."""
    supervisord.Supervisor = Supervisor
    supervisord.main()


if __name__ == "__main__":
    main()
