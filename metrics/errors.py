"""What can go wrong with signals and the store.

MetricsError
├── SignalError        a feedback item names no signal, or a value that the signal does not take: tell the sender
└── StoreError         the store cannot be used: the ledger keeps buffering and tries again
    └── SchemaError    a newer Setpoint wrote it: the ledger reads and does not write
"""


class MetricsError(Exception):
    """Root of everything that this package raises on purpose."""


class SignalError(MetricsError):
    """Raised for feedback that means nothing; the message names what is allowed."""


class StoreError(MetricsError):
    """Raised when Redis does not answer, refuses, or cannot be started."""


class SchemaError(StoreError):
    """Raised before a write to a store whose layout this version does not know."""
