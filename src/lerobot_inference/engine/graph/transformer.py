"""The transformer's layers, with everything that doesn't depend on the observation computed when the graph is built."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lerobot_inference.checkpoint import ActConfig
from lerobot_inference.engine.graph.builder import GraphBuilder
from lerobot_inference.engine.graph.weights import Array, Weights
from lerobot_inference.engine.graph_engine import FIRST_ATTENTION

LAYER_NORM_EPS = 1e-5  # torch.nn.LayerNorm's default
ACTIVATIONS = {"relu": "Relu", "gelu": "Gelu"}


@dataclass(frozen=True)
class Linear:
    """weight (O, I), bias (O,)."""

    weight: Array
    bias: Array

    @classmethod
    def read(cls, weights: Weights, name: str, out: int, inside: int) -> Linear:
        """torch.nn.Linear called `name`."""
        return cls(weights.take(f"{name}.weight", out, inside), weights.take(f"{name}.bias", out))

    def __call__(self, x: Array) -> Array:
        """Apply to x (..., I), for values known when the graph is built."""
        result: Array = x.astype(np.float64, copy=False) @ self.weight.T + self.bias
        return result


@dataclass(frozen=True)
class Norm:
    """scale and bias (D,) of a torch.nn.LayerNorm."""

    scale: Array
    bias: Array

    @classmethod
    def read(cls, weights: Weights, name: str, width: int) -> Norm:
        """torch.nn.LayerNorm called `name`."""
        return cls(weights.take(f"{name}.weight", width), weights.take(f"{name}.bias", width))

    def emit(self, graph: GraphBuilder, x: str) -> str:
        """x: (B, N, D)."""
        constants = graph.constant(self.scale), graph.constant(self.bias)
        return graph.op("LayerNormalization", x, *constants, axis=-1, epsilon=LAYER_NORM_EPS)

    def __call__(self, x: Array) -> Array:
        """For values known when the graph is built."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        result: Array = centred / np.sqrt(variance + LAYER_NORM_EPS) * self.scale + self.bias
        return result


