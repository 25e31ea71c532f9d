"""The functions over a State: flat and back, to plain values and back, apart, together.

The leaves are always those of the State that is given, never copies. Natively most of
these were methods of State first, and are functions since the methods are going away.
"""
