"""What a node that waits for its robot tells its log: which topic gives nothing, and why as far as can be seen."""

from __future__ import annotations

from collections.abc import Sequence

WAITING_S = 5.0
"""Driver and camera have this long to be found."""


def why_waiting(topic: str, publishers: int, *, heard: bool, dropped: Sequence[str]) -> str:
    """publishers: that are seen. heard: a message has come. dropped: why those that came were not taken."""
    if dropped:
        return f"waiting for {topic}: {dropped[-1]}"
    if heard:
        return f"waiting for {topic}: none of its messages names a joint of the parameter joint_names"
    if publishers:
        return (
            f"waiting for {topic}: it is published, and nothing comes (shared memory is its owner's: be the user who "
            "runs the publisher, with docker run --user)"
        )
    return f"waiting for {topic}: nobody publishes it where this node can see it (ROS_DOMAIN_ID, parameters *_topic)"
