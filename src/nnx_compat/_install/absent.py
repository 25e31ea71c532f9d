"""What stands in the place of a value where there is none."""

ABSENT: object = object()