class Attention:
    """torch.nn.MultiheadAttention. Queries come scaled by 1 / sqrt(head length)."""

    def __init__(self, weights: Weights, name: str, width: int, heads: int) -> None:
        matrix = weights.take(f"{name}.in_proj_weight", 3 * width, width)
        bias = weights.take(f"{name}.in_proj_bias", 3 * width)
        scale = np.float64(1 / math.sqrt(width // heads))
        self.heads, self.width = heads, width
        self.query = Linear((matrix[:width] * scale).astype(matrix.dtype), bias[:width] * scale)
        self.key = Linear(matrix[width : 2 * width], bias[width : 2 * width])
        self.value = Linear(matrix[2 * width :], bias[2 * width :])
        self.out = Linear.read(weights, f"{name}.out_proj", width, width)

    def self_attention(self, graph: GraphBuilder, x: str, positions: Array) -> str:
        """Among tokens x (B, N, D) at positions (N, D), which queries and keys see and values do not.

        One product gives all three: W (x + p) + b = W x + (W p + b), whose second part is constant.
        """
        matrix = np.concatenate([self.query.weight, self.key.weight, self.value.weight])
        value_bias = np.broadcast_to(self.value.bias, positions.shape)
        bias = np.concatenate([self.query(positions), self.key(positions), value_bias], axis=1)
        query, key, value = graph.split_op(
            "Split", 3, graph.linear(x, matrix, bias), graph.integers([self.width] * 3), axis=2
        )
        return self._attend(graph, self._heads(graph, query, [0, 2, 1, 3]), key, value)

    def constant_query(self, graph: GraphBuilder, x: Array) -> str:
        """Queries (1, heads, N, D / heads) of tokens x (N, D) known when the graph is built."""
        queries = self.query(x).reshape(len(x), self.heads, -1).transpose(1, 0, 2)
        return graph.constant(queries[None])

    def query_of(self, graph: GraphBuilder, x: str, positions: Array) -> str:
        """Queries (B, heads, N, D / heads) of tokens x (B, N, D) at positions (N, D)."""
        return self._heads(graph, graph.linear(x, self.query.weight, self.query(positions)), [0, 2, 1, 3])

    def cross_attention(self, graph: GraphBuilder, query: str, memory: str, positions: Array) -> str:
        """From `query` (B or 1, heads, N, D / heads) to memory (B, M, D) at positions (M, D)."""
        matrix = np.concatenate([self.key.weight, self.value.weight])
        bias = np.concatenate([self.key(positions), np.broadcast_to(self.value.bias, positions.shape)], axis=1)
        key, value = graph.split_op(
            "Split", 2, graph.linear(memory, matrix, bias), graph.integers([self.width] * 2), axis=2
        )
        return self._attend(graph, query, key, value)

    def of_equal_tokens(self, x: Array) -> Array:
        """Self-attention among tokens that all hold x (D,): whatever the weights, their mean is the one value."""
        return self.out(self.value(x))

    def _attend(self, graph: GraphBuilder, query: str, key: str, value: str) -> str:
        scores = graph.op("MatMul", query, self._heads(graph, key, [0, 2, 3, 1]))
        mixed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), self._heads(graph, value, [0, 2, 1, 3]))
        merged = graph.reshape(graph.op("Transpose", mixed, perm=[0, 2, 1, 3]), [0, 0, self.width])
        return graph.linear(merged, self.out.weight, self.out.bias)

    def _heads(self, graph: GraphBuilder, x: str, order: list[int]) -> str:
        return graph.op("Transpose", graph.reshape(x, [0, 0, self.heads, self.width // self.heads]), perm=order)


class FeedForward:
    """Two linear layers with the activation between them."""

    def __init__(self, weights: Weights, name: str, config: ActConfig) -> None:
        self.inner = Linear.read(weights, f"{name}.linear1", config.dim_feedforward, config.dim_model)
        self.outer = Linear.read(weights, f"{name}.linear2", config.dim_model, config.dim_feedforward)
        self.activation = ACTIVATIONS[config.feedforward_activation]

    def emit(self, graph: GraphBuilder, x: str) -> str:
        """x: (B, N, D)."""
        inner = graph.op(self.activation, graph.linear(x, self.inner.weight, self.inner.bias))
        return graph.linear(inner, self.outer.weight, self.outer.bias)


def emit_encoder(graph: GraphBuilder, weights: Weights, config: ActConfig, x: str, positions: Array) -> str:
    """All encoder layers over tokens x (B, N, D) at positions (N, D)."""
    for number in range(config.n_encoder_layers):
        name = f"encoder.layers.{number}"
        graph.scope(name)
        attention = Attention(weights, f"{name}.self_attn", config.dim_model, config.n_heads)
        feed_forward = FeedForward(weights, name, config)
        norm1, norm2 = (Norm.read(weights, f"{name}.norm{place}", config.dim_model) for place in (1, 2))
        if config.pre_norm:
            x = graph.op("Add", x, attention.self_attention(graph, norm1.emit(graph, x), positions))
        else:
            x = norm1.emit(graph, graph.op("Add", x, attention.self_attention(graph, x, positions)))
        if not number:
            x = graph.named(x, FIRST_ATTENTION)
        if config.pre_norm:
            x = graph.op("Add", x, feed_forward.emit(graph, norm2.emit(graph, x)))
        else:
            x = norm2.emit(graph, graph.op("Add", x, feed_forward.emit(graph, x)))
    if config.pre_norm:
        x = Norm.read(weights, "encoder.norm", config.dim_model).emit(graph, x)
    return x


def emit_decoder(graph: GraphBuilder, weights: Weights, config: ActConfig, memory: str, positions: Array) -> str:
    """All decoder layers and the norm behind them: memory (B, M, D) at positions (M, D) -> (B, chunk, D)."""
    queries = weights.take("decoder_pos_embed.weight", config.chunk_size, config.dim_model)
    x = ""
    for number in range(config.n_decoder_layers):
        name = f"decoder.layers.{number}"
        graph.scope(name)
        layer = DecoderLayer(weights, name, config)
        x = (
            layer.emit(graph, x, memory, positions, queries)
            if number
            else layer.first(graph, memory, positions, queries)
        )
    graph.scope("decoder.norm")
    return Norm.read(weights, "decoder.norm", config.dim_model).emit(graph, x)


class DecoderLayer:
    """Self-attention among the chunk's tokens, cross-attention to the encoder's, feed-forward."""

    def __init__(self, weights: Weights, name: str, config: ActConfig) -> None:
        width = config.dim_model
        self.pre_norm = config.pre_norm
        self.self_attention = Attention(weights, f"{name}.self_attn", width, config.n_heads)
        self.cross_attention = Attention(weights, f"{name}.multihead_attn", width, config.n_heads)
        self.feed_forward = FeedForward(weights, name, config)
        self.norm1, self.norm2, self.norm3 = (Norm.read(weights, f"{name}.norm{place}", width) for place in (1, 2, 3))

    def first(self, graph: GraphBuilder, memory: str, positions: Array, queries: Array) -> str:
        """The first layer: its input is zeros, so all before the cross-attention's keys is constant."""
        nothing = np.zeros(queries.shape[1])
        if self.pre_norm:
            x = self.self_attention.of_equal_tokens(self.norm1(nothing))
            seen = self.norm2(x)
        else:
            x = seen = self.norm1(self.self_attention.of_equal_tokens(nothing))
        query = self.cross_attention.constant_query(graph, seen + queries)
        return self._after(graph, graph.constant(x), query, memory, positions)

    def emit(self, graph: GraphBuilder, x: str, memory: str, positions: Array, queries: Array) -> str:
        """Any further layer: x (B, chunk, D) with its learned positions `queries` (chunk, D)."""
        if self.pre_norm:
            x = graph.op("Add", x, self.self_attention.self_attention(graph, self.norm1.emit(graph, x), queries))
            seen = self.norm2.emit(graph, x)
        else:
            x = graph.op("Add", x, self.self_attention.self_attention(graph, x, queries))
            x = seen = self.norm1.emit(graph, x)
        query = self.cross_attention.query_of(graph, seen, queries)
        return self._after(graph, x, query, memory, positions)

    def _after(self, graph: GraphBuilder, x: str, query: str, memory: str, positions: Array) -> str:
        x = graph.op("Add", x, self.cross_attention.cross_attention(graph, query, memory, positions))
        if self.pre_norm:
            return graph.op("Add", x, self.feed_forward.emit(graph, self.norm3.emit(graph, x)))
        x = self.norm2.emit(graph, x)
        return self.norm3.emit(graph, graph.op("Add", x, self.feed_forward.emit(graph, x)))
