"""Names that were probably meant."""

import pytest

from swf_cli.names import did_you_mean, similar_names, suggest_names


@pytest.mark.parametrize(
    ("name", "candidates", "near"),
    [
        ("gpuu", ["gpu", "cpu", "upload"], ["gpu"]),
        ("reszie", ["resize", "render"], ["resize"]),
        ("Resize", ["resize"], ["resize"]),
        ("video-77", ["video-7", "order-77"], ["video-7"]),
        ("resize", ["resize"], []),
        ("nobody", ["somebody-else", "a", ""], []),
        ("", ["a"], []),
        (
            "encode-of-customer-4711",
            ["resize-of-customer-4711", "encod-of-customer-4711"],
            ["encod-of-customer-4711"],
        ),
        ("list-5", ["list-1", "list-2", "list-3", "list-4"], ["list-1", "list-2", "list-3"]),
    ],
)
def test_only_near_names_are_suggested(name: str, candidates: list[str], near: list[str]) -> None:
    """A letter more, less, elsewhere, or in another case; never the name itself; at most three."""
    assert similar_names(name, candidates) == near


def test_the_closest_comes_first() -> None:
    """However the candidates are ordered."""
    assert similar_names("encode-video", ["encode-videos-2", "encode-videos"]) == ["encode-videos", "encode-videos-2"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("order-4711", ["order-4711.resize.1", "order-4711.resize.2", "order-4711.upload"]),
        ("order-4711.uplaod", ["order-4711.upload"]),
        ("order-4711.resize.3", ["order-4711.resize.1", "order-4711.resize.2"]),
        ("order-4711.resize.1", ["order-4711.resize.2"]),
        ("o", []),
        ("4711", []),
    ],
)
def test_a_name_may_have_been_copied_in_part(name: str, meant: list[str]) -> None:
    """Misspellings come first, then names that begin with it, unless it is very short; never the name itself."""
    names = ["order-4711.upload", "order-4711.resize.2", "order-4711.resize.1", "order-4711.zip"]
    assert suggest_names(name, names) == meant


@pytest.mark.parametrize(
    ("names", "hint"), [([], None), (["a"], "did you mean a?"), (["a", "b"], "did you mean a or b?")]
)
def test_hint(names: list[str], hint: str | None) -> None:
    """Names are suggested in the same words everywhere."""
    assert did_you_mean(names) == hint
