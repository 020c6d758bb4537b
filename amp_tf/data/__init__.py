"""Reference data: HDF5 files, splits and input pipelines."""

from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance, ReferenceData
from amp_tf.data.splits import Split

__all__ = ["FrameGroup", "Provenance", "ReferenceData", "Split", "read_reference_data", "write_reference_data"]
