"""Issues at the desk."""

from tests.desk import Seat


def test_x(seat: Seat) -> None:
    assert "first issue" in seat.read("/issues")
    seat.page("/issues/new")
    answer = seat.post("/issues/new", {"date": "2026-06-17", "text": ""})
    assert answer.status_code == 303
    where = answer.headers["location"]
    page = seat.page(where)
    seat.page("/issues")
    seat.page(where + "/preview")
    seat.page(where + "/history")
    seat.page(where + "/images")
    from tests import factories

    text = factories.MARKDOWN
    a = seat.post(where + "/save", {"text": text, "revision": "1"})
    assert a.status_code == 303
    seat.page(where + "/history/1")
    a = seat.post(where + "/save", {"text": text + "x", "revision": "1"})
    assert a.status_code == 409
    print(a.text)
    for do in ("up 2", "down 1", "remove 1", "add", "markdown"):
        a = seat.post(where + "/entries", {"text": text + "x", "revision": "2", "do": do})
        print(do, a.status_code)
    a = seat.post(where + "/check", {"text": text + "x"})
    assert a.status_code == 200
