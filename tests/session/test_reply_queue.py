"""The rules at the head of reply_queue.py, one by one."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.errors import BackendProtocolError
from pgcrypt_proxy.session.reply_queue import Answer, Expected, ReplyQueue, Request


def queue_of(*requests: Request) -> ReplyQueue[int]:
    queue: ReplyQueue[int] = ReplyQueue()
    for number, request in enumerate(requests):
        queue.add(Expected(request, number))
    return queue


def matched(queue: ReplyQueue[int], kinds: str) -> list[int]:
    return [queue.match(ord(kind)).work for kind in kinds]


P, B, E, S, Q = Request.PARSE, Request.BIND, Request.EXECUTE, Request.SYNC, Request.QUERY
DS, DP, C, F = Request.DESCRIBE_STATEMENT, Request.DESCRIBE_PORTAL, Request.CLOSE, Request.FUNCTION_CALL


def test_extended_query_is_answered_in_order():
    queue = queue_of(P, B, DP, E, S)
    assert matched(queue, "12TDDCZ") == [0, 1, 2, 3, 3, 3, 4]
    assert len(queue) == 0


def test_describe_statement_is_answered_by_two_messages():
    queue = queue_of(DS, DS, S)
    assert matched(queue, "tTtnZ") == [0, 0, 1, 1, 2]


def test_query_with_several_statements_ends_at_ready_for_query():
    assert matched(queue_of(Q, Q), "TDCTDCIZZ") == [0] * 8 + [1]


def test_suspended_portal_finishes_its_execute_only():
    assert matched(queue_of(E, E, S), "DsDCZ") == [0, 0, 1, 1, 2]


def test_function_call():
    assert matched(queue_of(F), "VZ") == [0, 0]


@pytest.mark.parametrize("kind", "123tTnDCIsGHdcVZRKW?")
def test_an_answer_to_nothing_ends_the_connection(kind: str):
    with pytest.raises(BackendProtocolError):
        ReplyQueue[int]().match(ord(kind))


@pytest.mark.parametrize(("request_", "kind"), [(P, "2"), (B, "1"), (E, "T"), (S, "C"), (Q, "1"), (DP, "t")])
def test_an_answer_of_the_wrong_kind_ends_the_connection(request_: Request, kind: str):
    with pytest.raises(BackendProtocolError):
        queue_of(request_).match(ord(kind))


def test_error_skips_to_the_sync_already_sent():
    queue = queue_of(P, B, Q, E, S, P, S)
    assert matched(queue, "1") == [0]
    head, dropped = queue.fail()
    assert head.work == 1
    assert [e.work for e in dropped] == [1, 2, 3]
    assert not queue.is_skipping
    assert matched(queue, "Z1Z") == [4, 5, 6]


def test_error_skips_to_a_sync_not_yet_sent():
    queue = queue_of(P, B)
    queue.fail()
    assert queue.is_skipping
    assert len(queue) == 0
    with pytest.raises(AssertionError):
        queue.add(Expected(Q, 9))
    queue.add(Expected(S, 10))
    assert not queue.is_skipping
    assert matched(queue, "Z") == [10]


@pytest.mark.parametrize("request_", [Q, F, S])
def test_error_of_a_self_synchronising_request_waits_for_its_own_ready_for_query(request_: Request):
    queue = queue_of(request_, P, S)
    head, dropped = queue.fail()
    assert (head.work, dropped) == (0, [])
    assert matched(queue, "Z1Z") == [0, 1, 2]


def test_error_in_answer_to_nothing():
    with pytest.raises(BackendProtocolError):
        ReplyQueue[int]().fail()


def test_sync_before_copy_done_is_not_answered():
    queue = queue_of(P, B, E, S)
    queue.add(Expected(Request.COPY_END, 4))
    queue.add(Expected(S, 5))
    matched(queue, "12G")
    queue.start_copy_in()
    assert matched(queue, "CZ") == [2, 5]
    assert len(queue) == 0


def test_sync_sent_during_copy_in_is_not_answered():
    queue = queue_of(E)
    matched(queue, "G")
    queue.start_copy_in()
    queue.add(Expected(S, 1))
    queue.add(Expected(Request.COPY_END, 2))
    queue.add(Expected(S, 3))
    assert matched(queue, "CZ") == [0, 3]


def test_error_during_copy_in_skips_to_sync():
    queue = queue_of(E)
    matched(queue, "G")
    queue.start_copy_in()
    queue.fail()
    assert queue.is_skipping
    queue.add(Expected(S, 1))
    assert matched(queue, "Z") == [1]


def test_copy_by_simple_query():
    queue = queue_of(Q)
    matched(queue, "G")
    queue.start_copy_in()
    queue.add(Expected(Request.COPY_END, 1))
    queue.add(Expected(Q, 2))
    assert matched(queue, "CZ") == [0, 0]
    assert matched(queue, "Z") == [2]


def test_batch_counts_syncs_and_is_synced_follows_them():
    queue = queue_of()
    assert (queue.batch, queue.is_synced) == (0, True)
    queue.add(Expected(P, 0))
    assert not queue.is_synced
    queue.add(Expected(Q, 1))
    assert not queue.is_synced
    queue.add(Expected(S, 2))
    assert (queue.batch, queue.is_synced) == (1, True)


def test_entries_forward_unless_told_otherwise():
    assert Expected(P, 0).answer is Answer.FORWARD


@pytest.mark.parametrize("answered", [0, 1, 2])
@pytest.mark.parametrize("is_synced", [False, True])
def test_syncs_among_the_data_of_a_failed_copy_may_be_answered(answered: int, is_synced: bool) -> None:
    """Each as often as it was sent, and not in the place of what was sent behind."""
    queue: ReplyQueue[str] = ReplyQueue()
    queue.add(Expected(Q, "copy"))
    queue.match(ord("G"))
    queue.start_copy_in()
    for _ in range(2):
        queue.add(Expected(S, "among"))
    queue.add(Expected(Request.COPY_END, "end"))
    if is_synced:
        queue.add(Expected(S, "behind"))
    queue.add(Expected(Q, "next"))
    queue.fail()
    assert queue.match(ord("Z")).work == "copy"
    works = [queue.match(ord("Z")).work for _ in range(answered + is_synced)]
    assert sorted(works) == ["among"] * answered + ["behind"] * is_synced
    assert [queue.match(ord(kind)).work for kind in "TCZ"] == ["next"] * 3
    assert len(queue) == 0
    with pytest.raises(BackendProtocolError):
        queue.match(ord("Z"))


def test_such_a_sync_ends_the_skipping() -> None:
    queue: ReplyQueue[str] = ReplyQueue()
    queue.add(Expected(E, "copy"))
    queue.match(ord("G"))
    queue.start_copy_in()
    queue.add(Expected(S, "among"))
    queue.fail()
    assert (queue.is_skipping, queue.may_be_synced) == (True, True)
    assert queue.match(ord("Z")).work == "among"
    assert (queue.is_skipping, queue.may_be_synced, queue.is_synced) == (False, False, True)
    with pytest.raises(BackendProtocolError):
        queue.match(ord("Z"))
