"""Training of graph networks: all nodes at once, a loss on those with a label, the best weights by validation."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.graphs import Graph
from lowland.errors import DataError, TrainingError, check_number
from lowland.nn.graph_convolution import Features, GraphNetwork
from lowland.nn.layers import evaluating


def train_graph_network(
    network: GraphNetwork,
    graph: Graph,
    form: Any,
    features: Features | None = None,
    epochs: int = 200,
    rate: float = 0.01,
    decay: float = 5e-4,
) -> dict[str, list[float]]:
    """Lower −log p of the training labels by Adam, and keep the weights with the most right validation nodes.

    Of epochs with equally many, the one with the least validation loss is kept. Setting: Kipf & Welling (2017), section
    5.2, who stop early by the validation loss instead.

    Args:
        network: trained in place.
        graph: with a split.
        form: the graph as the network's blocks take it, such as `normalised_adjacency`.
        features: (N, D), by default those of the graph.
        epochs: steps, each with all nodes.
        rate: of Adam.
        decay: weight decay of the first layer, ½ · decay · ‖W‖² in the loss.

    Returns:
        "loss" of the training nodes, and "validation", the share of right validation nodes, after each epoch.

    Raises:
        DataError: if the graph has no split.
        TrainingError: if the loss is not finite.

    >>> from lowland.data.graphs import block_graph
    >>> from lowland.nn.graph_convolution import GraphConvolution, graph_network, normalised_adjacency
    >>> draw = torch.Generator().manual_seed(0)
    >>> graph = block_graph(90, 3, draw).draw_split(draw, 5, 30, 30)
    >>> form = normalised_adjacency(graph.edges, 90)
    >>> found = train_graph_network(graph_network(GraphConvolution, (3, 8, 3)), graph, form, epochs=20)
    >>> found["loss"][-1] < found["loss"][0]
    True
    """
    check_number("epochs", epochs, least=1, whole=True)
    if not len(graph.train) or not bool(graph.train.any()) or not bool(graph.validation.any()):
        raise DataError("The graph has no split: call draw_split, split_labelled or with_split first.")
    device = next(network.parameters()).device
    x, labels = (graph.features if features is None else features).to(device), graph.labels.to(device)
    train, validation = graph.train.to(device), graph.validation.to(device)
    first, rest = list(network.layers[0].parameters()), list(network.layers[1:].parameters())
    groups = [{"params": first, "weight_decay": decay}, {"params": rest}]
    optimiser = torch.optim.Adam([group for group in groups if group["params"]], lr=rate)
    history: dict[str, list[float]] = {"loss": [], "validation": []}
    best, kept = (-1.0, 0.0), network.state_dict()
    network.train()
    for epoch in range(epochs):
        optimiser.zero_grad()
        loss = functional.cross_entropy(network(x, form)[train], labels[train])
        if not bool(loss.isfinite()):
            raise TrainingError(f"The loss is not finite in epoch {epoch + 1}: lower the rate.")
        loss.backward()
        optimiser.step()
        with torch.no_grad(), evaluating(network):
            found = network(x, form)[validation]
        right = (found.argmax(dim=1) == labels[validation]).double().mean().item()
        score = right, -functional.cross_entropy(found, labels[validation]).item()
        history["loss"].append(loss.item())
        history["validation"].append(right)
        if score > best:
            best, kept = score, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    return history


def probabilities(network: GraphNetwork, form: Any, features: Features) -> Tensor:
    """P(class) of every node, (N, C), without dropout.

    >>> from lowland.nn.graph_convolution import GraphConvolution, graph_network
    >>> probabilities(graph_network(GraphConvolution, (2, 4)), None, torch.zeros(1, 2))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    with torch.no_grad(), evaluating(network):
        return network(features, form).softmax(dim=1)
