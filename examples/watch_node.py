"""See what the node says and what the simulated arm does, a line a second, until Ctrl-C.

.venv-ros2/bin/python examples/watch_node.py
"""

import json
from contextlib import suppress

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def main() -> None:
    """Print state and reason of the newest status, and how far the arm is from the ball."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("watch_node")
    newest: dict[str, dict] = {}
    for name, topic, quality in (("node", "/lerobot/status", LATCHED), ("cell", "/sim/report", 1)):
        node.create_subscription(
            String, topic, lambda message, name=name: newest.update({name: json.loads(message.data)}), quality
        )

    def tell() -> None:
        status, report = newest.get("node"), newest.get("cell")
        arm = f"{100 * report['distance']:.1f} cm from the ball" if report else "no cell"
        reached = ", reached" if report and report["reached"] else ""
        said = " ".join(dict.fromkeys((status["state"], status["reason"]))).strip() if status else "no node"
        print(f"{arm + reached:<32} {said}", flush=True)

    node.create_timer(1.0, tell)
    with suppress(KeyboardInterrupt):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
