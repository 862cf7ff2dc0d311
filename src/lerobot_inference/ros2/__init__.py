"""The ROS 2 node: messages in, Controller.tick(), a command out. The only place that imports rclpy."""
