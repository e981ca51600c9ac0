"""Calls that wait for the database run in a thread beside the event loop."""

from collections.abc import Awaitable, Callable
from typing import Any

InThread = Callable[..., Awaitable[Any]]
"""`await in_thread(call, *arguments)` is what `call(*arguments)` returns."""
