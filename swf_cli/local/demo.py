"""The main job, step by step, against a local SWF."""

import subprocess
from collections.abc import Callable, Mapping
from typing import Final

STEPS: Final = (
    ("A task is put on the list `resize`, as a workflow's decider would do it.",
     "swf local schedule --task-list resize --activity resize --input in.png"),
    ("It waits there.", "swf pending --task-list resize"),
    ("A worker takes it; from now on it is the worker's.", "swf poll --task-list resize > task.json"),
    ("Until it is closed, this machine remembers it.", "swf held"),
    ("Work goes on: SWF is told, and tells whether to stop.", "swf heartbeat --task task.json --details 'half way'"),
    ("The work is done.", "swf complete --task task.json --result out.png"),
    ("Nothing waits, and nothing is held.", "swf pending --task-list resize && swf held"),
)  # fmt: skip


def walk(env: Mapping[str, str], folder: str, show: Callable[[str], None]) -> int:
    """Run each step by a shell in a folder, showing it first; give the exit code of the first that fails, else 0."""
    for why, command in STEPS:
        show(f"# {why}\n$ {command}\n")
        code = subprocess.run(["sh", "-c", command], env=env, cwd=folder, check=False).returncode
        if code:
            return code
        show("\n")
    return 0
