"""Transforms of functions over Modules.

``_transform`` is what all of them share: the checks and the decorator form. ``_lifted``
is a call of a function over Modules as one over arrays, from the arguments of the
caller (``_layout``) to what the call did to them (``_outcome``).
"""
