"""A run tells the store where it stands, and another process reads it there."""

from __future__ import annotations

import pytest

from emtkit.errors import EmtkitError, StoreError
from emtkit.execute.monitor import Counts, Monitor
from emtkit.execute.progress import SILENCE, Recorded, follow
from emtkit.store.store import Store


class Heard(Monitor):
    def __init__(self):
        self.told = []

    def update(self, counts, last):
        self.told.append((counts.trained, last))


class Clock:
    """Time that passes only when told to; what happens while someone sleeps is given."""

    def __init__(self, events=()):
        self.now, self.events = 1000.0, list(events)

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if self.events:
            self.events.pop(0)()


def counts(trained):
    return Counts(
        cells=4, stored=0, trained=trained, failed=0, lost=0, findings=0, findings_done=0, seconds=1
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.sqlite"


def test_an_entry_at_most_once_a_second_and_one_at_the_end(path):
    clock, heard = Clock(), Heard()
    with Store.open(path, writer=True) as store:
        recorded = Recorded(store, "smoke", heard, clock)
        seen = []
        for trained, after in enumerate([0.0, 0.4, 0.4, 0.4]):
            clock.now += after
            recorded.update(counts(trained), False)
            (entry,) = store.progress()
            seen.append(entry.counts["trained"])
        recorded.update(counts(4), True)
        recorded.close()
        (entry,) = store.progress()
    assert seen == [0, 0, 0, 3]
    assert (entry.state, entry.counts["trained"], entry.study) == ("done", 4, "smoke")
    assert entry.updated - entry.started == pytest.approx(1.2)
    assert [trained for trained, _ in heard.told] == [0, 1, 2, 3, 4]


def test_a_run_that_is_interrupted_says_so(path):
    with Store.open(path, writer=True) as store:
        recorded = Recorded(store, "smoke", Heard(), Clock())
        recorded.update(counts(1), False)
        recorded.close()
    last = follow(path, "smoke", Heard(), clock=Clock(), sleep=Clock().sleep)
    assert last.state == "stopped"


def test_a_reader_follows_a_run_until_it_ends(path):
    heard, clock = Heard(), Clock()
    with Store.open(path, writer=True) as store:
        recorded = Recorded(store, "smoke", Heard(), clock)
        recorded.update(counts(0), False)
        clock.events = [
            lambda: None,
            lambda: recorded.update(counts(2), False),
            lambda: recorded.update(counts(4), True),
        ]
        last = follow(path, "smoke", heard, clock=clock, sleep=clock.sleep)
    assert last.state == "done"
    assert heard.told == [(0, False), (0, False), (2, False), (4, True)]


def test_the_latest_run_of_the_study_is_followed(path):
    with Store.open(path, writer=True) as store:
        for study, trained, at in (("smoke", 1, 0.0), ("smoke", 4, 5.0), ("other", 2, 9.0)):
            clock = Clock()
            clock.now += at
            Recorded(store, study, Heard(), clock).update(counts(trained), True)
    assert follow(path, "smoke", Heard()).counts["trained"] == 4


def test_a_killed_run_is_not_waited_for_for_ever(path):
    clock = Clock()
    with Store.open(path, writer=True) as store:
        Recorded(store, "smoke", Heard(), clock).update(counts(1), False)
    last = follow(path, "smoke", Heard(), clock=clock, sleep=clock.sleep)
    assert last.state == "running"
    assert SILENCE < clock.now - 1000.0 < SILENCE + 2


def test_a_study_that_was_never_run_names_those_that_were(path):
    with pytest.raises(StoreError):
        follow(path, "smoke", Heard())
    with Store.open(path, writer=True) as store:
        Recorded(store, "smoke", Heard(), Clock()).update(counts(1), True)
    with pytest.raises(EmtkitError, match="no run of 'smok'; it has runs of smoke;"):
        follow(path, "smok", Heard())
