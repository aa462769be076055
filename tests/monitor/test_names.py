"""Names that were probably meant."""

import pytest

from swf_cli.monitor.names import close_names


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
    assert close_names(name, candidates) == near


def test_the_closest_comes_first() -> None:
    """However the candidates are ordered."""
    assert close_names("encode-video", ["encode-videos-2", "encode-videos"]) == ["encode-videos", "encode-videos-2"]
