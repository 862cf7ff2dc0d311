"""The whole policy as one graph: observations as the robot has them in, joint actions in radians out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto

from lerobot_inference.checkpoint import ActConfig, Checkpoint
from lerobot_inference.checkpoint.bundle import GRAPH_FILE, WEIGHTS_FILE
from lerobot_inference.engine.graph.backbone import Backbone
from lerobot_inference.engine.graph.builder import GraphBuilder
from lerobot_inference.engine.graph.positions import image_positions
from lerobot_inference.engine.graph.scaling import Scaling, emit_actions
from lerobot_inference.engine.graph.transformer import ACTIVATIONS, Linear, emit_decoder, emit_encoder
from lerobot_inference.engine.graph.weights import Array, Weights
from lerobot_inference.engine.graph_engine import CAMERA_TOKENS, MEMORY
from lerobot_inference.errors import CheckpointError
from lerobot_inference.files import storage_errors
from lerobot_inference.types import ACTION, ENVIRONMENT_STATE, STATE, ImageShape

BATCH = "batch"
PIXEL_MAX = 255.0


def write_graph(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write policy.onnx and policy.weights, which it refers to, into `folder`; return the path of the former.

    It is the checkpoint's network with its normalisation, in float32, for any batch size.

    Inputs: observation.state (B, S) float32 radians; observation.environment_state (B, E) float32 where the policy
    has one; each camera (B, H, W, 3) uint8 RGB. Output: action (B, chunk, A) float32 radians.
    Raises CheckpointError naming the option that can't be built, or the tensor that doesn't fit config.json;
    StorageError when the disk is full.
    """
    _check(checkpoint.config)
    path = folder / GRAPH_FILE
    with storage_errors(path), (folder / WEIGHTS_FILE).open("wb") as file, Weights(checkpoint.weights) as weights:
        onnx.save(_build(GraphBuilder(file), weights, checkpoint), path)
    return path


def build_graph(checkpoint: Checkpoint) -> onnx.ModelProto:
    """The same graph as one object in memory, for what reads or rewrites it. Raises what `write_graph` raises."""
    with TemporaryDirectory() as folder:
        return onnx.load(write_graph(checkpoint, Path(folder)))


def _build(graph: GraphBuilder, weights: Weights, checkpoint: Checkpoint) -> onnx.ModelProto:
    config, spec = checkpoint.config, checkpoint.spec
    vectors, positions = _vector_tokens(graph, weights, checkpoint)
    tokens = [vectors]
    for tokens_of_camera, positions_of_camera in _camera_tokens(graph, weights, checkpoint):
        tokens.append(tokens_of_camera)
        positions = np.concatenate([positions, positions_of_camera])
    x = graph.op("Concat", *tokens, axis=1)
    memory = graph.named(emit_encoder(graph, weights, config, x, positions), MEMORY)
    x = emit_decoder(graph, weights, config, memory, positions)
    graph.scope("action_head")
    head = Linear.read(weights, "action_head", spec.action_dim, config.dim_model)
    actions = emit_actions(graph, graph.linear(x, head.weight, head.bias), checkpoint.normalization.action)
    weights.require_all_taken()
    return graph.model(actions, ACTION, [BATCH, spec.chunk_size, spec.action_dim])


def _check(config: ActConfig) -> None:
    if config.feedforward_activation not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json: feedforward_activation {config.feedforward_activation!r} can't be built: it halves the "
            "feed-forward width that the layer after it expects, so lerobot can't run such a network either",
            hint=f"train with one of: {', '.join(ACTIVATIONS)}",
        )
    if config.dim_model % config.n_heads or config.dim_model % 4:
        raise CheckpointError(
            f"config.json: dim_model {config.dim_model} can't be built: it must be a multiple of 4 and of n_heads "
            f"({config.n_heads})"
        )


def _vector_tokens(graph: GraphBuilder, weights: Weights, checkpoint: Checkpoint) -> tuple[str, Array]:
    """Tokens (B, n, D) of the latent, the joint state and the environment state, and their learned positions (n, D).

    The latent is zeros without the VAE's encoder, so its token is its projection's bias. One product with a block
    matrix makes all tokens, each from its own part of the input.
    """
    config, width = checkpoint.config, checkpoint.config.dim_model
    latent = Linear.read(weights, "encoder_latent_input_proj", width, config.latent_dim)
    features = {STATE: "encoder_robot_state_input_proj", ENVIRONMENT_STATE: "encoder_env_state_input_proj"}
    parts: list[str] = []
    blocks: list[Array] = [np.zeros((width, 0))]  # the latent's
    biases = [latent.bias]
    for feature, layer in features.items():
        if feature not in config.input_features:
            continue
        dim = config.input_features[feature].shape[0]
        graph.scope(feature)
        x = graph.input(feature, TensorProto.FLOAT, [BATCH, dim])
        parts.append(Scaling.of(checkpoint.normalization.inputs[feature], dim).emit(graph, x))
        projection = Linear.read(weights, layer, width, dim)
        blocks.append(projection.weight)
        biases.append(projection.bias)
    graph.scope("encoder_vector_tokens")
    vector = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    tokens = graph.linear(vector, _block_diagonal(blocks), np.concatenate(biases))
    positions = weights.take("encoder_1d_feature_pos_embed.weight", len(blocks), width)
    return graph.reshape(tokens, [0, len(blocks), width]), positions


def _block_diagonal(blocks: list[Array]) -> Array:
    result = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        result[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return result


def _camera_tokens(graph: GraphBuilder, weights: Weights, checkpoint: Checkpoint) -> list[tuple[str, Array]]:
    """For each camera its tokens (B, h * w, D) and their positions (h * w, D)."""
    config, spec, width = checkpoint.config, checkpoint.spec, checkpoint.config.dim_model
    if not spec.cameras:
        return []
    backbone = Backbone(weights, config.vision_backbone, config.replace_final_stride_with_dilation)
    projection = weights.take("encoder_img_feat_input_proj.weight", width, backbone.channels, 1, 1)
    bias = weights.take("encoder_img_feat_input_proj.bias", width)
    result = []
    for name, shape in spec.cameras.items():
        graph.scope(name)
        picture, scale = _normalised(graph, name, shape, Scaling.of(checkpoint.normalization.inputs[name], 3))
        features = backbone.emit(graph, picture, scale)
        features = graph.op("Conv", features, graph.constant(projection), graph.constant(bias), kernel_shape=[1, 1])
        cells = graph.op("Transpose", graph.reshape(features, [0, width, -1]), perm=[0, 2, 1])
        cells = graph.named(cells, CAMERA_TOKENS + name)
        result.append((cells, image_positions(backbone.feature_size(shape), width)))
    return result


def _normalised(graph: GraphBuilder, name: str, shape: ImageShape, scaling: Scaling) -> tuple[str, Array]:
    """The picture (B, 3, H, W) but for a factor (3,) per channel, which the first convolution can take in.

    lerobot scales pixels to [0, 1] before its own normalisation. Where nothing is added after the scale, the scale
    is left to the convolution; its zero padding then still stands for a normalised zero.
    """
    x = graph.input(name, TensorProto.UINT8, [BATCH, shape.height, shape.width, 3])
    x = graph.op("Cast", graph.op("Transpose", x, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    scale = scaling.scale / PIXEL_MAX
    if scaling.offset.any():
        x = graph.op("Sub", x, graph.constant(PIXEL_MAX * scaling.offset[:, None, None]))
    if not scaling.shift:
        return x, scale
    x = graph.op("Mul", x, graph.constant(scale[:, None, None]))
    return graph.op("Add", x, graph.constant(scaling.shift)), np.ones(3)
