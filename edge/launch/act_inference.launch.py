"""`ros2 launch lerobot_inference act_inference.launch.py policy_repo:=/models/bundle`: a dry run beside the robot."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

GUARDS = PathJoinSubstitution([FindPackageShare("lerobot_inference"), "config", "ur10e.yaml"])
ARGUMENTS = {
    "policy_repo": "alizaidi/hve-robo-act-train",
    "device": "cpu",
    "enable_control": "false",
    "controller": "scaled_joint_trajectory_controller",
    "camera_topic": "/camera/color/image_raw",
    "program_running_topic": "/io_and_status_controller/robot_program_running",
    "speed_scaling_topic": "/speed_scaling_state_broadcaster/speed_scaling",
}


def generate_launch_description() -> LaunchDescription:
    """The node, its commands led to the UR's trajectory controller."""
    chosen = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    node = Node(
        package="lerobot_inference",
        executable="act_inference_node",
        output="screen",
        parameters=[{name: value for name, value in chosen.items() if name != "controller"} | {"guards": GUARDS}],
        remappings=[("/lerobot/joint_commands", ["/", chosen["controller"], "/joint_trajectory"])],
    )
    return LaunchDescription(
        [*(DeclareLaunchArgument(name, default_value=value) for name, value in ARGUMENTS.items()), node]
    )
