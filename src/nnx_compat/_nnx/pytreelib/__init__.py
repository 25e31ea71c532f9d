"""What an attribute of a Module is: data, in the state, or static, in the graphdef.

There are three ways in which Flax decides it:

- at first by the value, each time a Module is split: Variables, Modules, arrays and
  what contains them in lists, tuples and dicts are data, all else is static;
- later likewise, once, when it is assigned; and it can be marked as data;
- today by the value itself, not by what it contains, and it can be marked as
  data or static.

A mark that asks for what a release does anyway is the value itself; one that asks for
something else is an error.
"""
