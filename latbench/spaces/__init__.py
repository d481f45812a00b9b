"""Search spaces: choices, blocks, architectures, and the networks they describe."""

from latbench.spaces.architectures import Choice, FloatArray
from latbench.spaces.blocks import Block
from latbench.spaces.graph import INPUT, Candidate, IntArray, Node, StaticGraph, Step
from latbench.spaces.operation import Concat, Identity, Operation, Shape, Sum, Zero
from latbench.spaces.space import SearchSpace
from latbench.spaces.workload import TensorSpec, Workload

__all__ = [
    "INPUT",
    "Block",
    "Candidate",
    "Choice",
    "Concat",
    "FloatArray",
    "Identity",
    "IntArray",
    "Node",
    "Operation",
    "SearchSpace",
    "Shape",
    "StaticGraph",
    "Step",
    "Sum",
    "TensorSpec",
    "Workload",
    "Zero",
]
