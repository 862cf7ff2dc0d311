"""A LeRobot v3 dataset on disk: metadata, table, video frames."""
