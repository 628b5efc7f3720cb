"""The emitter's books under hypothesis: whatever is offered, answered and closed in whatever order, they add up."""

from collections import Counter, deque
from threading import Event, Thread

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.bus.fake_producer import fake_cluster

from gradcube.bus.accounts import Accounts
from gradcube.bus.sending import Entry, Sending
from gradcube.settings import KafkaSettings

MAX_BYTES = 1000
WINDOW_BYTES = 400
MAX_SIZE_BYTES = 300
TOPICS = ("steps", "resources")


class Books(RuleBasedStateMachine):
    """The accounts and the sending side with a fake producer, without the emitter's thread: every order is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._fakes = fake_cluster()
        self.cluster = self._fakes.__enter__()
        self.accounts = Accounts(MAX_BYTES)
        self.sending = Sending(KafkaSettings(), self.accounts, client_id="test", window_bytes=WINDOW_BYTES)
        self.queue: deque[Entry] = deque()
        self.accepted: list[Entry] = []
        self.offered = 0
        self.acknowledged = 0
        self.taken: Counter[str] = Counter()
        self.sealed = False

    def teardown(self) -> None:
        self._fakes.__exit__(None, None, None)

    @rule(topic=st.sampled_from(TOPICS), size_bytes=st.integers(1, MAX_SIZE_BYTES))
    def offer(self, topic: str, size_bytes: int) -> None:
        before = self.accounts.pending_bytes
        admitted = self.accounts.admit(topic, size_bytes)
        assert admitted == (not self.sealed and before + size_bytes <= MAX_BYTES)
        if admitted:
            entry = (topic, b"key", b"%d" % self.offered, size_bytes)
            self.queue.append(entry)
            self.accepted.append(entry)
        self.offered += 1

    @rule()
    def advance(self) -> None:
        self.sending.advance(self.queue, Event())

    @precondition(lambda self: self.cluster.producers)
    @rule(count=st.integers(1, 5), delivered=st.booleans())
    def answer(self, count: int, delivered: bool) -> None:
        producer = self.cluster.producers[0]
        if delivered and not self.sealed:
            self.acknowledged += min(count, len(producer.waiting))
        producer.answer(count, delivered=delivered)

    @rule(topic=st.sampled_from(TOPICS))
    def take_dropped(self, topic: str) -> None:
        self.taken[topic] += self.accounts.take_dropped(topic)
        assert self.accounts.take_dropped(topic) == 0

    @precondition(lambda self: not self.sealed)
    @rule()
    def seal(self) -> None:
        pending = self.accounts.stats(connected=True).pending
        assert self.accounts.seal() == pending
        self.sealed = True

    @invariant()
    def books_add_up(self) -> None:
        stats = self.accounts.stats(connected=True)
        assert stats.offered == self.offered == stats.acknowledged + stats.dropped + stats.pending
        assert stats.acknowledged == self.acknowledged
        assert 0 <= stats.pending_bytes <= MAX_BYTES
        assert (stats.pending == 0) == (stats.pending_bytes == 0)
        assert self.taken.total() <= stats.dropped
        assert not self.sealed or stats.pending == 0

    @invariant()
    def records_go_out_once_in_order_and_within_the_window(self) -> None:
        for producer in self.cluster.producers:
            sent = [(topic, value) for topic, _, value, _ in producer.sent]
            assert sent == [(topic, value) for topic, _, value, _ in self.accepted[: len(sent)]]
            sizes = {value: size_bytes for _, _, value, size_bytes in self.accepted}
            assert sum(sizes[value] for _, _, value, _ in producer.waiting) < WINDOW_BYTES + MAX_SIZE_BYTES


Books.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBooks = Books.TestCase


def test_every_drop_is_taken_exactly_once_per_topic() -> None:
    accounts = Accounts(10)
    assert [accounts.admit("steps", 6), accounts.admit("steps", 6), accounts.admit("resources", 6)] == [
        True,
        False,
        False,
    ]
    accounts.settle("steps", 6, delivered=False)
    assert [accounts.take_dropped(topic) for topic in ("steps", "resources", "unheard")] == [2, 1, 0]
    assert [accounts.take_dropped(topic) for topic in ("steps", "resources")] == [0, 0]


def test_a_settled_record_makes_room_for_the_next() -> None:
    accounts = Accounts(10)
    assert accounts.admit("steps", 10)
    assert not accounts.admit("steps", 1)
    accounts.settle("steps", 10, delivered=True)
    assert accounts.admit("steps", 10)


def test_what_is_answered_after_the_seal_has_been_counted_already() -> None:
    accounts = Accounts(100)
    accounts.admit("steps", 10)
    assert accounts.seal() == 1
    sealed = accounts.stats(connected=False)
    accounts.settle("steps", 10, delivered=True)
    assert accounts.stats(connected=False) == sealed
    assert (sealed.acknowledged, sealed.dropped, sealed.pending) == (0, 1, 0)


def test_every_view_adds_up_while_threads_offer_and_settle() -> None:
    accounts = Accounts(500)
    done = Event()

    def work() -> None:
        for _ in range(3000):
            if accounts.admit("steps", 100):
                accounts.settle("steps", 100, delivered=True)

    def watch() -> None:
        while not done.is_set():
            stats = accounts.stats(connected=True)
            wrong.extend([stats] if stats.offered != stats.acknowledged + stats.dropped + stats.pending else [])
            wrong.extend([stats] if stats.pending_bytes != 100 * stats.pending else [])

    wrong: list[object] = []
    workers, watcher = [Thread(target=work) for _ in range(3)], Thread(target=watch)
    for thread in (*workers, watcher):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    watcher.join()
    assert wrong == []
    assert accounts.stats(connected=True).offered == 9000
