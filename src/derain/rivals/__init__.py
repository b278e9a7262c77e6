"""Networks of other papers that Table 2 compares, with their official weights."""

from derain.rivals.networks import NETWORKS, build, load

__all__ = ["NETWORKS", "build", "load"]
