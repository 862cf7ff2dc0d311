# The edge image with a policy in it, from the policy's folder: `make edge-image MODEL=FOLDER` builds it.
ARG BASE_IMAGE=lerobot-inference-edge:0.1.0

FROM ${BASE_IMAGE} AS policy
# hadolint ignore=DL3002
USER 0
COPY . /policy
RUN chmod --recursive a+rX /policy

FROM ${BASE_IMAGE}
COPY --from=policy /policy /opt/lerobot-inference/policy
# A policy of which a byte is missing or changed doesn't become an image; the node looks again at every start.
RUN ["/ros_entrypoint.sh", "python3", "-c", "from lerobot_inference.checkpoint import open_policy; from pathlib import Path; open_policy(Path('/opt/lerobot-inference/policy'))"]
ENTRYPOINT ["tini", "--", "/ros_entrypoint.sh", "python3", "-m", "lerobot_inference.ros2.act_inference_node", "--ros-args", "-p", "device:=cpu", "-p", "policy_repo:=/opt/lerobot-inference/policy", "--"]
