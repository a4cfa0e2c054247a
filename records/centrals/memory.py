"""The central store in memory: the contract in its shortest form."""


class MemoryCentral:
    """See `records.central.Central`. Lost with the process."""
