"""Spaces of cells as genotypes: pairs of operation and source for each node."""

from archenc.spaces.genotype.node_form import INPUTS
from archenc.spaces.genotype.notation import GenotypeDefinition
from archenc.spaces.genotype.space import MAX_INTERMEDIATE, GenotypeSpace

__all__ = ["INPUTS", "MAX_INTERMEDIATE", "GenotypeDefinition", "GenotypeSpace"]
