"""The ROS 2 package: what `ros2 run` and `ros2 launch` find. The program is in the Python package of the same name."""

from setuptools import setup

SHARE = "share/lerobot_inference"

setup(
    name="lerobot_inference",
    version="0.1.0",
    packages=[],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/lerobot_inference"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", ["launch/act_inference.launch.py"]),
        (f"{SHARE}/config", ["config/ur10e.yaml"]),
    ],
    entry_points={
        "console_scripts": ["act_inference_node = lerobot_inference.ros2.act_inference_node:main"],
    },
)
