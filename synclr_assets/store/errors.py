"""What can go wrong with a store, each as one sentence a user can act on."""


class StoreError(ValueError):
    """A user's mistake or a state of the store that the user has to resolve."""


class StoreNotWritableError(StoreError):
    """The root of the store cannot be created or written."""


class NewerSchemaError(StoreError):
    """A table was written by a newer version of this software."""


class OlderSchemaError(StoreError):
    """A table was written by an older version of this software and has to be migrated first."""


class FencedError(StoreError):
    """Another run took over the same stage of the same bucket generation."""

    def __init__(self, message: str, by_run: str | None = None) -> None:
        super().__init__(message)
        self.by_run = by_run
        """The run that did; None where that is not known."""


class SettingsChangedError(StoreError):
    """Rows of this generation were made with other settings; a generation never mixes settings."""


class NotReadyError(StoreError):
    """The stage before has not finished this generation."""


class UnknownIdError(StoreError):
    """No row carries this id, or a prefix fits several."""
