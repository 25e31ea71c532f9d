"""The functions over a State: flat and nested, as plain values, split and merged.

The leaves are always those of the State that is given, never copies. Natively most of
these were methods of State first, and are functions since the methods are going away.
"""
