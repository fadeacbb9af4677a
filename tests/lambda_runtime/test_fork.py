"""A forked process sends what it recorded, its parent the rest, each as itself."""

import pytest

MODES = ("before_response", "after_response")


def instances(spans):
    return {span.resource["service.instance.id"] for span in spans}


@pytest.mark.parametrize("mode", MODES)
def test_the_work_of_forked_processes_is_in_the_trace(function, receiver, mode):
    with function("forking.with_processes", FLUSH_MODE=mode, timeout=10) as lambda_:
        assert lambda_.invoke({}).result == [0, 0, 0]
        assert lambda_.invoke({}).result == [0, 0, 0]
    spans = receiver.spans()
    assert len(spans) == len({span.span_id for span in spans}) == 12
    roots = receiver.named("checkout")
    parts = [span for span in spans if span.name.endswith("part")]
    assert len({root.trace_id for root in roots}) == 2
    for root in roots:
        children = [span for span in parts if span.parent_id == root.span_id]
        assert {span.trace_id for span in children} == {root.trace_id}
        assert sorted(span.attributes["part"] for span in children) == [0, 1, 2]
    assert len(instances(parts)) == 6
    assert len(instances(spans)) == 7
    counted = receiver.points("Parts")
    assert [value for value, _ in counted] == [1] * 6
    assert {r["service.instance.id"] for _, r in counted} == instances(parts)


@pytest.mark.parametrize("leave", ["exit", "at once"])
def test_a_forked_process_never_sends_its_parents_spans(function, receiver, leave):
    with function("forking.with_fork", timeout=10) as lambda_:
        assert lambda_.invoke({"leave": leave}).result == "parent"
    spans = receiver.spans()
    assert sorted(span.name.rpartition(".")[2] for span in spans) == [
        "around",
        "checkout",
        "part",
    ]
    (part,) = [span for span in spans if span.name.endswith("part")]
    (around,) = receiver.named("around")
    assert part.parent_id == around.span_id
    assert part.resource != around.resource


def test_sigterm_to_a_forked_process_ends_that_process_only(function, receiver):
    with function("forking.with_terminated", timeout=10) as lambda_:
        assert lambda_.invoke({}).result == -15
        assert lambda_.invoke({}).result == -15
    assert len(receiver.named("checkout")) == 2
    ended = receiver.named("endless")
    assert len(ended) == 2
    assert all(span.attributes["powertools_otel.terminated"] for span in ended)
