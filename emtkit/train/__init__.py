"""Cells to trained weights, many networks as one program.

Importing this asks MKL for conditional numerical reproducibility. Without it a product's last bits
depend on where in memory its operands happen to begin, so on a row's place in a stack; no cost was
measured. MKL reads the variable before its first product.
"""

import os

os.environ.setdefault("MKL_CBWR", "AUTO")
# The same for products on CUDA: memory of a fixed size, so that a stack repeats its own bits.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
