from gradcube.diagnosis import Subject
from gradcube.diagnosis.episodes import Episodes, Moment, Sight

KIND, WHO = "DATA_STALL", Subject(rank=1)


def moment(step: int) -> Moment:
    return Moment("bert", 0, step, step * 1000)


def sight(magnitude: float = 2.0) -> Sight:
    return Sight("slow", magnitude, 0.9)


def test_an_episode_is_one_id_from_its_onset_to_its_end() -> None:
    episodes = Episodes(update_steps=10)
    [opened] = episodes.open(moment(5), moment(3), KIND, WHO, sight())
    assert (opened.onset_step, opened.detected_step, opened.onset_at_micros, opened.end_step) == (3, 5, 3000, None)
    assert episodes.open(moment(6), moment(6), KIND, WHO, sight()) == []
    assert episodes.update(moment(14), KIND, WHO, sight(3.0)) == []
    [updated] = episodes.update(moment(15), KIND, WHO, sight(3.0))
    [closed] = episodes.close(17, KIND, WHO, "over", 3.0)
    assert [f.state for f in (opened, updated, closed)] == ["OPENED", "UPDATED", "CLOSED"]
    assert len({f.id for f in (opened, updated, closed)}) == 1
    assert (updated.magnitude, closed.end_step, closed.detected_step) == (3.0, 17, 5)


def test_what_an_earlier_process_opened_goes_on_and_what_it_closed_is_not_opened_again() -> None:
    before, after = Episodes(), Episodes()
    [opened] = before.open(moment(5), moment(3), KIND, WHO, sight())
    after.restore([opened])
    assert after.open(moment(5), moment(3), KIND, WHO, sight()) == []
    [closed] = after.close(9, KIND, WHO, "over", 2.0)
    assert closed.id == opened.id
    third = Episodes()
    third.restore([closed])
    assert third.open(moment(9), moment(9), KIND, WHO, sight()) == []
    assert third.open(moment(10), moment(10), KIND, WHO, sight())[0].id != opened.id
